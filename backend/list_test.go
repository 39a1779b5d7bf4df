package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"
)

// Whatever the order in which names come by, and however few are shown of them, the page is that of the whole list.
func TestPagesOfAStream(t *testing.T) {
	var names []string
	for n := range 100 {
		names = append(names, fmt.Sprintf("%02d", n))
	}
	for _, after := range []string{"", "00", "41", "41x", "99", "zz"} {
		for _, limit := range []int{0, 1, 7, 50, 99, 100, 101, math.MaxInt} {
			want := slices.Clone(names)
			want = slices.DeleteFunc(want, func(name string) bool { return name <= after })
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			shown := map[string]bool{}
			p := newPager(&framework.FieldData{Raw: map[string]any{"after": after, "limit": limit}, Schema: listFields}, func(name string) { delete(shown, name) })
			for _, name := range names {
				shown[name] = true
				if !p.add(name) {
					delete(shown, name)
				}
				if limit > 0 && limit < 100 {
					require.LessOrEqual(t, len(p.held), 2*limit)
				}
			}
			require.Equal(t, want, append([]string{}, p.names()...), "after %q, limit %d", after, limit)
			require.Len(t, shown, len(want), "what else was known of the rest is dropped")
			slices.Sort(names)
		}
	}
}
