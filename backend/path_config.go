package backend

import (
	"cmp"
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/config"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
)

func (b *backend) pathConfig() []*framework.Path {
	merge := write(b.pathConfigWrite, "Write the connection to InfluxDB; fields left out are kept.")
	return []*framework.Path{{
		Pattern:        "config",
		Fields:         configFields,
		DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "configuration"},
		ExistenceCheck: b.pathConfigExists,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   read(b.pathConfigRead, "Read the connection, without its secrets.", configResponse),
			logical.CreateOperation: merge,
			logical.UpdateOperation: merge,
			logical.PatchOperation:  merge,
			logical.DeleteOperation: write(b.pathConfigDelete, "Stop minting; what was minted can still be revoked."),
		},
		HelpSynopsis: "The connection to InfluxDB.",
		HelpDescription: `
One mount holds one connection to one InfluxDB v2. A write is tried against InfluxDB before it replaces what
is stored, and keeps every field that it leaves out; an empty value clears an optional field.

token is the root token: it makes and deletes the tokens that are handed out, and can grant only what it holds
itself. It is never returned.`,
	}}
}

var configFields = mergeFields(planFields, fields{
	"url":              {Type: framework.TypeString, Description: "Base URL of InfluxDB, http or https; a base path behind a reverse proxy is allowed. Required."},
	"external_url":     {Type: framework.TypeString, Description: "What creds answers as url, where applications reach InfluxDB under another address."},
	"token":            {Type: framework.TypeString, Description: "The root token. Required on the first write; never returned.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
	"authorization_id": {Type: framework.TypeString, Description: "ID of the authorization that token is. Found by itself where InfluxDB shows the values of tokens."},
	"org":              {Type: framework.TypeString, Description: "Default organization of roles, by name. May be left out when the token sees just one."},
	"org_id":           {Type: framework.TypeString, Description: "Default organization of roles, by ID."},
	"user":             {Type: framework.TypeString, Description: "Default owner of minted tokens, by name; else the root token's user."},
	"user_id":          {Type: framework.TypeString, Description: "Default owner of minted tokens, by ID."},
	"ca_cert":          {Type: framework.TypeString, Description: "PEM certificates that InfluxDB's certificate is checked against; else the system's.", DisplayAttrs: &framework.DisplayAttributes{EditType: editTypeText}},
	"client_cert":      {Type: framework.TypeString, Description: "PEM certificate that is shown to InfluxDB or the proxy before it.", DisplayAttrs: &framework.DisplayAttributes{EditType: editTypeText}},
	"client_key":       {Type: framework.TypeString, Description: "PEM key of client_cert; never returned.", DisplayAttrs: &framework.DisplayAttributes{EditType: editTypeText, Sensitive: true}},
	"tls_server_name":  {Type: framework.TypeString, Description: "Name that InfluxDB's certificate must bear, where it is not the URL's host."},
	"tls_min_version":  {Type: framework.TypeString, Description: "Least TLS version.", AllowedValues: []any{"tls12", "tls13"}},
	"tls_skip_verify":  {Type: framework.TypeBool, Description: "Accept any certificate. Whoever stands in between can then read the root token."},
	"request_timeout":  {Type: framework.TypeDurationSecond, Default: config.DefaultRequestTimeout, Description: "Most that one call to InfluxDB takes, 1s to 1m."},
	"max_open_connections": {Type: framework.TypeInt, Default: config.DefaultConnections,
		Description: "Most connections, and so most calls at once, to InfluxDB, 1 to 10000."},
	"tidy_interval": {Type: framework.TypeDurationSecond, Default: tidy.DefaultInterval,
		Description: "How often tokens past their deadline are looked for; 0 means only by hand, with tidy."},
	"verify_connection":          {Type: framework.TypeBool, Default: true, Description: "Try the new settings before they replace the old ones. Not stored."},
	"abandon_previous":           {Type: framework.TypeBool, Description: "Give up the tokens minted on the previous InfluxDB, when url leads to another one. Not stored."},
	"disable_automated_rotation": {Type: framework.TypeBool, Description: "Rotate the root token only by config/rotate-root, whatever rotation_period and rotation_schedule say."},
})

// configResponse is the form of a read: the fields that are stored and no secret, and what was found out.
var configResponse = mergeFields(mergeFields(omitFields(configFields, "token", "client_key", "verify_connection", "abandon_previous"), planTimes),
	fields{
		"mount_uuid":     {Type: framework.TypeString, Description: "UUID of this mount, which marks its tokens in InfluxDB."},
		"root_user":      {Type: framework.TypeString, Description: "Name of the root token's user."},
		"root_user_id":   {Type: framework.TypeString, Description: "ID of the root token's user."},
		"server_version": {Type: framework.TypeString, Description: "InfluxDB's version at the last verified write."},
	})

func (b *backend) pathConfigExists(ctx context.Context, req *logical.Request, _ *framework.FieldData) (bool, error) {
	current, err := store.Config.Get(ctx, req.Storage)
	return current != nil, err
}

func (b *backend) pathConfigRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	current, err := store.Config.Get(ctx, req.Storage)
	if err != nil || current == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeConfig(current, b.mount.UUID)}, nil
}

// encodeConfig answers each field as it was written. An organization or user that was written by name or
// left out is shown with what was found for it.
func encodeConfig(c *store.Connection, mountUUID string) map[string]any {
	found := c.Found
	if found == nil {
		found = &store.Found{}
	}
	return encodePlan(c.RotationPlan, c.RotationTimes, map[string]any{
		"url":                  c.URL,
		"external_url":         c.ExternalURL,
		"authorization_id":     cmp.Or(c.AuthorizationID, found.RootAuthorizationID),
		"org":                  cmp.Or(c.Org, found.DefaultOrg),
		"org_id":               cmp.Or(c.OrgID, found.DefaultOrgID),
		"user":                 cmp.Or(c.User, found.Owner),
		"user_id":              cmp.Or(c.UserID, found.OwnerID),
		"ca_cert":              c.CACert,
		"client_cert":          c.ClientCert,
		"tls_server_name":      c.TLSServerName,
		"tls_min_version":      c.TLSMinVersion,
		"tls_skip_verify":      c.TLSSkipVerify,
		"request_timeout":      c.RequestTimeout,
		"max_open_connections": c.MaxOpenConnections,
		"tidy_interval":        c.TidyInterval,
		"mount_uuid":           mountUUID,
		"root_user":            found.RootUser,
		"root_user_id":         found.RootUserID,
		"server_version":       found.ServerVersion,

		"disable_automated_rotation": c.DisableAutomatedRotation,
	})
}

// decodeConfig lays the fields that a request gives over a connection.
func decodeConfig(p params, c *store.Connection) {
	decodeReach(p, c)
	before := c.Token
	p.string("token", &c.Token)
	if c.Token != before { // the ID is the old one's
		c.AuthorizationID, c.RootNonce = "", ""
	}
	p.string("authorization_id", &c.AuthorizationID)
	p.nameOrID("org", &c.Org, "org_id", &c.OrgID)
	p.nameOrID("user", &c.User, "user_id", &c.UserID)
	decodePlan(p, &c.RotationPlan)
	p.bool("disable_automated_rotation", &c.DisableAutomatedRotation)
	p.seconds("tidy_interval", &c.TidyInterval)
	if p.given("tidy_interval") && p.empty("tidy_interval") {
		c.TidyInterval = tidy.DefaultInterval
	}
}

// reachFields say how to reach InfluxDB.
var reachFields = []string{
	"url", "external_url", "ca_cert", "client_cert", "client_key", "tls_server_name", "tls_min_version", "tls_skip_verify",
	"request_timeout", "max_open_connections",
}

// decodeReach is the part of decodeConfig that says how to reach InfluxDB.
func decodeReach(p params, c *store.Connection) {
	p.string("url", &c.URL)
	p.string("external_url", &c.ExternalURL)
	p.string("ca_cert", &c.CACert)
	p.string("client_cert", &c.ClientCert)
	p.string("client_key", &c.ClientKey)
	p.string("tls_server_name", &c.TLSServerName)
	p.string("tls_min_version", &c.TLSMinVersion)
	p.bool("tls_skip_verify", &c.TLSSkipVerify)
	p.seconds("request_timeout", &c.RequestTimeout)
	p.int("max_open_connections", &c.MaxOpenConnections)
	if c.RequestTimeout == 0 && p.empty("request_timeout") {
		c.RequestTimeout = config.DefaultRequestTimeout
	}
	if c.MaxOpenConnections == 0 && p.empty("max_open_connections") {
		c.MaxOpenConnections = config.DefaultConnections
	}
}

func (b *backend) pathConfigWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	p := params{data}
	warnings, err := b.config.Write(ctx, req.Storage, config.Change{
		MountPath:       req.MountPoint,
		Apply:           func(c *store.Connection) { decodeConfig(p, c) },
		WithToken:       !p.empty("token"),
		Unverified:      !p.boolOr("verify_connection", true),
		AbandonPrevious: p.boolOr("abandon_previous", false),
	})
	return warningsOnly(warnings), err
}

func (b *backend) pathConfigDelete(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return nil, b.config.Delete(ctx, req.Storage)
}
