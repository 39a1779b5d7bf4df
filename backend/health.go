package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// maxProblems bounds an answer of check.
const maxProblems = 100

// health is the state of a mount.
type health struct {
	problems      []string
	server        influx.Server
	latency       time.Duration
	valuesHidden  bool
	pending       int
	oldestPending time.Time
	nextRotation  time.Time
}

func (h *health) problem(format string, args ...any) {
	h.problems = append(h.problems, fmt.Sprintf(format, args...))
}

// fails notes each line of an error as a problem.
func (h *health) fails(err error) {
	for _, line := range strings.Split(err.Error(), "\n") {
		line, refused := strings.CutSuffix(line, unchanged)
		if refused && strings.Contains(line, "does not know it") {
			line += "; write one that works to config, see docs/recovery.md"
		}
		h.problem("%s", line)
	}
}

// examineHealth looks at the connection, at what is pending, and at one role if one is named. Its errors are
// Vault's storage being out of order; whatever is wrong with InfluxDB is a problem.
func (b *backend) examineHealth(ctx context.Context, req *logical.Request, role string) (*health, error) {
	h := &health{}
	if err := b.pending.load(ctx, req.Storage); err != nil {
		return nil, err
	}
	b.examinePending(h)
	if said := b.reaper.problem(); said != "" {
		h.problem("%s", strings.ReplaceAll(said, "\n", "; "))
	}
	config, err := store.GetConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if err := b.examineRotation(ctx, req.Storage, h, config); err != nil {
		return nil, err
	}
	b.examineStatics(h)
	if config == nil {
		h.fails(notConfigured(req.MountPoint))
		return h, nil
	}
	h.nextRotation = config.NextRotation
	if err := b.examineConnection(ctx, h, config); err != nil {
		h.fails(err)
		return h, nil
	}
	if role == "" {
		return h, b.examineRoles(ctx, req.Storage, h, config)
	}
	return h, b.examineRole(ctx, req, h, config, role)
}

// examinePending counts what is pending. A mint without an answer is a problem only when a list should long have
// told what became of it.
func (b *backend) examinePending(h *health) {
	deletions, overdue := 0, 0
	var oldest time.Time // of the deletions
	for _, entry := range b.pending.all() {
		if h.pending++; h.oldestPending.IsZero() || entry.Since.Before(h.oldestPending) {
			h.oldestPending = entry.Since
		}
		switch {
		case entry.Nonce == "":
			if deletions++; oldest.IsZero() || entry.Since.Before(oldest) {
				oldest = entry.Since
			}
		case b.now().Sub(entry.Since) > 2*nonceAge:
			overdue++
		}
	}
	if deletions > 0 {
		h.problem("%d deletions are pending, the oldest since %s: InfluxDB refuses them or is out of reach; each is tried again every minute", deletions, rfc3339(oldest))
		if said := b.pending.complaint(); said != "" {
			h.problem("the oldest pending deletion last failed so: %s", strings.ReplaceAll(said, "\n", "; "))
		}
	}
	if overdue > 0 {
		h.problem("%d mints were not answered, and the list of tokens that tells what became of them can't be had: InfluxDB is out of reach or the root token may not read authorizations; it is asked again every minute", overdue)
	}
}

// examineConnection takes the steps of a verified write.
func (b *backend) examineConnection(ctx context.Context, h *health, config *store.Connection) error {
	e, err := dial(config)
	if err != nil {
		return err
	}
	defer e.client.Close()
	v := verification{e: e, found: &store.Found{}}
	err = v.all(ctx, b)
	h.server, h.latency, h.valuesHidden = v.pinged, v.latency, v.valuesHidden
	return err
}

func (b *backend) examineRole(ctx context.Context, req *logical.Request, h *health, config *store.Connection, name string) error {
	if checkName(name) != nil { // no role can have it
		return noRole(name, req.MountPoint)
	}
	role, err := store.GetRole(ctx, req.Storage, name)
	if err != nil {
		return err
	}
	if role == nil {
		return noRole(name, req.MountPoint)
	}
	e, err := b.fresh(config)
	if err != nil {
		return err
	}
	_, err = b.tryRole(ctx, e, role) // what it warns of was accepted when the role was written
	if err != nil {
		h.fails(err)
	}
	return nil
}

// rfc3339 says a time as answers do; "" for none.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
