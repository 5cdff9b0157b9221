#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the VM brings back exit status, results and kernel log, leaves this machine as it was, and
# fails for a WARN, a panic and an endless job. usage: vm.sh LAB_FOLDER WORK_FOLDER
set -uo pipefail
lab=$1
work=$2
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$lab/common.sh"
[ -s "$cache/krel-$kernel" ] || { echo "SKIP: Linux $kernel is not fetched: make lab"; exit 77; }
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit

fail() { echo "FAIL: $*"; cat output results/kernel.log 2>/dev/null; exit 1; }
boot() {  # boot STATUS COMMAND...
  local want=$1 got=0
  shift
  "$lab/vm" --results results "$@" >output 2>&1 </dev/null || got=$?
  cat output
  [ $got = "$want" ] || fail "the VM answered $got, not $want"
}

export LANDFALL_HELLO="it's \$here"
# shellcheck disable=SC2016  # expanded in the VM
boot 7 bash -c 'echo "$LANDFALL_HELLO in $PWD"; uname -r; : >host_file; echo kept >results/file
  ls -d /sys/class/net/*; ls -1 /dev/udmabuf /dev/dma_heap/system; exit 7'
grep -qxF "it's \$here in $work" output || fail "environment or folder did not arrive"
grep -qxF "$(krel)" output || fail "another kernel ran"
[ "$(grep -cE '^/dev/(udmabuf|dma_heap/system)$' output)" = 2 ] || fail "no dma-buf devices"
[ "$(grep /sys/class/net/ output)" = /sys/class/net/lo ] || fail "there is a network"
[ ! -e host_file ] || fail "the VM wrote to this machine"
[ "$(cat results/file)" = kept ] || fail "the result did not come back"
up=$(sed -nE 's/.*shell after ([0-9]+).*/\1/p' output)
[ "$up" -le 60 ] || fail "booting took $up s"

# A module for this kernel that warns, built as any out-of-tree module is.
cat >warns.c <<'EOF'
#include <linux/module.h>
static int __init warns(void) { WARN(1, "on purpose"); return 0; }
module_init(warns);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("warns on purpose");
EOF
echo 'obj-m := warns.o' >Kbuild
# shellcheck disable=SC2016  # expanded in the tree
"$lab/tree" sh -c 'make -s -C $KDIR M=$PWD modules' || fail "cannot build a module"
boot 125 sh -c 'insmod warns.ko && echo the job goes on'
grep -q 'the job goes on' output || fail "a WARN ended the job"
grep -q 'on purpose' output || fail "the WARN was not shown"

boot 125 sh -c 'echo c >/proc/sysrq-trigger; sleep 60'
grep -q 'sysrq triggered crash' output || fail "the panic was not shown"

# Code that is patched while it runs, all the time: no emulated CPU dies of a breakpoint that has gone.
cat >patch.sh <<'EOF'
toggle() {
  while echo 1 >/proc/sys/kernel/sched_schedstats; do echo 0 >/proc/sys/kernel/sched_schedstats; done
}
toggle &
toggler=$!
for _ in 1 2 3 4 5 6; do  # where the host is busy, 10 s may pass without one
  timeout 10 sh -c 'while echo x; do :; done' | timeout 10 cat >/dev/null
  gone=$(cat /sys/module/lab_int3/parameters/gone 2>/dev/null)
  [ "$gone" = 0 ] || break  # nor is there such a module where nothing is emulated
done
kill $toggler
echo "breakpoints that had gone: $gone"
EOF
boot 0 --timeout 120 bash patch.sh
grep -qE 'had gone: [1-9]' output || grep -q 'under KVM' output || fail "no breakpoint had gone: is lab_int3 still needed?"

# What an emulated kernel says when it met a breakpoint that is no longer there: the emulator's doing.
# shellcheck disable=SC2016  # expanded in the VM
boot 0 sh -c '[ $LANDFALL_LAB_BOOT = 2 ] || echo "Oops: int3: 0000 [#1]" >/dev/kmsg; echo its end'
grep -q 'once more' output || grep -q 'under KVM' output || fail "a lost breakpoint is nobody's fault"

boot 125 --timeout 3 sleep 1000
grep -q 'no end after 3 s' output || fail "the timeout was not named"
rm -rf "$work"
