package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// influx is an InfluxDB, and the one token that is asked for there.
type influx struct {
	address, token, body string
	http                 *http.Client
}

func newInflux(url, token, body string) *influx {
	const connections = 64 // as many as the plugin has by default
	return &influx{
		address: url + "/api/v2/authorizations", token: "Token " + token, body: body,
		http: &http.Client{Transport: &http.Transport{
			MaxConnsPerHost: connections, MaxIdleConns: connections, MaxIdleConnsPerHost: connections,
		}},
	}
}

func (i *influx) create(ctx context.Context) (id, token string, err error) {
	var made struct{ ID, Token string }
	err = i.call(ctx, http.MethodPost, i.address, strings.NewReader(i.body), http.StatusCreated, &made)
	return made.ID, made.Token, err
}

func (i *influx) remove(ctx context.Context, id string) error {
	return i.call(ctx, http.MethodDelete, i.address+"/"+id, nil, http.StatusNoContent, nil)
}

func (i *influx) call(ctx context.Context, method, address string, body io.Reader, want int, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", i.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := i.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		return fmt.Errorf("InfluxDB answered %s", response.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(out)
}
