package influx

import (
	"net/http"
	"slices"
)

// Proof is what an answer to a call of /api/v2/authorizations proves.
type Proof string

// The proofs. A proxy may judge a request, and then nothing was done, or judge the answer, after all was done: so only
// what InfluxDB itself says proves anything.
const (
	Unproven   Proof = "nothing: it may have been carried out or not"
	Applied    Proof = "it was carried out"
	NotApplied Proof = "it was not carried out"
	Absent     Proof = "there is no such authorization"
)

// Body is what an answer holds.
type Body string

// The bodies that prove something, each by itself or with the status beside it. All else is AnyBody: a page, nothing,
// JSON of another kind.
const (
	AnyBody      Body = "anything else"
	ResultBody   Body = "what was asked for (nothing, for DELETE)"
	ErrorBody    Body = "InfluxDB's own error: JSON with a message, and the code that belongs to the status"
	MissingBody  Body = `InfluxDB's own error "authorization not found"`
	StartingBody Body = `{"status":"starting"}, with the header X-Influxdb-Version`
)

// Rule is one line of Rules: an answer that proves something.
type Rule struct {
	Methods  []string
	Statuses []int
	Body     Body
	Proves   Proof
}

var everyMethod = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}

// Rules say what each answer to a call of /api/v2/authorizations proves; docs/operations.md has the same table. An
// answer that is in none of them is Unproven, and so is a call that got none after it was sent.
var Rules = []Rule{
	{[]string{http.MethodPost}, []int{http.StatusCreated}, ResultBody, Applied},
	{[]string{http.MethodGet, http.MethodPatch}, []int{http.StatusOK}, ResultBody, Applied},
	{[]string{http.MethodDelete}, []int{http.StatusNoContent}, ResultBody, Applied},
	// Not 404, 500 and the like: looking up what the answer holds can fail after the write.
	{everyMethod, []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests}, ErrorBody, NotApplied},
	// InfluxDB 2.10 answers so until its API is there.
	{everyMethod, []int{http.StatusServiceUnavailable}, StartingBody, NotApplied},
	{[]string{http.MethodGet, http.MethodPatch, http.MethodDelete}, []int{http.StatusNotFound}, MissingBody, Absent},
}

// proofOf returns what Rules say of an answer.
func proofOf(method string, status int, body Body) Proof {
	for _, r := range Rules {
		if r.Body == body && slices.Contains(r.Statuses, status) && slices.Contains(r.Methods, method) {
			return r.Proves
		}
	}
	return Unproven
}

// ownCodes are the codes of InfluxDB's errors, by the status that comes with each (kit/transport/http/error_handler.go
// of 2.7 to 2.10). Those of 408 and 499, for a request whose caller is gone, are the codes of any other.
var ownCodes = map[int][]string{
	http.StatusBadRequest:            {"invalid", "empty value"},
	http.StatusUnauthorized:          {"unauthorized"},
	http.StatusForbidden:             {"forbidden"},
	http.StatusNotFound:              {"not found"},
	http.StatusMethodNotAllowed:      {"method not allowed"},
	http.StatusRequestEntityTooLarge: {"request too large"},
	http.StatusUnprocessableEntity:   {"unprocessable entity", "conflict"},
	http.StatusTooManyRequests:       {"too many requests"},
	http.StatusInternalServerError:   {"internal error"},
	http.StatusNotImplemented:        {"not implemented"},
	http.StatusServiceUnavailable:    {"unavailable"},
}

// isOwnCode reports whether InfluxDB sends this code with this status.
func isOwnCode(status int, code string) bool {
	if status != http.StatusRequestTimeout && status != statusClientGone {
		return slices.Contains(ownCodes[status], code)
	}
	for _, codes := range ownCodes {
		if slices.Contains(codes, code) {
			return true
		}
	}
	return false
}

// statusClientGone is what nginx, and InfluxDB after it, answer to a request whose caller hung up.
const statusClientGone = 499
