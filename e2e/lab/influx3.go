package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Influx3Binary is the influxdb3 that INFLUXDB3_BIN names; empty where none is. No published module builds one.
func Influx3Binary() string { return os.Getenv("INFLUXDB3_BIN") }

// Influx3Options says how to start influxdb3.
type Influx3Options struct {
	// Fresh leaves it as it is after its installation, without any token.
	Fresh bool
	// Args are further arguments of influxdb3 serve.
	Args []string
}

// Influx3 is a running InfluxDB 3 Core, with its data in files.
type Influx3 struct {
	URL string
	// Operator is its operator token, _admin; empty while there is none.
	Operator string

	process *process
	http    *http.Client
}

// StartInflux3 starts the influxdb3 of INFLUXDB3_BIN with empty data and waits until it answers.
func (l *Lab) StartInflux3(ctx context.Context, options Influx3Options) (*Influx3, error) {
	dir, err := l.subdirectory("influxdb3")
	if err != nil {
		return nil, err
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"serve", "--node-id", "n0", "--object-store", "file", "--data-dir", filepath.Join(dir, "data"),
		"--http-bind", address, "--disable-telemetry-upload", "--wal-flush-interval", "100ms",
	}, options.Args...)
	influx := &Influx3{URL: "http://" + address, process: newProcess(dir, Influx3Binary(), args, nil), http: &http.Client{Timeout: time.Minute}}
	l.own(influx.process)
	if err := influx.Start(ctx); err != nil || options.Fresh {
		return influx, err
	}
	return influx, influx.setUp(ctx)
}

// setUp makes the operator token.
func (i *Influx3) setUp(ctx context.Context) error {
	status, answer, err := i.Call(ctx, "", http.MethodPost, "/api/v3/configure/token/admin", nil)
	if err != nil {
		return err
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.Token == "" {
		return fmt.Errorf("the setup of InfluxDB 3 is answered %d, without a token", status)
	}
	i.Operator = made.Token
	return nil
}

// Start starts it (again, with the same data, on the same port) and waits until it answers, whatever that is.
func (i *Influx3) Start(ctx context.Context) error {
	if err := i.process.start(); err != nil {
		return err
	}
	return i.process.await(ctx, influxStart, "influxdb3", func(ctx context.Context) error {
		_, _, err := i.Call(ctx, "", http.MethodGet, "/ping", nil)
		return err
	})
}

// Stop stops it as an administrator would.
func (i *Influx3) Stop() error { return i.process.stop() }

// Kill is a crash.
func (i *Influx3) Kill() { i.process.kill() }

// Logs is everything it has written so far.
func (i *Influx3) Logs() string { return i.process.logs() }

// LogPath is the file that Logs reads.
func (i *Influx3) LogPath() string { return i.process.logPath }

// Call is one call with any token, or none, and its answer whatever the status. JSON in; nil means no body, and a string is
// sent as it is.
func (i *Influx3) Call(ctx context.Context, token, method, path string, in any) (int, []byte, error) {
	return CallInflux3(ctx, i.http, i.URL, token, method, path, in)
}

// CallInflux3 is Call for an InfluxDB 3 at any address.
func CallInflux3(ctx context.Context, client *http.Client, url, token, method, path string, in any) (int, []byte, error) {
	var body io.Reader
	switch in := in.(type) {
	case nil:
	case string:
		body = bytes.NewReader([]byte(in))
	default:
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, url+path, body)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}
