package influxtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// call is one authenticated request to a handler.
type call struct {
	*store
	by    *authorization // whose token the request carries
	id    string         // the ID in the path, on the routes that have one
	query url.Values
	body  []byte
}

// decode reads a body as InfluxDB does: what stands behind the JSON value is ignored.
func (c *call) decode(into any) error {
	return json.NewDecoder(bytes.NewReader(c.body)).Decode(into)
}

// handler answers a call with a status and a body (nil for none), or an error. It runs under the server's lock,
// so that each request is one transaction, as in influxd.
type handler func(*Server, *call) (status int, body any, err error)

// collection is the handlers of /api/v2/<collection> and of /api/v2/<collection>/<id>, by method.
type collection struct {
	all, one map[string]handler
}

var collections = map[string]collection{
	"authorizations": {
		all: map[string]handler{"GET": (*Server).listAuthorizations, "POST": (*Server).createAuthorization},
		one: map[string]handler{
			"GET": (*Server).getAuthorization, "PATCH": (*Server).patchAuthorization, "DELETE": (*Server).deleteAuthorization,
		},
	},
	"buckets": {
		all: map[string]handler{"GET": (*Server).listBuckets, "POST": (*Server).createBucket},
		one: map[string]handler{
			"GET": (*Server).getBucket, "PATCH": (*Server).patchBucket, "DELETE": (*Server).deleteBucket,
		},
	},
	"me": {all: map[string]handler{"GET": (*Server).me}},
	"orgs": {
		all: map[string]handler{"GET": (*Server).listOrgs, "POST": (*Server).createOrg},
		one: map[string]handler{"GET": (*Server).getOrg, "DELETE": (*Server).deleteOrg},
	},
	"setup": {},
	"write": {all: map[string]handler{"POST": (*Server).writePoints}},
	"users": {
		all: map[string]handler{"GET": (*Server).listUsers, "POST": (*Server).createUser},
		one: map[string]handler{
			"GET": (*Server).getUser, "PATCH": (*Server).patchUser, "DELETE": (*Server).deleteUser,
		},
	},
}

// serve notes the request and lets the faults have it first. The body is read here, whole: only then does
// net/http notice that a client hangs up, which ends a stalled request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what a broken request lacks, its handler will miss
	r.Body = io.NopCloser(bytes.NewReader(body))

	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.URL.RawQuery})
	now := s.now
	s.mu.Unlock()
	w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
	s.Serve(w, r, http.HandlerFunc(s.handle))
}

// handle is the server without any faults (http/platform_handler.go and http/handler.go; measured).
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if s.cloud {
		s.handleAsCloud(w, r)
		return
	}
	w.Header().Set("X-Influxdb-Build", "OSS")
	w.Header().Set("X-Influxdb-Version", s.version)
	switch path := r.URL.Path; {
	case path == "/ping":
		ping(w, r)
	case path == "/health":
		s.health(w)
	case !strings.HasPrefix(path, "/api/v2") && !strings.HasPrefix(path, "/private/"):
		// Where the user interface is served from. A released influxd answers its start page instead, with 200.
		http.Error(w, "no assets included in binary", http.StatusNotFound)
	case path == "/api/v2/setup" && (r.Method == "GET" || r.Method == "POST"):
		s.setup(w, r)
	default:
		s.api(w, r)
	}
}

func ping(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// health checks nothing and no token; it takes any method (http/health.go; measured).
func (s *Server) health(w http.ResponseWriter) {
	const body = `{"name":"influxdb", "message":"ready for queries and writes", "status":"pass", "checks":[], ` +
		`"version": %q, "commit": "none"}` + "\n"
	write(w, http.StatusOK, "application/json; charset=utf-8", fmt.Appendf(nil, body, s.version))
}

// api authenticates a request and answers it under the lock.
func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // from memory: serve has read it
	s.mu.Lock()
	defer s.mu.Unlock()
	by, err := s.store.authenticate(r.Header.Get("Authorization"))
	if err != nil {
		writeAuthenticationError(w, err)
		return
	}
	// Slashes at the end make no difference (measured).
	names := strings.Split(strings.TrimRight(strings.TrimPrefix(r.URL.Path, "/api/v2/"), "/"), "/")
	if names[0] == "resources" { // takes any method, and anything below (measured)
		writeResources(w)
		return
	}
	found, known := collections[names[0]]
	if !known {
		writeError(w, errPathNotFound)
		return
	}
	c := &call{store: s.store, by: by, query: r.URL.Query(), body: body}
	handlers := found.all
	switch {
	case len(names) == 2 && found.one != nil:
		handlers = found.one
	case len(names) > 1: // text, unlike the JSON of an unknown collection (measured)
		http.NotFound(w, r)
		return
	}
	s.dispatch(w, c, handlers[r.Method], names[1:])
}

func (s *Server) dispatch(w http.ResponseWriter, c *call, h handler, ids []string) {
	if h == nil {
		w.WriteHeader(http.StatusMethodNotAllowed) // without a body (measured)
		return
	}
	if len(ids) == 1 {
		id, err := parseID(ids[0])
		if err != nil {
			writeError(w, err)
			return
		}
		c.id = id
	}
	status, body, err := h(s, c)
	switch {
	case err != nil:
		writeError(w, err)
	case body == nil:
		w.WriteHeader(status)
	default:
		writeJSON(w, status, body)
	}
}

// authenticate finds whose token it is. An inactive token passes; an inactive or deleted owner does not
// (http/tokens.go, http/authentication_middleware.go; measured).
func (s *store) authenticate(header string) (*authorization, error) {
	scheme, token, _ := strings.Cut(header, " ")
	a := s.authorizations[s.byToken[token]]
	if a == nil || !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
		return nil, failure(unauthorized, "unauthorized access")
	}
	if owner := s.users[a.userID]; owner == nil || owner.status == inactive {
		return nil, failure(forbidden, "User is inactive")
	}
	return a, nil
}

// writeResources is GET /api/v2/resources: any token will do, and the JSON is on one line (http/resources.go).
func writeResources(w http.ResponseWriter) {
	body, _ := json.Marshal(ResourceTypes()) // strings: can't fail
	write(w, http.StatusOK, "application/json", append(body, '\n'))
}
