package backend

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

func (b *backend) pathTidy() []*framework.Path {
	return []*framework.Path{
		{
			Pattern: "tidy",
			Fields: map[string]*framework.FieldSchema{
				"dry_run":    {Type: framework.TypeBool, Description: "Count what would be deleted, and delete nothing."},
				"mount_uuid": {Type: framework.TypeString, Description: "UUID of a mount that no longer exists: delete its lease tokens past their deadline."},
			},
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "tidy"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: operation{handle: b.pathTidyStart, summary: "Delete tokens of this mount that outlived their deadline.", answer: map[string]*framework.FieldSchema{}, mints: true}.handler(),
			},
			HelpSynopsis: "Delete tokens that outlived their deadline.",
			HelpDescription: `
Every lease token carries in its description the last moment it can rightly live. tidy looks through all tokens
of InfluxDB and deletes those of this mount that are past it: what a crash left behind, and what a restore of
InfluxDB brought back. It runs in the background; tidy-status tells how it went. It also runs by itself, as
tidy_interval in config says.`,
		},
		{
			Pattern:      "tidy-status",
			Fields:       map[string]*framework.FieldSchema{},
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "tidy-status"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: operation{handle: b.pathTidyStatus, summary: "Read how the last run of tidy went.", answer: tidyAnswer, mints: true}.handler(),
			},
			HelpSynopsis:    "How the last run of tidy went.",
			HelpDescription: "The state and the counts of the run that is under way, or of the last one. They are of this process alone.",
		},
	}
}

var tidyAnswer = map[string]*framework.FieldSchema{
	"state":         {Type: framework.TypeString, Description: "idle, running, done, failed, cancelled; or blind: the root token is not shown all tokens."},
	"time_started":  {Type: framework.TypeString, Description: "RFC 3339; empty before the first run."},
	"time_finished": {Type: framework.TypeString, Description: "RFC 3339; empty while it runs."},
	"scanned_count": {Type: framework.TypeInt, Description: "Tokens looked at."},
	"matched_count": {Type: framework.TypeInt, Description: "Tokens that are to be deleted."},
	"deleted_count": {Type: framework.TypeInt, Description: "Tokens deleted."},
	"failed_count":  {Type: framework.TypeInt, Description: "Tokens that could not be deleted; the next run tries again."},
	"last_error":    {Type: framework.TypeString, Description: "Why it did not finish."},
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (b *backend) pathTidyStart(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	p := &pass{reap: b.mountUUID}
	f := fields{data}
	f.flag("dry_run", &p.dryRun)
	if !f.empty("mount_uuid") {
		f.text("mount_uuid", &p.reap)
		if p.reap = strings.ToLower(p.reap); p.reap == b.mountUUID {
			return nil, badInput("mount_uuid: this is the UUID of this mount, which exists; leave mount_uuid out")
		}
	}
	if !uuidPattern.MatchString(p.reap) {
		return nil, badInput("mount_uuid: must be a UUID, as check and a token's description show it")
	}
	e, err := b.current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return nil, err
	}
	if !b.tidy(req.Storage, e, p) {
		return nil, badInput("a run of tidy is under way; read %stidy-status", req.MountPoint)
	}
	return written([]string{"tidy runs in the background; read " + req.MountPoint + "tidy-status"}), nil
}

func (b *backend) pathTidyStatus(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	r := &b.reaper
	r.mu.Lock()
	defer r.mu.Unlock()
	p, lastError := r.pass, ""
	if p == nil {
		p = &pass{}
	}
	if r.err != nil {
		lastError = r.err.Error()
	}
	return &logical.Response{Data: map[string]any{
		"state":         cmp.Or(r.state, tidyIdle),
		"time_started":  rfc3339(r.started),
		"time_finished": rfc3339(r.finished),
		"scanned_count": p.scanned.Load(),
		"matched_count": p.matched.Load(),
		"deleted_count": p.deleted.Load(),
		"failed_count":  p.failed.Load(),
		"last_error":    lastError,
	}}, nil
}
