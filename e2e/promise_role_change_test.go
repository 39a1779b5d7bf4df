package e2e

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// heldMint is a creation of a token that is held in a proxy.
type heldMint struct{ reached, letGo chan struct{} }

// holdMints holds the next creations of tokens, each until it is let go: before InfluxDB makes the token, or after. No
// end of the caller ends them.
func (p *proxy) holdMints(count int, made bool) []heldMint {
	var all []heldMint
	for range count {
		all = append(all, heldMint{make(chan struct{}), make(chan struct{})})
	}
	var mu sync.Mutex
	next := all
	p.failing(func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		mu.Lock()
		if len(next) == 0 {
			mu.Unlock()
			forward.ServeHTTP(w, r)
			return
		}
		held := next[0]
		next = next[1:]
		mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			hangsUp(w, r, forward)
		}
		answer := httptest.NewRecorder()
		ask := func() {
			sent := r.WithContext(context.WithoutCancel(r.Context()))
			sent.Body = io.NopCloser(bytes.NewReader(body))
			forward.ServeHTTP(answer, sent)
		}
		if made {
			ask()
		}
		close(held.reached)
		<-held.letGo
		if !made {
			ask()
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}, createsToken)
	return all
}

// A role is changed while a mint is under way, and its leases are revoked: whoever asked before gets what the role says
// now, or nothing.
func TestAMintUnderWayHasTheRoleAsItIsThen(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		p := startProxy(t, influx, "", nil)
		e := briefEngine(t, influx, behind(p, influx))
		dedicated := newUser(t, influx)
		read := to("read", "buckets", influx.Onboarding.Bucket.ID, influx.Onboarding.Org.ID)
		write := to("write", "buckets", influx.Onboarding.Bucket.ID, influx.Onboarding.Org.ID)
		for name, c := range map[string]struct {
			change func(t *testing.T, role string)
			grants []lab.Permission
			owner  string
		}{
			"narrowed": {
				func(t *testing.T, role string) { e.role(t, role, map[string]any{"read_buckets": bucket}) },
				[]lab.Permission{read}, influx.Onboarding.User.ID,
			},
			"owned by another": {
				func(t *testing.T, role string) { e.role(t, role, bucketRole(map[string]any{"user": dedicated.Name})) },
				[]lab.Permission{read, write}, dedicated.ID,
			},
			"deleted": {func(t *testing.T, role string) { e.remove(t, "roles/"+role) }, nil, ""},
		} {
			for _, made := range []bool{false, true} {
				when := map[bool]string{false: "before InfluxDB makes the token", true: "before its answer"}[made]
				t.Run(name+" "+when, func(t *testing.T) {
					role := unique("app")
					e.role(t, role, bucketRole(nil))
					held := p.holdMints(1, made)[0]
					answered := e.mintBeside(t, role)
					<-held.reached
					c.change(t, role)
					e.revokePrefix(t, "creds/"+role)
					close(held.letGo)
					answer := <-answered
					p.mend()
					left := e.tokensOf(t, role)
					if c.grants == nil {
						require.Error(t, answer.err)
						assert.Empty(t, left)
						return
					}
					require.NoError(t, answer.err)
					require.Equal(t, []string{answer.id}, ids(left))
					assert.ElementsMatch(t, c.grants, left[0].Permissions)
					assert.Equal(t, c.owner, left[0].UserID)
					e.revokePrefix(t, "creds/"+role)
				})
			}
		}
		t.Run("changed twice", func(t *testing.T) {
			e.role(t, "twice", bucketRole(nil))
			held := p.holdMints(2, true)
			answered := e.mintBeside(t, "twice")
			<-held[0].reached
			e.role(t, "twice", map[string]any{"read_buckets": bucket, "verify": false}) // which may make a token to try it
			close(held[0].letGo)
			<-held[1].reached
			e.role(t, "twice", map[string]any{"write_buckets": bucket, "verify": false})
			close(held[1].letGo)
			require.ErrorContains(t, (<-answered).err, "the role was changed meanwhile")
			assert.Empty(t, e.tokensOf(t, "twice"))
			p.mend()
		})
		e.awaitOnly(t)
	})
}

// mintedBeside is the end of a mint.
type mintedBeside struct {
	id  string
	err error
}

// mintBeside reads creds while the test goes on.
func (e *engine) mintBeside(t *testing.T, role string) <-chan mintedBeside {
	t.Helper()
	answered := make(chan mintedBeside, 1)
	ctx := t.Context()
	go func() {
		answer, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/creds/"+role)
		done := mintedBeside{err: err}
		if err == nil {
			done.id, _ = answer.Data["authorization_id"].(string)
		}
		answered <- done
	}()
	return answered
}
