package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// makeAdmin says where an admin token comes from.
const makeAdmin = "make one with influxdb3 create token --admin --name vault"

// productOf returns which product a server is, as its answer to a ping says. The error is of one whose tokens can't be
// managed.
func productOf(server influx.Server) (permission.Product, error) {
	major, _, _ := strings.Cut(server.Version, ".")
	switch {
	case major == "3" && strings.EqualFold(server.Build, "core"):
		return permission.Core, nil
	case major == "3" && strings.EqualFold(server.Build, "enterprise"):
		return permission.Enterprise, nil
	case major == "3" || major == "1":
		return "", problem.InField("url", "this is InfluxDB %s; only InfluxDB 2.x, Cloud 2 and InfluxDB 3 Core and Enterprise have tokens that can be managed",
			strings.TrimSpace(server.Version+" "+server.Build))
	}
	return permission.V2, nil
}

// without refuses the settings that InfluxDB 3 has not.
func (k *check) without(context.Context) error {
	if err := Without(k.c.Connection); err != nil {
		return &Rejection{err}
	}
	return nil
}

// Without finds the fields of a connection that its product has not. What is no ID at all Form refuses.
func Without(c *store.Connection) error {
	if c.Product != permission.Core && c.Product != permission.Enterprise {
		return nil
	}
	var problems problem.List
	for _, field := range []struct{ name, value, has string }{
		{"org", c.Org, "organizations"}, {"org_id", c.OrgID, "organizations"}, {"user", c.User, "users"}, {"user_id", c.UserID, "users"},
		{"authorization_id", writtenID(c), "authorizations: the token itself tells which one it is"},
	} {
		if field.value != "" && (field.name != "authorization_id" || permission.IsID(field.value)) {
			problems.Add(field.name, "%s has no %s; leave it out, or clear it with an empty value", c.Product, field.has)
		}
	}
	return problems.Err()
}

// writtenID is the authorization_id that an operator wrote: that of a token of our own is none.
func writtenID(c *store.Connection) string {
	if c.RootNonce != "" {
		return ""
	}
	return c.AuthorizationID
}

// cluster finds out by what this InfluxDB is recognized.
func (k *check) cluster(ctx context.Context) error {
	cluster, err := k.c.V3.Cluster(ctx)
	if err != nil {
		return k.explain(err)
	}
	if cluster == "" {
		return rejected("url", nil, "InfluxDB %s does not say which cluster it is, by which another one at the same address could be told from it; it takes 3.7 or later", k.Server.Version)
	}
	k.Found.Cluster = cluster
	return nil
}

// self finds the root token's own row, and refuses a token that this mount has issued.
func (k *check) self(ctx context.Context) error {
	root, err := k.c.Client.Self(ctx)
	if failed, ok := errors.AsType[*influx.Error](err); ok {
		switch failed.Kind {
		case influx.Forbidden:
			return rejected("token", err, "it is no admin token: it may not read the list of tokens (%v); %s", failed, makeAdmin)
		case influx.Invalid, influx.NotFound: // a server without authentication has no hashes, and so no such column
			return rejected("token", err, "InfluxDB does not tell which token it is (%v); is the server started with --without-auth?", failed)
		}
	}
	if err != nil {
		return k.explain(err)
	}
	k.Found.RootAuthorizationID, k.ValuesHidden, k.RootEnds = root.ID, true, root.Expires
	if !root.Expires.IsZero() && k.c.RootNonce == "" {
		k.Warnings = append(k.Warnings, fmt.Sprintf("token: InfluxDB ends it at %s, after which nothing can be issued or revoked. config/rotate-root makes one of the mount's own, which lasts for ten years; rotation_period renews that in time", problem.RFC3339(root.Expires)))
	}
	if root.Permanent {
		k.Warnings = append(k.Warnings, "token: this is the operator token, which InfluxDB never deletes. config/rotate-root makes a token of the mount's own; then regenerate the operator token by hand, and lock it away")
	}
	return k.checkStamp(root)
}

// tryAdmin makes an admin token, which ends within a minute, and deletes it. Both stay in the catalog's log for ever, so that
// it is not done again for a token that was tried before, as by each look at the mount's health.
func (k *check) tryAdmin(ctx context.Context) error {
	tried := [2]string{k.Found.Cluster, k.Found.RootAuthorizationID}
	if _, again := k.tried.Load(tried); again || k.before != nil && tried == [2]string{k.before.Cluster, k.before.RootAuthorizationID} {
		return nil
	}
	err := k.issuer.Try(ctx, k.c, token.Location{}, token.MinimalGrant(""))
	switch {
	case influx.Is(err, influx.Forbidden):
		return rejected("token", err, "it is no admin token (%v); %s", err, makeAdmin)
	case err == nil:
		k.tried.Store(tried, nil)
	}
	return k.explain(err)
}
