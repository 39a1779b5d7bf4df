package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

const unchanged = "; the stored configuration is unchanged"

// verify tries a connection: the server, the token, the organization, the owner; and then what it is for, by
// making a token that can't be used and deleting it. It answers what it found.
func (b *backend) verify(ctx context.Context, c *store.Connection) (*store.Found, []string, error) {
	e, err := dial(c)
	if err != nil {
		return nil, nil, err
	}
	defer e.client.Close()
	v := verification{e: e, found: &store.Found{}}
	if err := v.all(ctx, b); err != nil {
		return nil, nil, err
	}
	return v.found, v.warnings, nil
}

// all takes every step; the first that fails is the answer.
func (v *verification) all(ctx context.Context, b *backend) error {
	for _, step := range []func(context.Context) error{v.server, v.rootUser, v.org, v.owner} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := v.minting(ctx, b); err != nil {
		return err
	}
	return v.rootID(ctx)
}

// verification is a connection being tried, step by step.
type verification struct {
	e        *endpoint
	found    *store.Found
	warnings []string
	pinged   influx.Server
	latency  time.Duration
	// valuesShown and valuesHidden say whether the server shows a token's value elsewhere than in the answer that
	// makes it; neither is set where the root token may not look.
	valuesShown, valuesHidden bool
}

// server refuses what is no InfluxDB 2. Only InfluxDB 1 and 3 are told by their version: a proxy may hide it.
func (v *verification) server(ctx context.Context) error {
	start := time.Now()
	server, err := v.e.client.Ping(ctx)
	v.pinged, v.latency = server, time.Since(start)
	var failed *influx.Error
	if errors.As(err, &failed) {
		if failed.Kind == influx.Unavailable || failed.Kind == influx.BadCertificate {
			return v.told(err)
		}
		server = influx.Server{Version: failed.Version, Build: failed.Build}
	}
	if major, _, _ := strings.Cut(server.Version, "."); major == "1" || major == "3" {
		return badInput("url: this is InfluxDB %s; only InfluxDB 2.x and Cloud 2 have /api/v2/authorizations",
			strings.TrimSpace(server.Version+" "+server.Build))
	}
	v.found.ServerVersion = server.Version
	return nil
}

// rootUser proves the token. Lists would not: they answer an inactive token with 200 and nothing in it.
func (v *verification) rootUser(ctx context.Context) error {
	user, err := tokenUser(ctx, v.e)
	if influx.Is(err, influx.NoSuchPath) { // Cloud Serverless has no such endpoint; minting proves the token
		return nil
	}
	if err != nil {
		return v.told(err)
	}
	v.found.RootUser, v.found.RootUserID = user.Name, user.ID
	return nil
}

// tokenUser is the user that owns an endpoint's token. Its name is empty where the token may not read it: then "read:users/<id>
// is unauthorized" says whose it is, and that the token is good.
func tokenUser(ctx context.Context, e *endpoint) (influx.User, error) {
	me, err := e.client.Me(ctx)
	var failed *influx.Error
	if influx.Is(err, influx.MissingPermission) && errors.As(err, &failed) {
		me, err = influx.User{}, nil
		if id := strings.TrimPrefix(failed.Permission, "read:users/"); permission.IsID(id) {
			me.ID = id
		}
	}
	return me, err
}

// org finds the default organization, and the IDs by which this InfluxDB is known again.
func (v *verification) org(ctx context.Context) error {
	visible, err := v.e.client.Organizations(ctx)
	if err != nil {
		return v.told(err)
	}
	for _, org := range visible {
		v.found.OrgIDs = append(v.found.OrgIDs, org.ID)
	}
	config := v.e.Connection
	if config.Org == "" && config.OrgID == "" {
		return v.onlyOrg(visible)
	}
	id, name, err := orgOf(ctx, v.e, &store.Role{Org: config.Org, OrgID: config.OrgID})
	if err != nil {
		return v.told(err)
	}
	v.found.DefaultOrgID, v.found.DefaultOrg = id, name
	if !slices.Contains(v.found.OrgIDs, id) { // not listed, or not among the first hundred
		v.found.OrgIDs = append(v.found.OrgIDs, id)
	}
	return nil
}

func (v *verification) onlyOrg(visible []influx.Named) error {
	switch len(visible) {
	case 0:
		return badInput("org: the token sees no organization; write org_id" + unchanged)
	case 1:
		v.found.DefaultOrgID, v.found.DefaultOrg = visible[0].ID, visible[0].Name
		v.warnings = append(v.warnings, fmt.Sprintf("org: not given; using %q (%s), the only one that the token sees", visible[0].Name, visible[0].ID))
		return nil
	}
	var names []string
	for _, org := range visible[:min(len(visible), namedTokens)] {
		names = append(names, org.Name)
	}
	return badInput("org: the token sees more than one organization (%s); write org or org_id%s", strings.Join(names, ", "), unchanged)
}

// owner finds the default owner of tokens, where one is given.
func (v *verification) owner(ctx context.Context) error {
	who, err := ownerOf(ctx, v.e, &store.Role{})
	var user influx.User
	if err == nil {
		user, err = checkOwner(ctx, v.e, who)
	}
	if err != nil {
		return v.told(err)
	}
	v.found.Owner, v.found.OwnerID = cmp.Or(who.name, user.Name), who.id
	return nil
}

// minting makes an inactive token with the least that a root token must be able to grant, and deletes it.
func (v *verification) minting(ctx context.Context, b *backend) error {
	at := place{v.found.DefaultOrgID, v.found.OwnerID}
	probe, err := b.probe(ctx, v.e, at, leastGrant(at.orgID))
	if probe != nil {
		if shown, lookErr := v.e.client.GetAuthorization(ctx, *probe.Id); lookErr == nil {
			v.valuesShown = shown.Token != nil && *shown.Token == *probe.Token
			v.valuesHidden = !v.valuesShown
		}
		err = errors.Join(err, destroy(context.WithoutCancel(ctx), v.e, *probe.Id))
	}
	if influx.Is(err, influx.Invalid) { // "unable to create token" is all that InfluxDB says of either
		return badInput("org_id, user_id: one of them does not exist: %v%s", err, unchanged)
	}
	if err != nil {
		return v.told(err)
	}
	// The answer holds the names that a token without read permissions can't look up.
	if v.found.DefaultOrg == "" && probe.Org != nil {
		v.found.DefaultOrg = *probe.Org
	}
	if v.found.OwnerID != "" && v.found.Owner == "" && probe.User != nil {
		v.found.Owner = *probe.User
	}
	if v.found.RootUser == "" && v.found.OwnerID == "" && probe.User != nil && probe.UserID != nil {
		v.found.RootUser, v.found.RootUserID = *probe.User, *probe.UserID
	}
	return nil
}

// told says what a failed step means for the configuration that was being written.
func (v *verification) told(err error) error {
	var failed *influx.Error
	if !errors.As(err, &failed) {
		return err
	}
	at := fmt.Sprintf("InfluxDB at %s", v.e.client.URL())
	answer := fmt.Sprintf("(%d %q)", failed.Status, failed.Message)
	switch failed.Kind {
	case influx.BadToken:
		return badInput("token: %s does not know it %s%s", at, answer, unchanged)
	case influx.InactiveToken:
		return badInput("token: %s knows it, but it is inactive %s; set it active there, or write another one%s", at, answer, unchanged)
	case influx.InactiveUser:
		return badInput("token: its user is inactive or deleted in %s %s; set the user active there, or write a token of another one%s", at, answer, unchanged)
	case influx.MissingPermission, influx.Forbidden:
		return badInput("token lacks %s, needed to %s; see docs/root-token.md", failed.Permission, v.purpose(failed.Permission))
	case influx.BadCertificate:
		return badInput("url: TLS with %s failed: %s; see ca_cert, tls_server_name, tls_min_version and client_cert%s", v.e.client.URL(), failed.Message, unchanged)
	case influx.NotInfluxDB, influx.NoSuchPath:
		return badInput("url: what answers at %s is not InfluxDB 2 (%v); is it a proxy's page, or does the base path differ?%s", v.e.client.URL(), failed, unchanged)
	case influx.Unavailable, influx.RateLimited:
		return &told{http.StatusBadGateway, fmt.Sprintf("url: no usable answer from %s: %v%s", v.e.client.URL(), failed, unchanged), err}
	}
	return badInput("url: %v%s", failed, unchanged)
}

// purpose says what a permission of the root token is needed for.
func (v *verification) purpose(missing string) string {
	who := cmp.Or(v.found.Owner, v.found.OwnerID, v.found.RootUser, v.found.RootUserID)
	switch {
	case strings.Contains(missing, ":users/"):
		return fmt.Sprintf("create tokens for user %q", who)
	case strings.HasSuffix(missing, "authorizations"):
		return fmt.Sprintf("create tokens in org %q", v.found.DefaultOrg)
	}
	return "verify the configuration"
}
