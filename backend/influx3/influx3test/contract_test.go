package influx3test_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

func TestContract(t *testing.T) {
	for product, options := range map[string][]influx3test.Option{"core": nil, "enterprise": {influx3test.Enterprise()}} {
		t.Run(product, func(t *testing.T) {
			srv := influx3test.New(t, options...)
			influx3test.Contract(t, influx3test.Target{
				URL: srv.URL, OperatorToken: srv.RootToken(), Product: product, Version: "3.10.1",
			})
			require.Equal(t, []string{influx3test.OperatorName}, srv.TokenNames(), "the contract cleans up")
		})
	}
}

func TestContractOfRealCore(t *testing.T) {
	core := influx3test.StartCore(t)
	influx3test.Contract(t, influx3test.Target{URL: core.URL, OperatorToken: core.Token, Product: "core", Version: "3.10.1"})
}

func TestCrashOfRealCore(t *testing.T) {
	influx3test.CrashContract(t, influx3test.StartCore(t))
}
