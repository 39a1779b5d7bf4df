// Package backend is the engine as Vault sees it: paths, leases and the minute tick.
//
// A handler (path_*.go) decodes, calls one verb of a package below, and encodes. tick.go has the table of background jobs.
// What a package does, and what it may import, is listed in CONTRIBUTING.md.
package backend

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/config"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/health"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/root"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// Version is the plugin's version as Vault lists it, with a leading v; the release sets it by link flags.
var Version = "v0.1.0-dev"

const help = `
The InfluxDB secrets engine hands out InfluxDB API tokens that die with their leases.

Write the connection to config, say in roles/<name> what a token may do, and read creds/<name>. What reads its token
again and again, as Telegraf and Grafana do, takes a long-lived one that is rotated in place: static-roles/<name>, read
from static-creds/<name>. check says what is wrong.
`

// backend is one mount.
type backend struct {
	*framework.Backend

	mount       *mount.Mount
	connections *connection.Pool
	issuer      *token.Issuer
	roles       *role.Roles
	leases      *lease.Counter
	revoker     *revoke.Revoker
	minter      *mint.Minter
	root        *root.Root
	statics     *static.Roles
	tidier      *tidy.Tidier
	config      *config.Writer
	health      *health.Health
	jobs        *jobs
}

// Factory makes a mount's backend. It touches neither storage nor network and starts nothing: Vault calls it with an
// empty configuration too, to learn the plugin's type.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	if conf == nil {
		return nil, errors.New("no configuration passed to the backend")
	}
	b := newBackend(conf, time.Now)
	if err := b.setup(ctx, conf); err != nil {
		return nil, err
	}
	return b, nil
}

// setup has the framework, too, ask Vault through the cache.
func (b *backend) setup(ctx context.Context, conf *logical.BackendConfig) error {
	cached := *conf
	cached.System = b.mount.System
	return b.Setup(ctx, &cached)
}

// newBackend makes every part of a mount.
func newBackend(conf *logical.BackendConfig, now func() time.Time) *backend {
	logger := conf.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	m := &mount.Mount{
		UUID: conf.BackendUUID,
		// One process serves all mounts and logs under the name of the first: say which one speaks.
		Log: logger.With("mount_uuid", conf.BackendUUID),
		Now: now,
	}
	if conf.System != nil {
		m.System = mount.NewSystemView(conf.System, now)
	}
	b := &backend{mount: m, jobs: newJobs(m), leases: &lease.Counter{}}
	b.connections = connection.NewPool("vault-plugin-secrets-influxdb/" + Version)
	b.connections.Now = now
	b.issuer = token.NewIssuer(m)
	b.revoker = revoke.New(m, b.connections, b.leases)
	b.roles = role.New(m, b.connections, b.issuer, b.revoker)
	b.minter = mint.New(m, b.connections, b.roles, b.issuer, b.revoker, b.leases)
	verifier := verify.New(b.connections, b.issuer)
	b.root = root.New(m, b.connections, b.issuer, b.revoker, verifier)
	b.statics = static.New(m, b.connections, b.roles, b.minter, b.revoker)
	b.tidier = tidy.New(b.jobs.lifetime, m, b.connections, b.issuer, b.revoker, b.statics, b.leases)
	b.config = config.New(m, b.connections, b.root, verifier, b.statics, b.revoker, b.tidier, b.issuer, b.leases)
	b.health = health.New(m, b.connections, verifier, b.revoker, b.tidier, b.root, b.statics, b.roles, b.leases)
	b.Backend = &framework.Backend{
		Help:           help,
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		Paths: framework.PathAppend(
			b.pathConfig(), b.pathRotateRoot(), b.pathSetup(), b.pathRoles(), b.pathCreds(),
			b.pathStaticRoles(), b.pathStaticCreds(), b.pathRotateRole(), b.pathCheck(), b.pathTokens(), b.pathTidy(), b.pathEntries(),
		),
		Secrets: []*framework.Secret{b.secretToken()},
		PathsSpecial: &logical.Paths{
			SealWrapStorage: []string{store.ConfigKey, store.ConnectionPrefix, store.IntentionPrefix, store.StaticRolePrefix},
			LocalStorage:    []string{store.PendingPrefix},
		},
		PeriodicFunc: b.tick,
		Invalidate:   b.invalidate,
		Clean:        b.clean,
	}
	b.addJobs()
	return b
}

// onWrite drops what is cached of an entry that was written here.
func (b *backend) onWrite(key string) {
	b.connections.Invalidate(key)
	b.roles.Invalidate(key)
	b.statics.Invalidate(key)
}

// invalidate drops what is known of an entry that another node has written.
func (b *backend) invalidate(_ context.Context, key string) {
	b.onWrite(key)
	b.statics.Reload(key)
	if key == store.ConfigKey {
		b.connections.CloseAll()
	}
}

// clean must not wait: Vault holds a lock of the whole process around it.
func (b *backend) clean(context.Context) {
	b.jobs.stop()
	live, last := b.leases.Last(b.mount.Now())
	if b.minter.Close() && live > 0 { // as where OpenBao drops the leases of a namespace without revoking them
		b.mount.Log.Error("the mount ends while tokens of its leases live, which nobody revokes; run tidy mount_uuid="+b.mount.UUID+" on another mount after the last deadline",
			"count", live, "last_deadline", problem.RFC3339(last))
	}
	b.leases.Close()
	b.connections.CloseAll()
}
