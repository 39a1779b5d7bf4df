package influx_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// looks are those that say which InfluxDB answers, with the IDs that srv is known by.
func looks(srv *influxtest.Server, client *influx.Client) map[string]func(context.Context) (influx.Sighting, error) {
	return map[string]func(context.Context) (influx.Sighting, error){
		"organization":  func(ctx context.Context) (influx.Sighting, error) { return client.SeeOrganization(ctx, srv.OrgID()) },
		"authorization": func(ctx context.Context) (influx.Sighting, error) { return client.SeeAuthorization(ctx, srv.RootID()) },
		"user":          func(ctx context.Context) (influx.Sighting, error) { return client.SeeOwnUser(ctx, srv.UserID()) },
	}
}

func TestSightings(t *testing.T) {
	same := func(sighting influx.Sighting) map[string]influx.Sighting {
		return map[string]influx.Sighting{"organization": sighting, "authorization": sighting, "user": sighting}
	}
	minting := func(srv *influxtest.Server) *influx.Client {
		_, weak := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.MintingPermissions(srv.OrgID(), srv.UserID())...)
		return dial(t, influx.Options{URL: srv.URL, Token: weak})
	}
	tests := map[string]struct {
		client func(known *influxtest.Server) *influx.Client
		sees   map[string]influx.Sighting
	}{
		"the InfluxDB that is known": {func(known *influxtest.Server) *influx.Client { return connect(t, known) }, same(influx.Seen)},
		"another":                    {func(*influxtest.Server) *influx.Client { return connect(t, influxtest.New(t)) }, same(influx.NotThere)},
		"a token that may not look": {minting, map[string]influx.Sighting{
			"organization": influx.Hidden, "authorization": influx.Hidden, "user": influx.Seen}},
		"another, to a token that may not look": {func(*influxtest.Server) *influx.Client { return minting(influxtest.New(t)) },
			map[string]influx.Sighting{"organization": influx.Hidden, "authorization": influx.NotThere, "user": influx.NotThere}},
		"an unknown token": {func(known *influxtest.Server) *influx.Client { return dial(t, influx.Options{URL: known.URL}) },
			same(influx.NoAnswer)},
		"a server that is down": {func(*influxtest.Server) *influx.Client { return dial(t, influx.Options{URL: deadURL}) },
			same(influx.NoAnswer)},
		"a page for an absence": {func(*influxtest.Server) *influx.Client {
			return serve(t, answer{status: 404, content: "text/html", body: "<html>"}.ServeHTTP)
		}, same(influx.NoAnswer)},
		"a page for a refusal": {func(*influxtest.Server) *influx.Client {
			return serve(t, answer{status: 403, content: "text/html", body: "<html>"}.ServeHTTP)
		}, same(influx.NoAnswer)},
		"a page for a success": {func(*influxtest.Server) *influx.Client {
			return serve(t, answer{status: 200, body: "<html>"}.ServeHTTP)
		},
			same(influx.NoAnswer)},
		"JSON of another kind": {func(*influxtest.Server) *influx.Client {
			return serve(t, answer{status: 200, content: jsonType, body: `{}`}.ServeHTTP)
		}, same(influx.NoAnswer)},
		"no such endpoint": {func(*influxtest.Server) *influx.Client {
			return serve(t, envelope(404, "not found", "path not found").ServeHTTP)
		},
			same(influx.Hidden)},
		"InfluxDB 2.10 that is starting": {func(known *influxtest.Server) *influx.Client {
			client := connect(t, known)
			known.Starting("v2.10.0")
			return client
		}, same(influx.NoAnswer)},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			known := influxtest.New(t)
			for thing, look := range looks(known, test.client(known)) {
				sighting, err := look(t.Context())
				require.Equal(t, test.sees[thing], sighting, "%s: %v", thing, err)
				if sighting != influx.Seen && thing != "user" {
					require.Error(t, err)
				}
			}
		})
	}
}

// An authorization whose owner was deleted is there, though it can't be read.
func TestAnOrphanIsSeen(t *testing.T) {
	srv := influxtest.New(t)
	owner := srv.AddUser("owner")
	id, _ := srv.AddToken(srv.OrgID(), owner)
	srv.DeleteUser(owner)
	sighting, err := connect(t, srv).SeeAuthorization(t.Context(), id)
	require.Equal(t, influx.Seen, sighting)
	require.True(t, influx.Is(err, influx.NotFound))
}
