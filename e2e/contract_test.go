package e2e

import (
	"testing"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
	"vault-plugin-secrets-influxdb/e2e/lab"
)

// TestInfluxKeepsTheContract holds the real servers to the suite that the unit tests' fake passes: so
// what the unit tests show with the fake holds for these versions.
func TestInfluxKeepsTheContract(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			influx := influxOf(t, version)
			made := influx.Onboarding
			influxtest.Contract(t, influxtest.Target{
				URL:           influx.URL,
				OperatorToken: influx.Operator,
				Org:           made.Org.Name,
				OrgID:         made.Org.ID,
				User:          made.User.Name,
				UserID:        made.User.ID,
				HashedTokens:  influx.HashesTokens,
				Version:       "v" + influx.Version,
			})
		})
	}
}

// TestInfluxDB3KeepsTheContract holds a real InfluxDB 3 Core to the suite that its fake passes in the unit tests.
func TestInfluxDB3KeepsTheContract(t *testing.T) {
	t.Parallel()
	influx := newCore3(t, lab.Influx3Options{})
	influx3test.Contract(t, influx3test.Target{URL: influx.url, OperatorToken: influx.operator, Product: "core", Version: "3.10.1"})
}
