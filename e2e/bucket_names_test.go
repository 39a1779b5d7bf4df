package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// oddNames are names that InfluxDB takes. Each is trouble for someone: a comma list, a URL's path or query,
// the description's stamp.
var oddNames = []string{
	"two words", " spaces around ", "one,two", "a/b", "../metrics", "Größe—日本語", "a?b#c&d=e+f", "%2e%41", `back\slash`,
	"it's", "[x]", "{y}", "metrics\nmetrics", "[vault:v1:0:lease:app:ab:1]", strings.Repeat("long ", 50),
}

func TestBucketsOfEveryNameAreGranted(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		home := newOrg(t, e.influx)
		for _, name := range oddNames {
			t.Run(name, func(t *testing.T) {
				made := newBucket(t, e.influx, home.ID, name)
				e.role(t, "odd", map[string]any{"org": home.Name, "read_buckets": []string{name}, "permissions": []any{
					map[string]any{"action": "write", "resource": map[string]any{"type": "buckets", "name": name}},
				}})
				m := e.mint(t, "odd")
				assert.ElementsMatch(t, []lab.Permission{
					to("read", "buckets", made.ID, home.ID), to("write", "buckets", made.ID, home.ID),
				}, e.granted(t, m))
				assert.Equal(t, 1, strings.Count(e.authorization(t, m.id).Description, "[vault:"), "one stamp, ours")
				e.revoke(t, m.lease)
			})
		}
	})
}

// In the lists * and id: mean something else: the permissions field takes them for names. {{ means a template
// everywhere: there, as always, the ID helps.
func TestBucketsNamedLikeSyntaxCanBeGranted(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		home := newOrg(t, e.influx)
		for _, name := range []string{"*", "id:03a2bbf46309a000", "03a2bbf46309a000", "{{.Role}}"} {
			made := newBucket(t, e.influx, home.ID, name)
			granted := []lab.Permission{to("read", "buckets", made.ID, home.ID)}
			e.role(t, "odd", map[string]any{"org": home.Name, "read_buckets": "id:" + made.ID})
			assert.Equal(t, granted, e.granted(t, e.mint(t, "odd")), "%s by ID", name)
			if name == "{{.Role}}" {
				continue
			}
			e.role(t, "odd", map[string]any{"org": home.Name, "permissions": []any{
				map[string]any{"action": "read", "resource": map[string]any{"type": "buckets", "name": name}},
			}})
			assert.Equal(t, granted, e.granted(t, e.mint(t, "odd")), "%s by name", name)
		}
	})
}

// InfluxDB lists 20 buckets at once where nobody asks for more, and 100 at most.
func TestTheLastOfManyBucketsIsFound(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		crowded := newOrg(t, e.influx)
		var last lab.Named
		for i := range 300 {
			var err error
			last, err = e.influx.CreateBucket(t.Context(), crowded.ID, fmt.Sprintf("bucket-%03d", i))
			require.NoError(t, err)
		}
		e.role(t, "last", map[string]any{"org": crowded.Name, "write_buckets": last.Name})
		m := e.mint(t, "last")
		assert.Equal(t, []lab.Permission{to("write", "buckets", last.ID, crowded.ID)}, e.granted(t, m))
		status, err := e.influx.WritePoint(t.Context(), m.token, crowded.Name, last.Name)
		require.NoError(t, err)
		assert.Equal(t, http.StatusNoContent, status)
		assert.Contains(t, e.refuses(t, "roles/last", map[string]any{"org": crowded.Name, "write_buckets": "bucket-2999"}),
			"bucket-299", "the hint looks at all of them")
	})
}

func TestABucketMadeAnewIsGrantedByItsNewID(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		home := newOrg(t, e.influx)
		name := unique("phoenix")
		first, err := e.influx.CreateBucket(t.Context(), home.ID, name)
		require.NoError(t, err)
		e.role(t, "app", map[string]any{"org": home.Name, "read_buckets": name})
		e.revoke(t, e.mint(t, "app").lease)

		require.NoError(t, e.influx.DeleteBucket(context.Background(), first.ID))
		assert.Contains(t, e.refuses(t, "creds/app", nil), fmt.Sprintf("read_buckets[0]: no bucket %q", name))
		assert.Empty(t, e.inInflux(t), "what was granted for the old ID is deleted again")

		second, err := e.influx.CreateBucket(t.Context(), home.ID, name)
		require.NoError(t, err)
		assert.Equal(t, []lab.Permission{to("read", "buckets", second.ID, home.ID)}, e.granted(t, e.mint(t, "app")))
		require.NoError(t, e.influx.DeleteBucket(context.Background(), second.ID))
		third := newBucket(t, e.influx, home.ID, name)
		assert.Equal(t, []lab.Permission{to("read", "buckets", third.ID, home.ID)}, e.granted(t, e.mint(t, "app")),
			"also when the name is still remembered with the ID before")
		assert.Len(t, e.inInflux(t), 2)
	})
}
