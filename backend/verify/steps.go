package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// Verifier tries connections.
type Verifier struct {
	pool   *connection.Pool
	issuer *token.Issuer
	// tried are the root tokens of InfluxDB 3 that have made a token: by cluster and ID.
	tried sync.Map
}

// New makes a Verifier that opens connections through pool and creates its probes through issuer.
func New(pool *connection.Pool, issuer *token.Issuer) *Verifier {
	return &Verifier{pool: pool, issuer: issuer}
}

// Result is what a verification found out.
type Result struct {
	Found    *store.Found
	Warnings []string
	// Server is what the server's ping says of it, and Latency how long the ping took.
	Server influx.Server
	// Product is which InfluxDB it is.
	Product permission.Product
	Latency time.Duration
	// RootEnds is when the server itself ends the root token; zero where it does not.
	RootEnds time.Time
	// ValuesHidden says that the server shows a token's value only in the answer that creates it. It is not set where
	// the root token may not look.
	ValuesHidden bool
}

// Verify tries a connection: the server, the token, the organization and the owner; then what it is for, by creating a
// token that can't be used and deleting it. The first step that fails is the error; the result then holds what the
// steps before it found.
func (v *Verifier) Verify(ctx context.Context, config *store.Connection) (*Result, error) {
	k := &check{Result: Result{Found: &store.Found{}}, issuer: v.issuer, before: config.Found, tried: &v.tried}
	if err := k.dial(v.pool, config, config.Product); err != nil {
		return &k.Result, err
	}
	defer func() { k.c.Client.Close() }()
	if err := k.server(ctx); err != nil {
		return &k.Result, err
	}
	if k.Product != cmp.Or(config.Product, permission.V2) {
		k.c.Client.Close()
		if err := k.dial(v.pool, config, k.Product); err != nil {
			return &k.Result, err
		}
	}
	steps := []func(context.Context) error{k.rootUser, k.org, k.owner, k.probe, k.rootID, k.identity}
	if !k.Product.IsV2() {
		steps = []func(context.Context) error{k.without, k.cluster, k.self, k.tryAdmin}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return &k.Result, err
		}
	}
	return &k.Result, nil
}

// dial opens a connection like the one that is tried, to a product.
func (k *check) dial(pool *connection.Pool, config *store.Connection, product permission.Product) (err error) {
	candidate := *config
	candidate.Product, candidate.Found = product, k.Found // so that this InfluxDB is known by what it shows now
	if k.c, err = pool.Dial(&candidate); err == nil {
		k.c.Suggest = true
	}
	return err
}

// Server tells what server a connection leads to, and refuses one whose tokens can't be managed.
func (v *Verifier) Server(ctx context.Context, c *connection.Connection) (influx.Server, error) {
	k := &check{Result: Result{Found: &store.Found{}}, c: c}
	err := k.server(ctx)
	return k.Server, err
}

// check is one verification under way.
type check struct {
	Result
	c      *connection.Connection
	issuer *token.Issuer
	// before is what an earlier verification found out.
	before *store.Found
	tried  *sync.Map
	// valuesShown says that the server shows a token's value whenever the token is read.
	valuesShown bool
}

func (k *check) explain(err error) error { return Explain(k.c, k.Found, err) }

// server finds out which product answers, and refuses those without tokens. Only the version tells them apart; a proxy may
// hide it.
func (k *check) server(ctx context.Context) error {
	start := time.Now()
	server, err := k.c.Client.Ping(ctx)
	k.Server, k.Latency = server, time.Since(start)
	failed, ok := errors.AsType[*influx.Error](err)
	if ok {
		if failed.Kind == influx.Unavailable || failed.Kind == influx.BadCertificate || failed.Location != "" {
			return k.explain(err)
		}
		server = influx.Server{Version: failed.Version, Build: failed.Build}
	}
	if major, _, _ := strings.Cut(server.Version, "."); major == "3" && ok {
		switch failed.Status {
		case http.StatusUnauthorized:
			return rejected("token", failed, "InfluxDB %s at %s does not know it (%d); %s. A server without any token takes config/setup", server.Version, k.c.Client.URL(), failed.Status, makeAdmin)
		case http.StatusForbidden:
			return rejected("token", failed, "it is no admin token: InfluxDB %s at %s refuses it (%d); %s", server.Version, k.c.Client.URL(), failed.Status, makeAdmin)
		}
	}
	if k.Product, err = productOf(server); err != nil {
		return err
	}
	k.Found.ServerVersion = server.Version
	return nil
}

// rootUser checks the token. Lists would not do: they answer an inactive token with 200 and nothing in it.
func (k *check) rootUser(ctx context.Context) error {
	user, err := TokenUser(ctx, k.c)
	if influx.Is(err, influx.NoSuchPath) { // Cloud Serverless has no such endpoint; the probe checks the token
		return nil
	}
	if err != nil {
		return k.explain(err)
	}
	k.Found.RootUser, k.Found.RootUserID = user.Name, user.ID
	return nil
}

// org finds the default organization, and the IDs by which this InfluxDB is recognized.
func (k *check) org(ctx context.Context) error {
	visible, err := k.c.V2.Organizations(ctx)
	if err != nil {
		return k.explain(err)
	}
	for _, org := range visible {
		k.Found.OrgIDs = append(k.Found.OrgIDs, org.ID)
	}
	if k.c.Org == "" && k.c.OrgID == "" {
		return k.onlyOrg(visible)
	}
	id, name, err := k.c.OrgOf(ctx, &store.Role{Org: k.c.Org, OrgID: k.c.OrgID})
	if err != nil {
		return k.explain(err)
	}
	k.Found.DefaultOrgID, k.Found.DefaultOrg = id, name
	if !slices.Contains(k.Found.OrgIDs, id) { // not listed, or not among the first hundred
		k.Found.OrgIDs = append(k.Found.OrgIDs, id)
	}
	return nil
}

// onlyOrg takes the one organization that the token sees.
func (k *check) onlyOrg(visible []influx.Named) error {
	switch len(visible) {
	case 0:
		return rejected("org", nil, "the token sees no organization; write org_id")
	case 1:
		k.Found.DefaultOrgID, k.Found.DefaultOrg = visible[0].ID, visible[0].Name
		k.Warnings = append(k.Warnings, fmt.Sprintf("org: not given; using %q (%s), the only one that the token sees", visible[0].Name, visible[0].ID))
		return nil
	}
	var names []string
	for _, org := range visible[:min(len(visible), problem.MaxNamed)] {
		names = append(names, org.Name)
	}
	return rejected("org", nil, "the token sees more than one organization (%s); write org or org_id", strings.Join(names, ", "))
}

// owner finds the default owner of tokens, where one is given.
func (k *check) owner(ctx context.Context) error {
	owner, err := k.c.OwnerOf(ctx, &store.Role{})
	var user influx.Named
	if err == nil {
		user, err = k.c.CheckOwner(ctx, owner)
	}
	if err != nil {
		return k.explain(err)
	}
	k.Found.Owner, k.Found.OwnerID = cmp.Or(owner.Name, user.Name), owner.ID
	return nil
}

// probe creates an inactive token with the least that a root token must be able to grant, and deletes it.
func (k *check) probe(ctx context.Context) error {
	at := token.Location{OrgID: k.Found.DefaultOrgID, UserID: k.Found.OwnerID}
	created, err := k.issuer.Probe(ctx, k.c, at, token.MinimalGrant(at.OrgID))
	if created != nil {
		k.readBack(ctx, created)
		err = errors.Join(err, k.c.Delete(context.WithoutCancel(ctx), created.ID))
	}
	if token.LocationGone(err) {
		return rejected("org_id, user_id", err, "one of them does not exist: %v", err)
	}
	if err != nil {
		return k.explain(err)
	}
	// The answer holds the names that a token without read permissions can't look up.
	k.Found.DefaultOrg = cmp.Or(k.Found.DefaultOrg, created.Org)
	switch {
	case k.Found.OwnerID != "":
		k.Found.Owner = cmp.Or(k.Found.Owner, created.User)
	case k.Found.RootUser == "" && created.User != "" && created.UserID != "":
		k.Found.RootUser, k.Found.RootUserID = created.User, created.UserID
	}
	return nil
}

// readBack finds out whether the root token is shown the tokens that it makes, and their values.
func (k *check) readBack(ctx context.Context, created *influx.Authorization) {
	shown, err := k.c.Client.GetAuthorization(ctx, created.ID)
	failed, ok := errors.AsType[*influx.Error](err)
	switch {
	case err == nil:
		k.valuesShown = shown.Token == created.Token
		k.ValuesHidden = !k.valuesShown
	case ok && failed.Kind == influx.MissingPermission:
		k.Warnings = append(k.Warnings, fmt.Sprintf("token: InfluxDB does not show it the tokens that it makes, because it lacks %s: those that a crash or a lost answer left behind stay unseen and alive, tidy and tokens/ find nothing, max_leases counts from 0 after a restart, and a token that was deleted by hand is not noticed; see docs/root-token.md", strings.TrimSuffix(failed.Permission, "/"+created.ID)))
	}
}

// rootID checks the ID that was given for the root token's authorization, as far as the root token may read it; or finds
// it, where the server shows the values of tokens.
func (k *check) rootID(ctx context.Context) error {
	id := k.c.AuthorizationID
	if id == "" {
		return k.findRootID(ctx)
	}
	root, err := k.c.Client.GetAuthorization(ctx, id)
	switch {
	case influx.Is(err, influx.MissingPermission):
		return nil
	case influx.IsNotFound(err):
		return rejected("authorization_id", err, "no authorization has the ID %s", id)
	case err != nil:
		return k.explain(err)
	}
	otherValue := root.Token != "" && k.valuesShown && root.Token != k.c.Token
	otherUser := root.UserID != "" && k.Found.RootUserID != "" && root.UserID != k.Found.RootUserID
	if otherValue || otherUser {
		return rejected("authorization_id", nil, "%s is another token than the one in token", id)
	}
	return k.checkStamp(root)
}

// checkStamp refuses a root token that this mount has issued: with its lease, or its role's next rotation, the mount would
// lose its root token.
func (k *check) checkStamp(root *influx.Authorization) error {
	stamp, ours := k.issuer.Owned(root)
	if !ours || stamp.Kind == token.Root {
		return nil
	}
	return rejected("token", nil, "it is authorization %s, which this mount has issued for its %s role %q and will delete; write one that was made for this purpose, see docs/root-token.md", root.ID, stamp.Kind, stamp.Role)
}

// findRootID looks first at the ID that was found before: the list of all tokens may be long.
func (k *check) findRootID(ctx context.Context) error {
	if !k.valuesShown {
		return nil
	}
	if k.before != nil && k.before.RootAuthorizationID != "" {
		root, err := k.c.Client.GetAuthorization(ctx, k.before.RootAuthorizationID)
		if err == nil && root.Token == k.c.Token {
			k.Found.RootAuthorizationID = root.ID
			return k.checkStamp(root)
		}
	}
	err := k.c.Client.EachAuthorization(ctx, func(a *influx.Authorization) error {
		if a.Token != k.c.Token {
			return nil
		}
		k.Found.RootAuthorizationID = a.ID
		return cmp.Or(k.checkStamp(a), errStop)
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return k.explain(err)
}

// Unidentified says what is not safe about a connection whose InfluxDB can't be told from another one.
const Unidentified = "which InfluxDB answers can't be known: the root token may read neither its own user or authorization nor an organization, or the settings were stored without being tried. Should another InfluxDB answer at this address, a token that it does not know counts as revoked; see docs/root-token.md"

// identity warns where nothing that was found tells this InfluxDB from another one at the same address.
func (k *check) identity(ctx context.Context) error {
	if seen, err := k.c.Identify(ctx); err == nil && !seen {
		k.Warnings = append(k.Warnings, "token: "+Unidentified)
	}
	return nil
}

// errStop ends a list early.
var errStop = errors.New("enough of the list was read")

// Rejection is an error of a connection that can't be used as it is written. Whoever was about to store the connection
// can add that nothing was stored.
type Rejection struct{ error }

// Unwrap returns the error, with the failed call underneath, if there was one.
func (r *Rejection) Unwrap() error { return r.error }

func rejected(field string, cause error, format string, args ...any) error {
	return &Rejection{&problem.Error{Status: http.StatusBadRequest, Field: field, Text: fmt.Sprintf(format, args...), Cause: cause}}
}

// Explain says what a failed call means for the connection that it was made on. found is what is known of the connection
// so far. Other errors are returned as they are.
func Explain(c *connection.Connection, found *store.Found, err error) error {
	failed, ok := errors.AsType[*influx.Error](err)
	if !ok {
		return err
	}
	url := c.Client.URL()
	answer := fmt.Sprintf("(%d %q)", failed.Status, failed.Message)
	if failed.Location != "" {
		return rejected("url", err, "%s redirects to %s (%d), where nothing is sent; if InfluxDB is there, write its base URL to url", url, strings.TrimSuffix(failed.Location, "/ping"), failed.Status)
	}
	switch failed.Kind {
	case influx.BadToken:
		if problem.LooksLikeFile(c.Token) {
			answer += "; it " + problem.SendFile("token")
		}
		return rejected("token", err, "InfluxDB at %s does not know it %s", url, answer)
	case influx.InactiveToken:
		return rejected("token", err, "InfluxDB at %s knows it, but it is inactive %s; set it active there, or write another one", url, answer)
	case influx.InactiveUser:
		return rejected("token", err, "its user is inactive or deleted in InfluxDB at %s %s; set the user active there, or write a token of another one", url, answer)
	case influx.MissingPermission, influx.Forbidden:
		if failed.Permission == "" { // InfluxDB 3 names none
			return rejected("token", err, "InfluxDB at %s refuses it what an admin token may do %s", url, answer)
		}
		return &problem.Error{Status: http.StatusBadRequest, Cause: err,
			Text: fmt.Sprintf("token lacks %s, needed to %s; see docs/root-token.md", failed.Permission, purpose(found, failed.Permission))}
	case influx.BadCertificate:
		return rejected("url", err, "TLS with %s failed: %s; see ca_cert, tls_server_name, tls_min_version and client_cert", url, failed.Message)
	case influx.NotInfluxDB, influx.NoSuchPath:
		if failed.Kind == influx.NoSuchPath && c.V3 != nil { // a proxy's answer would be of no InfluxDB
			return rejected("url", err, "this InfluxDB makes no tokens (%v); is it started with --without-auth?", failed)
		}
		return rejected("url", err, "what answers at %s is not InfluxDB (%v); is it a proxy's page, or does the base path differ?", url, failed)
	case influx.Unavailable, influx.RateLimited:
		return &Rejection{&problem.Error{Status: http.StatusBadGateway, Field: "url", Cause: err,
			Text: fmt.Sprintf("no usable answer from %s: %v", url, failed)}}
	}
	return rejected("url", err, "%v", failed)
}

// purpose says what a permission of the root token is needed for.
func purpose(found *store.Found, missing string) string {
	switch {
	case strings.Contains(missing, ":users/"):
		owner := cmp.Or(found.Owner, found.OwnerID, found.RootUser, found.RootUserID)
		return fmt.Sprintf("create tokens for user %q", owner)
	case strings.HasSuffix(missing, "authorizations"):
		return fmt.Sprintf("create tokens in org %q", found.DefaultOrg)
	}
	return "verify the configuration"
}

// Accepted returns nil where InfluxDB accepts a connection's token. It reads one authorization: lists are answered to an
// inactive token, too. (/api/v2/me would do, but InfluxDB Cloud has none.)
func Accepted(ctx context.Context, c *connection.Connection, id string) error {
	_, err := c.Client.GetAuthorization(ctx, id)
	if IsAnswer(err) {
		return nil
	}
	return err
}

// IsAnswer reports whether err says that InfluxDB accepted the token and refused the rest.
func IsAnswer(err error) bool {
	return influx.IsNotFound(err) || influx.Is(err, influx.MissingPermission) || influx.Is(err, influx.Forbidden)
}

// TokenUser returns the user that owns a connection's token. Its name is empty where the token may not read it: then the
// refusal says whose it is, and that the token is good.
func TokenUser(ctx context.Context, c *connection.Connection) (influx.Named, error) {
	me, err := c.V2.Me(ctx)
	if influx.Is(err, influx.MissingPermission) {
		err = nil
	}
	return me, err
}
