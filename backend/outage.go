package backend

import (
	"errors"
	"sync/atomic"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// enoughFailures make an outage sure.
const enoughFailures = 2 * drainWidth

// outage gathers what speaks for it that an InfluxDB is out of reach: then each further deletion there would take its
// whole time-out for nothing. One token that InfluxDB fails on does not keep the others.
type outage struct{ failures atomic.Int64 }

// note takes a failed deletion into account. Without an answer, and with a root token that is not valid, none of the
// others can be done.
func (o *outage) note(err error) {
	var failed *influx.Error
	silent := errors.As(err, &failed) && failed.Status == 0
	switch {
	case silent, isReplaced(err), influx.Is(err, influx.InactiveUser):
		o.failures.Store(enoughFailures)
	case influx.Is(err, influx.Unavailable):
		o.failures.Add(1)
	}
}

func (o *outage) isSure() bool { return o.failures.Load() >= enoughFailures }
