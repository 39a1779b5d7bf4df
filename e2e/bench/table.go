package main

import (
	"fmt"
	"strings"
)

// markdown is the report as docs/performance.md holds it and as it is printed.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s: %s; %s. The run took %.0f minutes; the machine's load average before it was %.1f.\n",
		r.Date, r.Machine, r.Versions, r.Minutes, r.Load)
	if warning := r.disturbed(); warning != "" {
		fmt.Fprintf(&b, "\n**%s.**\n", warning)
	}
	if len(r.Rates) > 0 {
		r.writeRates(&b)
	}
	if len(r.Scale) > 0 {
		r.writeScale(&b)
	}
	if r.Footprint != nil {
		r.Footprint.write(&b)
	}
	if r.Pass != nil {
		r.Pass.write(&b)
	}
	if r.Isolation != nil {
		r.Isolation.write(&b)
	}
	return b.String()
}

func heading(b *strings.Builder, title string) { fmt.Fprintf(b, "\n### %s\n\n", title) }

// row writes one line of a table.
func row(b *strings.Builder, cells ...any) {
	for _, cell := range cells {
		fmt.Fprintf(b, "| %v ", cell)
	}
	b.WriteString("|\n")
}

func header(b *strings.Builder, titles ...any) {
	row(b, titles...)
	for i := range titles {
		titles[i] = "---"
	}
	row(b, titles...)
}

func (r *report) writeRates(b *strings.Builder) {
	heading(b, "Rates")
	fmt.Fprintf(b, "The plugin's processor time per call, and calls per second: medians of %d rounds; ratios and rates with the least and the most.\n\n", r.Rounds)
	header(b, "CPU µs: plugin", "", "clients", "", "of F", "of "+earlierCommit, "per second", "of F", "of "+earlierCommit, "p50 ms", "p99 ms", "CPU µs: Vault", "InfluxDB", "plugin's allocations")
	for _, line := range r.Rates {
		row(b, known("%.0f", line.PluginCPU), line.Operation, line.Clients, line.Subject, orNone(line.CPUOfFloor), orNone(line.CPUOfEarlier),
			line.PerSecond.whole(), orNone(line.OfFloor), orNone(line.OfEarlier), fmt.Sprintf("%.1f", line.P50),
			fmt.Sprintf("%.1f", line.P99), known("%.0f", line.VaultCPU), known("%.0f", line.InfluxCPU), line.allocated())
	}
}

func (l rate) allocated() string {
	if l.Allocations == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f (%.1f kB)", l.Allocations, l.Bytes/1000)
}

// known leaves out what was not measured.
func known(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}

func (s spread) whole() string { return fmt.Sprintf("%.0f (%.0f–%.0f)", s.Median, s.Least, s.Most) }

func (s spread) tenths() string { return fmt.Sprintf("%.1f (%.1f–%.1f)", s.Median, s.Least, s.Most) }

func (s spread) hundredths() string { return s.ratio() }

func (s spread) ratio() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Least, s.Most) }

func orNone(s *spread) string {
	if s == nil {
		return ""
	}
	return s.ratio()
}

func (r *report) writeScale(b *strings.Builder) {
	heading(b, "Many tokens and roles")
	fmt.Fprintf(b, "Mints with %d clients, in the same rounds: where Vault and InfluxDB hold %d tokens and %d roles (few), and where they hold many.\n\n",
		scaleClients, few.Tokens, few.Roles)
	header(b, "tokens", "roles", "", "per second: few", "many", "many to few", "of F: few", "many", "CPU µs with few, many: plugin", "Vault", "InfluxDB")
	for _, m := range r.Scale {
		row(b, m.Tokens, m.Roles, m.Few.Subject, m.Few.PerSecond.whole(), m.Many.PerSecond.whole(), m.Ratio.ratio(), orNone(m.Few.OfFloor), orNone(m.Many.OfFloor),
			both(m.Few.PluginCPU, m.Many.PluginCPU), both(m.Few.VaultCPU, m.Many.VaultCPU), both(m.Few.InfluxCPU, m.Many.InfluxCPU))
	}
}

// both are a figure with few and with many, where it was measured.
func both(few, many float64) string {
	if few == 0 && many == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f, %.0f", few, many)
}

func (f *footprint) write(b *strings.Builder) {
	heading(b, "The plugin's process")
	header(b, "", "resident MB", "goroutines")
	row(b, "idle", fmt.Sprintf("%.1f", f.Idle), f.IdleGoroutines)
	row(b, fmt.Sprintf("after %d mints", f.Tokens), fmt.Sprintf("%.1f", f.AfterMints), "")
	row(b, "after tidy, and the revocation of all", fmt.Sprintf("%.1f", f.AfterRevocations), f.Goroutines)
}

func (p *passCost) write(b *strings.Builder) {
	heading(b, "A run of tidy")
	fmt.Fprintf(b, "Over %d tokens, a list of %.0f MB.\n\n", p.Tokens, p.Megabytes)
	header(b, "", "")
	row(b, "plugin's processor time of a run, s", p.CPU.hundredths())
	if p.EarlierCPU != nil {
		row(b, "the same of "+earlierName+", which has none of the tokens, s", p.EarlierCPU.hundredths())
		row(b, "ratio", p.OfEarlier.ratio())
	}
	row(b, "plain download of the list, s", p.Download.tenths())
	row(b, "run of tidy, s", p.Pass.tenths())
	row(b, "ratio", p.Ratio.ratio())
	row(b, "most that the plugin's resident memory grew, MB", p.Rise.tenths())
	row(b, "mints per second of one client, alone", fmt.Sprintf("%.0f", p.MintsAlone))
	row(b, "mints per second of one client, while tidy runs", fmt.Sprintf("%.0f", p.MintsMeanwhile))
}

func (i *isolation) write(b *strings.Builder) {
	heading(b, "Beside a stalled InfluxDB")
	fmt.Fprintf(b, "One of two mounts leads to an InfluxDB that accepts and never answers. Requests are measured while %d revocations and a run of tidy wait for it, seal and step-down while a drain of pending deletions and a run of tidy do. Milliseconds, of requests the 99th percentile, %d rounds.\n\n", i.Revocations, i.Rounds)
	header(b, "", "undisturbed", "stalled", "ratio")
	for _, line := range []struct {
		name string
		comparison
	}{
		{"mints at the other mount", i.Mints}, {"config reads of the stalled mount", i.ConfigReads},
		{"static reads of the stalled mount", i.StaticReads}, {"seal", i.Seal}, {"step-down", i.StepDown},
	} {
		row(b, line.name, line.Undisturbed.tenths(), line.Stalled.tenths(), line.Ratio.ratio())
	}
}
