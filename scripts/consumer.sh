#!/usr/bin/env bash
# Prints the path of a command that tests run to read the engine as its users do: a program, or an interpreter that has some client libraries.
#
#   scripts/consumer.sh go MODULE VERSION           the command of a Go module, such as consul-template, or of a package
#     [PACKAGE [FILE...]]                           in it ('' for none), with files of the module beside it
#   scripts/consumer.sh python PACKAGE==VERSION...  a Python that has these packages
#   scripts/consumer.sh node PACKAGE@VERSION...     a Node.js that has these packages
#   scripts/consumer.sh java GROUP:NAME:VERSION...  a Java that has these artifacts, and runs a source file
#
# What isn't in the user's cache directory yet is put there: from the Go module proxy, or by pip, npm or mvn. With --here
# as the first argument nothing is fetched. It ends with 3 where it can't be had: the tool that fetches it is missing, or
# --here was given and the cache has none. Progress goes to standard error: the largest build takes a quarter of an hour, once.
set -euo pipefail
. "$(dirname "$0")/cache.sh"
. "$(dirname "$0")/progress.sh"

die() { say "consumer.sh: $*"; exit 1; }
missing() { say "consumer.sh: $*"; exit 3; }
need() { command -v "$1" >/dev/null 2>&1 || missing "$*"; }

here=
if [ "${1:-}" = --here ]; then here=1; shift; fi
kind=${1:-}
[ $# -ge 2 ] || { say "usage: consumer.sh [--here] go|python|node|java WHAT..."; exit 2; }
shift

fetch_go() { # MODULE VERSION [PACKAGE [FILE...]]
  need go "is needed to build $1: the Go toolchain (go.dev/dl)"
  need jq "is needed to build $1 (Debian: apt-get install jq)"
  local module=$1 version=$2 package=$1${3:+/$3} source file
  shift $(($# < 3 ? $# : 3))
  # Flags meant for the caller's own build must not reach this one.
  export GOFLAGS=-buildvcs=false GOWORK=off
  say "  fetching modules"
  quietly go mod init consumer.build/run
  quietly go mod download "$module@v$version"
  source=$(go list -m -f '{{.Dir}}' "$module@v$version")
  replacements "$version" "$source/go.mod" >>go.mod
  quietly go get -tool "$package@v$version"
  say "  compiling"
  CGO_ENABLED=0 quietly go build -trimpath -ldflags '-s -w' -o run "$package"
  for file in "$@"; do cp "$source/$file" .; done
}

# replacements VERSION GO.MOD: what a module's own go.mod replaces, which a module that needs it does not inherit. The
# parts of Kubernetes that are folders there are published one by one, 0.x.y for 1.x.y.
replacements() {
  go mod edit -json "$2" | jq -r --arg part "v0.${1#1.}" '
    .Replace[]? | "replace \(.Old.Path) \(.Old.Version // "") => " + (
      if .New.Version then "\(.New.Path) \(.New.Version)"
      elif .New.Path | startswith("./staging/") then "\(.Old.Path) \($part)"
      else empty end)'
}

fetch_python() {
  need python3 "runs these clients (Debian: apt-get install python3-pip)"
  python3 -m pip --version >/dev/null 2>&1 || missing "pip fetches these clients (Debian: apt-get install python3-pip)"
  quietly python3 -m pip install --target packages "$@"
  printf '#!/bin/sh\nPYTHONPATH=%q exec python3 "$@"\n' "$dir/packages" >run
}

fetch_node() {
  need node "runs these clients (Debian: apt-get install nodejs)"
  need npm "fetches these clients (Debian: apt-get install npm)"
  quietly npm install --prefix . --no-audit --no-fund --ignore-scripts "$@"
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
  quietly mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars -DincludeScope=runtime
  printf '#!/bin/sh\nexec java -cp %q"/*" "$@"\n' "$dir/jars" >run
}

# The same arguments are the same directory.
dir="$(cache_root)/consumer-$kind-$(cksum <<<"$*" | cut -d' ' -f1)"
if [ -x "$dir/run" ]; then echo "$dir/run"; exit 0; fi
if [ -n "$here" ]; then missing "this machine has no $kind $*; make consumers fetches it"; fi

mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$dir.XXXXXX")
trap 'end_build; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$work"
say "no $kind $* here: putting it into $dir (once)"
"fetch_$kind" "$@"
chmod +x run
rm build.log
[ -e "$dir" ] || mv "$work" "$dir" # last; where another call was faster its result is taken
echo "$dir/run"
