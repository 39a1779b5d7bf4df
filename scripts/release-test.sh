#!/usr/bin/env bash
# Makes the release of the last commit twice, in two clones and with a key that is thrown away, compares the two byte by
# byte, shows what the checks refuse, and installs it on both hosts.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=${1:?which version}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export COSIGN_KEY=$work/cosign.key COSIGN_PASSWORD=throw-away
(cd release && go run . key "$work")

for clone in one two; do
  git clone --quiet . "$work/$clone"
  make --no-print-directory -C "$work/$clone" release VERSION="$VERSION"
done
# A signature is another one each time.
diff -r --exclude=SHA256SUMS.sig "$work/one/dist" "$work/two/dist" || { echo "release-test: two clones gave different bytes" >&2; exit 1; }
echo "two clones gave the same bytes:"
cat "$work/one/dist/SHA256SUMS"
make --silent --no-print-directory -C "$work/two" build VERSION="$VERSION"
built=$(sha256sum <"$work/two/bin/vault-plugin-secrets-influxdb" | cut -d ' ' -f 1)
grep "^$built " "$work/one/dist/SHA256SUMS.binaries" || { echo "release-test: make build gives another binary than the release has" >&2; exit 1; }

export RELEASE=$work/one/dist
(cd release && go test -count=1 ./...)
for host in vault bao; do
  (cd e2e && HOST=$host go test -count=1 -timeout 30m -run '^(TestTheArchiveIsInstalled|TestAChangedArchiveIsRefused|TestTheInitContainer.*|TestOpenBao.*Image)$' .)
done
