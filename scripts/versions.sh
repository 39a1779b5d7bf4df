#!/usr/bin/env bash
# Runs the tests of what depends on InfluxDB, and those of what depends on Vault, with the versions that `make test`
# leaves out, and an upgrade of one InfluxDB's store through all of them.
#
#   scripts/versions.sh         builds the servers that this machine lacks (5 to 10 minutes each, once)
#   scripts/versions.sh --here  takes those that are there
#
# A version without a server is no failure: it is skipped, and named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

influx_tests="InfluxKeepsTheContract InfluxDBIsUpgradedInPlace AFreshInfluxDBIsSetUp Outage LeaseClock
TokenWorksInItsBucketUntilItsLeaseIsRevoked CredsTakeATTLByEveryMethod LaterMaxTTLDoesNotMoveTheDeadline
BatchTokensAreServed ResponseWrappingHandsTheTokenToOneReader DescriptionNamesRoleMountAndCaller
RolesGrantExactlyWhatTheySayAndReadBackAsWritten ABadRoleIsRefusedWithEveryReason EveryResourceTypeCanBeGranted
TokenKindsAreThoseOfTheCLI ARoleNamesAllThatItsRootTokenLacks ARootTokenThatIsTooSmallIsRefused
RootTokenIsRotated RootTokenIsNotRotatedByAWrongID StaticClock StaticTokenDeletedByHandIsReplaced
RecoveryOfALostRootToken RecoveryOfARestoredInfluxDB
V1ClientsTakeATokenAsThePassword V1RightsAreThoseOfTheToken V1DatabasesAreBuckets
V1MappingsAreMadeByWhoeverMayUseABucket V1RecipesForCurlAndPython V1RecipeForGrafana TelegrafWithTheOutputFor1x"

vault_tests="TokenWorksInItsBucketUntilItsLeaseIsRevoked CredsTakeATTLByEveryMethod LaterMaxTTLDoesNotMoveTheDeadline
BatchTokensAreServed ResponseWrappingHandsTheTokenToOneReader DescriptionNamesRoleMountAndCaller LeaseClock
LeasesOutliveInterruptions KilledPluginIsReplacedByTheNextCall LeasesThatRunOutDuringAnOutageDoNotGetStuck
TeardownLeavesNothing TeardownDuringAnOutage MoveLosesNothing FailOver DocumentedPolicies RootTokenIsRotatedByPlan
StaticClock ATemplatedRoleGivesEveryCallerItsOwn CallersThatHangUp"

missing=()

# server NAME VERSION: sets binary, to nothing where this machine has none.
server() {
  binary=$(scripts/server.sh $here "$1" "$2")
  if [ -z "$binary" ]; then missing+=("$1 $2"); fi
}

run() { # run TEST...
  cd e2e
  local name known
  known=$(go test -list . .)
  for name; do
    if ! grep -qx "Test$name" <<<"$known"; then echo "versions.sh: there is no Test$name any more" >&2; exit 1; fi
  done
  go test -count=1 -timeout 60m -parallel "${E2E_PARALLEL:-6}" -run "^Test($(IFS='|' && echo "$*"))\$" .
  cd ..
}

here=${1:-}
usable=()
for version in 2.8.0 2.8.0+hashed 2.10.0; do
  server influxd "${version%+hashed}"
  if [ -n "$binary" ]; then usable+=("$version"); fi
done
if [ ${#usable[@]} -gt 0 ]; then
  echo "versions: InfluxDB ${usable[*]}"
  INFLUX_VERSIONS="${usable[*]}" run $influx_tests
fi
server vault 1.21.2 # the newest that can be built from its module
if [ -n "$binary" ]; then
  echo "versions: Vault 1.21.2"
  VAULT_BIN=$binary INFLUX_VERSIONS=2.9.1 run $vault_tests
fi
if [ ${#missing[@]} -gt 0 ]; then echo "versions: SKIPPED: this machine has no server of $(printf '%s, ' "${missing[@]}" | sed 's/, $//')"; fi
