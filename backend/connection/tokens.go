package connection

import (
	"context"
	"time"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx3"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Tokens is an InfluxDB as far as its tokens go: *influx.Client for InfluxDB 2, and *influx3.Client. Whoever uses it need not
// know which. An authorization is a token, and its ID what it is deleted by: on InfluxDB 3 its name.
type Tokens interface {
	// CreateAuthorization makes a token, which ends at its deadline where the server has such ends.
	CreateAuthorization(ctx context.Context, a influx.NewAuthorization) (*influx.Authorization, error)
	// DeleteAuthorization deletes a token. Where there is none prove looks which InfluxDB says so, and its answer counts.
	DeleteAuthorization(ctx context.Context, id string, prove func(context.Context) error) error
	// AskForAuthorization looks whether a token exists, GetAuthorization at what it is.
	AskForAuthorization(ctx context.Context, id string, within time.Duration) error
	GetAuthorization(ctx context.Context, id string) (*influx.Authorization, error)
	// ScanAuthorizations lists at least all tokens that bear a stamp and may be seen: by ID and description after dated was
	// handed the server's time, and EachAuthorization with all that is known of each.
	ScanAuthorizations(ctx context.Context, dated func(time.Time), visit func(*influx.Listed)) error
	EachAuthorization(ctx context.Context, visit func(*influx.Authorization) error) error
	// ListsAll reports whether a list that is answered is complete. Else a token has to be in it that must be.
	ListsAll() bool
	// Self returns the client's own token, nil where the server does not tell.
	Self(ctx context.Context) (*influx.Authorization, error)

	// Ping asks what server this is.
	Ping(ctx context.Context) (influx.Server, error)
	URL() string
	Timeout() time.Duration
	Close()
}

// Reconciler is a Tokens that ends what an unanswered CreateAuthorization with a stamp may have made, some time after the call.
// Where there is none, a list tells.
type Reconciler interface {
	Reconcile(ctx context.Context, stamp string) error
}

var (
	_ Tokens     = (*influx.Client)(nil)
	_ Tokens     = (*influx3.Client)(nil)
	_ Reconciler = (*influx3.Client)(nil)
)

// dialed are the clients of a connection: the one of its tokens, and the same in its own kind, of which the other is nil.
type dialed struct {
	Client Tokens
	// V2 is what InfluxDB 2 has besides tokens: organizations, users, buckets. V3 is a client of InfluxDB 3.
	V2 *influx.Client
	V3 *influx3.Client
}

func dialTokens(c *store.Connection, o influx.Options, now func() time.Time) (d dialed, err error) {
	if c.Product.IsV2() {
		d.V2, err = influx.New(o)
		d.Client = d.V2
	} else {
		d.V3, err = influx3.New(o, c.Cluster(), c.Product == permission.Enterprise, now)
		d.Client = d.V3
	}
	return d, err
}
