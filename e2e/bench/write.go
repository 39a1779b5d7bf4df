package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	loadaverage "github.com/shirou/gopsutil/v4/load"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

func (b *bench) newReport(ctx context.Context) (*report, error) {
	average, err := loadaverage.AvgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	busy, err := cpu.PercentWithContext(ctx, 2*time.Second, false)
	if err != nil {
		return nil, err
	}
	machine := fmt.Sprintf("%d processors", runtime.NumCPU())
	if infos, err := cpu.InfoWithContext(ctx); err == nil && len(infos) > 0 {
		machine += ", " + strings.TrimSpace(infos[0].ModelName)
	}
	return &report{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine + ", " + runtime.GOOS,
		Versions: "Vault on raft storage, InfluxDB " + lab.InfluxVersion, Rounds: b.rounds, Load: average.Load1, Busy: busy[0],
	}, nil
}

// quietPercent is how much of the processors others may use.
const quietPercent = 5

// disturbed warns where others were at work on the machine; "" where it was quiet.
func (r *report) disturbed() string {
	if r.Busy <= quietPercent {
		return ""
	}
	return fmt.Sprintf("The machine was not quiet: others used %.0f %% of its processors before the run, so that these numbers compare with no others", r.Busy)
}

// The part of performance.md that a run replaces.
const (
	tablesBegin = "<!-- what `make bench` writes begins here -->\n"
	tablesEnd   = "<!-- and ends here -->\n"
)

// write replaces the tables in performance.md, the picture and the numbers.
func (r *report) write(directory string) error {
	path := filepath.Join(directory, "performance.md")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tablesBegin)
	_, after, ends := strings.Cut(rest, tablesEnd)
	if !begins || !ends {
		return fmt.Errorf("%s lacks the markers of the tables: it must hold %q and %q", path, tablesBegin, tablesEnd)
	}
	numbers, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(path, []byte(before+tablesBegin+"\n"+r.markdown()+"\n"+tablesEnd+after), 0o644),
		os.WriteFile(filepath.Join(directory, "performance.json"), append(numbers, '\n'), 0o644),
		os.WriteFile(filepath.Join(directory, "performance.svg"), []byte(r.picture()), 0o644),
	)
}
