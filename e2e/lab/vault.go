package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"
)

// vaultStart is how long Vault may take until it answers, and again until it is active: a raft node
// first has to win an election against nobody.
const vaultStart = 60 * time.Second

// VaultOptions says how to start Vault; the zero value is one node on raft.
type VaultOptions struct {
	// Storage is "raft", "file" or "inmem"; what is in memory does not survive a restart.
	Storage string
	// Config is appended to the configuration file.
	Config string
	// Env are further environment variables, NAME=value.
	Env []string
	// Binary is a Vault's or an OpenBao's; else that of Host.
	Binary string

	node node
}

// node is a Vault's place in a cluster; the zero value stands alone.
type node struct {
	// name and leaders are what raft calls it, and whom it asks to let it in.
	name    string
	leaders []string
	// pluginDirectory is all nodes'.
	pluginDirectory string
}

// Vault is a running Vault server, initialized and unsealed. Its root token and unseal key are kept
// in memory only.
type Vault struct {
	Address string
	// PluginDirectory is where Register puts plugins.
	PluginDirectory string
	// AuditPath is the audit log of a lab that audits; empty where it doesn't.
	AuditPath string

	dir       string
	process   *process
	inCluster bool
	rootToken string
	unsealKey string
}

// StartVault starts a Vault with empty data, initializes and unseals it.
func (l *Lab) StartVault(ctx context.Context, options VaultOptions) (*Vault, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	vault, err := l.newVault(ctx, address, options)
	if err != nil {
		return nil, err
	}
	if err := vault.Start(ctx); err != nil {
		return vault, err
	}
	return vault, l.auditStarted(ctx, vault)
}

// newVault makes what a Vault needs to be started.
func (l *Lab) newVault(ctx context.Context, address string, options VaultOptions) (*Vault, error) {
	if options.Binary == "" {
		binary, err := Binary(ctx, Host())
		if err != nil {
			return nil, err
		}
		options.Binary = binary
	}
	dir, err := l.subdirectory("vault")
	if err != nil {
		return nil, err
	}
	vault := &Vault{
		Address: "http://" + address, PluginDirectory: options.node.pluginDirectory,
		dir: dir, inCluster: options.node.name != "",
	}
	if !vault.inCluster {
		vault.PluginDirectory = filepath.Join(dir, "plugins")
	}
	config, err := vault.configure(dir, address, options)
	if err != nil {
		return nil, err
	}
	env := append([]string{"TMPDIR=" + socketDirectory(dir)}, options.Env...)
	vault.process = newProcess(dir, options.Binary, []string{"server", "-config=" + config}, env)
	l.own(vault.process)
	l.mu.Lock()
	l.vaults = append(l.vaults, vault)
	l.mu.Unlock()
	return vault, nil
}

// configure writes Vault's configuration file and makes the directories it names.
func (v *Vault) configure(dir, address string, options VaultOptions) (string, error) {
	cluster, err := FreeAddress()
	if err != nil {
		return "", err
	}
	storage := options.Storage
	if storage == "" {
		storage = "raft"
	}
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.MkdirAll(v.PluginDirectory, 0o700)); err != nil {
		return "", err
	}
	// OpenBao makes no audit log by its API otherwise; Vault knows no such field, and goes on without it.
	config := fmt.Sprintf(`
unsafe_allow_api_audit_creation = true
disable_mlock    = true
log_level        = "trace"
api_addr         = "http://%[1]s"
cluster_addr     = "http://%[2]s"
plugin_directory = %[3]q
listener "tcp" {
  address         = %[1]q
  cluster_address = %[2]q
  tls_disable     = true
  max_request_duration = "10m" # tests hold calls
}
storage %[4]q {
%[5]s}
%[6]s`, address, cluster, v.PluginDirectory, storage, storageSettings(storage, data, options.node), options.Config)
	path := filepath.Join(dir, "vault.hcl")
	return path, os.WriteFile(path, []byte(config), 0o600)
}

func storageSettings(storage, data string, n node) string {
	switch {
	case storage == "raft" && n.name != "": // Vault's own time-outs: a busy machine must not look like a dead leader
		return n.settings(data)
	case storage == "raft": // the shortest time-outs: there is nobody to wait for
		return fmt.Sprintf("  path = %q\n  node_id = \"lab\"\n  performance_multiplier = 1\n", data)
	case storage == "file":
		return fmt.Sprintf("  path = %q\n", data)
	default:
		return ""
	}
}

// socketDirectory is where plugins put their sockets: in the server's own directory, so that a killed
// Vault leaves nothing elsewhere, unless that makes a path too long for a socket (104 bytes on macOS).
func socketDirectory(dir string) string {
	if len(dir) > 50 {
		return os.TempDir()
	}
	return dir
}

// Start starts it (again, with the same data, on the same port), and unseals it.
func (v *Vault) Start(ctx context.Context) error {
	if err := v.process.start(); err != nil {
		return err
	}
	err := v.process.await(ctx, vaultStart, "Vault", func(ctx context.Context) error {
		_, err := v.Client().Sys().SealStatusWithContext(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := v.initializeOnce(ctx); err != nil {
		return err
	}
	return v.Unseal(ctx)
}

// Stop stops it as an administrator would.
func (v *Vault) Stop() error { return v.process.stop() }

// Kill is a crash: kill -9 of Vault alone. Its plugin processes live on as orphans until Close.
func (v *Vault) Kill() { v.process.kill() }

// PID is the number of its process.
func (v *Vault) PID() int { return v.process.pid() }

// Logs is everything Vault and its plugins have written so far.
func (v *Vault) Logs() string { return v.process.logs() }

// LogPath is the file that Logs reads.
func (v *Vault) LogPath() string { return v.process.logPath }

// RootToken is for those who must hand it on; Client has it already.
func (v *Vault) RootToken() string { return v.rootToken }

// Client is a new client with the root token. It does not retry: a test wants the first answer.
func (v *Vault) Client() *api.Client { return v.clientThrough(v.Address, nil) }

// clientThrough is a client with a transport of its own, or the usual one where that is nil.
func (v *Vault) clientThrough(address string, transport http.RoundTripper) *api.Client {
	config := api.DefaultConfig()
	config.Address, config.AgentAddress = address, ""
	config.MaxRetries = 0
	config.Timeout = 10 * time.Minute // a busy machine is no fault; tests bound what they wait for themselves
	if transport != nil {
		config.HttpClient.Transport = transport
	}
	client, err := api.NewClient(config)
	if err != nil { // only an address that is no URL, or broken VAULT_* variables around this program
		panic(fmt.Sprintf("making a client of %s (is a VAULT_* variable set wrongly?): %v", address, err))
	}
	client.ClearNamespace()
	client.SetToken(v.rootToken)
	return client
}
