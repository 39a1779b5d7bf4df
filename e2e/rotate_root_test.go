package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// rooted is an engine whose root token belongs to a user of its own, who has other tokens besides.
type rooted struct {
	*engine
	owner lab.Named
	root  lab.Authorization
	// sibling is another token of that user, and can all that the root token can.
	sibling lab.Authorization
}

// newRooted connects an engine with a root token that holds what held says for its owner. The ID is not given.
func newRooted(t *testing.T, influx *lab.Influx, held func(ownerID string) []lab.Permission) *rooted {
	t.Helper()
	// No newUser: the root token of the end outlives the mount, and its user has to.
	owner, err := influx.CreateUser(t.Context(), unique("owner"))
	require.NoError(t, err)
	orgID, permissions := influx.Onboarding.Org.ID, held(owner.ID)
	r := &rooted{
		engine:  &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()},
		owner:   owner,
		root:    byHand(t, influx, orgID, owner.ID, permissions...),
		sibling: byHand(t, influx, orgID, owner.ID, permissions...),
	}
	r.write(t, "config", map[string]any{"url": influx.URL, "token": r.root.Token, "org": org})
	r.role(t, "app", bucketRole(nil))
	return r
}

// smallest is the root token of docs/root-token.md.
func smallest(influx *lab.Influx) func(ownerID string) []lab.Permission {
	orgID := influx.Onboarding.Org.ID
	return func(ownerID string) []lab.Permission {
		return []lab.Permission{
			to("write", "authorizations", "", orgID), to("read", "authorizations", "", orgID),
			to("write", "users", ownerID, ""), to("read", "users", ownerID, ""), to("read", "orgs", orgID, ""),
			to("read", "buckets", "", orgID), to("write", "buckets", "", orgID),
		}
	}
}

// ofOwner are the tokens of the root token's user.
func (r *rooted) ofOwner(t *testing.T) []lab.Authorization {
	t.Helper()
	all, err := r.influx.Authorizations(t.Context())
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(a lab.Authorization) bool { return a.UserID != r.owner.ID })
}

// rotate replaces the root token, and answers the ID of the new one. Where values are hidden the first rotation is told
// the ID of the old one.
func (r *rooted) rotate(t *testing.T) string {
	t.Helper()
	fields := map[string]any{}
	if r.config(t)["authorization_id"] == "" {
		fields["authorization_id"] = r.root.ID
	}
	assert.Empty(t, r.write(t, "config/rotate-root", fields))
	id, _ := r.config(t)["authorization_id"].(string)
	return id
}

// accepted is InfluxDB's answer to who asks with a token.
func accepted(t *testing.T, influx *lab.Influx, token string) int {
	t.Helper()
	status, _, err := influx.Call(t.Context(), token, http.MethodGet, "/api/v2/me", nil)
	require.NoError(t, err)
	return status
}

// readers are clients that read creds and give them back again and again, until they are stopped.
type readers struct {
	stop    context.CancelFunc
	all     sync.WaitGroup
	rounds  atomic.Int64
	failure atomic.Pointer[error]
}

// startReaders starts so many readers, and waits until they are at work.
func (e *engine) startReaders(t *testing.T, count int) *readers {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &readers{stop: stop}
	for range count {
		r.all.Go(func() {
			for ctx.Err() == nil {
				if err := e.readAndGiveBack(t.Context()); err != nil {
					r.failure.CompareAndSwap(nil, &err)
					return
				}
				r.rounds.Add(1)
			}
		})
	}
	t.Cleanup(stop)
	require.NoError(t, lab.Await(t.Context(), time.Minute, "a round of each reader", func(context.Context) error {
		if failure := r.failure.Load(); failure != nil {
			return lab.Final(*failure)
		}
		if done := r.rounds.Load(); done < int64(count) {
			return fmt.Errorf("%d rounds were made", done)
		}
		return nil
	}))
	return r
}

func (e *engine) readAndGiveBack(ctx context.Context) error {
	answer, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/creds/app")
	if err != nil {
		return fmt.Errorf("reading creds: %w", err)
	}
	token, _ := answer.Data["token"].(string)
	if status, err := e.influx.WritePoint(ctx, token, org, bucket); err != nil || status != http.StatusNoContent {
		return fmt.Errorf("a write with the token: %d, %w", status, err)
	}
	if err := e.tryRevoke(ctx, minted{lease: answer.LeaseID}); err != nil {
		return fmt.Errorf("revoking: %w", err)
	}
	return nil
}

// assertNeverFailed stops the readers, and asserts that all went well.
func (r *readers) assertNeverFailed(t *testing.T) {
	t.Helper()
	r.stop()
	r.all.Wait()
	if failure := r.failure.Load(); failure != nil {
		assert.NoError(t, *failure)
	}
}

// Whatever kind the root token is, its rotation changes nothing but the token: twenty who read creds meanwhile do not
// notice.
func TestRootTokenIsRotated(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		l := newLandmarks(t, influx)
		for name, held := range map[string]func(string) []lab.Permission{
			"operator":   func(string) []lab.Permission { return l.operator() },
			"all-access": func(owner string) []lab.Permission { return l.allAccess(l.home.ID, owner) },
			"smallest":   smallest(influx),
		} {
			t.Run(name, func(t *testing.T) {
				r := newRooted(t, influx, held)
				before := r.mint(t, "app")
				reading := r.startReaders(t, 20)
				first := r.rotate(t)
				for range 4 {
					r.rotate(t)
				}
				reading.assertNeverFailed(t)
				t.Logf("%d rounds of 20 readers", reading.rounds.Load())

				last := r.config(t)["authorization_id"].(string)
				assert.NotEqual(t, first, last)
				assert.Equal(t, http.StatusUnauthorized, accepted(t, influx, r.root.Token))
				assert.Equal(t, http.StatusOK, accepted(t, influx, r.sibling.Token))
				assert.ElementsMatch(t, []string{r.sibling.ID, last, before.id}, ids(r.ofOwner(t)))
				root := r.authorization(t, last)
				assert.ElementsMatch(t, held(r.owner.ID), root.Permissions)
				assert.Contains(t, root.Description, r.stampStart(t)+"root:")
				assertWorks(t, influx, before.token)
				r.revoke(t, before.lease)
				assertDead(t, influx, before)
				assertWorks(t, influx, r.mint(t, "app").token)
			})
		}
	})
}

func ids(all []lab.Authorization) []string {
	var found []string
	for _, a := range all {
		found = append(found, a.ID)
	}
	return found
}

// An ID that is another token's is refused, and nothing comes of it.
func TestRootTokenIsNotRotatedByAWrongID(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		r := newRooted(t, influx, smallest(influx))
		before, config := r.ofOwner(t), r.config(t)
		if config["authorization_id"] == "" { // values are hidden
			said := r.refuses(t, "config/rotate-root", nil)
			assert.Contains(t, said, "authorization_id: needed")
			assert.Contains(t, said, r.root.ID)
			assert.Contains(t, said, r.sibling.ID)
		}
		said := r.refuses(t, "config/rotate-root", map[string]any{"authorization_id": r.sibling.ID})
		assert.Contains(t, said, "authorization_id: "+r.sibling.ID+" is not the root token")
		said = r.refuses(t, "config/rotate-root", map[string]any{"authorization_id": influx.Onboarding.Authorization.ID})
		assert.Contains(t, said, "authorization_id: ")

		assert.ElementsMatch(t, statuses(before), statuses(r.ofOwner(t)), "nothing was made, deleted or left switched off")
		assert.Equal(t, config, r.config(t))
		assert.Equal(t, http.StatusOK, accepted(t, influx, r.sibling.Token))
		assert.Equal(t, http.StatusOK, accepted(t, influx, r.root.Token))
		assertWorks(t, influx, r.mint(t, "app").token)
		r.rotate(t)
		assert.Equal(t, http.StatusOK, accepted(t, influx, r.sibling.Token))
	})
}

func statuses(all []lab.Authorization) []string {
	var found []string
	for _, a := range all {
		found = append(found, a.ID+" "+a.Status)
	}
	return found
}
