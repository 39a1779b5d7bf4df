package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	testName     = regexp.MustCompile("Test[A-Za-z0-9]*")
	testFunction = regexp.MustCompile(`(?ms)^func (Test[A-Za-z0-9]*)\(t \*testing\.T\) \{\n(.*?)^\}$`)
)

// A test that is renamed would be run again on OpenBao: what the table leaves out, is there.
func TestTheListOfTestsNotOnOpenBao(t *testing.T) {
	all := testFunctions(t)
	for _, name := range listedTests(t, "not on OpenBao") {
		assert.Contains(t, all, name)
	}
}

// What is skipped on Vault, or without a release, is listed by name.
func TestTheListsOfTestsThatAreSkipped(t *testing.T) {
	onOpenBao, ofRelease := listedTests(t, "not on Vault"), listedTests(t, "of a release")
	for name, body := range testFunctions(t) {
		assert.Equal(t, strings.Contains(body, "\tneedsOpenBao(t)\n"), slices.Contains(onOpenBao, name), name)
		if !slices.Contains(onOpenBao, name) {
			assert.Equal(t, strings.Contains(body, " release(t)\n"), slices.Contains(ofRelease, name), name)
		}
	}
}

// listedTests are the tests that a marked part of CONTRIBUTING.md names.
func listedTests(t *testing.T, mark string) []string {
	t.Helper()
	_, part, found := strings.Cut(document(t, "CONTRIBUTING.md"), "<!-- "+mark+" -->")
	require.True(t, found)
	part, _, found = strings.Cut(part, "<!-- /"+mark+" -->")
	require.True(t, found)
	return testName.FindAllString(part, -1)
}

// testFunctions are the bodies of all tests, by their names.
func testFunctions(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range testFunction.FindAllStringSubmatch(string(text), -1) {
			all[found[1]] = found[2]
		}
	}
	return all
}
