package problem

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// How many look-alikes are named, and how long a name may be: each comparison takes time by the square of it.
const (
	maxSimilar   = 5
	maxLookAlike = 128
)

// Similar returns those names that differ from the wanted one by a typing error or two, or by case; the nearest first.
func Similar(wanted string, names []string) []string {
	if wanted == "" || len(wanted) > maxLookAlike {
		return nil
	}
	var alike []string
	for _, name := range names {
		if len(name) <= maxLookAlike && distance(wanted, name) <= max(1, (len(wanted)+1)/3) {
			alike = append(alike, name)
		}
	}
	slices.SortStableFunc(alike, func(a, b string) int { return distance(wanted, a) - distance(wanted, b) })
	return alike[:min(len(alike), maxSimilar)]
}

func distance(a, b string) int {
	return levenshtein.Distance(strings.ToLower(a), strings.ToLower(b), nil)
}

// DidYouMean ends a message about a name that is not known with the nearest of those that are similar; "" where none is.
func DidYouMean(wanted string, names []string) string {
	alike := Similar(wanted, names)
	if len(alike) == 0 {
		return ""
	}
	nearest := distance(wanted, alike[0])
	alike = slices.DeleteFunc(alike, func(name string) bool { return distance(wanted, name) > nearest })
	return "; did you mean " + strings.Join(alike, " or ") + "?"
}
