package e2e

import (
	"testing"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// TestStaticClock has what waits for Vault's ticks, which come once a minute. All of it happens at once: each
// scenario begins, and ends in a subtest of its own.
func TestStaticClock(t *testing.T) {
	t.Parallel()
	type scenario struct {
		name string
		end  func(*testing.T)
	}
	scenarios := []scenario{{"Vault Agent follows rotations and keeps a lease", agentFollows(t, lab.Host(), connectedEngine(t, shared.influx))}}
	for _, version := range versions {
		e := connectedEngine(t, influxOf(t, version))
		scenarios = append(scenarios,
			scenario{version + "/Telegraf loses no point to a rotation", telegrafLosesNothing(t, e)},
			scenario{version + "/a token is imported", tokenIsImported(t, e)})
	}
	// The outage begins last and ends first: the longer it lasts, the longer the engine waits between attempts.
	outage := scenario{"a rotation waits for InfluxDB to be back", outageIsOutlasted(t)}
	for _, s := range append([]scenario{outage}, scenarios...) {
		t.Run(s.name, s.end)
	}
}
