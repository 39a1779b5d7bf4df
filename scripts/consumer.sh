#!/usr/bin/env bash
# Prints the path of a command that tests run to read the engine as its users do: a program, or an interpreter that has some client libraries.
#
#   scripts/consumer.sh go MODULE VERSION           the command of a Go module, such as consul-template
#   scripts/consumer.sh python PACKAGE==VERSION...  a Python that has these packages
#   scripts/consumer.sh node PACKAGE@VERSION...     a Node.js that has these packages
#   scripts/consumer.sh java GROUP:NAME:VERSION...  a Java that has these artifacts, and runs a source file
#
# What isn't in the user's cache directory yet is put there: from the Go module proxy, or by pip, npm or mvn. With --here
# as the first argument nothing is fetched. It ends with 3 where it can't be had: the tool that fetches it is missing, or
# --here was given and the cache has none. Progress goes to standard error.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

say() { printf '%s\n' "$*" >&2; }
missing() { say "consumer.sh: $*"; exit 3; }
need() { command -v "$1" >/dev/null 2>&1 || missing "$*"; }

here=
if [ "${1:-}" = --here ]; then here=1; shift; fi
kind=${1:-}
[ $# -ge 2 ] || { say "usage: consumer.sh [--here] go|python|node|java WHAT..."; exit 2; }
shift

fetch_go() { # MODULE VERSION
  need go "is needed to build $1: the Go toolchain (go.dev/dl)"
  # Flags meant for the caller's own build must not reach this one.
  export GOFLAGS=-buildvcs=false GOWORK=off
  go mod init "consumer.build/$(basename "$1")"
  go get -tool "$1@v$2"
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o run "$1"
}

fetch_python() {
  need python3 "runs these clients (Debian: apt-get install python3-pip)"
  python3 -m pip --version >/dev/null 2>&1 || missing "pip fetches these clients (Debian: apt-get install python3-pip)"
  python3 -m pip install --target packages "$@"
  printf '#!/bin/sh\nPYTHONPATH=%q exec python3 "$@"\n' "$dir/packages" >run
}

fetch_node() {
  need node "runs these clients (Debian: apt-get install nodejs)"
  need npm "fetches these clients (Debian: apt-get install npm)"
  npm install --prefix . --no-audit --no-fund --ignore-scripts "$@"
  printf '#!/bin/sh\nNODE_PATH=%q exec node "$@"\n' "$dir/node_modules" >run
}

fetch_java() {
  need javac "compiles what these clients run in (Debian: apt-get install default-jdk-headless)"
  need mvn "fetches these clients (Debian: apt-get install maven)"
  local artifact
  {
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>consumer</groupId><artifactId>consumer</artifactId>'
    echo '<version>1</version><dependencies>'
    for artifact in "$@"; do
      IFS=: read -r group name version <<<"$artifact"
      echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId><version>$version</version></dependency>"
    done
    echo '</dependencies></project>'
  } >pom.xml
  mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars -DincludeScope=runtime
  printf '#!/bin/sh\nexec java -cp %q"/*" "$@"\n' "$dir/jars" >run
}

# The same arguments are the same directory.
dir="$(cache_root)/consumer-$kind-$(cksum <<<"$*" | cut -d' ' -f1)"
if [ -x "$dir/run" ]; then echo "$dir/run"; exit 0; fi
if [ -n "$here" ]; then missing "this machine has no $kind $*; make consumers fetches it"; fi

mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
say "no $kind $* here: putting it into $dir (once)"
"fetch_$kind" "$@" >&2 </dev/null
chmod +x run
[ -e "$dir" ] || mv "$work" "$dir" # last; where another call was faster its result is taken
echo "$dir/run"
