package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/vault/api"
)

// Register puts a plugin into the plugin directory and into Vault's catalog.
func (v *Vault) Register(ctx context.Context, plugin Plugin) error {
	command := filepath.Base(plugin.Path)
	if err := copyExecutable(filepath.Join(v.PluginDirectory, command), plugin.Path); err != nil {
		return err
	}
	name := plugin.Name
	if name == "" {
		name = PluginName
	}
	kind := api.PluginTypeSecrets
	if plugin.Database {
		kind = api.PluginTypeDatabase
	}
	err := v.Client().Sys().RegisterPluginWithContext(ctx, &api.RegisterPluginInput{
		Name: name, Type: kind, Command: command,
		SHA256: plugin.SHA256, Version: plugin.Version,
	})
	if err != nil {
		return fmt.Errorf("registering the plugin: %w", err)
	}
	return nil
}

// Mount enables the plugin at a path. Empty times stand for Vault's own.
func (v *Vault) Mount(ctx context.Context, path, defaultLeaseTTL, maxLeaseTTL string) error {
	return v.MountPlugin(ctx, PluginName, path, defaultLeaseTTL, maxLeaseTTL)
}

// MountPlugin enables any plugin that was registered.
func (v *Vault) MountPlugin(ctx context.Context, name, path, defaultLeaseTTL, maxLeaseTTL string) error {
	return v.Client().Sys().MountWithContext(ctx, path, &api.MountInput{
		Type:   name,
		Config: api.MountConfigInput{DefaultLeaseTTL: defaultLeaseTTL, MaxLeaseTTL: maxLeaseTTL},
	})
}

// Upgrade tells mounts to run another version of their plugin, and reloads it, as the README says.
func (v *Vault) Upgrade(ctx context.Context, plugin Plugin, paths ...string) error {
	if err := v.Register(ctx, plugin); err != nil {
		return err
	}
	for _, path := range paths {
		if err := v.Client().Sys().TuneMountAllowNilWithContext(ctx, path, api.TuneMountConfigInput{PluginVersion: &plugin.Version}); err != nil {
			return fmt.Errorf("tuning %s: %w", path, err)
		}
	}
	// Of the two ways that Vault has, this is also OpenBao's.
	_, err := v.Client().Logical().WriteWithContext(ctx, "sys/plugins/reload/backend", map[string]any{"plugin": PluginName})
	return err
}

// Audit makes Vault write its audit log to a file.
func (v *Vault) Audit(ctx context.Context, path string) error {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return v.Client().Sys().EnableAuditWithOptionsWithContext(ctx, name, &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": path},
	})
}

// PluginPIDs are the living plugin processes that this Vault has started. Those that outlived a Kill
// are among them until the lab is closed.
func (v *Vault) PluginPIDs(ctx context.Context) ([]int, error) {
	groups := v.process.groups()
	found, err := living(ctx, func(m member) bool {
		return slices.Contains(groups, m.group) && filepath.Dir(m.command) == v.PluginDirectory
	})
	return numbers(found), err
}

// PIDsOf are those of them that run one plugin.
func (v *Vault) PIDsOf(ctx context.Context, plugin Plugin) ([]int, error) {
	groups, command := v.process.groups(), filepath.Join(v.PluginDirectory, filepath.Base(plugin.Path))
	found, err := living(ctx, func(m member) bool { return slices.Contains(groups, m.group) && m.command == command })
	return numbers(found), err
}

// KillPlugins is kill -9 of every plugin process, also of those that outlived a crash of Vault.
func (v *Vault) KillPlugins(ctx context.Context) error {
	pids, err := v.PluginPIDs(ctx)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("killing plugin process %d: %w", pid, err)
		}
	}
	return Await(ctx, stopGrace, "the plugin to die", func(ctx context.Context) error {
		left, err := Living(ctx, pids)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still there: %v", left)
		}
		return err
	})
}

// copyExecutable puts a new file in the place of an old one, which may be running.
func copyExecutable(to, from string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
