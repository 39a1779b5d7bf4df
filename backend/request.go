package backend

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// HandleRequest is every request's way in. It refuses what no path declares, and turns a panic into an
// error: the process serves all mounts, and must not end for one.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (resp *logical.Response, err error) {
	defer background.Recover(b.mount.Log, &err)
	if refused := b.validateFields(req); refused != "" {
		return logical.ErrorResponse("%s", refused), nil
	}
	req.Storage = store.InvalidatingStorage{Storage: req.Storage, OnWrite: b.onWrite}
	return b.Backend.HandleRequest(ctx, req)
}

// HandleExistenceCheck tells a create from an update. The body has no say in it and is left out: the framework
// would complain of a field of the wrong type and repeat its value, which Vault logs.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checked, exists bool, err error) {
	defer background.Recover(b.mount.Log, &err)
	bare := *req
	bare.Data = nil
	return b.Backend.HandleExistenceCheck(ctx, &bare)
}

// InvalidateKey tells that another node has written a key.
func (b *backend) InvalidateKey(ctx context.Context, key string) {
	var err error
	defer background.Recover(b.mount.Log, &err)
	b.Backend.InvalidateKey(ctx, key)
}

// validateFields says what is wrong with a request's fields before any handler sees them: unknown ones, ones of the
// wrong type, ones too long. It says so in words of its own because the framework's repeat the value.
func (b *backend) validateFields(req *logical.Request) string {
	switch req.Operation {
	case logical.CreateOperation, logical.ReadOperation, logical.UpdateOperation, logical.PatchOperation,
		logical.DeleteOperation, logical.ListOperation:
	default: // renewals and revocations carry the lease's path and data, help and the tick none of ours
		return ""
	}
	if len(req.Data) == 0 { // most mints: the path need not be looked for twice
		return ""
	}
	path := b.Route(req.Path)
	if path == nil {
		return ""
	}
	var problems, unknown, more []string
	for key, value := range req.Data {
		if len(problems)+len(unknown) == maxProblems {
			more = []string{"the fields that follow were not looked at"}
			break
		}
		schema := path.Fields[key]
		switch {
		case schema == nil:
			unknown = append(unknown, key)
		case key == nameParam:
			problems = append(problems, "name: stands in the path; leave it out of the body")
		default:
			if wrong := typeError(schema, value); wrong != "" {
				problems = append(problems, key+": "+wrong)
			}
		}
	}
	if len(unknown) > 0 {
		problems = append(problems, unknownFields(unknown, path)...)
	}
	slices.Sort(problems)
	return strings.Join(append(problems, more...), "\n")
}

// maxProblems bounds what is said of one request's fields, of which there may be millions.
const maxProblems = 20

// unknownFields says of each field that it is not known, and once which are allowed.
func unknownFields(unknown []string, path *framework.Path) (problems []string) {
	slices.Sort(unknown)
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(path.Fields)), func(name string) bool { return name == nameParam })
	allowed := "; allowed here: " + cmp.Or(strings.Join(known, ", "), "none")
	for _, key := range unknown {
		problems = append(problems, problem.Clip(key)+": unknown field"+allowed+problem.DidYouMean(key, known))
		allowed = ""
	}
	return problems
}

// typeError says why a value can't be of a field's type, or "". A null clears a field.
func typeError(schema *framework.FieldSchema, value any) string {
	if value == nil {
		return ""
	}
	if size := sizeOf(value); size > maxSize(schema) {
		return fmt.Sprintf("too long: %d bytes; at most %d are allowed", size, maxSize(schema))
	}
	switch schema.Type {
	case framework.TypeString:
		if _, ok := value.(string); !ok {
			return "must be a string"
		}
	case framework.TypeBool:
		if _, err := decodeBool(value); err != nil {
			return "must be true or false"
		}
	case framework.TypeInt:
		if n, err := decodeInt(value); err != nil || n < 0 {
			return "must be a whole number, 0 or more"
		}
	case framework.TypeDurationSecond:
		d, err := parseutil.ParseDurationSecond(value)
		if err != nil || d < 0 || d.Hours() > maxDurationHours || d%time.Second != 0 || isFraction(value) {
			return "must be a duration of 0 to 100 years in whole seconds: a number of seconds, or such as 90s, 15m, 24h, 30d"
		}
	case framework.TypeCommaStringSlice:
		if _, err := decodeList(value); err != nil {
			return err.Error()
		}
	case framework.TypeSlice:
		if _, err := decodePermissions(value); err != nil {
			return err.Error()
		}
	}
	return ""
}

// maxDurationHours keeps sums of times and durations far from overflow: 100 years.
const maxDurationHours = 100 * 365 * 24

// defaultMaxSize bounds names, URLs, tokens and templates, in bytes.
const defaultMaxSize = 1024

// maxSize is the most bytes a field may have, encoded.
func maxSize(schema *framework.FieldSchema) int {
	switch schema.Type {
	case framework.TypeCommaStringSlice, framework.TypeSlice:
		return 1 << 20 // 1,000 grants of about 1 kB
	}
	if schema.DisplayAttrs != nil && schema.DisplayAttrs.EditType == editTypeText {
		return 64 << 10 // PEM: a chain of a dozen certificates
	}
	return defaultMaxSize
}

// editTypeText marks the fields that hold whole files.
const editTypeText = "textarea"

func sizeOf(value any) int {
	if s, ok := value.(string); ok {
		return len(s)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return 0 // it came from JSON: typeError will name it
	}
	return len(encoded)
}
