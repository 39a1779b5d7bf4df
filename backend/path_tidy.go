package backend

import (
	"context"
	"regexp"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/tidy"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

func (b *backend) pathTidy() []*framework.Path {
	return []*framework.Path{
		{
			Pattern: "tidy",
			Fields: fields{
				"dry_run":    {Type: framework.TypeBool, Description: "Count what would be deleted, and delete nothing."},
				"mount_uuid": {Type: framework.TypeString, Description: "UUID of a mount that no longer exists: delete its lease tokens past their deadline."},
			},
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "tidy"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: activeNode(b.pathTidyStart, "Delete tokens of this mount that outlived their deadline.", noFields),
			},
			HelpSynopsis: "Delete tokens that outlived their deadline.",
			HelpDescription: `
Every lease token carries in its description the last moment it can rightly live. tidy looks through all tokens
of InfluxDB and deletes those of this mount that are past it: what a crash left behind, and what a restore of
InfluxDB brought back. They must be past it by InfluxDB's clock, too. It runs in the background; tidy-status tells how it
went. It also runs by itself, as tidy_interval in config says.`,
		},
		{
			Pattern:      "tidy-status",
			Fields:       fields{},
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "tidy-status"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: activeNode(b.pathTidyStatus, "Read how the last run of tidy went.", tidyResponse),
			},
			HelpSynopsis:    "How the last run of tidy went.",
			HelpDescription: "The state and the counts of the run that is under way, or of the last one. They are of this process alone.",
		},
	}
}

var tidyResponse = fields{
	"state":         {Type: framework.TypeString, Description: "idle, running, done, failed, cancelled; blind: the root token is not shown all tokens; or skewed: the clocks of Vault and InfluxDB differ by more than 4 minutes, and nothing was deleted by its deadline."},
	"time_started":  {Type: framework.TypeString, Description: "RFC 3339; empty before the first run."},
	"time_finished": {Type: framework.TypeString, Description: "RFC 3339; empty while it runs."},
	"scanned_count": {Type: framework.TypeInt, Description: "Tokens looked at."},
	"matched_count": {Type: framework.TypeInt, Description: "Tokens that are to be deleted."},
	"deleted_count": {Type: framework.TypeInt, Description: "Tokens deleted."},
	"failed_count":  {Type: framework.TypeInt, Description: "Tokens that could not be deleted; the next run tries again."},
	"last_error":    {Type: framework.TypeString, Description: "Why it did not finish."},
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (b *backend) pathTidyStart(ctx context.Context, req request) (*logical.Response, error) {
	o := tidy.Options{MountUUID: b.mount.UUID}
	req.set("dry_run", &o.DryRun)
	if !req.empty("mount_uuid") {
		req.set("mount_uuid", &o.MountUUID)
		if o.MountUUID = strings.ToLower(o.MountUUID); o.MountUUID == b.mount.UUID {
			return nil, problem.InField("mount_uuid", "this is the UUID of this mount, which exists; leave mount_uuid out")
		}
	}
	if !uuidPattern.MatchString(o.MountUUID) {
		return nil, problem.InField("mount_uuid", "must be a UUID, as check and a token's description show it")
	}
	c, err := b.connections.Current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return nil, err
	}
	if !b.tidier.Start(req.Storage, c, o) {
		return nil, problem.BadInput("a run of tidy is under way; read %stidy-status", req.MountPoint)
	}
	return warningsOnly([]string{"tidy runs in the background; read " + req.MountPoint + "tidy-status"}), nil
}

func (b *backend) pathTidyStatus(context.Context, request) (*logical.Response, error) {
	status := b.tidier.Status()
	return &logical.Response{Data: map[string]any{
		"state":         status.State,
		"time_started":  problem.RFC3339(status.Started),
		"time_finished": problem.RFC3339(status.Finished),
		"scanned_count": status.Scanned,
		"matched_count": status.Matched,
		"deleted_count": status.Deleted,
		"failed_count":  status.Failed,
		"last_error":    status.LastError,
	}}, nil
}
