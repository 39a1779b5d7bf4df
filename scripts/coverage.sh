#!/usr/bin/env bash
# Fails when too few of the backend's statements are covered by tests.
#
#   scripts/coverage.sh PROFILE PERCENT
#
# The fake InfluxDB (influxtest) doesn't count: it is a test itself.
set -euo pipefail

profile=${1:?usage: coverage.sh PROFILE PERCENT}
minimum=${2:?usage: coverage.sh PROFILE PERCENT}

counted=$(mktemp)
functions=$(mktemp)
trap 'rm -f "$counted" "$functions"' EXIT

grep -v '/influxtest/' "$profile" >"$counted"
if [ "$(wc -l <"$counted")" -lt 2 ]; then # its first line is the mode
  echo "coverage.sh: $profile covers no statement of the backend: do its packages have code and tests?" >&2
  exit 1
fi
go tool cover -func="$counted" >"$functions"
total=$(awk '$1 == "total:" { sub("%", "", $NF); print $NF }' "$functions")

if awk -v total="$total" -v minimum="$minimum" 'BEGIN { exit !(total < minimum) }'; then
  {
    echo "coverage.sh: $total % of the backend's statements are covered, $minimum % are needed. The least covered functions:"
    awk '$1 != "total:" { print $NF "\t" $1 "\t" $2 }' "$functions" | sort -n | head -n 25
    echo "See them in a browser: go tool cover -html=$profile"
  } >&2
  exit 1
fi
echo "coverage: $total % of the backend's statements ($minimum % needed)"
