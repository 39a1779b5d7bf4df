package backend

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/config"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
)

func (b *backend) pathConfig() []*framework.Path {
	merge := write(b.pathConfigWrite, "Write the connection to InfluxDB; fields left out are kept.", noFields)
	return []*framework.Path{{
		Pattern:        "config",
		Fields:         configFields,
		DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "configuration"},
		ExistenceCheck: b.pathConfigExists,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   activeNode(b.pathConfigRead, "Read the connection, without its secrets.", configResponse),
			logical.CreateOperation: merge,
			logical.UpdateOperation: merge,
			logical.PatchOperation:  merge,
			logical.DeleteOperation: write(b.pathConfigDelete, "Stop minting; what was minted can still be revoked.", noFields),
		},
		HelpSynopsis: "The connection to InfluxDB.",
		HelpDescription: `
One mount holds one connection to one InfluxDB. A write is tried against InfluxDB before it replaces what
is stored, and keeps every field that it leaves out; an empty value clears an optional field.

token is the root token: it makes and deletes the tokens that are handed out, and can grant only what it holds
itself. It is never returned.`,
	}}
}

var configFields = mergeFields(planFields, fields{
	"url":                        {Type: framework.TypeString, Description: "Base URL of InfluxDB, http or https; a base path behind a reverse proxy is allowed. Required."},
	"external_url":               {Type: framework.TypeString, Description: "What creds answers as url, where applications reach InfluxDB under another address."},
	"token":                      {Type: framework.TypeString, Description: "The root token. Required on the first write; never returned.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
	"authorization_id":           {Type: framework.TypeString, Description: "ID of the authorization that token is. Found by itself where InfluxDB shows the values of tokens."},
	"org":                        {Type: framework.TypeString, Description: "Default organization of roles, by name. May be left out when the token sees just one."},
	"org_id":                     {Type: framework.TypeString, Description: "Default organization of roles, by ID."},
	"user":                       {Type: framework.TypeString, Description: "Default owner of minted tokens, by name; else the root token's user."},
	"user_id":                    {Type: framework.TypeString, Description: "Default owner of minted tokens, by ID."},
	"ca_cert":                    {Type: framework.TypeString, Description: "PEM certificates that InfluxDB's certificate is checked against; else the system's.", DisplayAttrs: &framework.DisplayAttributes{EditType: editTypeText}},
	"client_cert":                {Type: framework.TypeString, Description: "PEM certificate that is shown to InfluxDB or the proxy before it.", DisplayAttrs: &framework.DisplayAttributes{EditType: editTypeText}},
	"client_key":                 {Type: framework.TypeString, Description: "PEM key of client_cert; never returned.", DisplayAttrs: &framework.DisplayAttributes{EditType: editTypeText, Sensitive: true}},
	"tls_server_name":            {Type: framework.TypeString, Description: "Name that InfluxDB's certificate must bear, where it is not the URL's host."},
	"tls_min_version":            {Type: framework.TypeString, Description: "Least TLS version.", AllowedValues: []any{"tls12", "tls13"}},
	"tls_skip_verify":            {Type: framework.TypeBool, Description: "Accept any certificate. Whoever stands in between can then read the root token."},
	"request_timeout":            {Type: framework.TypeDurationSecond, Default: config.DefaultRequestTimeout, Description: "Most that one call to InfluxDB takes, 1s to 1m."},
	"max_open_connections":       {Type: framework.TypeInt, Default: config.DefaultConnections, Description: "Most connections, and so most calls at once, to InfluxDB, 1 to 10000."},
	"tidy_interval":              {Type: framework.TypeDurationSecond, Default: tidy.DefaultInterval, Description: "How often tokens past their deadline are looked for; 0 means only by hand, with tidy."},
	"product":                    {Type: framework.TypeString, AllowedValues: []any{string(permission.V2), string(permission.Core), string(permission.Enterprise)}, Description: "Which InfluxDB it is. Found by itself: a write that is tried takes only what is found; with verify_connection=false it is as written."},
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
		"product":        {Type: framework.TypeString, Description: "Which InfluxDB it is: v2, core or enterprise."},
		"server_version": {Type: framework.TypeString, Description: "InfluxDB's version at the last verified write."},
	})

func (b *backend) pathConfigExists(ctx context.Context, req *logical.Request, _ *framework.FieldData) (bool, error) {
	current, err := store.Config.Get(ctx, req.Storage)
	return current != nil, err
}

func (b *backend) pathConfigRead(ctx context.Context, req request) (*logical.Response, error) {
	current, err := store.Config.Get(ctx, req.Storage)
	if err != nil || current == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeConfig(current, b.mount.UUID)}, nil
}

// configBindings are the fields of a connection that are answered.
func configBindings(c *store.Connection) bindings {
	fields := reachBindings(c)
	maps.Copy(fields, bindings{
		"authorization_id": &c.AuthorizationID,
		"org":              &c.Org,
		"org_id":           &c.OrgID,
		"user":             &c.User,
		"user_id":          &c.UserID,
		"tidy_interval":    &c.TidyInterval,

		"disable_automated_rotation": &c.DisableAutomatedRotation,
	})
	return fields
}

// reachBindings are those of them that say how to reach InfluxDB.
func reachBindings(c *store.Connection) bindings {
	return bindings{
		"url":                  &c.URL,
		"external_url":         &c.ExternalURL,
		"ca_cert":              &c.CACert,
		"client_cert":          &c.ClientCert,
		"tls_server_name":      &c.TLSServerName,
		"tls_min_version":      &c.TLSMinVersion,
		"tls_skip_verify":      &c.TLSSkipVerify,
		"request_timeout":      &c.RequestTimeout,
		"max_open_connections": &c.MaxOpenConnections,
	}
}

// encodeConfig answers each field as it was written. An organization or user that was written by name or
// left out is shown with what was found for it.
func encodeConfig(c *store.Connection, mountUUID string) map[string]any {
	shown, found := *c, c.Found
	if found == nil {
		found = &store.Found{}
	}
	shown.AuthorizationID = cmp.Or(c.AuthorizationID, found.RootAuthorizationID)
	shown.Org, shown.OrgID = cmp.Or(c.Org, found.DefaultOrg), cmp.Or(c.OrgID, found.DefaultOrgID)
	shown.User, shown.UserID = cmp.Or(c.User, found.Owner), cmp.Or(c.UserID, found.OwnerID)
	answer := encodePlan(c.RotationPlan, c.RotationTimes, configBindings(&shown).encode())
	answer["product"] = string(cmp.Or(c.Product, permission.V2))
	answer["mount_uuid"], answer["server_version"] = mountUUID, found.ServerVersion
	answer["root_user"], answer["root_user_id"] = found.RootUser, found.RootUserID
	return answer
}

// decodeConfig lays the fields that a request gives over a connection.
func decodeConfig(p params, c *store.Connection) {
	before := c.Token
	p.set("token", &c.Token)
	if c.Token != before { // the ID is the old one's
		c.AuthorizationID, c.RootNonce = "", ""
	}
	p.nameOrID("org", &c.Org, "org_id", &c.OrgID)
	p.nameOrID("user", &c.User, "user_id", &c.UserID)
	p.decode(configBindings(c))
	var product string
	if p.set("product", &product); product != "" {
		c.Product = permission.Product(product)
	}
	decodeReach(p, c)
	decodePlan(p, &c.RotationPlan)
	if p.given("tidy_interval") && p.empty("tidy_interval") {
		c.TidyInterval = tidy.DefaultInterval
	}
}

// decodeReach is the part of decodeConfig that says how to reach InfluxDB.
func decodeReach(p params, c *store.Connection) {
	p.decode(reachBindings(c))
	p.set("client_key", &c.ClientKey)
	if c.RequestTimeout == 0 && p.empty("request_timeout") {
		c.RequestTimeout = config.DefaultRequestTimeout
	}
	if c.MaxOpenConnections == 0 && p.empty("max_open_connections") {
		c.MaxOpenConnections = config.DefaultConnections
	}
}

func (b *backend) pathConfigWrite(ctx context.Context, req request) (*logical.Response, error) {
	warnings, err := b.config.Write(ctx, req.Storage, config.Change{
		MountPath:       req.MountPoint,
		Apply:           func(c *store.Connection) { decodeConfig(req.params, c) },
		WithToken:       !req.empty("token"),
		WithProduct:     !req.empty("product"),
		Unverified:      !req.boolOr("verify_connection", true),
		AbandonPrevious: req.boolOr("abandon_previous", false),
	})
	return warningsOnly(warnings), err
}

func (b *backend) pathConfigDelete(ctx context.Context, req request) (*logical.Response, error) {
	return nil, b.config.Delete(ctx, req.Storage)
}

func (b *backend) pathRotateRoot() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "config/rotate-root",
		Fields:       fields{"authorization_id": {Type: framework.TypeString, Description: "ID of the authorization that the root token is, where it is not known: InfluxDB from 2.9 on hides the values of tokens."}},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "root-token"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: write(b.pathRotateRootWrite, "Replace the root token by a new one that nobody has seen.", noFields),
		},
		HelpSynopsis: "Replace the root token by a new one that nobody has seen.",
		HelpDescription: `
Makes a token with the permissions and the owner of the root token, tries it, puts it into the configuration, and
deletes the old one. Tokens that were handed out go on. Wherever this is cut off, the configuration holds a token that
works, and the rest is done by itself within minutes.

Where InfluxDB hides the values of tokens, the first rotation needs authorization_id. It is proven before anything is
deleted: that token is switched off for a moment, and the root token must then be refused.`,
	}}
}

func (b *backend) pathRotateRootWrite(ctx context.Context, req request) (*logical.Response, error) {
	var authorizationID string
	req.set("authorization_id", &authorizationID)
	warnings, err := b.root.Rotate(ctx, req.Storage, req.MountPoint, authorizationID)
	if err != nil {
		return nil, err
	}
	for _, pending := range b.revoker.All() {
		if pending.Role == token.RootRole && pending.AuthorizationID != "" {
			warnings = append(warnings, fmt.Sprintf("the root token was rotated, but an old one, %s, still works: InfluxDB did not delete it; that is tried each minute, and check says how it goes", pending.AuthorizationID))
		}
	}
	return warningsOnly(warnings), nil
}

func (b *backend) pathSetup() []*framework.Path {
	setupFields := fields{
		"username":         {Type: framework.TypeString, Description: "Name of the first user, who owns the operator token. Required on InfluxDB 2."},
		"password":         {Type: framework.TypeString, Description: "The user's password, 8 to 72 bytes; without one nobody can sign in as the user. Not stored.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"org":              {Type: framework.TypeString, Description: "Name of the first organization, which becomes the default of roles. Required on InfluxDB 2."},
		"bucket":           {Type: framework.TypeString, Description: "Name of the first bucket. Required on InfluxDB 2."},
		"retention_period": {Type: framework.TypeDurationSecond, Description: "How long the bucket keeps data, 1h or more; 0 means for ever."},
	}
	for name := range reachBindings(&store.Connection{}) {
		setupFields[name] = configFields[name]
	}
	setupFields["client_key"] = configFields["client_key"]
	return []*framework.Path{{
		Pattern:      "config/setup",
		Fields:       setupFields,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "set-up"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: write(b.pathSetupWrite, "Set a fresh InfluxDB up and connect to it.", setupResponse),
		},
		HelpSynopsis: "Set a fresh InfluxDB up and connect to it.",
		HelpDescription: `
Makes the first user, organization and bucket of an InfluxDB that was never set up. Its operator token is a random value
that goes straight into the configuration: nobody has seen it, and nobody can read it. The mount must have no
configuration yet. Where the call was cut off, call it again with the same url.`,
	}}
}

var setupResponse = fields{
	"url":              configFields["url"],
	"product":          configResponse["product"],
	"authorization_id": {Type: framework.TypeString, Description: "ID of the root token's authorization; empty where a lost answer held it. It is the operator token, on InfluxDB 3 one of the mount's own."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization."},
	"org_id":           {Type: framework.TypeString, Description: "ID of the organization."},
	"user":             {Type: framework.TypeString, Description: "Name of the user."},
	"user_id":          {Type: framework.TypeString, Description: "ID of the user."},
}

func (b *backend) pathSetupWrite(ctx context.Context, req request) (*logical.Response, error) {
	var o influx.SetupRequest
	c := &store.Connection{TidyInterval: tidy.DefaultInterval}
	decodeReach(req.params, c)
	req.decode(bindings{"username": &o.Username, "password": &o.Password, "org": &o.Org, "bucket": &o.Bucket, "retention_period": &o.RetentionSeconds})
	created, warnings, err := b.root.SetUp(ctx, req.Storage, req.MountPoint, c, o)
	if err != nil {
		return nil, err
	}
	b.leases.Reset() // the tokens that it has counted are another connection's
	answer := encodeConfig(created, b.mount.UUID)
	return &logical.Response{Warnings: warnings, Data: map[string]any{
		"url": created.URL, "product": answer["product"], "authorization_id": answer["authorization_id"], "org": answer["org"], "org_id": answer["org_id"],
		"user": answer["root_user"], "user_id": answer["root_user_id"],
	}}, nil
}
