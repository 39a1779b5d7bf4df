package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// Call is one call of InfluxDB's API with any token, and its answer whatever the status: for tests of what
// a token may do. JSON in; nil means no body.
func (i *Influx) Call(ctx context.Context, token, method, path string, in any) (int, []byte, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(encoded)
	}
	return i.send(ctx, method, path, token, body)
}

// instance is the one resource type that no token can hold.
const instance = "instance"

// ResourceTypes are the types that the server lists and that a token can hold.
func (i *Influx) ResourceTypes(ctx context.Context) ([]string, error) {
	listed, err := manage[[]string](ctx, i, http.MethodGet, "/api/v2/resources", nil)
	return slices.DeleteFunc(listed, func(name string) bool { return name == instance }), err
}

// BucketNamed finds a bucket of an organization: the system buckets are nobody's making.
func (i *Influx) BucketNamed(ctx context.Context, orgID, name string) (Named, error) {
	type list struct {
		Buckets []Named `json:"buckets"`
	}
	query := url.Values{"orgID": {orgID}, "name": {name}}
	found, err := manage[list](ctx, i, http.MethodGet, "/api/v2/buckets?"+query.Encode(), nil)
	if err != nil || len(found.Buckets) != 1 {
		return Named{}, errors.Join(err, fmt.Errorf("%d buckets are named %q", len(found.Buckets), name))
	}
	return found.Buckets[0], nil
}
