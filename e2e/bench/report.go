package main

import (
	"slices"
	"time"
)

// report is what a run has found. It is written as JSON as it is.
type report struct {
	Date     string  `json:"date"`
	Machine  string  `json:"machine"`
	Versions string  `json:"versions"`
	Minutes  float64 `json:"minutes"`
	// Load is the machine's load average when the run began: what others did on it.
	Load float64 `json:"load_average_before"`
	// Busy is how much of its processors others used right before the run, in percent.
	Busy      float64      `json:"busy_before_percent"`
	Rounds    int          `json:"rounds"`
	Rates     []rate       `json:"rates"`
	Scale     []scaleMints `json:"scale,omitempty"`
	Pass      *passCost    `json:"pass,omitempty"`
	Footprint *footprint   `json:"footprint,omitempty"`
	Isolation *isolation   `json:"isolation,omitempty"`
}

// spread is the median of several rounds, and the ends.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return spread{middle(sorted), sorted[0], sorted[len(sorted)-1]}
}

func middle(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// medianOf is the median of what is read from each of some things.
func medianOf[T any](all []T, read func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = read(one)
	}
	return spreadOf(values).Median
}

// rate is one line of the table of rates.
type rate struct {
	Subject   string `json:"subject"`
	Operation string `json:"operation"`
	Clients   int    `json:"clients"`
	PerSecond spread `json:"per_second"`
	// OfFloor and OfEarlier are the ratios to the one-call engine and to the earlier build in the same round, of the rate
	// and of the plugin's processor time; nil for what those can't do.
	OfFloor      *spread `json:"of_floor,omitempty"`
	OfEarlier    *spread `json:"of_earlier,omitempty"`
	CPUOfFloor   *spread `json:"plugin_cpu_of_floor,omitempty"`
	CPUOfEarlier *spread `json:"plugin_cpu_of_earlier,omitempty"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	// What each call costs the servers; 0 where it is not known.
	PluginCPU   float64 `json:"plugin_cpu_us,omitempty"`
	VaultCPU    float64 `json:"vault_cpu_us,omitempty"`
	InfluxCPU   float64 `json:"influxdb_cpu_us,omitempty"`
	Allocations float64 `json:"plugin_allocations,omitempty"`
	Bytes       float64 `json:"plugin_allocated_bytes,omitempty"`
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratesOf puts the rounds of all subjects into lines.
func ratesOf(found results, clients []int) []rate {
	var lines []rate
	for _, operation := range []string{mint, renew, revoke, staticRead} {
		for _, count := range clients {
			for _, name := range subjectNames {
				if key := (rateKey{name, operation, count}); found[key] != nil {
					lines = append(lines, found.line(key))
				}
			}
		}
	}
	return lines
}

// line is one subject's line, which has to be there.
func (r results) line(key rateKey) rate {
	measured := r[key]
	line := rate{
		Subject: key.subject, Operation: key.operation, Clients: key.clients, PerSecond: spreadOf(measured.rates()),
		P50:         medianOf(measured.loads, func(l load) float64 { return milliseconds(l.quantile(0.50)) }),
		P99:         medianOf(measured.loads, func(l load) float64 { return milliseconds(l.quantile(0.99)) }),
		PluginCPU:   spreadOf(measured.cpu()).Median,
		VaultCPU:    medianOf(measured.spent, func(u usage) float64 { return float64(u.vault.Microseconds()) }),
		InfluxCPU:   medianOf(measured.spent, func(u usage) float64 { return float64(u.influx.Microseconds()) }),
		Allocations: medianOf(measured.spent, func(u usage) float64 { return u.objects }),
		Bytes:       medianOf(measured.spent, func(u usage) float64 { return u.bytes }),
	}
	line.OfFloor, line.CPUOfFloor = r.against(floorName, key)
	line.OfEarlier, line.CPUOfEarlier = r.against(earlierName, key)
	return line
}

// against compares with another subject, round by round: the rates, and the plugins' processor times. nil is what one of them
// does not have.
func (r results) against(subject string, key rateKey) (rates, cpu *spread) {
	measured, other := r[key], r[rateKey{subject, key.operation, key.clients}]
	if other == nil {
		return nil, nil
	}
	of := ratios(measured.rates(), other.rates())
	if key.subject == direct {
		return &of, nil
	}
	ofCPU := ratios(measured.cpu(), other.cpu())
	return &of, &ofCPU
}
