#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a policy becomes settings and rules of the NIC, flows arrive where it says, and what was
# there before comes back exactly: by restore, when nobody confirms, when the NIC refuses a step and
# after kill -9 at random moments. usage: policy.sh NIC_TOOL LANDFALL [KILLS [SEED]]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2
kills=25
[ -z "${LANDFALL_SOAK-}" ] || kills=200
kills=${3:-$kills} seed=${4:-$$}
load queues=4 mtu=4148
export LANDFALL_STATE=$work/state

# All of lf0 that a policy can touch.
snapshot() {
  { ethtool -l lf0; ethtool -g lf0; } | sed -n '/Current/,/^$/p'
  ethtool -k lf0 | grep ntuple
  ethtool -x lf0
  ethtool -n lf0
}
same() { snapshot | diff "$work/$1" - >"$work/differs" || die "$2: $(cat "$work/differs")"; }
exits() {  # exits STATUS COMMAND...
  local wanted=$1 status=0
  shift
  "$@" >"$work/said" 2>&1 || status=$?
  [ "$status" = "$wanted" ] || die "$* exits with $status, not $wanted: $(cat "$work/said")"
}
says() { grep -qF -- "$1" "$work/said" || die "not said: $1; but: $(cat "$work/said")"; }
guard_is_there() {  # (without a program: they start slowly in an emulation)
  local at verb
  for at in /proc/[0-9]*/cmdline; do
    verb=
    { read -r -d '' verb && read -r -d '' verb; } 2>/dev/null <"$at" || continue
    [ "$verb" != setup-guard ] || return 0
  done
  return 1
}
no_guard() {  # the guards of applies have done their work
  local attempt
  for ((attempt = 0; attempt < 300; attempt++)); do
    guard_is_there || return 0
    pause 0.05
  done
  die "a guard is still there"
}

cat >"$work/policy.yaml" <<'END'
version: 1
memory:
  landing: {source: udmabuf, size: 16MiB}
receivers:
  ingest:
    interface: lf0
    queues: 2
    memory: landing
    transports: [devmem-tcp, tcp]
    header_split: required
    ring: 512
flows:
  - {match: {dst_ip: 10.77.0.1, dst_port: 5201}, to: ingest}
  - {match: {dst_port: 6000-6003, family: ipv4}, to: ingest}
END
ethtool -N lf0 flow-type tcp4 dst-port 9999 action 1 loc 7 >/dev/null  # somebody else's
snapshot >"$work/before"

echo "-- a plan changes nothing"
exits 2 "$landfall" plan "$work/policy.yaml" -o "$work/saved"
cat "$work/said"
says 'RSS context "ingest" over queues 2-3'
says 'rule tcp to 10.77.0.1 port 5201'
same before plan

sed 's/match: {dst_ip: 10.77.0.1, dst_port: 5201}/match: {dst_ip: 10.77.0.0\/24}/' "$work/policy.yaml" >"$work/wide.yaml"
exits 65 "$landfall" plan "$work/wide.yaml"  # of its packets one port is somebody else's
says LF1230
echo 'steering: {on_conflict: precede}' >>"$work/wide.yaml"
SSH_CONNECTION="10.77.0.2 51000 10.77.0.1 22" exits 65 "$landfall" plan "$work/wide.yaml"
says LF1604
SSH_CONNECTION="10.77.0.2 51000 10.77.0.1 22" exits 2 "$landfall" plan --force "$work/wide.yaml"
SSH_CONNECTION="10.78.0.2 51000 10.78.0.1 22" exits 2 "$landfall" plan "$work/wide.yaml"

"$tool" recv 6002 >"$work/listener" 2>&1 &
listener=$!
until grep -q ready "$work/listener"; do pause 0.02; done
exits 65 "$landfall" apply "$work/policy.yaml"
says "takes what comes to tcp port 6002, where a program of root listens [LF1604]"
kill "$listener"
wait "$listener" || true
same before "what would take somebody else's connections"

echo "-- apply does it, and then there is nothing to do"
exits 0 "$landfall" apply "$work/policy.yaml"
exits 0 "$landfall" plan "$work/policy.yaml"
exits 0 "$landfall" status
snapshot >"$work/after"
expect ring "$(ethtool -g lf0 | awk '/^RX:/ { ring = $2 } END { print ring }')" -eq 512
expect rules "$(ethtool -n lf0 | grep -c '^Filter:')" -eq 6
# shellcheck disable=SC2034  # of lib.sh
for port in 5201 6002; do
  before_2=$(counter rx2_packets) before_3=$(counter rx3_packets) before_0=$(counter rx0_packets)
  stream $port 1000000 >/dev/null
  got=$(($(counter rx2_packets) - before_2 + $(counter rx3_packets) - before_3))
  expect "packets of port $port on the receiver's queues" "$got" -gt 100
done
before_2=$(counter rx2_packets) before_3=$(counter rx3_packets)
stream 7000 1000000 >/dev/null
expect "packets of others there" "$(($(counter rx2_packets) - before_2 + $(counter rx3_packets) - before_3))" -lt 20

echo "-- what somebody else changes is told and left"
"$landfall" status --watch >"$work/watched" &
watcher=$!
for ((i = 0; i < 100; i++)); do [ ! -s "$work/watched" ] || break; pause 0.05; done
ethtool -G lf0 rx 1024
for ((i = 0; i < 100; i++)); do ! grep -q "RX ring.*changed by somebody else" "$work/watched" || break; pause 0.05; done
kill "$watcher"
wait "$watcher" || die "status --watch: $(cat "$work/watched")"
grep -q "RX ring.*changed by somebody else" "$work/watched" || die "not watched: $(cat "$work/watched")"
exits 2 "$landfall" status
says "changed by somebody else"
ethtool -G lf0 rx 512
exits 0 "$landfall" restore
no_guard
same before restore
ethtool -L lf0 combined 2
ethtool -x lf0 | awk '$1 ~ /:$/ && NF > 8 { for (i = 2; i <= NF; i++) if ($i > 1) exit 1 }' ||
  die "the table does not follow the channels any more"
ethtool -L lf0 combined 4
same before "channels there and back"

echo "-- a saved plan is applied as it is, or not at all"
exits 0 "$landfall" apply "$work/saved"
same after "the saved plan"
exits 0 "$landfall" restore
same before "its restore"
ethtool -N lf0 flow-type tcp4 dst-port 9998 action 1 loc 8 >/dev/null
exits 75 "$landfall" apply "$work/saved"
says LF1603
ethtool -N lf0 delete 8
same before "a plan that the NIC has left behind"

echo "-- nobody confirms, and the terminal is gone"
exits 0 setsid "$landfall" apply --confirm-within 4s "$work/policy.yaml"
same after "before its time is over"
exits 75 "$landfall" apply "$work/policy.yaml"
says LF1610
no_guard
same before "unconfirmed"
exits 0 "$landfall" apply --confirm-within 60s "$work/policy.yaml"
exits 0 "$landfall" plan "$work/policy.yaml"
says "waits to be confirmed"
exits 0 "$landfall" confirm
no_guard
same after "confirmed"
exits 0 "$landfall" restore
exits 0 "$landfall" apply --confirm-within 60s "$work/policy.yaml"
exits 0 "$landfall" rollback
no_guard
same before "rolled back"

echo "-- a step that the NIC refuses takes those before it back"
sed 's/ring: 512/ring: 8/' "$work/policy.yaml" >"$work/small.yaml"
exits 75 "$landfall" apply "$work/small.yaml"
says "a ring has at least 16 descriptors"
no_guard
same before "refused"
ethtool -N lf0 flow-type tcp4 dst-port 6001 action 1 loc 9 >/dev/null
exits 65 "$landfall" apply "$work/policy.yaml"
says LF1230
ethtool -N lf0 delete 9
same before "in conflict"

echo "-- what must be direct and cannot be is refused, by plan, apply and recv"
sed 's/ring: 512/ring: 512\n    placement: require_direct/' "$work/policy.yaml" >"$work/must.yaml"
sed 's/header_split: required/header_split: keep/' "$work/must.yaml" >"$work/keep.yaml"
refused() {  # refused POLICY CODE FIX
  for verb in plan apply; do
    exits 69 "$landfall" $verb "$1"
    says "$2"
    says "try: $3"
  done
  exits 69 "$landfall" recv --policy "$1" --receiver ingest --listen 10.77.0.1:0 --to /dev/null
  says "$2"
}
hold_xdp() {  # hold_xdp [QUEUE]
  "$tool" xdp lf0 "$@" >"$work/xdp" 2>&1 &
  holder=$!
  until grep -q ready "$work/xdp"; do [ -e "/proc/$holder" ] || die "$(cat "$work/xdp")"; pause 0.02; done
}
let_go() { kill "$holder"; wait "$holder" || true; }
refused "$work/keep.yaml" LF1216 "header_split: required"
if [[ $LANDFALL_LAB_KREL != 6.12* ]]; then  # it has no threshold, and does not list AF_XDP
  "$tool" hds lf0 on 100
  refused "$work/keep.yaml" LF1217 "header_split: required"
  "$tool" hds lf0 off 0
  hold_xdp 3
  refused "$work/must.yaml" LF1219 ""
  let_go
fi
hold_xdp
refused "$work/must.yaml" LF1218 "ip link set dev lf0 xdp off"
let_go
ip link add lab1 numrxqueues 4 numtxqueues 4 type veth peer name lab2
sed 's/interface: lf0/interface: lab1/; /ring:/d; /header_split/d; /match:/d; /^flows/d' "$work/must.yaml" >"$work/veth.yaml"
refused "$work/veth.yaml" LF1215 ""
ip link del lab1
same before "refused by plan, apply and recv"

echo "-- a program that names a receiver of the policy gets all of that"
head -c 3000000 /dev/urandom >"$work/sent"
ingest_start() {  # ingest_start POLICY PORT
  rm -rf "$work/port" "$work/received"
  "$landfall" recv --policy "$1" --receiver ingest --listen "10.77.0.1:$2" --once \
    --port-file "$work/port" --report "$work/report" --to "$work/received/" >"$work/said" 2>&1 &
  job=$!
  for ((i = 0; i < 200; i++)); do [ ! -s "$work/port" ] || break; pause 0.05; done
  [ -s "$work/port" ] || die "no receiver: $(cat "$work/said")"
}
ingest_end() {  # ingest_end PORT
  peer "$landfall" send --to "10.77.0.1:$1" "$work/sent" >/dev/null 2>&1 || die "send"
  wait "$job" || die "recv: $(cat "$work/said")"
  cmp "$work/sent" "$work/received/sent" || die "the file differs"
  python3 - "$work/report" <<'END' || die "the verdict: $(cat "$work/said")"
import json, sys
report = json.load(open(sys.argv[1]))
direct, copied = report["verdict"]["direct_bytes"], report["verdict"]["copied_bytes"]
sys.exit(report["decision"]["chosen"] != "devmem-tcp" or direct < 2_900_000 or copied > 0)
END
  rm "$work/port"
}
ingest_start "$work/policy.yaml" 5201
same after "set up by Group::open"
ingest_end 5201
exits 0 "$landfall" status

echo "-- what the policy does not name gets a rule for its time, within the limits"
sysctl -qw vm.nr_hugepages=16  # another test may have taken them away
sed 's/ring: 512/ring: 512\n    rx_page_size: 16KiB/; s/size: 16MiB/size: 16MiB, page_size: 2MiB/' \
  "$work/policy.yaml" >"$work/lent.yaml"
echo 'access: [{user: root, receivers: [ingest], max_rules: 1}]' >>"$work/lent.yaml"
ingest_start "$work/lent.yaml" 7100
expect "rules with that of the listener" "$(ethtool -n lf0 | grep -c '^Filter:')" -eq 7
ingest_end 7100
same after "without the listener"
sed 's/max_rules: 1/max_rules: 0/' "$work/lent.yaml" >"$work/none.yaml"
exits 77 "$landfall" recv --policy "$work/none.yaml" --receiver ingest --listen 10.77.0.1:7100 --to /dev/null
says LF1616
ingest_start "$work/none.yaml" 6001  # which comes by the policy's own rule
same after "with a listener that needs no rule"
ingest_end 6001
sed 's/16KiB/1MiB/' "$work/lent.yaml" >"$work/pages.yaml"
# Too few of them fit into the memory: devmem-tcp has to say no.
ingest_start "$work/pages.yaml" 7100
kill "$job"
wait "$job" || true
rm "$work/port"
grep -q '"chosen":"tcp"' "$work/report" || die "pages of 1 MiB: $(cat "$work/said" "$work/report")"
hold_xdp  # a placement that allows copies takes what is left, and says why
ingest_start "$work/policy.yaml" 7100
kill "$job"
wait "$job" || true
let_go
rm "$work/port"
for word in '"chosen":"tcp"' xdp_attached; do
  grep -q "$word" "$work/report" || die "with an XDP program: $(cat "$work/said" "$work/report")"
done
exits 0 "$landfall" restore
same before "after the receiver"

echo "-- a storm of signals has one outcome"
for ((i = 0; i < 3; i++)); do
  status=0
  "$landfall" apply "$work/policy.yaml" >"$work/said" 2>&1 &
  job=$!
  # The first one from the beginning, the others from when the journal is there.
  until ((i == 0)) || [ -e "$LANDFALL_STATE/journal" ] || [ ! -e "/proc/$job" ]; do pause 0.01; done
  while kill -$((RANDOM % 2 ? 15 : 1)) "$job" 2>/dev/null && [ -e "/proc/$job" ]; do :; done
  wait "$job" 2>/dev/null || status=$?
  no_guard
  # It comes before the journal is taken, and ends the program, or the work is made whole.
  case $i:$status in
    *:0) same after "a storm of signals"; exits 0 "$landfall" restore ;;
    0:129 | 0:143) ;;
    *) die "apply in a storm of signals exits with $status: $(cat "$work/said")" ;;
  esac
  same before "after a storm of signals"
done

echo "-- what the kernel refuses while memory is bound changes nothing"
ethtool -X lf0 equal 2
"$tool" hds lf0 on
"$landfall" recv --to /dev/null --listen 10.77.0.1:0 --port-file "$work/port" --transport devmem-tcp \
  --memory udmabuf --size 4MiB --interface lf0 --queues 3 >/dev/null 2>&1 &
holder=$!
for ((i = 0; i < 200; i++)); do [ ! -s "$work/port" ] || break; pause 0.05; done
[ -s "$work/port" ] || die "no receiver holds queue 3"
snapshot >"$work/bound"
sed 's/queues: 2/queues: [2]/; s/header_split: required/header_split: none/' "$work/policy.yaml" >"$work/none.yaml"
exits 75 "$landfall" apply "$work/none.yaml"
says "taken back"
no_guard
same bound "refused by the kernel"
kill "$holder"
wait "$holder" || true
"$tool" hds lf0 off
ethtool -X lf0 default
same before "without the holder"

echo "-- kill -9, $kills times (seed $seed)"
RANDOM=$seed
pause_within() {  # pause_within MS: less than that, at random
  local pause_s
  printf -v pause_s '0.%03d' $((RANDOM % $1))
  pause "$pause_s"
}
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
begin=$(milliseconds)
exits 0 "$landfall" apply "$work/policy.yaml"
lasts=$(($(milliseconds) - begin))
begin=$(milliseconds)
exits 0 "$landfall" restore
restore_lasts=$(($(milliseconds) - begin))
begun=0 whole=0 restores=0
for ((i = 0; i < kills; i++)); do
  "$landfall" apply "$work/policy.yaml" >"$work/said" 2>&1 &
  job=$!
  if ((i % 2)); then
    pause_within "$lasts"
  else  # most of that is the start of the program: from the first step
    until [ -e "$LANDFALL_STATE/journal" ] || [ ! -e "/proc/$job" ]; do :; done
    pause_within $((lasts / 8))
  fi
  kill -9 "$job" 2>/dev/null || true
  wait "$job" 2>/dev/null || true
  # Is anything there, before the guard takes it back?
  [ ! -e "$LANDFALL_STATE/journal" ] || begun=$((begun + 1))
  no_guard
  if [ -e "$LANDFALL_STATE/journal" ]; then
    same after "after kill $i, which came too late"
    whole=$((whole + 1))
    # And a restore that is killed as well; what it has left the next one finishes.
    "$landfall" restore >/dev/null 2>&1 &
    job=$!
    pause_within "$restore_lasts"
    kill -9 "$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
    [ ! -e "$LANDFALL_STATE/journal" ] || restores=$((restores + 1))
    "$landfall" restore >"$work/said" 2>&1 || grep -q LF1611 "$work/said" || die "$(cat "$work/said")"
  fi
  same before "after kill $i"
done
echo "$kills kills in $lasts ms: $begun with a journal, of these $whole after the last step;" \
  "$restores restores cut off; the NIC was as before each time"

echo "-- the same device under another name is put back"
rename() { ip link set "$1" down; ip link set "$1" name "$2"; ip link set "$2" up; }
exits 0 "$landfall" apply "$work/policy.yaml"
no_guard
rename lf0 lab0
exits 0 "$landfall" restore
rename lab0 lf0
same before "renamed"

echo "-- another device of the same name is left alone"
exits 0 "$landfall" apply "$work/policy.yaml"
no_guard
reload queues=4 mtu=4148
snapshot >"$work/fresh"
exits 0 "$landfall" restore
says LF1607
same fresh "another device"
