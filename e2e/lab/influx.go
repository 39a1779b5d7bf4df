package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// The InfluxDB versions under test: the newest, which stores tokens hashed, and the last of those
// that store them in clear.
const (
	InfluxVersion    = "2.9.1"
	OldInfluxVersion = "2.7.12"
)

// influxStart is how long influxd may take until it answers; a loaded machine needs some seconds.
const influxStart = 60 * time.Second

// InfluxOptions says how to start influxd; the zero value is the newest version without TLS.
type InfluxOptions struct {
	// Version is a number such as 2.8.0; as 2.8.0+hashed it is started so that it stores tokens hashed, which is not its
	// own choice.
	Version string
	// Authority makes influxd serve https with a certificate that it signs.
	Authority *Authority
	// ServerNames are the names of that certificate, besides 127.0.0.1.
	ServerNames []string
	// Args are further arguments of influxd.
	Args []string
	// Instead is an InfluxDB that is stopped: this one serves at its address.
	Instead *Influx
}

// Influx is a running influxd. Until Setup it is as fresh as after its installation.
type Influx struct {
	URL     string
	Version string
	// HashesTokens says that it keeps no token's value, so that nobody can list them.
	HashesTokens bool
	// Onboarding is what Setup made.
	Onboarding Onboarding
	// Operator is the operator token that Setup made; the methods that manage use it.
	Operator string

	dir     string
	process *process
	http    *http.Client
	handed  handed
}

// StartInflux starts an influxd with empty data and waits until it answers.
func (l *Lab) StartInflux(ctx context.Context, options InfluxOptions) (*Influx, error) {
	version := options.Version
	if version == "" {
		version = InfluxVersion
	}
	version, hashed := strings.CutSuffix(version, "+hashed")
	if hashed {
		options.Args = append([]string{"--use-hashed-tokens"}, options.Args...)
	}
	binary, err := Binary(ctx, "influxd", version)
	if err != nil {
		return nil, err
	}
	dir, err := l.subdirectory("influxd-" + version)
	if err != nil {
		return nil, err
	}
	address, err := options.address()
	if err != nil {
		return nil, err
	}
	influx := &Influx{URL: "http://" + address, Version: version, dir: dir, http: &http.Client{Timeout: time.Minute}}
	influx.HashesTokens = hashed || hashesTokens(version)
	args := append([]string{
		"--http-bind-address", address,
		"--bolt-path", influx.boltPath(),
		"--sqlite-path", influx.sqlitePath(),
		"--engine-path", filepath.Join(dir, "engine"),
		"--reporting-disabled",
	}, options.Args...)
	if options.Authority != nil {
		more, err := influx.useTLS(dir, options)
		if err != nil {
			return nil, err
		}
		args = append(args, more...)
	}
	influx.process = newProcess(dir, binary, args, nil)
	l.own(influx.process)
	l.mu.Lock()
	l.influxes = append(l.influxes, influx)
	l.mu.Unlock()
	return influx, influx.Start(ctx)
}

// address is where the server listens.
func (o InfluxOptions) address() (string, error) {
	if o.Instead == nil {
		return FreeAddress()
	}
	_, address, _ := strings.Cut(o.Instead.URL, "://")
	return address, nil
}

// useTLS makes the server's certificate, and its own client trust it. It returns influxd's arguments.
func (i *Influx) useTLS(dir string, options InfluxOptions) ([]string, error) {
	pair, err := options.Authority.Server(options.ServerNames...)
	if err != nil {
		return nil, err
	}
	certFile, keyFile, err := pair.write(dir)
	if err != nil {
		return nil, err
	}
	i.URL = "https" + i.URL[len("http"):]
	i.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: options.Authority.Pool()}}
	return []string{"--tls-cert", certFile, "--tls-key", keyFile}, nil
}

// Start starts it (again, with the same data, on the same port) and waits until it answers.
func (i *Influx) Start(ctx context.Context) error {
	if err := i.process.start(); err != nil {
		return err
	}
	return i.process.await(ctx, influxStart, "influxd "+i.Version, func(ctx context.Context) error {
		// From 2.10 on /health answers 200 some time before the API is there.
		status, _, err := i.send(ctx, http.MethodGet, "/ping", "", nil)
		if err == nil && status != http.StatusNoContent {
			err = fmt.Errorf("a ping is answered %d", status)
		}
		return err
	})
}

// Stop stops it as an administrator would.
func (i *Influx) Stop() error { return i.process.stop() }

// Kill is a crash.
func (i *Influx) Kill() { i.process.kill() }

// PID is the number of its process.
func (i *Influx) PID() int { return i.process.pid() }

// Logs is everything it has written so far.
func (i *Influx) Logs() string { return i.process.logs() }

// LogPath is the file that Logs reads.
func (i *Influx) LogPath() string { return i.process.logPath }
