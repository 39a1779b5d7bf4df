#!/usr/bin/env bash
# Runs the tests of what depends on InfluxDB with the versions that `make test` leaves out, and an upgrade of one store
# through all of them.
#
#   scripts/versions.sh         builds the servers that this machine lacks (some 10 minutes each, once)
#   scripts/versions.sh --here  takes those that are there
#
# A version without a server is no failure: it is skipped, and named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

tests="InfluxKeepsTheContract InfluxDBIsUpgradedInPlace AFreshInfluxDBIsSetUp Outage LeaseClock
TokenWorksInItsBucketUntilItsLeaseIsRevoked CredsTakeATTLByEveryMethod LaterMaxTTLDoesNotMoveTheDeadline
BatchTokensAreServed ResponseWrappingHandsTheTokenToOneReader DescriptionNamesRoleMountAndCaller
RolesGrantExactlyWhatTheySayAndReadBackAsWritten ABadRoleIsRefusedWithEveryReason EveryResourceTypeCanBeGranted
TokenKindsAreThoseOfTheCLI ARoleNamesAllThatItsRootTokenLacks ARootTokenThatIsTooSmallIsRefused
RootTokenIsRotated RootTokenIsNotRotatedByAWrongID StaticClock StaticTokenDeletedByHandIsReplaced
RecoveryOfALostRootToken RecoveryOfARestoredInfluxDB
V1ClientsTakeATokenAsThePassword V1RightsAreThoseOfTheToken V1DatabasesAreBuckets
V1MappingsAreMadeByWhoeverMayUseABucket V1RecipesForCurlAndPython V1RecipeForGrafana TelegrafWithTheOutputFor1x"

usable=() missing=()
for version in 2.8.0 2.8.0+hashed 2.10.0; do
  if [ -n "$(scripts/server.sh "$@" influxd "${version%+hashed}")" ]; then usable+=("$version"); else missing+=("$version"); fi
done

if [ ${#usable[@]} -gt 0 ]; then
  cd e2e
  known=$(go test -list . .)
  for name in $tests; do
    if ! grep -qx "Test$name" <<<"$known"; then echo "versions.sh: there is no Test$name any more" >&2; exit 1; fi
  done
  echo "versions: InfluxDB ${usable[*]}"
  INFLUX_VERSIONS="${usable[*]}" go test -count=1 -timeout 60m -parallel "${E2E_PARALLEL:-6}" -run "^Test(${tests//[[:space:]]/|})\$" .
fi
if [ ${#missing[@]} -gt 0 ]; then echo "versions: SKIPPED InfluxDB ${missing[*]}: this machine has no server of it"; fi
