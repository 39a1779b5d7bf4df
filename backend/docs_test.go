package backend

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
)

var rewriteDocs = flag.Bool("update", false, "rewrite the generated tables in docs/ and CONTRIBUTING.md")

// document is a Markdown file with generated parts. Each stands between <!-- name --> and <!-- /name -->, with blank lines
// around it; what is outside of them is written by hand.
type document struct {
	path string
	text string
}

func openDocument(t *testing.T, path string) *document {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return &document{path: path, text: string(text)}
}

// generate replaces one part by what content makes of the current one.
func (d *document) generate(t *testing.T, name string, content func(current string) string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, begins := strings.Cut(d.text, begin)
	current, after, ends := strings.Cut(rest, end)
	require.True(t, begins && ends, "%s lacks a part: add the lines\n%s%s", d.path, begin, end)
	d.text = before + begin + "\n" + content(current) + "\n" + end + after
}

// save writes the page back with -update; without, the page has to be what was generated.
func (d *document) save(t *testing.T) {
	t.Helper()
	if *rewriteDocs {
		require.NoError(t, os.WriteFile(d.path, []byte(d.text), 0o644))
		return
	}
	require.Equal(t, openDocument(t, d.path).text, d.text, "%s is out of date: go test ./backend -run '^%s$' -update rewrites it", d.path, t.Name())
}

// TestRulesInTheDocs holds the table of what an answer proves, in docs/operations.md, to the rules by which the engine
// judges. With -update it rewrites the table.
func TestRulesInTheDocs(t *testing.T) {
	require.NotEmpty(t, influx.Rules)
	listed := func(list any) string { return strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ", ") }
	operations := openDocument(t, "../docs/operations.md")
	operations.generate(t, "proofs", func(string) string {
		rows := "| call | status | body | proves |\n| --- | --- | --- | --- |\n"
		for _, r := range influx.Rules {
			rows += fmt.Sprintf("| %s | %s | %s | %s |\n", listed(r.Methods), listed(r.Statuses), r.Body, r.Proves)
		}
		return rows + fmt.Sprintf("| any | any | what no line above has, or no answer after it was sent | %s |\n", influx.Unproven)
	})
	operations.save(t)
}

var (
	codeBlock    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	heading      = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	relativeLink = regexp.MustCompile(`\]\(([^)\s:]+)\)`)
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// What a test leaves out unless it is run at length is run so by make unit.
func TestWhatIsRunAtLength(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	list := regexp.MustCompile(`(?m)^AT_LENGTH := (\S+)$`).FindSubmatch(makefile)
	require.NotNil(t, list)
	named := regexp.MustCompile("^(" + string(list[1]) + ")$")
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	asking := 0
	tests := regexp.MustCompile(`(?m)^func (Test\w+)`)
	for _, name := range files {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		if !strings.Contains(string(source), "if !"+"atLength()") { // put together, or it would find itself
			continue
		}
		asking++
		require.True(t, slices.ContainsFunc(tests.FindAllStringSubmatch(string(source), -1), func(test []string) bool {
			return named.MatchString(test[1])
		}), "%s: none of its tests is in AT_LENGTH", name)
	}
	require.Positive(t, asking)
}

// Each relative link in the documents leads to a file that is there, and to a heading in it.
func TestLinksInTheDocs(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	top, err := filepath.Glob("../*.md")
	require.NoError(t, err)
	links, known := 0, map[string][]string{}
	for _, path := range append(pages, top...) {
		for _, link := range relativeLink.FindAllStringSubmatch(prose(t, path), -1) {
			target, anchor, hasAnchor := strings.Cut(link[1], "#")
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			require.FileExists(t, file, "%s links to %s", path, link[1])
			if hasAnchor {
				if known[file] == nil {
					known[file] = anchors(prose(t, file))
				}
				require.Contains(t, known[file], anchor, "%s links to %s", path, link[1])
			}
			links++
		}
	}
	require.Greater(t, links, 100, "links are found")
}

// prose is a document without its code blocks.
func prose(t *testing.T, path string) string {
	t.Helper()
	return codeBlock.ReplaceAllString(openDocument(t, path).text, "")
}

// anchors are the names by which GitHub links to a page's headings.
func anchors(text string) []string {
	var found []string
	seen := map[string]int{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		anchor := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
		if n := seen[anchor]; n > 0 {
			found = append(found, anchor+"-"+strconv.Itoa(n))
		} else {
			found = append(found, anchor)
		}
		seen[anchor]++
	}
	return found
}
