#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: kernel/lab/judge refuses what kernels print when they are broken, shows it, and lets the
# chatter of a sound boot pass. usage: judge.sh JUDGE
set -uo pipefail
judge=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Lines that kernels print, 6.12 and 7.3; each on its own must fail.
while IFS= read -r line; do
  printf '[    1.0] sound\n[    2.0] %s\n[    3.0] what follows\n' "$line" >"$work/log"
  "$judge" "$work/log" >"$work/out" 2>&1
  [ $? = 1 ] || { echo "let pass: $line"; failed=1; }
  grep -qF "what follows" "$work/out" || { echo "did not show: $line"; failed=1; }
done <<'EOF'
------------[ cut here ]------------
WARNING: CPU: 0 PID: 1 at net/core/page_pool.c:1120 page_pool_destroy+0x1/0x2
WARNING: net/core/dev.c:7120 at __napi_poll+0x1/0x2, CPU#0: test/12
WARNING: possible circular locking dependency detected
WARNING: inconsistent lock state
WARNING: suspicious RCU usage
BUG: kernel NULL pointer dereference, address: 0000000000000000
BUG: KASAN: slab-use-after-free in lf_poll+0x1/0x2 [landfall_nic]
BUG: sleeping function called from invalid context at mm/slab.h:321
BUG: scheduling while atomic: kworker/0:1/12/0x00000002
BUG: KFENCE: use-after-free read in lf_rx+0x1/0x2
kernel BUG at mm/slub.c:546!
Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP
Kernel panic - not syncing: sysrq triggered crash
UBSAN: array-index-out-of-bounds in drivers/net/x.c:1:2
refcount_t: underflow; use-after-free.
page_pool_release_retry() stalled pool shutdown: id 9, 91 inflight 60 sec
unregister_netdevice: waiting for lf0 to become free. Usage count = 2
INFO: task ip:99 blocked for more than 120 seconds.
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: INFO: rcu_preempt self-detected stall on CPU
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [test:1]
list_add corruption. next->prev should be prev
BUG: Bad page state in process test  pfn:12345
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
udmabuf_test[77]: segfault at 0 ip 0 sp 0 error 4
DMA-API: device driver frees DMA memory with wrong function
EOF

cat >"$work/log" <<'EOF'
[    0.0] Linux version 7.3.4+deb13-amd64
[    0.1] Speculative Return Stack Overflow: WARNING: See https://kernel.org/doc for options.
[    0.2] mtrr: your CPUs had inconsistent fixed MTRR settings
[    0.3] landfall_nic: loading out-of-tree module taints kernel.
[    0.4] landfall_nic: module verification failed: signature and/or required key missing
[    9.0] lab: exit status 0, tainted 12288
EOF
"$judge" "$work/log" || { echo "refused a sound log"; failed=1; }
: >"$work/log"
"$judge" "$work/log" 2>/dev/null && { echo "an empty log is no sound one"; failed=1; }
exit $failed
