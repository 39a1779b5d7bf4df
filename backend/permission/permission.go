// Package permission is the language of grants: what a role says a token may do, and what InfluxDB is asked
// for. It does no I/O: names are looked up through a Directory, and neither HTTP nor Vault is known here.
//
//	Definition --Grants--> []Grant --Resolve--> []Permission
//
// InfluxDB drops a resource's name without a word, so that a permission sent with a name alone grants every
// bucket of every organization; and it never checks that a bucket ID exists or belongs to the organization.
// So names become IDs here, every permission carries its organization, and a bucket's organization is compared.
package permission

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// The two actions that InfluxDB knows.
const (
	Read  = "read"
	Write = "write"
)

// Resource types that are treated in a way of their own.
const (
	Buckets = "buckets"
	Orgs    = "orgs"
	Users   = "users"
	// instance exists for the set-up user's sessions only: no token may ask for it (403 on influxd 2.4).
	instance = "instance"
)

// Token types, as token_type names them.
const (
	Custom    = "custom"
	AllAccess = "all-access"
	Operator  = "operator"
)

// All is how a role says "every one": of the buckets, of the resource types, of the organizations.
const All = "*"

// tokenTypeField is the one field that is no list.
const tokenTypeField = "token_type"

// IDPrefix marks an ID where a name is expected: id:03a2bbf46309a000.
const IDPrefix = "id:"

// MaxGrants bounds a role: more is refused, with the field that held too many. InfluxDB itself takes 5,000
// and more without complaint, and then compares each request with all of them.
const MaxGrants = 1000

// maxText bounds a name, an ID and a resource type, in bytes.
const maxText = 1024

// Permission is one permission as InfluxDB stores it.
type Permission struct {
	// Action is Read or Write.
	Action string `json:"action"`
	// Type is the resource type: buckets, tasks, …
	Type string `json:"type"`
	// ID narrows it to one resource; empty means all of the type in OrgID.
	ID string `json:"id,omitempty"`
	// OrgID is the organization. It is empty for orgs and users, which InfluxDB checks by ID alone, and for
	// a permission in every organization.
	OrgID string `json:"org_id,omitempty"`
	// Name is the bucket's name, for descriptions and for comparison with what InfluxDB echoes; not sent.
	Name string `json:"-"`
	// Place is where the role or the request asks for it, for messages; not sent.
	Place Place `json:"-"`
}

// Place is where something stands in a definition: read_buckets[1].
type Place struct {
	List  string
	Index int
}

func (p Place) String() string {
	if p.List == tokenTypeField { // not a list
		return p.List
	}
	return p.List + "[" + strconv.Itoa(p.Index) + "]"
}

// Problem is one thing wrong with a definition.
type Problem struct {
	// Field says where: read_buckets[1].
	Field string
	// Text says what, and what is allowed or to be done.
	Text string
}

// Error is "field: text".
func (p *Problem) Error() string { return p.Field + ": " + p.Text }

// Problems are all the things wrong with one definition, in the order of its fields.
type Problems []error

// Add notes what is wrong with a field.
func (p *Problems) Add(field, format string, args ...any) {
	*p = append(*p, &Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// Err joins them, each said once; nil when there are none. Beyond MaxGrants it only counts: a grant has one problem as
// a rule, but an object may hold any number of unknown keys.
func (p Problems) Err() error {
	said := map[string]bool{}
	distinct := slices.DeleteFunc(p.flat(), func(problem error) bool {
		known := said[problem.Error()]
		said[problem.Error()] = true
		return known
	})
	if more := len(distinct) - MaxGrants; more > 0 {
		distinct = append(distinct[:MaxGrants], fmt.Errorf("and %d more", more))
	}
	return errors.Join(distinct...)
}

// flat is the list with joined errors taken apart and without what is nil.
func (p Problems) flat() Problems {
	var flat Problems
	for _, problem := range p {
		joined, several := problem.(interface{ Unwrap() []error })
		switch {
		case several:
			flat = append(flat, Problems(joined.Unwrap()).flat()...)
		case problem != nil:
			flat = append(flat, problem)
		}
	}
	return flat
}

// IsID reports whether s looks as InfluxDB writes IDs: 16 hexadecimal digits, not all zero.
func IsID(s string) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	return len(s) == 16 && err == nil && n != 0
}
