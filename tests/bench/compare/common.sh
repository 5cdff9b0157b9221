# SPDX-License-Identifier: Apache-2.0
# For the scripts beside it. Each runs one measurement and prints one line of JSON like the receivers of
# tests/bench: bytes, seconds, CPU seconds of the whole receiving process (its start included). Without its tool
# it says what is missing and exits with 77.
set -euo pipefail
measure=${LANDFALL_BENCH_MEASURE:?path of bench_measure}
readonly message=1048576
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT

missing() { echo "missing: $*"; exit 77; }
need() { command -v "$1" >/dev/null || missing "$1 ($2)"; }

# serve COMMAND...: the receiver, on processor 1, its CPU seconds in $work/cpu when it ends.
serve() {
  "$measure" "$work/cpu" taskset -c 1 "$@" >"$work/server" 2>&1 &
  server=$!
}
# send COMMAND...: the sender, on processor 0; tried again while the receiver does not listen yet.
send() {
  local try
  for try in $(seq 50); do
    if timeout 60 taskset -c 0 "$@" >"$work/client" 2>"$work/client.err"; then
      wait "$server" || true
      server=
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "failed: $* ($(tail -n 1 "$work/client.err"))"
  exit 1
}
report() {  # report BYTES SECONDS
  printf '{"bytes": %s, "seconds": %s, "cpu_seconds": %s}\n' "$1" "$2" "$(cat "$work/cpu")"
}
