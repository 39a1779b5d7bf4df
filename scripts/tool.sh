#!/usr/bin/env bash
# Prints the path of a program that makes releases or takes them, and builds it first when this machine has none: some minutes, once.
#
#   scripts/tool.sh goreleaser        builds and archives for all platforms
#   scripts/tool.sh cyclonedx-gomod   lists what is in a binary, as CycloneDX
#   scripts/tool.sh cosign            signs and checks signatures
#   scripts/tool.sh crane             pushes images
#   scripts/tool.sh -cached NAME...   only says whether all of them are there, by its exit code
#
# They lie beside the servers (scripts/server.sh), in a directory for each version.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

die() { echo "tool.sh: $*" >&2; exit 1; }

find_tool() { # find_tool NAME: sets package and target
  case $1 in
    goreleaser) package=github.com/goreleaser/goreleaser/v2@v2.15.1 ;;
    cyclonedx-gomod) package=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 ;;
    cosign) package=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 ;;
    crane) package=github.com/google/go-containerregistry/cmd/crane@v0.22.1 ;;
    *) die "unknown tool: $1" ;;
  esac
  target=$(cache_root)/$1-${package##*@v}/$1
}

if [ "${1:-}" = -cached ]; then
  shift
  for name in "$@"; do
    find_tool "$name"
    [ -x "$target" ] || exit 1
  done
  exit 0
fi

find_tool "${1:?which tool}"
if [ ! -x "$target" ]; then
  echo "no $1 here: building ${package##*/} into ${target%/*} (once; some minutes)" >&2
  mkdir -p "${target%/*}"
  new=$(mktemp -d "${target%/*}/build.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  # Flags meant for the caller's own build must not reach this one.
  env -u GOOS -u GOARCH GOFLAGS= GOWORK=off GOBIN="$new" go install -ldflags '-s -w' "$package" >&2
  mv "$new/$1" "$target" # last, and atomic: a build that was cut off leaves no half a tool
fi
echo "$target"
