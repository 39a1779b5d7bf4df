package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// minted is what creds/<role> answers.
type minted struct {
	token, authorizationID, url, leaseID string
	lifetime                             time.Duration
}

// useToken is the life of one token: minted, used by InfluxDB's own client library, revoked, refused.
func (s *story) useToken(ctx context.Context) error {
	token, err := s.mint(ctx)
	if err != nil {
		return err
	}
	client := influxdb2.NewClient(token.url, token.token)
	defer client.Close()
	for _, next := range []func(context.Context, influxdb2.Client) error{s.writePoint, s.readPoint} {
		if err := next(ctx, client); err != nil {
			return err
		}
	}
	if err := s.revoke(ctx, token); err != nil {
		return err
	}
	return s.showRefusal(ctx, client)
}

func (s *story) mint(ctx context.Context) (minted, error) {
	s.step("Ask for a token, as an application would.")
	s.command("%s read %s/creds/%s", s.host.command, mount, role)
	answer, err := s.client.Logical().ReadWithContext(ctx, mount+"/creds/"+role)
	if err != nil {
		return minted{}, err
	}
	if answer == nil || !answer.Renewable || answer.LeaseID == "" {
		return minted{}, errors.New("creds answered no renewable lease")
	}
	text := func(field string) string { value, _ := answer.Data[field].(string); return value }
	got := minted{
		token: text("token"), authorizationID: text("authorization_id"), url: text("url"),
		leaseID: answer.LeaseID, lifetime: time.Duration(answer.LeaseDuration) * time.Second,
	}
	if got.token == "" || got.authorizationID == "" || got.url == "" {
		return minted{}, errors.New("creds left token, authorization_id or url empty")
	}
	s.result("token %s (authorization %s), leased for %s", shortened(got.token), got.authorizationID, got.lifetime)
	s.result("lease %s", got.leaseID)
	return got, nil
}

func (s *story) writePoint(ctx context.Context, client influxdb2.Client) error {
	s.step("Write a point with that token.")
	s.printWriteCommand()
	point := influxdb2.NewPoint("room", map[string]string{"name": "kitchen"}, map[string]any{"temperature": 21.5}, time.Now())
	if err := client.WriteAPIBlocking(org, bucket).WritePoint(ctx, point); err != nil {
		return fmt.Errorf("writing with the minted token: %w", err)
	}
	s.result("204: written")
	return nil
}

func (s *story) printWriteCommand() {
	s.command(`curl -H "Authorization: Token $TOKEN" "%s/api/v2/write?org=%s&bucket=%s" --data 'room,name=kitchen temperature=21.5'`,
		s.influx.URL, org, bucket)
}

func (s *story) readPoint(ctx context.Context, client influxdb2.Client) error {
	s.step("Read it back with that token.")
	flux := fmt.Sprintf(`from(bucket:"%s") |> range(start:-1h)`, bucket)
	s.command(`curl -H "Authorization: Token $TOKEN" -H "Content-Type: application/vnd.flux" "%s/api/v2/query?org=%s" --data '%s'`,
		s.influx.URL, org, flux)
	found, err := client.QueryAPI(org).Query(ctx, flux)
	if err != nil {
		return fmt.Errorf("reading with the minted token: %w", err)
	}
	defer found.Close()
	if !found.Next() {
		return errors.Join(errors.New("the query does not find the point that was just written"), found.Err())
	}
	record := found.Record()
	s.result("200: %s %v: %s = %v", record.Measurement(), record.ValueByKey("name"), record.Field(), record.Value())
	return nil
}

func (s *story) revoke(ctx context.Context, token minted) error {
	s.step("Revoke the lease; its end would do the same.")
	s.command("%s lease revoke -sync %s", s.host.command, token.leaseID)
	if err := s.client.Sys().RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: token.leaseID, Sync: true}); err != nil {
		return err
	}
	s.result("%s has revoked it", s.host.name())
	return nil
}

// showRefusal expects the 401 that a token which no longer exists gets.
func (s *story) showRefusal(ctx context.Context, client influxdb2.Client) error {
	s.step("Try the token once more.")
	s.printWriteCommand()
	point := influxdb2.NewPoint("room", nil, map[string]any{"temperature": 99}, time.Now())
	err := client.WriteAPIBlocking(org, bucket).WritePoint(ctx, point)
	var refused *influxhttp.Error
	switch {
	case err == nil:
		return errors.New("the token still works although its lease is revoked")
	case !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized:
		return fmt.Errorf("the revoked token should be answered 401, but: %w", err)
	}
	s.result("401: InfluxDB does not know it any more")
	return nil
}
