package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The table of CONTRIBUTING.md by which `make e2e` leaves tests out on OpenBao names tests that there are.
func TestTheListOfTestsNotOnOpenBao(t *testing.T) {
	_, table, found := strings.Cut(document(t, "CONTRIBUTING.md"), "<!-- not on OpenBao -->")
	require.True(t, found)
	table, _, found = strings.Cut(table, "<!-- /not on OpenBao -->")
	require.True(t, found)
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(text)
	}
	for row := range strings.Lines(table) {
		for _, name := range regexp.MustCompile("Test[A-Za-z0-9]*").FindAllString(row, -1) {
			assert.Contains(t, code.String(), "\nfunc "+name+"(t *testing.T) {\n")
		}
	}
}
