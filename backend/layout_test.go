package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPackages holds the table of packages in CONTRIBUTING.md to what `go list` says of them. With -update it rewrites
// the table.
func TestPackages(t *testing.T) {
	contributing := openDocument(t, "../CONTRIBUTING.md")
	contributing.generate(t, "packages", func(string) string {
		rows := "| package | what it is | imports |\n| --- | --- | --- |\n"
		for _, p := range listPackages(t) {
			rows += fmt.Sprintf("| `%s` | %s | %s |\n", short(p.ImportPath), p.inOneLine(t), p.inModule())
		}
		return rows
	})
	contributing.save(t)
}

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Doc,Imports", "./...")
	out, err := list.Output()
	require.NoError(t, err)
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		packages = append(packages, p)
	}
	require.NotEmpty(t, packages)
	return packages
}

// inOneLine is the first sentence of the package's comment without its first words: Package store is …
func (p goPackage) inOneLine(t *testing.T) string {
	t.Helper()
	sentence, found := strings.CutPrefix(p.Doc, "Package "+p.Name+" ")
	require.True(t, found, "the comment of %s has to begin with %q", p.ImportPath, "Package "+p.Name)
	return strings.TrimSuffix(strings.TrimPrefix(sentence, "is "), ".")
}

const module = "vault-plugin-secrets-influxdb/"

// short is an import path without what all packages of this module share.
func short(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "backend/")
}

// inModule are the packages of this module that it imports.
func (p goPackage) inModule() string {
	var found []string
	for _, imported := range p.Imports {
		if strings.HasPrefix(imported, module) {
			found = append(found, "`"+short(imported)+"`")
		}
	}
	return strings.Join(found, ", ")
}

// A mount's struct holds objects: each package owns its own state.
func TestTheMountHoldsObjects(t *testing.T) {
	mounted := reflect.TypeFor[backend]()
	require.LessOrEqual(t, mounted.NumField(), 14)
	for i := range mounted.NumField() {
		field := mounted.Field(i)
		require.Equal(t, reflect.Pointer, field.Type.Kind(), "%s: neither a map, nor a lock, nor an atomic", field.Name)
		require.NotContains(t, field.Type.String(), "sync", field.Name)
	}
}
