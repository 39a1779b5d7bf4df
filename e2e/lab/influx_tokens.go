package lab

import (
	"context"
	"slices"
	"sync"
)

// handed are the token values that InfluxDB has told this program.
type handed struct {
	mu     sync.Mutex
	values []string
}

func (h *handed) add(value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.values = append(h.values, value)
}

func (h *handed) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.values)
}

// TokenValues are the values of the tokens that Setup and CreateAuthorization made, and of all others that
// a running InfluxDB lists because it keeps them in clear.
func (i *Influx) TokenValues(ctx context.Context) ([]string, error) {
	values := i.handed.all()
	if len(values) == 0 || i.process.gone() != nil {
		return values, nil
	}
	listed, err := i.Authorizations(ctx)
	for _, one := range listed {
		if one.Token != "" {
			values = append(values, one.Token)
		}
	}
	return values, err
}
