#!/usr/bin/env bash
# A time zone in a rotation schedule of Vault's SDK is accepted and has no effect.
#
# Expected: "CRON_TZ=Asia/Tokyo 0 3 * * *" is three o'clock in Tokyo, 18:00 UTC, as in robfig/cron, whose parser the SDK
# uses; or it is refused. And Sunday may be 7, as in crontab.
# Seen: it is accepted, with "TZ=" as well, and means 03:00 UTC, nine hours from what was asked for. 7 is refused.
# Where: github.com/hashicorp/vault/sdk v0.25.1, rotation/schedule.go: Parse sets the location to UTC "in all cases".
# robfig/cron/v3 has days of the week from 0 to 6.
# Why it matters: a schedule is written for a maintenance window. Nothing says that rotations come outside of it.
# What we do: rotation_schedule takes exactly five fields, so that a zone is a 400 (backend/rotation); one that an earlier
# version stored goes on in UTC, with a warning. docs/static-roles.md says UTC.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod

cat >main.go <<'GO'
package main

import (
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/rotation"
)

func main() {
	midnight := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, schedule := range []string{"0 3 * * *", "CRON_TZ=Asia/Tokyo 0 3 * * *", "TZ=Asia/Tokyo 0 3 * * *", "0 3 * * 7"} {
		parsed, err := rotation.DefaultScheduler.Parse(schedule)
		if err != nil {
			fmt.Printf("%s: refused\n", schedule)
			continue
		}
		fmt.Printf("%s: %s\n", schedule, parsed.Next(midnight).UTC().Format(time.RFC3339))
	}
}
GO
go mod init finding 2>log && go get github.com/hashicorp/vault/sdk/rotation@v0.25.1 2>>log || { cat log >&2; exit 1; }
go list -m github.com/hashicorp/vault/sdk github.com/robfig/cron/v3
go run . | tee seen

diff seen - <<'END'
0 3 * * *: 2026-01-01T03:00:00Z
CRON_TZ=Asia/Tokyo 0 3 * * *: 2026-01-01T03:00:00Z
TZ=Asia/Tokyo 0 3 * * *: 2026-01-01T03:00:00Z
0 3 * * 7: refused
END
echo "As stated."
