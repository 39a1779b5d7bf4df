# Sourced by the scripts that fetch and build for minutes, each in a directory $work of its own.

say() { printf '%s\n' "$*" >&2; }

# report_every_20s LINE: prints LINE with the seconds since the script began, when the last such line
# is 20 s old. It counts from the last line: whole seconds drift, so a test for "divisible by 20" can
# meet one second twice and miss the next.
next_report=20
report_every_20s() {
  if [ "$SECONDS" -lt "$next_report" ]; then return; fi
  say "  ... $SECONDS s$1"
  next_report=$((SECONDS + 20))
}

# quietly COMMAND...: runs it with lines of progress; shows its output only when it fails.
building=
quietly() {
  local log=$work/build.log
  set -m # a process group of its own: ending a build means its compilers too
  "$@" >"$log" 2>&1 </dev/null &
  building=$!
  set +m
  while kill -0 "$building" 2>/dev/null; do
    sleep 1
    report_every_20s ""
  done
  if ! wait "$building"; then
    building=
    tail -n 40 "$log" >&2
    die "$* failed (its last lines are above)"
  fi
  building=
}

# end_build: ends the build that runs: the background children of a shell do not hear of a Ctrl-C.
end_build() {
  if [ -n "$building" ]; then
    kill -- "-$building" 2>/dev/null || true
    wait "$building" 2>/dev/null || true
  fi
}
