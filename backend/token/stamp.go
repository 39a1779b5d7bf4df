// Package token is our tokens in InfluxDB: the stamp by which they are recognized, their creation, and a list of them
// that is known to be complete.
package token

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The kinds of our tokens. Those of a lease are the only ones that end at their deadline.
const (
	Lease  = "lease"
	Static = "static"
	Root   = "root"
)

// What stands in a stamp in the place of a role. No role can have such a name.
const (
	// ProbeRole marks tokens that are created to be deleted at once.
	ProbeRole = "-probe"
	// RootRole marks root tokens.
	RootRole = "-root"
)

// Stamp ends the description of a token of ours and never changes, so that InfluxDB alone tells which tokens are ours,
// without Vault's storage:
//
//	[vault:v1:<mount uuid>:<kind>:<role>:<nonce>:<deadline>]
type Stamp struct {
	Mount, Kind, Role, Nonce string
	// Deadline is the last moment the token can rightly live: issue + maximum TTL + mount.DeadlineMargin. A static or
	// root token has none, which is written as 0.
	Deadline time.Time
}

const stampStart = "[vault:"

// String is the stamp as it is written.
func (s Stamp) String() string {
	var deadline int64
	if !s.Deadline.IsZero() {
		deadline = s.Deadline.Unix()
	}
	return stampStart + "v1:" + s.Mount + ":" + s.Kind + ":" + s.Role + ":" + s.Nonce + ":" + strconv.FormatInt(deadline, 10) + "]"
}

// stampPattern is anchored at the end: a clone made in InfluxDB's interface goes on behind the stamp with
// "(cloned at …)" and belongs to whoever made it.
var stampPattern = regexp.MustCompile(`\[vault:v1:([0-9a-fA-F-]{1,64}):([a-z]{1,16}):([\w.-]{1,128}):([0-9a-f]{1,64}):(0|[1-9]\d{0,11})\]$`)

// ParseStamp reads the stamp at the end of a description.
func ParseStamp(description string) (Stamp, bool) {
	m := stampPattern.FindStringSubmatch(description)
	if m == nil {
		return Stamp{}, false
	}
	seconds, err := strconv.ParseInt(m[5], 10, 64)
	if err != nil {
		return Stamp{}, false
	}
	st := Stamp{Mount: m[1], Kind: m[2], Role: m[3], Nonce: m[4]}
	if seconds != 0 {
		st.Deadline = time.Unix(seconds, 0)
	}
	return st, true
}

// FindStamp is ParseStamp of a description in a list of many, most of which may have none: nothing is allocated for those.
func FindStamp(description []byte) (Stamp, bool) {
	at := bytes.LastIndex(description, []byte(stampStart))
	if at < 0 {
		return Stamp{}, false
	}
	return ParseStamp(string(description[at:])) // no part of a stamp holds the start of another
}

// StripStamp returns a description without its stamp.
func StripStamp(description string) string {
	return strings.TrimSpace(stampPattern.ReplaceAllString(description, ""))
}

// Sanitize keeps a text that others have a say in from passing for a stamp, or from hiding one behind a line break.
func Sanitize(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return strings.ReplaceAll(text, stampStart, "(vault:")
}
