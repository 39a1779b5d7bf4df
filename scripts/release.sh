#!/usr/bin/env bash
# Makes all that is published of a version into dist/, from a clean tree, and checks it. It publishes nothing.
#
#   COSIGN_KEY=cosign.key COSIGN_PASSWORD=... scripts/release.sh v0.2.0
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "release: $*" >&2; exit 1; }

VERSION=${1:?which version}
[[ $VERSION =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
  die "version $VERSION: must be v, and three numbers with dots between them, such as v0.2.0"
[ -n "${COSIGN_KEY:-}" ] || die "COSIGN_KEY is not set: name the file with the private key that signs (docs/releasing.md)"
[ -r "$COSIGN_KEY" ] || die "COSIGN_KEY: $COSIGN_KEY can't be read"
[ -z "$(git status --porcelain)" ] || die "the tree is not clean: commit, or remove, what git status shows"

# What is built must not depend on who builds it.
unset GOOS GOARCH GOARM GOAMD64 GOARM64 GOEXPERIMENT
export VERSION GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0
(cd release && go build -o ../bin/release-of .)
bin/release-of unlock "$COSIGN_KEY"
goreleaser=$(scripts/tool.sh goreleaser)
bill=$(scripts/tool.sh cyclonedx-gomod)

PATH=${bill%/*}:$PATH "$goreleaser" release --snapshot --clean
bin/release-of pack -version "$VERSION" -from bin/release dist
bin/release-of sign -key "$COSIGN_KEY" dist
bin/release-of check -version "$VERSION" dist
echo "dist/ holds release $VERSION:"
(cd dist && ls -l)
