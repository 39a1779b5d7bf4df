package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// The names in the story.
const (
	mount  = "influxdb"
	role   = "app"
	org    = "acme"
	bucket = "metrics"
	admin  = "admin"

	defaultLeaseTTL = "1h"
	maxLeaseTTL     = "24h"
)

// story is the demonstration. The two tokens that can do everything lie in files, never on a command
// line, where every user of the machine could read them.
type story struct {
	lab *lab.Lab
	narrator

	host   host
	influx *lab.Influx
	// core is an InfluxDB 3 Core in its place, and influx is nil then.
	core   *lab.Influx3
	vault  *lab.Vault
	client *api.Client
	plugin lab.Plugin

	operatorTokenFile string
	vaultTokenFile    string
}

// tell runs the steps in order and stops at the first that does not go as told.
func (s *story) tell(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.build, s.startInflux, s.startVault, s.registerPlugin, s.configure, s.writeRole, s.useToken,
	}
	if onCore() {
		steps = []func(context.Context) error{
			s.build, s.startCore, s.startVault, s.registerPlugin, s.configureCore, s.writeCoreRole, s.useCoreToken,
		}
	}
	for _, next := range steps {
		if err := next(ctx); err != nil {
			return fmt.Errorf("step %d: %w", s.steps, err)
		}
	}
	return nil
}

func (s *story) startInflux(ctx context.Context) (err error) {
	s.step("Start InfluxDB %s and set it up: organization %s, bucket %s.", lab.InfluxVersion, org, bucket)
	if s.influx, err = s.lab.StartInflux(ctx, lab.InfluxOptions{}); err != nil {
		return err
	}
	s.command(`curl -X POST %s/api/v2/setup --data '{"org":"%s","bucket":"%s","username":"%s"}'`,
		s.influx.URL, org, bucket, admin)
	if _, err := s.influx.Setup(ctx, org, bucket, admin); err != nil {
		return err
	}
	s.operatorTokenFile = filepath.Join(s.lab.Dir(), "influxdb-operator-token")
	s.result("it runs at %s; its operator token lies in %s", s.influx.URL, s.operatorTokenFile)
	return os.WriteFile(s.operatorTokenFile, []byte(s.influx.Operator+"\n"), 0o600)
}

func (s *story) startVault(ctx context.Context) (err error) {
	s.step("Start %s, initialize and unseal it.", s.host.name())
	s.command("%[1]s operator init -key-shares=1 -key-threshold=1 && %[1]s operator unseal", s.host.command)
	if s.vault, err = s.lab.StartVault(ctx, lab.VaultOptions{Binary: s.host.binary}); err != nil {
		return err
	}
	s.client = s.vault.Client()
	health, err := s.client.Sys().HealthWithContext(ctx)
	if err != nil {
		return err
	}
	s.vaultTokenFile = filepath.Join(s.lab.Dir(), s.host.command+"-token")
	s.result("%s %s runs at %s; its root token lies in %s", s.host.name(), health.Version, s.vault.Address, s.vaultTokenFile)
	return os.WriteFile(s.vaultTokenFile, []byte(s.vault.RootToken()+"\n"), 0o600)
}

// build builds all that this machine lacks side by side: compiling Flux, which is in influxd, leaves a processor idle.
func (s *story) build(ctx context.Context) error {
	s.step("Build the plugin, and get the servers where this machine has none.")
	s.command("make build")
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		s.plugin, err = s.lab.Plugin(ctx, lab.PluginVersion)
		return err
	})
	all.Go(func() (err error) {
		s.host.command, s.host.binary, err = lab.AnyHost(ctx)
		return err
	})
	all.Go(func() error {
		if onCore() {
			return nil
		}
		_, err := lab.Binary(ctx, "influxd")
		return err
	})
	if err := all.Wait(); err != nil {
		return err
	}
	s.result("%s, version %s", filepath.Base(s.plugin.Path), s.plugin.Version)
	return nil
}

func (s *story) registerPlugin(ctx context.Context) error {
	s.step("Register the plugin with %s and enable it at %s/.", s.host.name(), mount)
	s.command("%s plugin register -sha256=%s -command=%s -version=%s secret %s",
		s.host.command, s.plugin.SHA256, filepath.Base(s.plugin.Path), s.plugin.Version, lab.PluginName)
	if err := s.vault.Register(ctx, s.plugin); err != nil {
		return err
	}
	s.command("%s secrets enable -default-lease-ttl=%s -max-lease-ttl=%s -path=%s %s",
		s.host.command, defaultLeaseTTL, maxLeaseTTL, mount, lab.PluginName)
	if err := s.vault.Mount(ctx, mount, defaultLeaseTTL, maxLeaseTTL); err != nil {
		return err
	}
	s.result("the engine answers under %s/", mount)
	return nil
}

func (s *story) configure(ctx context.Context) error {
	s.step("Tell the engine where InfluxDB is and which token to mint others with.")
	s.command("%s write %s/config url=%s org=%s token=@%s", s.host.command, mount, s.influx.URL, org, s.operatorTokenFile)
	written, err := s.client.Logical().WriteWithContext(ctx, mount+"/config", map[string]any{
		"url": s.influx.URL, "org": org, "token": s.influx.Operator,
	})
	if err != nil {
		return err
	}
	s.warnings(written)
	s.result("the connection works and is stored")
	return nil
}

func (s *story) writeRole(ctx context.Context) error {
	s.step("Define the role %s: its tokens may read and write the bucket %s, and live for 5 minutes.", role, bucket)
	s.command("%s write %s/roles/%s read_buckets=%s write_buckets=%s ttl=5m max_ttl=1h", s.host.command, mount, role, bucket, bucket)
	written, err := s.client.Logical().WriteWithContext(ctx, mount+"/roles/"+role, map[string]any{
		"read_buckets": bucket, "write_buckets": bucket, "ttl": "5m", "max_ttl": "1h",
	})
	if err != nil {
		return err
	}
	s.warnings(written)
	s.result("the role is checked against InfluxDB and stored")
	return nil
}

func (s *story) warnings(answer *api.Secret) {
	if answer == nil {
		return
	}
	for _, warning := range answer.Warnings {
		s.result("warning: %s", warning)
	}
}
