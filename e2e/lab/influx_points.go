package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// measurement is what WritePoint writes and QueryPoint reads.
const measurement = "lab"

// WritePoint writes one point with a token and answers the HTTP status: 204 when it is written, 401
// for a token that InfluxDB does not know or that may not write there.
func (i *Influx) WritePoint(ctx context.Context, token, org, bucket string) (int, error) {
	query := url.Values{"org": {org}, "bucket": {bucket}}
	status, _, err := i.send(ctx, http.MethodPost, "/api/v2/write?"+query.Encode(), token,
		strings.NewReader(measurement+",source=lab value=1"))
	return status, err
}

// QueryPoint reads the points of WritePoint with a token and answers the HTTP status and the CSV,
// which is empty when nothing is found. A bucket that the token may not read answers 404.
func (i *Influx) QueryPoint(ctx context.Context, token, org, bucket string) (int, string, error) {
	return i.Query(ctx, token, org, fmt.Sprintf(
		`from(bucket: %q) |> range(start: -1h) |> filter(fn: (r) => r._measurement == %q)`, bucket, measurement))
}

// Query runs a Flux query with a token and answers the HTTP status and the CSV.
func (i *Influx) Query(ctx context.Context, token, org, flux string) (int, string, error) {
	body, err := json.Marshal(map[string]string{"query": flux, "type": "flux"})
	if err != nil {
		return 0, "", err
	}
	status, csv, err := i.send(ctx, http.MethodPost, "/api/v2/query?org="+url.QueryEscape(org), token,
		strings.NewReader(string(body)))
	return status, strings.TrimSpace(string(csv)), err
}
