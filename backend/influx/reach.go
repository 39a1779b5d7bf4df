package influx

import (
	"context"
	"net/http"
	"net/url"
)

// CanRead reports whether the client's token may read a bucket.
func (c *Client) CanRead(ctx context.Context, _, bucketID string) (bool, error) {
	_, err := c.BucketByID(ctx, bucketID)
	return allowed(err)
}

// CanWrite reports whether the client's token may write to a bucket. It writes nothing: the right is checked before
// InfluxDB finds that there are no points, which it answers with 204 (measured on 2.9.1 and 2.7.12).
func (c *Client) CanWrite(ctx context.Context, orgID, bucketID string) (bool, error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	r := request{method: http.MethodPost, path: "write", query: url.Values{"org": {orgID}, "bucket": {bucketID}},
		success: []int{http.StatusNoContent}}
	return allowed(c.stream(ctx, r, func(*http.Response) error { return nil }))
}

// allowed tells a right that is missing from a call that failed.
func allowed(err error) (bool, error) {
	if Is(err, MissingPermission) || Is(err, Forbidden) || Is(err, NotFound) {
		return false, nil
	}
	return err == nil, err
}
