package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// What Setup makes in each InfluxDB, and where the engines are mounted.
const (
	org, bucket, user = "acme", "metrics", "root"

	oursPath, floorPath, earlierPath, peerPath = "influxdb", "floor", "earlier", "peer"
)

// earlierCommit is the build that this one is held against.
const earlierCommit = "80d38b5"

// peerBinary is the environment variable that names the peer's binary: the database plugin for InfluxDB 2,
// github.com/lkubb/vault-plugin-database-influxdb2.
const peerBinary = "PEER_BIN"

// stand is a Vault on raft storage and an InfluxDB, with the plugin and the floor engine mounted.
type stand struct {
	lab    *lab.Lab
	vault  *lab.Vault
	influx *lab.Influx
	binaries
	vaultAPI      *server
	influxAPI     *server
	authorization []byte // the body of a POST as the plugin makes it for its role
	pprof         string // the directory where the plugin's processes say where they serve statistics
}

// binaries are what every stand runs. An earlier build and a peer are there where they can be had.
type binaries struct {
	ours, floor   lab.Plugin
	earlier, peer *lab.Plugin
}

func build(ctx context.Context, l *lab.Lab) (b binaries, err error) {
	if b.ours, err = l.TestPlugin(ctx); err != nil {
		return b, err
	}
	if b.floor, err = l.Floor(ctx); err != nil {
		return b, err
	}
	earlier, err := l.PluginOf(ctx, earlierCommit, lab.PluginVersion)
	switch {
	case err == nil:
		earlier.Name = "influxdb-" + earlierCommit
		b.earlier = &earlier
	case errors.Is(err, lab.ErrNoCommit):
		fmt.Fprintln(os.Stderr, "not measured:", err)
	default:
		return b, err
	}
	path := os.Getenv(peerBinary)
	if path == "" {
		fmt.Fprintln(os.Stderr, "not measured: the peer; "+peerBinary+" names its binary")
		return b, nil
	}
	peer, err := lab.DatabasePlugin(path, "influxdb2-database-plugin")
	b.peer = &peer
	return b, err
}

func newStand(ctx context.Context, l *lab.Lab, b binaries) (*stand, error) {
	s := &stand{lab: l, binaries: b}
	var err error
	if s.pprof, err = os.MkdirTemp(l.Dir(), "pprof"); err != nil {
		return nil, err
	}
	// The level of a Vault in production: at others Vault traces each call to a plugin.
	env := []string{"VAULT_LOG_LEVEL=info", "PPROF_DIRECTORY=" + s.pprof}
	var options lab.InfluxOptions
	if s.peer != nil { // it looks for its token's value in the list
		options.Args = []string{"--use-hashed-tokens=false"}
	}
	var vaultErr, influxErr error
	var both sync.WaitGroup
	both.Go(func() { s.vault, vaultErr = l.StartVault(ctx, lab.VaultOptions{Env: env}) })
	both.Go(func() {
		if s.influx, influxErr = l.StartInflux(ctx, options); influxErr == nil {
			_, influxErr = s.influx.Setup(ctx, org, bucket, user)
		}
	})
	both.Wait()
	if err := errors.Join(vaultErr, influxErr); err != nil {
		return nil, err
	}
	s.vaultAPI = vaultServer(s.vault.Address, s.vault.RootToken())
	s.influxAPI = influxServer(s.influx.URL, s.influx.Operator)
	if s.authorization, err = json.Marshal(s.constantRequest()); err != nil {
		return nil, err
	}
	return s, s.mountEngines(ctx)
}

// constantRequest is what the plugin asks InfluxDB for, but for the nonce and the deadline in its description.
func (s *stand) constantRequest() lab.Authorization {
	made := s.influx.Onboarding
	grant := func(action string) lab.Permission {
		return lab.Permission{Action: action, Resource: lab.Resource{Type: "buckets", ID: made.Bucket.ID, OrgID: made.Org.ID}}
	}
	return lab.Authorization{
		OrgID: made.Org.ID, Status: "active", Permissions: []lab.Permission{grant("read"), grant("write")},
		Description: "Read buckets metrics Write buckets metrics (vault influxdb/creds/app for root) " +
			"[floor:v1:9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77:lease:app:0123456789abcdef:1795627421]",
	}
}

func (s *stand) mountEngines(ctx context.Context) error {
	if s.peer != nil { // first: it takes the last token in the list that its user has for its own
		if err := s.mountPeer(ctx); err != nil {
			return err
		}
	}
	for _, plugin := range []lab.Plugin{s.ours, s.floor} {
		if err := s.vault.Register(ctx, plugin); err != nil {
			return err
		}
	}
	if err := s.vault.MountPlugin(ctx, s.floor.Name, floorPath, "1h", "24h"); err != nil {
		return err
	}
	target := map[string]any{"url": s.influx.URL, "token": s.influx.Operator, "body": string(s.authorization)}
	if err := s.vaultAPI.write(ctx, floorPath+"/target", target); err != nil {
		return err
	}
	if err := s.mountOurs(ctx, lab.PluginName, oursPath, s.influx.URL, nil); err != nil {
		return err
	}
	if s.earlier != nil {
		if err := s.vault.Register(ctx, *s.earlier); err != nil {
			return err
		}
		if err := s.mountOurs(ctx, s.earlier.Name, earlierPath, s.influx.URL, nil); err != nil {
			return err
		}
	}
	return nil
}

// mountPeer mounts Vault's database engine with the peer, connects it, and makes a role.
func (s *stand) mountPeer(ctx context.Context) error {
	if err := s.vault.Register(ctx, *s.peer); err != nil {
		return err
	}
	if err := s.vault.MountPlugin(ctx, "database", peerPath, "1h", "24h"); err != nil {
		return err
	}
	address, err := url.Parse(s.influx.URL)
	if err != nil {
		return err
	}
	grants, err := json.Marshal(map[string][]string{"read_bucket": {bucket}, "write_bucket": {bucket}})
	if err != nil {
		return err
	}
	err = s.vaultAPI.write(ctx, peerPath+"/config/influx", map[string]any{
		"plugin_name": s.peer.Name, "allowed_roles": "*", "host": address.Hostname(), "port": address.Port(),
		"organization": org, "password": s.influx.Operator,
	})
	if err != nil {
		return err
	}
	return s.vaultAPI.write(ctx, peerPath+"/roles/app", map[string]any{"db_name": "influx", "creation_statements": []string{string(grants)}})
}

// bucketRole grants what constantRequest asks for.
var bucketRole = map[string]any{"read_buckets": bucket, "write_buckets": bucket}

// mountOurs mounts a build of the plugin at a path, connects it, and makes a role and a static role.
func (s *stand) mountOurs(ctx context.Context, name, path, url string, more map[string]any) error {
	if err := s.vault.MountPlugin(ctx, name, path, "1h", "24h"); err != nil {
		return err
	}
	config := map[string]any{"url": url, "token": s.influx.Operator, "org": org}
	for field, value := range more {
		config[field] = value
	}
	for _, write := range []struct {
		path   string
		fields map[string]any
	}{{"config", config}, {"roles/app", bucketRole}, {"static-roles/meter", bucketRole}} {
		if err := s.vaultAPI.write(ctx, path+"/"+write.path, write.fields); err != nil {
			return err
		}
	}
	return nil
}

// process finds the process that runs a plugin.
func (s *stand) process(ctx context.Context, plugin lab.Plugin) (process, error) {
	pids, err := s.vault.PIDsOf(ctx, plugin)
	if err != nil {
		return process{}, err
	}
	if len(pids) != 1 {
		return process{}, fmt.Errorf("%d processes run %s, and not one", len(pids), filepath.Base(plugin.Path))
	}
	return newProcess(int32(pids[0]), s.pprof)
}

// create makes a token as an administrator would, and returns its ID.
func (s *stand) create(ctx context.Context) (string, error) {
	var made lab.Authorization
	err := s.influxAPI.call(ctx, http.MethodPost, "authorizations", s.authorization, &made)
	return made.ID, err
}

func (s *stand) remove(ctx context.Context, id string) error {
	return s.influxAPI.call(ctx, http.MethodDelete, "authorizations/"+id, nil, nil)
}
