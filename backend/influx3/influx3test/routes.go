package influx3test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// failure is an answer that refuses a call.
type failure struct {
	status int
	body   string
}

// text is how handlers refuse: a bare text without a Content-Type (measured).
func text(status int, format string, args ...any) *failure {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &failure{status, format}
}

// object is how authentication refuses: an object with blanks in it, without a Content-Type (measured).
func object(status int, message string) *failure {
	return &failure{status, `{"error": "` + message + `"}`}
}

func notFound(name string) *failure {
	return text(http.StatusNotFound, "the requested resource was not found: "+name)
}

var (
	errUnauthenticated = object(http.StatusUnauthorized, "the request was not authenticated")
	errMalformed       = object(http.StatusBadRequest, "Authorization header was malformed, the request was not in the form of "+
		"'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic")
	// errForbidden is what a token without the right meets, on Enterprise (documented; its form is read in Core's source).
	errForbidden = object(http.StatusForbidden, "unauthorized to perform requested action with the token")
	errNoPath    = text(http.StatusNotFound, "Not found")
)

// call is one authenticated request to a node.
type call struct {
	*Server
	*node
	by    *token // whose token the request carries; nil where the server asks for none
	query url.Values
	kind  string // the Content-Type
	body  []byte
	half  bool // what it writes stays half done
}

// answer is what a call succeeds with.
type answer struct {
	status      int
	contentType string // empty for none
	body        []byte
	header      map[string]string
}

// handler answers a call. It runs under the server's lock: catalog writes go one at a time (measured).
type handler func(*call) (*answer, *failure)

const (
	tokenPath        = "/api/v3/configure/token"
	adminTokenPath   = tokenPath + "/admin"
	namedAdminPath   = tokenPath + "/named_admin"
	scopedTokenPath  = "/api/v3/enterprise/configure/token"
	databasePath     = "/api/v3/configure/database"
	queryPath        = "/api/v3/query_sql"
	writePath        = "/api/v3/write_lp"
	internalDatabase = "_internal"
)

// routes are the endpoints that this server has. A method that is not here is a path that is not here (measured: HEAD
// /ping).
var routes = map[string]handler{
	"GET /ping":               (*call).ping,
	"POST /ping":              (*call).ping,
	"POST " + adminTokenPath:  (*call).createOperator,
	"POST " + namedAdminPath:  (*call).createNamedAdmin,
	"POST " + scopedTokenPath: (*call).createScoped, // Enterprise only
	"DELETE " + tokenPath:     (*call).deleteToken,
	"GET " + databasePath:     (*call).listDatabases,
	"POST " + databasePath:    (*call).createDatabase,
	"POST " + queryPath:       (*call).querySQL,
	"POST " + writePath:       (*call).writeLines,
}

// serve notes the request and lets the faults have it first. The body is read here, whole: only then does net/http
// notice that a client hangs up, which ends a stalled request.
func (s *Server) serve(n *node, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what a broken request lacks, its handler will miss
	r.Body = io.NopCloser(bytes.NewReader(body))

	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.URL.RawQuery, string(body)})
	now := s.now
	s.mu.Unlock()
	w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
	s.Serve(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(n, w, r) }))
}

// handle is the server without any faults but the half-done ones.
func (s *Server) handle(n *node, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // from memory: serve has read it
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(n)
	c := &call{Server: s, node: n, query: r.URL.Query(), kind: r.Header.Get("Content-Type"), body: body, half: s.isHalfDone(r)}
	a, refused := c.route(r)
	if c.half {
		panic(http.ErrAbortHandler)
	}
	if s.namesCluster() {
		w.Header().Set("Cluster-Uuid", s.clusterID)
	}
	w.Header()["Content-Type"] = nil // else net/http guesses one
	if refused != nil {
		w.WriteHeader(refused.status)
		_, _ = io.WriteString(w, refused.body) // the client may be gone, which is no error here
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// route finds who asks and what for (read: perform_routing in influxdb3_server).
func (c *call) route(r *http.Request) (*answer, *failure) {
	path := r.URL.Path
	if len(r.RequestURI) > 65534 { // a name that long can be given and not be deleted (measured)
		return nil, text(http.StatusRequestURITooLong, "")
	}
	if c.withoutAuth && strings.HasPrefix(path, tokenPath) {
		return nil, text(http.StatusMethodNotAllowed, "endpoint disabled, started without auth")
	}
	if path != adminTokenPath {
		if refused := c.authenticate(r.Header.Values("Authorization")); refused != nil {
			return nil, refused
		}
	}
	h := routes[r.Method+" "+path]
	if h == nil || path == scopedTokenPath && !c.enterprise {
		return nil, errNoPath
	}
	return h(c)
}

// authenticate finds whose token it is. A header of another form is a 400, also where nobody needs a token (measured).
func (c *call) authenticate(headers []string) *failure {
	if len(headers) == 0 {
		headers = []string{"Token none"}
	}
	value, refused := tokenIn(headers[0])
	if refused != nil || c.withoutAuth {
		return refused
	}
	c.by = c.memory.byValue[value]
	if c.by == nil || !c.by.alive(c.now()) {
		return errUnauthenticated
	}
	return nil
}

// tokenIn reads an Authorization header. Schemes are case-sensitive (measured); Basic has the token for a password (measured;
// read: validate_auth_header).
func tokenIn(header string) (string, *failure) {
	parts := strings.Split(header, " ")
	if len(parts) != 2 || !slices.Contains([]string{"Bearer", "Token", "Basic"}, parts[0]) {
		return "", errMalformed
	}
	if parts[0] != "Basic" {
		return parts[1], nil
	}
	decoded, err := base64.StdEncoding.DecodeString(parts[1])
	user := strings.Split(string(decoded), ":")
	if err != nil || len(user) != 2 {
		return "", errMalformed
	}
	return user[1], nil
}

// needsAdmin refuses a token that is for single databases. There is none on Core (measured).
func (c *call) needsAdmin() *failure {
	if c.by != nil && !c.by.admin() {
		return errForbidden
	}
	return nil
}

// decode reads a JSON body, which must be called so (measured: 415). Fields that it doesn't know it ignores (measured);
// those that it must have are the caller's to check.
func (c *call) decode(into any) *failure {
	kind, _, err := mime.ParseMediaType(c.kind)
	if err != nil || kind != "application/json" && !(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) {
		return text(http.StatusUnsupportedMediaType, "unacceptable content-type, expected: application/json")
	}
	return c.decodeAny(into)
}

func (c *call) decodeAny(into any) *failure {
	if err := json.Unmarshal(c.body, into); err != nil {
		return text(http.StatusBadRequest, "serde json error: "+err.Error()) // what follows is Go's where it is Rust's there
	}
	return nil
}

// missing is the refusal of a body without one of its fields (measured for token_name, without the place in the text).
func missing(field string) *failure {
	return text(http.StatusBadRequest, "serde json error: missing field `%s`", field)
}

func jsonAnswer(status int, contentType string, body any) *answer {
	written, err := json.Marshal(body)
	if err != nil {
		panic(err) // a body of this package's own types: a mistake in it
	}
	return &answer{status: status, contentType: contentType, body: written}
}

// ping names version, build and product (measured). On Enterprise a token for single databases needs the right to read
// the system's ping (documented).
func (c *call) ping() (*answer, *failure) {
	if c.by != nil && !c.by.mayReadSystem("ping") {
		return nil, errForbidden
	}
	build := "Core"
	if c.enterprise {
		build = "Enterprise"
	}
	a := jsonAnswer(http.StatusOK, "application/json", map[string]string{
		"product_name": "InfluxDB 3 " + build, "version": c.version, "revision": "ff6872a3d8", "process_id": newUUID(),
	})
	id := newUUID()
	a.header = map[string]string{
		"X-Influxdb-Version": c.version, "X-Influxdb-Build": build, "Request-Id": id, "X-Request-Id": id,
	}
	return a, nil
}

// namesCluster reports whether the server's version has the header cluster-uuid: from 3.7 on (documented).
func (s *Server) namesCluster() bool {
	var major, minor int
	_, _ = fmt.Sscanf(s.version, "%d.%d", &major, &minor) // a test's odd version is an old one
	return major > 3 || major == 3 && minor >= 7
}
