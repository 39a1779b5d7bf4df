package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

const (
	connectionID    = "5a1e6b40-2a6f-4a53-9c1e-0d9b7a3f5c11"
	authorizationID = "0e9f8a7b6c5d4e3f"
	nonce           = "5d41402abc4b2a76"
	orgID           = "03a2bbf46309a000"
	userID          = "03a2bbf46249a000"
	rootToken       = "q2N1bS1vcGVyYXRvci10b2tlbg=="
)

// kind is a kind of entry: where one lies, and how it is read and written.
type kind[T any] struct {
	key string
	get func(context.Context, logical.Storage) (*T, error)
	put func(context.Context, logical.Storage, *T) error
}

// named is one entry of a collection.
type named[T any] interface {
	Get(context.Context, logical.Storage, string) (*T, error)
	Put(context.Context, logical.Storage, string, *T) error
}

func under[T any](prefix, name string, c named[T]) kind[T] {
	return kind[T]{prefix + name,
		func(ctx context.Context, s logical.Storage) (*T, error) { return c.Get(ctx, s, name) },
		func(ctx context.Context, s logical.Storage, e *T) error { return c.Put(ctx, s, name, e) }}
}

// v1 is how entries of the first schema begin.
var v1 = store.Header{Version: 1}

var (
	config          = kind[store.Connection]{store.ConfigKey, store.Config.Get, store.Config.Put}
	former          = under[store.Connection](store.ConnectionPrefix, connectionID, store.FormerConnections)
	role            = under[store.Role](store.RolePrefix, "app", store.Roles)
	pending         = under[store.Pending](store.PendingPrefix, authorizationID, store.PendingDeletions)
	pendingByNonce  = under[store.Pending](store.PendingPrefix, "nonce-"+nonce, store.PendingDeletions)
	staticRole      = under[store.StaticRole](store.StaticRolePrefix, "telegraf", store.StaticRoles)
	staticIntention = under[store.StaticIntention](store.IntentionPrefix+"static/", "telegraf", store.StaticIntentions)
	intention       = kind[store.RootIntention]{store.IntentionPrefix + "root", store.RootIntentions.Get, store.RootIntentions.Put}
)

// The golden files are entries as they lie in somebody's storage. They are never changed: a new form of entry
// gets a directory of its own, and these must still be read.

func TestGoldenConnections(t *testing.T) {
	least := store.Connection{
		Header: v1, ID: connectionID, Revision: "e8f1c0de-77aa-4a0b-8f6e-3f2d1c0b9a88",
		URL: "http://db:8086", Token: rootToken, RequestTimeout: 10, MaxOpenConnections: 64,
	}
	old := least
	old.URL, old.RequestTimeout, old.MaxOpenConnections = "http://old:8086", 300, 1
	old.Found = &store.Found{OrgIDs: []string{orgID}}
	old.Former = &store.Former{
		At:        time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC),
		KeepUntil: time.Date(2026, 12, 25, 16, 1, 0, 5e8, time.UTC),
		Abandoned: true,
	}
	full := store.Connection{
		Header: v1, ID: connectionID, Revision: "e8f1c0de-77aa-4a0b-8f6e-3f2d1c0b9a88",
		URL: "https://db.example:8086/influx/", ExternalURL: "https://influx.example",
		Token: rootToken, AuthorizationID: authorizationID,
		Org: "acme", OrgID: orgID, User: "vault", UserID: userID,
		CACert:        "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n",
		ClientCert:    "-----BEGIN CERTIFICATE-----\nclient\n-----END CERTIFICATE-----\n",
		ClientKey:     "-----BEGIN PRIVATE KEY-----\nkey\n-----END PRIVATE KEY-----\n",
		TLSServerName: "influxdb.internal", TLSMinVersion: "tls13", TLSSkipVerify: true,
		RequestTimeout: 10, MaxOpenConnections: 64, TidyInterval: 1800,
		RotationPlan:             store.RotationPlan{RotationPeriod: 86400, RotationSchedule: "0 3 * * SUN", RotationWindow: 7200},
		DisableAutomatedRotation: true,
		RootNonce:                nonce,
		RotatedAway:              []string{"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		RotationTimes: store.RotationTimes{
			LastRotation: time.Date(2026, 11, 22, 3, 0, 1, 5e8, time.UTC),
			NextRotation: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC),
			Skipped:      &store.SkippedRotation{Due: time.Date(2026, 11, 15, 3, 0, 0, 0, time.UTC), Reason: "InfluxDB was out of reach"},
		},
		Found: &store.Found{
			OrgIDs: []string{orgID, "03a2bbf46309a001"}, DefaultOrg: "acme", DefaultOrgID: orgID,
			Owner: "vault", OwnerID: userID, RootUser: "admin", RootUserID: "03a2bbf46249a001", ServerVersion: "2.9.1", RootAuthorizationID: authorizationID,
		},
	}
	golden(t, config, "connection", &full)
	golden(t, config, "connection_least", &least)
	golden(t, former, "connection_retired", &old)
	of3 := least
	of3.Product, of3.AuthorizationID, of3.RootNonce = permission.Core, "vault:v1:8c3f1a52-6b0e-4d7f-9a41-2f5be0c7d913:root:-root:"+nonce+":0", nonce
	of3.Found = &store.Found{OrgIDs: nil, RootAuthorizationID: of3.AuthorizationID, ServerVersion: "3.10.1", Cluster: "5f7c9be2-13f4-4d0e-8a8f-9f0c6f0f0b11"}
	golden(t, config, "connection_influxdb3", &of3)
	full.Product, full.Found.Cluster = of3.Product, of3.Found.Cluster
	full.Former = old.Former
	requireFull(t, full)
}

func TestGoldenRootIntentions(t *testing.T) {
	least := &store.Connection{
		Header: v1, ID: connectionID, Revision: "e8f1c0de-77aa-4a0b-8f6e-3f2d1c0b9a88",
		URL: "http://db:8086", Token: rootToken, RequestTimeout: 10, MaxOpenConnections: 64,
	}
	rotation := store.RootIntention{
		Header: v1, Nonce: nonce, Since: time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC),
		Previous: least, OldID: authorizationID, Proven: true, OrgID: orgID, UserID: userID,
	}
	golden(t, intention, "intention_rotation", &rotation)
	golden(t, intention, "intention_setup", &store.RootIntention{Header: v1, Nonce: nonce, Since: rotation.Since, Setup: least})
}

func TestGoldenRoles(t *testing.T) {
	full := store.Role{
		Header: v1, Org: "acme", OrgID: orgID, TokenType: "custom",
		ReadBuckets:  []string{"metrics", "id:03A2BBF46309A000", "*", "metrics"},
		WriteBuckets: []string{"alerts"}, ReadResources: []string{"tasks", "orgs"}, WriteResources: []string{"dashboards"},
		Permissions: []map[string]any{
			{"action": "read", "resource": map[string]any{"type": "buckets", "name": "logs", "org": "acme"}},
			{"action": "write", "resource": map[string]any{"type": "users", "id": userID, "orgID": nil}},
		},
		CloneFrom: authorizationID,
		Cloned: []permission.Permission{
			{Action: "read", Type: "buckets", ID: "03a2bbf46309a002", OrgID: orgID},
			{Action: "write", Type: "tasks", OrgID: orgID},
			{Action: "read", Type: "orgs"},
		},
		User: "vault", UserID: userID, Description: "{{.Permissions}} for {{.DisplayName}} <&>",
		AllowPrivileged: true, TTL: 300, MaxTTL: 3600, MaxLeases: 500,
	}
	golden(t, role, "role", &full)
	golden(t, role, "role_least", &store.Role{Header: v1, TokenType: "all-access"})
	of3 := store.Role{
		Header: v1, TokenType: "custom", ReadDatabases: []string{"metrics", "*"}, WriteDatabases: []string{"alerts"},
		Permissions: []map[string]any{{"resource_type": "db", "resource_names": []any{"logs"}, "actions": []any{"read", "write"}}},
	}
	golden(t, role, "role_influxdb3", &of3)
	full.ReadDatabases, full.WriteDatabases = of3.ReadDatabases, of3.WriteDatabases
	requireFull(t, full)
	require.Equal(t, permission.Definition{
		TokenType: "custom", ReadBuckets: full.ReadBuckets, WriteBuckets: full.WriteBuckets,
		ReadResources: full.ReadResources, WriteResources: full.WriteResources,
		ReadDatabases: full.ReadDatabases, WriteDatabases: full.WriteDatabases,
		Permissions: full.Permissions, Cloned: full.Cloned,
	}, full.Definition())
	requireFull(t, full.Definition())
}

func TestGoldenStaticRoles(t *testing.T) {
	at := time.Date(2026, 11, 25, 16, 0, 0, 123456789, time.UTC)
	full := store.StaticRole{
		Header:       v1,
		Role:         store.Role{Header: v1, TokenType: "custom", ReadBuckets: []string{"metrics"}, UserID: userID},
		RotationPlan: store.RotationPlan{RotationPeriod: 86400, RotationSchedule: "0 3 * * SUN", RotationWindow: 7200},
		GracePeriod:  3600,
		RotationTimes: store.RotationTimes{
			LastRotation: at, NextRotation: at.Add(24 * time.Hour),
			Skipped: &store.SkippedRotation{Due: at.Add(-time.Hour), Reason: "InfluxDB was out of reach"},
		},
		Mount: "influxdb/",
		Current: store.StaticToken{
			Token: rootToken, AuthorizationID: authorizationID, Nonce: nonce, Connection: connectionID,
			Org: "acme", OrgID: orgID, Description: "Read buckets metrics",
		},
		Previous: &store.PreviousToken{AuthorizationID: "0e9f8a7b6c5d4e40", Connection: connectionID, Ends: at.Add(time.Hour)},
		Imported: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Deleted:  true,
	}
	least := store.StaticRole{
		Header: v1, Role: store.Role{Header: v1, TokenType: "all-access"}, RotationTimes: store.RotationTimes{LastRotation: at},
		Current: store.StaticToken{Token: rootToken, AuthorizationID: authorizationID, Connection: connectionID, Org: "acme", OrgID: orgID},
	}
	golden(t, staticRole, "static_role", &full)
	golden(t, staticRole, "static_role_least", &least)
	full.Previous.Grace = 3600
	golden(t, staticRole, "static_role_grace", &full)
	of3 := least
	of3.Role.TokenType = "admin"
	of3.Current = store.StaticToken{
		Token: "apiv3_c2VjcmV0", AuthorizationID: "vault:v1:8c3f1a52-6b0e-4d7f-9a41-2f5be0c7d913:static:telegraf:" + nonce + ":0",
		Nonce: nonce, Connection: connectionID, Expires: time.Date(2036, 11, 22, 16, 0, 0, 123e6, time.UTC),
	}
	golden(t, staticRole, "static_role_influxdb3", &of3)
	full.Current.Expires = of3.Current.Expires
	for _, part := range []any{full.RotationPlan, full.RotationTimes, full.Current, *full.Previous} {
		requireFull(t, part)
	}
	i := store.StaticIntention{Header: v1, Nonce: nonce, Since: at, Connection: connectionID, OrgID: orgID, UserID: userID}
	golden(t, staticIntention, "intention_static", &i)
	requireFull(t, i)
}

func TestGoldenPending(t *testing.T) {
	full := store.Pending{
		Header: v1, AuthorizationID: authorizationID, Connection: connectionID, Role: "team/app",
		Since: time.Date(2026, 11, 23, 16, 27, 40, 123456789, time.UTC),
	}
	byNonce := full
	byNonce.AuthorizationID, byNonce.Nonce, byNonce.OrgID, byNonce.UserID = "", nonce, "04299c771a690e29", authorizationID
	golden(t, pending, "pending", &full)
	golden(t, pendingByNonce, "pending_nonce", &byNonce)
	byNonce.Stamp = "[vault:v1:8c3f1a52-6b0e-4d7f-9a41-2f5be0c7d913:lease:app:" + nonce + ":1764000000]"
	golden(t, pendingByNonce, "pending_stamp", &byNonce)
	full.Nonce, full.Stamp, full.OrgID, full.UserID = nonce, byNonce.Stamp, byNonce.OrgID, byNonce.UserID
	requireFull(t, full)
}

// golden requires that a file of the first version is read as it was meant, and written as it was.
func golden[T any](t *testing.T, k kind[T], name string, want *T) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		file, err := os.ReadFile(filepath.Join("testdata", "v1", name+".json"))
		require.NoError(t, err)
		s := newStorage()
		require.NoError(t, s.Put(t.Context(), &logical.StorageEntry{Key: k.key, Value: file}))
		entry, err := k.get(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, want, entry)

		require.NoError(t, s.Delete(t.Context(), k.key))
		require.NoError(t, k.put(t.Context(), s, entry))
		raw, err := s.Get(t.Context(), k.key)
		require.NoError(t, err)
		require.JSONEq(t, string(file), string(raw.Value))
	})
}

// requireFull requires that a value stands in every field, so that each one is in a golden file.
func requireFull(t *testing.T, entry any) {
	t.Helper()
	v := reflect.ValueOf(entry)
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		name := fmt.Sprintf("%T.%s", entry, v.Type().Field(i).Name)
		require.False(t, v.Field(i).IsZero(), "%s is in no golden file of this version", name)
		if value := reflect.Indirect(v.Field(i)); value.Kind() == reflect.Struct && value.Type() != reflect.TypeFor[time.Time]() {
			requireFull(t, value.Interface())
		}
	}
}
