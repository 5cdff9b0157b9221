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
# send COMMAND...: the sender, on processor 0, once the receiver listens on $port. Trying before would do harm: with
# nobody listening, a connect on loopback to a port of the ephemeral range can end up connected to itself.
send() {
  local try row
  row=$(printf ':%04X 0*:0000 0A ' "$port")
  for try in $(seq 100); do
    grep -q "$row" /proc/net/tcp /proc/net/tcp6 && break
    sleep 0.1
  done
  if ! timeout 120 taskset -c 0 "$@" >"$work/client" 2>"$work/client.err"; then
    echo "failed: $* ($(tail -n 1 "$work/client.err"))"
    exit 1
  fi
  wait "$server" || true
  server=
}
report() {  # report BYTES SECONDS
  printf '{"bytes": %s, "seconds": %s, "cpu_seconds": %s}\n' "$1" "$2" "$(cat "$work/cpu")"
}
