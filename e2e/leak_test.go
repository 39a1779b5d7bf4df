package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// searchForLeaks looks, at the end of the run, for every token value of the run where none may be: in the
// logs of every Vault and so of its plugins and of every InfluxDB 3, in all that Vaults answered to any client, errors and
// reads of config among it, and on the command lines of the run. Its error names the place and not the value.
func searchForLeaks(ctx context.Context, servers *lab.Lab, commands *commandWatch) error {
	seen, err := commands.stop()
	if err != nil {
		return err
	}
	wanted, err := tokensOf(ctx, servers)
	if err != nil {
		return err
	}
	var leaks []error
	if wanted.in([]byte(strings.Join(seen, "\n"))) {
		leaks = append(leaks, errors.New("a token value stands on the command line of a process"))
	}
	for _, vault := range servers.Vaults() {
		leaks = append(leaks, wanted.searchFile(vault.LogPath()))
		if vault.AuditPath != "" {
			leaks = append(leaks, wanted.searchAnswers(vault.AuditPath))
		}
	}
	_, logs := seen3.all()
	for _, log := range logs {
		leaks = append(leaks, wanted.searchFile(log))
	}
	fmt.Fprintf(os.Stderr, "leaks: looked for %d token values in the logs and answers of %d Vaults and on %d command lines\n",
		wanted.count, len(servers.Vaults()), len(seen))
	if err := errors.Join(leaks...); err != nil {
		return fmt.Errorf("%w\n(LAB_KEEP=1 keeps the files)", err)
	}
	return nil
}

// tokensOf are the Vaults' root tokens, all tokens that the InfluxDBs know in clear, and all that an engine
// handed out: the audit logs have those of every test, however it asked for them.
func tokensOf(ctx context.Context, servers *lab.Lab) (*tokenSet, error) {
	tokens := newTokenSet()
	values, _ := seen3.all()
	tokens.add(values...)
	for _, influx := range servers.Influxes() {
		values, err := influx.TokenValues(ctx)
		if err != nil {
			return nil, err
		}
		tokens.add(values...)
	}
	for _, vault := range servers.Vaults() {
		tokens.add(vault.RootToken())
		if vault.AuditPath == "" {
			continue
		}
		err := eachAudited(vault.AuditPath, func(entry audited) {
			if entry.handsOut() {
				token, _ := entry.Response.Data["token"].(string)
				tokens.add(token)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// tokenSet finds thousands of values in one pass over a text. They are kept by how they begin.
type tokenSet struct {
	byStart map[string][][]byte
	count   int
}

// startLength is short beside any token and long enough to be rare in a text.
const startLength = 16

func newTokenSet() *tokenSet { return &tokenSet{byStart: map[string][][]byte{}} }

// add leaves out the = at the end, which an address or a template may write in another way.
func (s *tokenSet) add(values ...string) {
	for _, value := range values {
		value = strings.TrimRight(value, "=")
		if len(value) < startLength || s.in([]byte(value)) {
			continue
		}
		s.byStart[value[:startLength]] = append(s.byStart[value[:startLength]], []byte(value))
		s.count++
	}
}

// in reports whether any of the values stands in the text.
func (s *tokenSet) in(text []byte) bool {
	for i := range max(0, len(text)-startLength+1) {
		for _, value := range s.byStart[string(text[i:i+startLength])] {
			if bytes.HasPrefix(text[i:], value) {
				return true
			}
		}
	}
	return false
}

func (s *tokenSet) searchFile(path string) error {
	content, err := os.ReadFile(path)
	if err == nil && s.in(content) {
		err = fmt.Errorf("a token value stands in %s", path)
	}
	return err
}

// audited is a line of an audit log, as far as it is looked at.
type audited struct {
	Type    string `json:"type"`
	Error   string `json:"error"`
	Request struct {
		Operation string `json:"operation"`
		Path      string `json:"path"`
	} `json:"request"`
	Response struct {
		Data     map[string]any `json:"data"`
		Warnings []string       `json:"warnings"`
		Headers  any            `json:"headers"`
		Redirect string         `json:"redirect"`
	} `json:"response"`
}

// handsOut says that the line is an answer in which a token belongs.
func (a audited) handsOut() bool {
	if a.Type != "response" {
		return false
	}
	return strings.Contains(a.Request.Path, "/creds/") || strings.Contains(a.Request.Path, "/static-creds/") ||
		a.Request.Path == "sys/wrapping/unwrap"
}

func eachAudited(path string, visit func(audited)) error {
	content, err := os.ReadFile(path)
	for line := range bytes.Lines(content) {
		if entry, whole := lastEntry(line); whole {
			visit(entry)
		}
	}
	return err
}

// lastEntry is the entry that a line ends with. Before it may stand the beginning of one that a crash of Vault cut off,
// which nobody was answered: Vault writes first.
func lastEntry(line []byte) (entry audited, whole bool) {
	for start := 0; start >= 0; start = bytes.Index(line, []byte(`{"`)) {
		line = line[start:]
		if json.Unmarshal(line, &entry) == nil {
			return entry, true
		}
		line = line[1:]
	}
	return audited{}, false
}

// searchAnswers searches an audit log but for the places where a token belongs: what a caller sent, as whom
// it came, what Vault answers about its own tokens and to whoever reads its storage, and the one field of creds.
func (s *tokenSet) searchAnswers(path string) error {
	var leaks []error
	err := eachAudited(path, func(entry audited) {
		if strings.HasPrefix(entry.Request.Path, "auth/") || strings.HasPrefix(entry.Request.Path, "sys/raw/") {
			return
		}
		if entry.handsOut() {
			delete(entry.Response.Data, "token")
		}
		text, err := json.Marshal(entry)
		if err == nil && s.in(text) {
			err = fmt.Errorf("a token value stands in %s: the answer to %s %s", path, entry.Request.Operation, entry.Request.Path)
		}
		leaks = append(leaks, err)
	})
	return errors.Join(append(leaks, err)...)
}

func TestTheSearchForLeaksFindsThem(t *testing.T) {
	e := connectedEngine(t, shared.influx)
	e.role(t, "app", map[string]any{"read_buckets": bucket})
	m := e.mint(t, "app")
	e.refuses(t, "config", map[string]any{"url": "nowhere"})
	wanted, err := tokensOf(t.Context(), shared.lab)
	require.NoError(t, err)

	for name, value := range map[string]string{
		"minted": m.token, "operator": shared.influx.Operator, "Vault's root": shared.vault.RootToken(),
	} {
		planted := strings.TrimRight(value, "=")
		assert.True(t, wanted.in([]byte(planted)), "%s: at the text's beginning and end", name)
		assert.False(t, wanted.in([]byte(planted[1:])), "%s: a part is not the value", name)

		log := filepath.Join(t.TempDir(), "server.log")
		require.NoError(t, os.WriteFile(log, []byte("a line\n[ERROR] token="+value+"\n"), 0o600))
		err := wanted.searchFile(log)
		require.ErrorContains(t, err, log, name)
		assert.False(t, strings.Contains(err.Error(), planted), "it tells the value")

		for where, line := range map[string]string{
			"in config": `{"type":"response","request":{"operation":"read","path":"influxdb/config"},"response":{"data":{"ca_cert":%q}}}`,
			"in creds":  `{"type":"response","request":{"operation":"read","path":"influxdb/creds/app"},"response":{"data":{"token":"","description":%q}}}`,
			"an error":  `{"type":"response","request":{"operation":"update","path":"sys/leases/revoke"},"error":%q}`,
			"a warning": `{"type":"response","request":{"operation":"update","path":"influxdb/config"},"response":{"warnings":[%q]}}`,
		} {
			audit := filepath.Join(t.TempDir(), "audit.log")
			const cut = `{"type":"response","request":{"operation":"read","pa` // by a crash
			require.NoError(t, os.WriteFile(audit, []byte(`{"type":"request"}`+"\n"+cut+fmt.Sprintf(line, "x "+value)+"\n"+cut), 0o600))
			err := wanted.searchAnswers(audit)
			require.ErrorContains(t, err, audit, "%s %s", name, where)
			assert.False(t, strings.Contains(err.Error(), planted), "it tells the value")
		}
	}
	require.NoError(t, wanted.searchAnswers(shared.vault.AuditPath), "where tokens belong they are no leak")
	real, err := json.Marshal(e.audited(t))
	require.NoError(t, err)
	assert.Contains(t, string(real), m.description, "what tests read is audited")
	assert.Contains(t, string(real), "must be an http or https URL", "and the errors they saw")
}

// audited are the lines about a mount in the audit log.
func (e *engine) audited(t *testing.T) []audited {
	t.Helper()
	var found []audited
	require.NoError(t, eachAudited(shared.vault.AuditPath, func(entry audited) {
		if strings.HasPrefix(entry.Request.Path, e.path+"/") {
			found = append(found, entry)
		}
	}))
	return found
}
