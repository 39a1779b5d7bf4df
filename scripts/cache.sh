# Sourced by the scripts that put servers and tools into the user's cache directory.

# cache_root: where they lie, each in a directory of its own.
cache_root() {
  if [ "$(uname -s)" = Darwin ]; then
    echo "$HOME/Library/Caches/vault-plugin-secrets-influxdb"
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/vault-plugin-secrets-influxdb"
  fi
}
