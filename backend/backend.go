// Package backend is the engine as Vault sees it: paths, leases and the minute tick.
//
// A handler (path_*.go) decodes, calls one verb and encodes. The verbs: configure (a connection), mint (a
// token), retire (a token), drain (what InfluxDB still owes us).
package backend

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// Version is the plugin's version as Vault lists it, with a leading v; the release sets it by link flags.
var Version = "v0.1.0-dev"

const help = `
The InfluxDB secrets engine hands out InfluxDB v2 API tokens that die with their leases.

Write the connection to config, say in roles/<name> what a token may do, and read creds/<name>. What reads its token
again and again, as Telegraf and Grafana do, takes a long-lived one that is rotated in place: static-roles/<name>, read
from static-creds/<name>. check says what is wrong.
`

// backend is one mount.
type backend struct {
	*framework.Backend

	// mountUUID is Vault's UUID of the mount: it marks our tokens in InfluxDB. It survives a move of the
	// mount, and is not the uuid that sys/mounts shows.
	mountUUID string
	log       hclog.Logger
	now       func() time.Time

	connections *kept[store.Connection]
	roles       *kept[store.Role]

	endpoints endpoints
	pending   pendingDeletions
	live      liveTokens
	reaper    reaper
	drains    background
	counts    background
	rotations background
	tending   background
	retirees  retirees
	statics   statics
	turns     turns
	// rootAttempts are the root token's planned rotations that failed.
	rootAttempts attempts
	// configuring serialises writes of the configuration and rotations of the root token; it holds one element
	// while one is under way.
	configuring chan struct{}
	// lifetime ends when the mount is unmounted, sealed or reloaded.
	lifetime context.Context
	end      context.CancelFunc
}

// Factory makes a mount's backend. It touches neither storage nor network and starts nothing: Vault calls it
// with an empty configuration too, to learn the plugin's type.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	if conf == nil {
		return nil, errors.New("no configuration passed to the backend")
	}
	b := newBackend(conf)
	ours := *conf
	if conf.System != nil {
		ours.System = &host{SystemView: conf.System, now: time.Now, age: hostAge}
	}
	if err := b.Setup(ctx, &ours); err != nil {
		return nil, err
	}
	return b, nil
}

func newBackend(conf *logical.BackendConfig) *backend {
	logger := conf.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	b := &backend{
		mountUUID: conf.BackendUUID,
		// One process serves all mounts and logs under the name of the first: say which one speaks.
		log:         logger.With("mount_uuid", conf.BackendUUID),
		now:         time.Now,
		configuring: make(chan struct{}, 1),
		connections: newKept[store.Connection](keptConnections),
		roles:       newKept[store.Role](keptRoles),
	}
	b.lifetime, b.end = context.WithCancel(context.Background())
	b.Backend = &framework.Backend{
		Help:           help,
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		Paths: framework.PathAppend(
			b.pathConfig(), b.pathRotateRoot(), b.pathSetup(), b.pathRoles(), b.pathCreds(),
			b.pathStaticRoles(), b.pathStaticCreds(), b.pathRotateRole(), b.pathCheck(), b.pathTokens(), b.pathTidy(),
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
	return b
}

// invalidate drops what is kept of an entry that another node has written.
func (b *backend) invalidate(_ context.Context, key string) {
	b.forget(key)
	switch {
	case key == store.ConfigKey:
		b.endpoints.closeAll()
	case strings.HasPrefix(key, store.StaticRolePrefix):
		b.statics.forget()
	}
}

// clean must not wait: Vault holds a lock of the whole process around it.
func (b *backend) clean(context.Context) {
	b.end()
	b.endpoints.closeAll()
}
