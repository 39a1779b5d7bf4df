package influxtest

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// InfluxDB Cloud 2 and InfluxDB Cloud Serverless, as far as InfluxData publishes what they answer: the OpenAPI document of
// Cloud (github.com/influxdata/openapi, contracts/ref/cloud.yml), and the API reference of Cloud Serverless, which has
// less of it. Neither was measured. What is below lacks what one of them lacks, so that who gets by with it gets by with
// both; where they say nothing it is influxd.

// Cloud makes the server InfluxDB Cloud. Its root token has all access to its one organization: there are no operator
// tokens.
func Cloud() Option {
	return func(s *Server) { s.cloud = true }
}

// onCloud reports whether every server that a test makes is to be InfluxDB Cloud.
func onCloud() bool { return os.Getenv("TEST_INFLUXDB") == "cloud" }

// NotOnCloud skips a test that is about what InfluxDB Cloud does not have, where every server of it is to be one.
func NotOnCloud(t testing.TB, why string) {
	t.Helper()
	if onCloud() {
		t.Skip("not on InfluxDB Cloud: " + why)
	}
}

// notInCloud are the collections that the reference of Cloud Serverless has not; nor has it /ping, /health and /ready,
// of which Cloud 2 has the first.
var notInCloud = []string{"me", "resources", "setup", "users"}

// handleAsCloud answers what there is. How a path that is not there is answered, nobody publishes.
func (s *Server) handleAsCloud(w http.ResponseWriter, r *http.Request) {
	path, isAPI := strings.CutPrefix(r.URL.Path, "/api/v2/")
	name, _, _ := strings.Cut(path, "/")
	if !isAPI || slices.Contains(notInCloud, name) {
		writeError(w, errPathNotFound)
		return
	}
	s.api(w, r)
}

// maskedValue stands in the place of a token's value wherever it is not the answer that creates it.
const maskedValue = "redacted"

// resourceTypes are the types that permissions can name.
func (s *Server) resourceTypes() []string {
	if s.cloud {
		return append(ResourceTypes(), "flows", "functions", "subscriptions")
	}
	return ResourceTypes()
}

// rootPermissions are those of the first token.
func (s *Server) rootPermissions(orgID, userID string) []Permission {
	if !s.cloud {
		return OperatorPermissions()
	}
	all := AllAccessPermissions(orgID, userID)
	for _, resourceType := range s.resourceTypes()[len(ResourceTypes()):] {
		all = append(all, InOrg("read", resourceType, orgID), InOrg("write", resourceType, orgID))
	}
	return all
}
