package backend

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
)

// told is an error whose text is meant for the caller, with its HTTP status.
type told struct {
	status int
	text   string
	cause  error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.cause }

// badInput is a 400.
func badInput(format string, args ...any) error {
	return &told{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// overCap is a 429.
func overCap(format string, args ...any) error {
	return &told{status: http.StatusTooManyRequests, text: fmt.Sprintf(format, args...)}
}

// answerable turns a verb's error into one that keeps its status on the way to the caller. Vault looks at
// the outermost error alone, so this comes last.
func answerable(err error) error {
	var (
		known    *told
		upstream *influx.Error
		problem  *permission.Problem
		setting  *influx.FieldError
	)
	switch {
	case errors.As(err, &known):
		return logical.CodedError(known.status, err.Error())
	case errors.As(err, &problem), errors.As(err, &setting):
		return logical.CodedError(http.StatusBadRequest, err.Error())
	case errors.As(err, &upstream):
		return logical.CodedError(upstreamStatus(upstream), err.Error())
	}
	return err
}

// upstreamStatus is 400 where the role asks for what InfluxDB does not grant, and 502 for everything that
// the caller can't help: InfluxDB out of reach, or our root token refused.
func upstreamStatus(e *influx.Error) int {
	switch e.Kind {
	case influx.MissingPermission, influx.Forbidden, influx.Invalid, influx.NotFound:
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}
