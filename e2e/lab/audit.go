package lab

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/hashicorp/vault/api"
)

// AuditVaults makes every Vault that this lab starts from now on write an audit log in which nothing is
// hashed: whoever looks for what must not be said finds it there, whichever client it was said to.
func (l *Lab) AuditVaults() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.auditsVaults = true
}

// auditStarted makes a Vault that has just been started write its audit log to AuditPath as it is, where the
// lab wants that. Of a cluster it is one node's: the file is all nodes'.
func (l *Lab) auditStarted(ctx context.Context, v *Vault) error {
	l.mu.Lock()
	audited := l.auditsVaults
	l.mu.Unlock()
	if !audited {
		return nil
	}
	v.AuditPath = filepath.Join(v.dir, "audit.log")
	return v.Client().Sys().EnableAuditWithOptionsWithContext(ctx, "everything", &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": v.AuditPath, "log_raw": "true"},
	})
}

// Vaults are all that this lab has started, also those that are stopped.
func (l *Lab) Vaults() []*Vault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.vaults)
}

// Influxes are all that this lab has started, also those that are stopped.
func (l *Lab) Influxes() []*Influx {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.influxes)
}
