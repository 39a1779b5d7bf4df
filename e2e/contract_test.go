package e2e

import (
	"testing"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
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
