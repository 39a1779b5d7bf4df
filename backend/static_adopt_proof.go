package backend

import (
	"context"
	"strings"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
)

// maxCompared bounds on how many buckets a token is compared with the authorization that it is said to be.
const maxCompared = 20

// provePair refuses an ID and a token that are not the same authorization, as far as InfluxDB lets anybody see: it is
// the ID that is deleted at the next rotation. Where it shows values, they are compared. Where it hides them, the owner
// is, and what the token can do with the organization's buckets. Nothing is changed for it.
func (b *backend) provePair(ctx context.Context, e *endpoint, a *adoption) error {
	as := *e.Connection
	as.Token = a.token
	bearer, err := dial(&as)
	if err != nil {
		return err
	}
	defer bearer.client.Close()
	if err := works(ctx, bearer, a.id); err != nil {
		return refusedToken(err)
	}
	if value := a.authorization.Token; value != nil && *value != "" {
		if *value != a.token {
			return a.mismatch("InfluxDB shows another value for that ID")
		}
		return nil
	}
	if err := proveOwner(ctx, bearer, a); err != nil {
		return err
	}
	return a.proveReach(ctx, e, bearer)
}

// refusedToken is a 400 where InfluxDB does not take the token that is to be taken over.
func refusedToken(err error) error {
	if influx.Is(err, influx.BadToken) || influx.Is(err, influx.InactiveToken) || influx.Is(err, influx.InactiveUser) {
		return badInput("token: InfluxDB does not accept it: %v", err)
	}
	return err
}

func (a *adoption) mismatch(reason string) error {
	return badInput("authorization_id: %s is not the authorization of the token in token: %s", a.id, reason)
}

// proveOwner compares users. InfluxDB Cloud has no such endpoint.
func proveOwner(ctx context.Context, bearer *endpoint, a *adoption) error {
	user, err := tokenUser(ctx, bearer)
	switch {
	case influx.Is(err, influx.NoSuchPath), influx.Is(err, influx.NotFound):
		return nil
	case err != nil:
		return err
	case user.ID != "" && user.ID != *a.authorization.UserID:
		return a.mismatch("it belongs to another user")
	}
	return nil
}

// proveReach compares what the ID grants on buckets with what the token can do there, also where it should do nothing.
func (a *adoption) proveReach(ctx context.Context, e, bearer *endpoint) error {
	held := copied(a.authorization)
	buckets, err := a.compared(ctx, e, held)
	if err != nil {
		return err
	}
	for _, bucket := range buckets {
		if err := a.proveBucket(ctx, bearer, held, bucket); err != nil {
			return err
		}
	}
	return nil
}

// compared are the buckets to compare, those first that the ID grants one by one: where there are many, they are what
// tells it from others. One that is gone tells nothing.
func (a *adoption) compared(ctx context.Context, e *endpoint, held []permission.Permission) ([]influx.Bucket, error) {
	var buckets []influx.Bucket
	seen := map[string]bool{}
	add := func(bucket influx.Bucket) {
		system := strings.HasPrefix(bucket.Name, "_") // is read with a right on the organization
		if !seen[bucket.ID] && !system && len(buckets) < maxCompared {
			buckets = append(buckets, bucket)
		}
		seen[bucket.ID] = true
	}
	for _, p := range held {
		if p.Type != permission.Buckets || p.ID == "" || seen[p.ID] || len(buckets) == maxCompared {
			continue
		}
		bucket, err := e.client.BucketByID(ctx, p.ID)
		switch {
		case influx.Is(err, influx.NotFound), influx.Is(err, influx.MissingPermission):
		case err != nil:
			return nil, err
		default:
			add(bucket)
		}
	}
	others, err := e.client.Buckets(ctx, *a.authorization.OrgID, maxCompared)
	if err != nil && !influx.Is(err, influx.MissingPermission) {
		return nil, err
	}
	for _, bucket := range others {
		add(bucket)
	}
	return buckets, nil
}

func (a *adoption) proveBucket(ctx context.Context, bearer *endpoint, held []permission.Permission, bucket influx.Bucket) error {
	orgID := *a.authorization.OrgID
	for _, right := range []struct {
		action string
		can    func(context.Context, string, string) (bool, error)
	}{{permission.Read, bearer.client.CanRead}, {permission.Write, bearer.client.CanWrite}} {
		action := right.action
		wanted := permission.Permission{Action: action, Type: permission.Buckets, ID: bucket.ID, OrgID: orgID}
		grants := len(permission.Missing(held, []permission.Permission{wanted})) == 0
		does, err := right.can(ctx, orgID, bucket.ID)
		switch {
		case err != nil:
			return err
		case grants && !does:
			return a.mismatch("the ID grants " + action + " on bucket " + bucket.Name + ", and the token may not")
		case does && !grants:
			return a.mismatch("the token may " + action + " bucket " + bucket.Name + ", which the ID does not grant")
		}
	}
	return nil
}
