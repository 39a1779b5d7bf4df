package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// overduePeriod has a token read again and again although it stays. Vault's tick comes once a minute, so that a rotation
// each 70 seconds is made every two minutes, and is due for the last 50 seconds of these: meanwhile `ttl` is 5. Of a role
// that is on time, or has no plan, a program that goes by `ttl` reads each token once a period, or every 5 minutes.
const overduePeriod = "70s"

// readsOfOne is how often a token has to be read, at least: the first time, with the period as `ttl`, and three more.
const readsOfOne = 4

// A program follows a static role, app, and takes each of its tokens once, however often it reads it. It keeps a lease of
// the role app alive beyond its ttl, so that the token in the other file goes on working. It is started once both are
// there, and notes what it writes.
func followsAndRenews(t *testing.T, e *engine, start func() follower) func(*testing.T) {
	e.staticRole(t, "app", map[string]any{"rotation_period": overduePeriod})
	const ttl = 30
	e.role(t, "app", bucketRole(map[string]any{"ttl": ttl, "max_ttl": "1h"}))
	f := start()
	assertWorks(t, e.influx, f.awaitToken(t, "influxdb.env"))
	leased := f.awaitToken(t, "influxdb-lease.env")
	assertWorks(t, e.influx, leased)
	return func(t *testing.T) {
		f.assertTakesEachOnce(t, "influxdb.env.taken")
		content, err := os.ReadFile(filepath.Join(f.dir, "influxdb.env"))
		require.NoError(t, err)
		assert.Contains(t, string(content), "INFLUX_HOST="+e.influx.URL+"\nINFLUX_ORG="+org+"\n")
		assertWorks(t, e.influx, f.awaitToken(t, "influxdb.env"))

		lease := e.onlyLease(t, "app")
		require.NoError(t, f.program.Await(t.Context(), "a renewal beyond the first ttl", func(context.Context) error {
			issued, expires := e.leaseTimes(t, lease)
			if lived := expires.Sub(issued).Seconds(); lived < 2*ttl {
				return fmt.Errorf("the lease reaches %.0f s", lived)
			}
			return nil
		}))
		assert.Equal(t, []string{leased}, f.tokens(t, "influxdb-lease.env.taken"), "a renewal writes nothing")
		assertWorks(t, e.influx, leased)
	}
}

// agentFollows is followsAndRenews of the agent of a "vault" or a "bao".
func agentFollows(t *testing.T, host string, e *engine) func(*testing.T) {
	return followsAndRenews(t, e, func() follower {
		f := newAgent(t, e.mayRead(t, "static-creds/app", "creds/app"))
		f.follow(t, e, host, recipe(t, "agent", f.noting("influxdb.env", "influxdb-lease.env")))
		return f
	})
}

// follower is a running program, and where it writes.
type follower struct {
	program *lab.Program
	dir     string
	// vault is what it reads.
	vault *witness
}

// follow starts the agent of a "vault" or a "bao" with documented recipes.
func (f *follower) follow(t *testing.T, e *engine, host, config string) {
	t.Helper()
	f.vault = newWitness(t, e)
	config = replaced(t, config, map[string]string{"https://vault.example:8200": f.vault.URL, "/etc/vault-agent/": f.dir + "/"})
	f.startOn(t, host, strings.ReplaceAll(config, "influxdb/", e.path+"/"))
}

// noting has a recipe write its files to the directory, and note there all that each has ever held, in FILE.taken: a
// template's command is run when its file is another one.
func (f follower) noting(files ...string) map[string]string {
	here := map[string]string{}
	for _, file := range files {
		here[`destination = "/run/app/`+file+`"`] = fmt.Sprintf("destination = %q\n  exec {\n    command = %s\n  }", f.dir+"/"+file, f.takes(file))
	}
	return here
}

// takes is a command that notes what a file holds.
func (f follower) takes(file string) string {
	path := filepath.Join(f.dir, file)
	return fmt.Sprintf(`["sh", "-c", %q]`, "cat "+path+" >>"+path+".taken")
}

// newAgent makes a place for an agent that logs in with a policy.
func newAgent(t *testing.T, policy string) follower {
	t.Helper()
	l, f := newLogin(t, policy), follower{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "role-id"), []byte(l.roleID), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "secret-id"), []byte(l.secretID), 0o600))
	return f
}

// here is what stands for the documented agent's surroundings, and for where it writes.
func (f follower) here(e *engine, writes string) map[string]string {
	return map[string]string{
		"https://vault.example:8200": shared.vault.Address, `"influxdb/`: `"` + e.path + "/",
		"/etc/vault-agent/": f.dir + "/", writes: f.dir + "/",
	}
}

func (f *follower) start(t *testing.T, config string) {
	t.Helper()
	f.startOn(t, lab.Host(), config)
}

// startOn starts the agent of a "vault" or a "bao".
func (f *follower) startOn(t *testing.T, host, config string) {
	t.Helper()
	program, err := shared.lab.StartAgent(t.Context(), host, config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	f.program = program
}

// taken finds the tokens in what the recipes write.
var taken = regexp.MustCompile(`(?m)(?:INFLUX_TOKEN=|\btoken: )(\S+)$`)

// tokens are those in a file that the program has written; none when it has not.
func (f follower) tokens(t *testing.T, file string) (tokens []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(f.dir, file))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, found := range taken.FindAllStringSubmatch(string(content), -1) {
		tokens = append(tokens, found[1])
	}
	return tokens
}

// awaitToken waits for a token in a file, and returns the last one.
func (f follower) awaitToken(t *testing.T, file string) (token string) {
	t.Helper()
	require.NoError(t, f.program.Await(t.Context(), "a token in "+file, func(context.Context) error {
		tokens := f.tokens(t, file)
		if len(tokens) == 0 {
			return errors.New("none; the program's log:\n" + f.program.Logs())
		}
		token = tokens[len(tokens)-1]
		return nil
	}))
	return token
}

// assertTakesEachOnce waits until one token was read readsOfOne times and then another one, and asserts that the program
// took each once, and nothing more: the file says what it took.
func (f follower) assertTakesEachOnce(t *testing.T, file string) {
	t.Helper()
	var took, answered []string
	require.NoError(t, f.program.Await(t.Context(), "a token that was read again, and the one after it", func(context.Context) error {
		took = f.tokens(t, file) // before: no token is taken that was not answered
		var reads int
		if answered, reads = f.vault.tokens(); reads < readsOfOne || len(took) < len(answered) {
			return fmt.Errorf("%d tokens of %d taken, one read %d times; the program's log:\n%s", len(took), len(answered), reads, f.program.Logs())
		}
		return nil
	}))
	assert.Equal(t, answered, took, "each token is taken once")
}

// mayRead is the policy that docs/recipes.md asks for in words: `read` on some paths.
func (e *engine) mayRead(t *testing.T, paths ...string) (policy string) {
	t.Helper()
	words := strings.Join(strings.Fields(document(t, recipes)), " ")
	require.Contains(t, words, "needs `read` on `influxdb/"+strings.Join(paths, "` and `influxdb/")+"`")
	for _, path := range paths {
		policy += fmt.Sprintf("path %q { capabilities = [\"read\"] }\n", e.path+"/"+path)
	}
	return policy
}

// witness is a reverse proxy in front of Vault that sees which tokens the reader of a static role is answered.
type witness struct {
	*httptest.Server
	// path is that of static-creds.
	path string

	mu       sync.Mutex
	answered []string
}

func newWitness(t *testing.T, e *engine) *witness {
	t.Helper()
	forward, w := forwardTo(t, shared.vault.Address), &witness{path: "/v1/" + e.path + "/static-creds/"}
	forward.ModifyResponse = w.see
	w.Server = httptest.NewServer(forward)
	t.Cleanup(w.Close)
	return w
}

// see notes the token in an answer of static-creds.
func (w *witness) see(r *http.Response) error {
	if !strings.HasPrefix(r.Request.URL.Path, w.path) || r.StatusCode != http.StatusOK {
		return nil
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = append(w.answered, answer.Data.Token)
	return nil
}

// tokens are those that were answered, each once, and how often one of them was before the next.
func (w *witness) tokens() (each []string, reads int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := 0
	for i, token := range w.answered {
		if i > 0 && token == w.answered[i-1] {
			continue
		}
		each, reads, since = append(each, token), max(reads, i-since), i
	}
	return each, reads
}

// onlyLease is the ID of the one lease that a role has.
func (e *engine) onlyLease(t *testing.T, role string) string {
	t.Helper()
	prefix := e.path + "/creds/" + role
	listed, err := e.vault.Logical().ListWithContext(t.Context(), "sys/leases/lookup/"+prefix)
	require.NoError(t, err)
	require.NotNil(t, listed)
	require.Len(t, listed.Data["keys"], 1)
	return prefix + "/" + fmt.Sprint(listed.Data["keys"].([]any)[0])
}
