#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the verbs that set NICs up say what is wrong before anything is begun, with their exit status:
# no NIC is needed. (tests/lab/nic/policy.sh has the rest.)
. "$(dirname "$0")/common.sh"
config=$here/../../../config
export LANDFALL_STATE=$PWD/state

"$landfall" validate "$config/gpu-ingest.yaml" >first.out 2>first.err || {
  grep -q LF1519 first.err && skip "this landfall was built without yaml-cpp"
}
sed 's/eth1/nosuch0/' "$config/container-host.yaml" >absent.yaml
status=0
"$landfall" plan absent.yaml >last.out 2>last.err || status=$?
if grep -q nic_support_missing last.err; then skip "this landfall was built without libnl-3"; fi
[ "$status" = 69 ] || fail "plan exits with $status: $(cat last.err)"
grep -q 'receivers.blue: there is no interface nosuch0' last.err || fail "$(cat last.err)"
[ ! -e state ] || fail "a plan makes a folder"

expect 69 "$landfall" apply absent.yaml
expect 69 "$landfall" plan absent.yaml --json
grep -q '"subject":"receivers.blue"' last.out || fail "$(cat last.out)"
expect 64 "$landfall" apply absent.yaml --confirm-within 60
grep -q "takes 1s to 24h" last.err || fail "$(cat last.err)"
expect 64 "$landfall" apply absent.yaml --confirm-within 0s
expect 65 "$landfall" apply <(echo 'version: 2')
expect 1 "$landfall" confirm
grep -q LF1611 last.err || fail "$(cat last.err)"
expect 1 "$landfall" rollback
expect 1 "$landfall" restore
expect 0 "$landfall" status
grep -q 'set up nothing' last.out || fail "$(cat last.out)"
expect 0 "$landfall" status --json
grep -q '"phase":"nothing"' last.out || fail "$(cat last.out)"

mkdir -p state
echo 'deadbeef step what=rx_ring' >state/journal
expect 78 "$landfall" restore
grep -q LF1605 last.err || fail "$(cat last.err)"
expect 78 "$landfall" status
rm state/journal
echo 'deadbeef plan format=1' >damaged
expect 65 "$landfall" apply damaged
grep -q 'saved plan is damaged' last.err || fail "$(cat last.err)"
echo ok
