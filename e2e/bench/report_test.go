package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	assert.Equal(t, spread{}, spreadOf(nil))
	assert.Equal(t, spread{2, 1, 9}, spreadOf([]float64{9, 1, 2}))
	assert.Equal(t, spread{2.5, 1, 9}, spreadOf([]float64{9, 1, 3, 2}))
	assert.Equal(t, spread{0.75, 0.5, 1}, ratios([]float64{1, 3, 5}, []float64{2, 3, 0}))
}

func TestCounts(t *testing.T) {
	got, err := counts("1,32")
	require.NoError(t, err)
	assert.Equal(t, []int{1, 32}, got)
	for _, wrong := range []string{"", "0", "-1", "8,", "many"} {
		_, err := counts(wrong)
		require.Error(t, err, wrong)
	}
}

func TestADisturbedMachineIsNamed(t *testing.T) {
	r := measured()
	assert.NotContains(t, r.markdown(), "not quiet")
	r.Busy = 37.4
	assert.Contains(t, r.markdown(), "The machine was not quiet: others used 37 % of its processors")
}

func TestQuantile(t *testing.T) {
	l := load{took: 2 * time.Second}
	assert.Zero(t, l.quantile(0.5))
	for n := range 100 {
		l.latencies = append(l.latencies, time.Duration(n+1))
	}
	assert.Equal(t, time.Duration(51), l.quantile(0.5))
	assert.Equal(t, time.Duration(100), l.quantile(0.99))
	assert.Equal(t, time.Duration(100), l.quantile(1))
	assert.InDelta(t, 50, l.rate(), 0.001)
}

func TestClientsCallOnceForEachItemAndEndWithTheFirstError(t *testing.T) {
	var seen collected[int]
	l, err := forAll(t.Context(), 4, numbers(100), func(_ context.Context, n int) error {
		seen.add(n)
		return nil
	})
	require.NoError(t, err)
	assert.ElementsMatch(t, numbers(100), seen.all)
	assert.Len(t, l.latencies, 100)

	broken := errors.New("broken")
	_, err = forSome(t.Context(), 4, time.Hour, func(context.Context) error { return broken })
	require.ErrorIs(t, err, broken)
}

// measured is a report with two rounds of everything.
func measured() *report {
	found := results{}
	for _, operation := range []string{mint, renew, revoke, staticRead} {
		for _, clients := range []int{1, 8} {
			for _, name := range subjectNames {
				key := rateKey{name, operation, clients}
				for round := range 2 {
					found.add(key, load{took: time.Second, latencies: make([]time.Duration, 100*clients+round)}, usage{plugin: time.Second, objects: 1000})
				}
			}
		}
	}
	return &report{Rounds: 2, Rates: ratesOf(found, []int{1, 8}), Scale: []scaleMints{{}}, Pass: &passCost{}, Footprint: &footprint{}, Isolation: &isolation{}}
}

func TestReportReplacesItsPartOfThePage(t *testing.T) {
	directory := t.TempDir()
	page := filepath.Join(directory, "performance.md")
	require.NoError(t, os.WriteFile(page, []byte("before\n"+tablesBegin+"the last table\n"+tablesEnd+"after\n"), 0o600))
	for range 2 { // what it wrote it replaces
		require.NoError(t, measured().write(directory))
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(text), "before\n"+tablesBegin))
		assert.True(t, strings.HasSuffix(string(text), tablesEnd+"after\n"))
		assert.NotContains(t, string(text), "the last table")
		assert.Contains(t, string(text), "| 1249 | mint | 8 | this plugin | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) | 800 (800–801) | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) |")
	}
	numbers, err := os.ReadFile(filepath.Join(directory, "performance.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(numbers, &report{}))

	require.NoError(t, os.WriteFile(page, []byte("a page of something else"), 0o600))
	require.ErrorContains(t, measured().write(directory), "lacks the markers of the tables")
}

// The page in this repository has them.
func TestThePageHasTheMarkersOfTheTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/performance.md")
	require.NoError(t, err)
	assert.Contains(t, string(text), tablesBegin)
	assert.Contains(t, string(text), tablesEnd)
}

func TestPictureIsXMLAndStaysInItsFrame(t *testing.T) {
	decoder := xml.NewDecoder(strings.NewReader(measured().picture()))
	circles := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "circle" {
			circles++
		}
	}
	assert.Equal(t, 2*2*len(subjectNames), circles, "one for each operation, number of clients and subject")
	p := newPanel(measured().Rates, mint, 0)
	for _, line := range p.lines {
		assert.GreaterOrEqual(t, p.y(line.PerSecond.Most), marginTop)
		assert.LessOrEqual(t, p.y(line.PerSecond.Least), marginTop+panelHeight)
	}
	assert.LessOrEqual(t, p.top/p.step, 10.0, "a grid that can be read")
}
