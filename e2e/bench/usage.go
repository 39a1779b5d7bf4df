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

// minus is the processor time that was spent since.
func (u usage) minus(before usage) usage {
	return usage{plugin: u.plugin - before.plugin, vault: u.vault - before.vault, influx: u.influx - before.influx}
}

func (u usage) per(calls int) usage {
	n := time.Duration(max(1, calls))
	return usage{u.plugin / n, u.vault / n, u.influx / n, u.objects / float64(n), u.bytes / float64(n)}
}

// meter reads what was spent so far: processor time, and what the plugin allocated, whose reading costs it some itself.
type meter struct {
	time      func(context.Context) (usage, error)
	allocated func(context.Context) (objects, bytes float64, err error)
}

// during says what is spent while something is done.
func (m meter) during(ctx context.Context, do func() (load, error)) (load, usage, error) {
	objectsBefore, bytesBefore, err := m.allocated(ctx)
	if err != nil {
		return load{}, usage{}, err
	}
	before, err := m.time(ctx)
	if err != nil {
		return load{}, usage{}, err
	}
	l, err := do()
	if err != nil {
		return load{}, usage{}, err
	}
	after, err := m.time(ctx)
	if err != nil {
		return load{}, usage{}, err
	}
	spent := after.minus(before)
	spent.objects, spent.bytes, err = m.allocated(ctx)
	spent.objects, spent.bytes = spent.objects-objectsBefore, spent.bytes-bytesBefore
	return l, spent, err
}

// meter reads the servers of a stand, and one plugin; nil is none.
func (s *stand) meter(plugin *process) (meter, error) {
	vault, err := newProcess(int32(s.vault.PID()), s.pprof)
	if err != nil {
		return meter{}, err
	}
	influx, err := newProcess(int32(s.influx.PID()), s.pprof)
	if err != nil {
		return meter{}, err
	}
	m := meter{
		time: func(ctx context.Context) (u usage, err error) {
			if u.vault, err = vault.cpu(ctx); err != nil {
				return u, err
			}
			if u.influx, err = influx.cpu(ctx); err == nil && plugin != nil {
				u.plugin, err = plugin.cpu(ctx)
			}
			return u, err
		},
		allocated: func(context.Context) (objects, bytes float64, err error) { return 0, 0, nil },
	}
	if plugin != nil && plugin.address != "" {
		m.allocated = plugin.allocated
	}
	return m, nil
}
