package main

import (
	"context"
	"time"
)

// usage is what was spent: processor time of each server, and what the plugin allocated.
type usage struct {
	plugin, vault, influx time.Duration
	objects, bytes        float64
}

func (u usage) minus(other usage) usage {
	return usage{u.plugin - other.plugin, u.vault - other.vault, u.influx - other.influx, u.objects - other.objects, u.bytes - other.bytes}
}

func (u usage) per(calls int) usage {
	n := time.Duration(max(1, calls))
	return usage{u.plugin / n, u.vault / n, u.influx / n, u.objects / float64(n), u.bytes / float64(n)}
}

// meter reads what was spent so far.
type meter func(context.Context) (usage, error)

// during says what is spent while something is done.
func (m meter) during(ctx context.Context, do func() (load, error)) (load, usage, error) {
	before, err := m(ctx)
	if err != nil {
		return load{}, usage{}, err
	}
	l, err := do()
	if err != nil {
		return load{}, usage{}, err
	}
	after, err := m(ctx)
	return l, after.minus(before), err
}

// meter reads the servers of a stand, and one plugin; nil is none.
func (s *stand) meter(plugin *process) (meter, error) {
	vault, err := newProcess(int32(s.vault.PID()), s.pprof)
	if err != nil {
		return nil, err
	}
	influx, err := newProcess(int32(s.influx.PID()), s.pprof)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (u usage, err error) {
		if u.vault, err = vault.cpu(ctx); err != nil {
			return u, err
		}
		if u.influx, err = influx.cpu(ctx); err != nil || plugin == nil {
			return u, err
		}
		if u.plugin, err = plugin.cpu(ctx); err == nil && plugin.address != "" {
			u.objects, u.bytes, err = plugin.allocated(ctx)
		}
		return u, err
	}, nil
}
