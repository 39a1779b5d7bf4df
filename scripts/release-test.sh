#!/usr/bin/env bash
# Makes the release of the last commit twice, in two clones and with a key that is thrown away, compares the two byte by
# byte, shows what the checks refuse, and installs it on both hosts.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=${1:?which version}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export COSIGN_KEY=$work/cosign.key COSIGN_PASSWORD=throw-away
# cosign itself makes the key and checks the signature where this machine has it: scripts/tool.sh cosign builds it, in minutes.
if scripts/tool.sh -cached cosign; then
  export PATH="$(dirname "$(scripts/tool.sh cosign)"):$PATH"
  (cd "$work" && cosign generate-key-pair)
else
  echo "release-test: no cosign here: our own key, and openssl for the check" >&2
  (cd release && go run . key "$work")
fi

for clone in one two; do git clone --quiet . "$work/$clone"; done

refuses() { # refuses SENTENCE COMMAND...: it has to say so, and to leave neither a build of goreleaser's nor a release
  local sentence=$1 said code=0
  shift
  said=$("$@" 2>&1) || code=$?
  if [ "$code" = 0 ] || [[ $said != *"$sentence"* ]] || [ -e "$work/one/bin/release" ] || [ -e "$work/one/dist" ]; then
    printf 'release-test: has to be refused with "%s": %s\n%s\n' "$sentence" "$*" "$said" >&2
    exit 1
  fi
}
release=$work/one/scripts/release.sh
refuses "version ${VERSION#v}: must be v, and three numbers" "$release" "${VERSION#v}"
refuses "COSIGN_KEY is not set: name the file" env -u COSIGN_KEY "$release" "$VERSION"
refuses "COSIGN_KEY: $work/none.key can't be read" env COSIGN_KEY="$work/none.key" "$release" "$VERSION"
touch "$work/one/stray"
refuses "the tree is not clean: commit, or remove," "$release" "$VERSION"
rm "$work/one/stray"
[ ! -e "$work/one/bin" ] || { echo "release-test: something is built before the version, the key or the tree is looked at" >&2; exit 1; }
refuses "is its password in COSIGN_PASSWORD?" env COSIGN_PASSWORD=wrong "$release" "$VERSION"

for clone in one two; do
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
  (cd e2e && HOST=$host go test -count=1 -timeout 30m -run '^(TestTheArchiveIsInstalled|TestAChangedArchiveIsRefused|TestTheInitContainer.*|TestOpenBao.*Image|TestTheImageIsPushed)$' .)
done
