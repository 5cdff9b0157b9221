#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the systemd units of config/ do what they say under a real systemd: the NIC is set up when the
# one starts and put back when it stops, and the other receives as a user of its own, by the NIC.
# usage: service.sh NIC_TOOL LANDFALL BUILD_FOLDER CONFIG_FOLDER
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2 build=$3 config=$4
[ -x /lib/systemd/systemd ] || { echo "SKIP: systemd is missing"; exit 77; }
load queues=4 mtu=4148
snapshot() {
  ethtool -l lf0
  ethtool -g lf0
  ethtool -x lf0
  ethtool -n lf0
  ethtool -k lf0 | grep ntuple
}
snapshot >"$work/before"

# A systemd with nothing but these units, in a PID and a mount namespace of its own (it puts a /run of
# its own over the VM's), but with the VM's devices and network.
mkdir -p /etc/landfall /etc/systemd/system
cp "$config"/landfall-*.service /etc/systemd/system
# Installed, as the units know it: in a build folder below /tmp or /home they would not see it.
for component in runtime tools; do
  cmake --install "$build" --prefix /usr --component "$component" >/dev/null || die "install $component"
done
for unit in tmpfiles-setup tmpfiles-setup-dev timesyncd update-utmp pcrphase pcrphase-sysinit binfmt \
  sysctl sysusers modules-load random-seed; do  # of which some take minutes, or change the VM
  ln -sf /dev/null "/etc/systemd/system/systemd-$unit.service"
done
# What they say, where it can be read from outside.
mkdir -p /etc/systemd/system/landfall-recv@.service.d
printf '[Service]\nStandardError=append:%s\n' "$work/said" >/etc/systemd/system/landfall-recv@.service.d/lab.conf
printf '[Unit]\nDescription=nothing\nDefaultDependencies=no\n' >/etc/systemd/system/lab.target
cat >/etc/landfall/policy.yaml <<'END'
version: 1
memory: {landing: {source: udmabuf, size: 16MiB}}
receivers:
  ingest:
    interface: lf0
    queues: 1
    memory: landing
    transports: [devmem-tcp]
    header_split: required
    placement: {require_direct: {max_linear: 10%}}
    cpus: [1]
flows: [{match: {dst_ip: 10.77.0.1, dst_port: 5201}, to: ingest}]
END
# As udev does, which does not run here.
getent group kvm >/dev/null || echo "kvm:x:993:" >>/etc/group
modprobe -q udmabuf || true
chgrp kvm /dev/udmabuf
chmod 660 /dev/udmabuf
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
unshare --pid --fork --mount --mount-proc env -i container=lab PATH="$PATH" \
  /lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=no \
  >"$work/systemd" 2>&1 </dev/null &
# Neither unshare nor systemd ends by SIGTERM.
trap '[ -z "${systemd-}" ] || kill -9 "$systemd" 2>/dev/null || true; cleanup' EXIT
said() { cat "$work/systemd" "$work/said" 2>/dev/null || true; }
inside() { nsenter --target "$systemd" --mount --pid timeout 60 "$@"; }
for ((i = 0; ; i++)); do
  ((i < 300)) || die "systemd does not start: $(said)"
  systemd=$(pgrep -f '^/lib/systemd/systemd --system' || true)
  [ -z "$systemd" ] || ! inside systemctl show -p Version >/dev/null 2>&1 || break
  pause 0.1
done
start() { inside systemctl start "$1" || die "$1: $(said)"; }
shown() { inside systemctl show -p "$2" --value "$1"; }
: >"$work/said"
listening() {  # listening TIMES
  local i
  for ((i = 0; i < 300; i++)); do
    [ "$(grep -sc "listening on" "$work/said")" -lt "$1" ] || return 0
    pause 0.1
  done
  die "nobody listens: $(said)"
}

echo "-- the NIC is set up, and the receiver runs as somebody else"
start landfall-recv@ingest.service
listening 1
expect "the NIC's unit" "$(shown landfall-nic.service ActiveState)" = active
expect "the receiver's unit" "$(shown landfall-recv@ingest.service ActiveState)" = active
main() { pgrep -f "landfall recv --policy /etc/landfall/policy.yaml" | head -n 1; }
pid=$(main)
expect "its user" "$(stat -c %u "/proc/$pid")" -ne 0
expect "its capabilities" "$(awk '$1 == "CapEff:" { print $2 }' "/proc/$pid/status")" = 0000000000001000
expect "its processors" "$(awk '$1 == "Cpus_allowed_list:" { print $2 }' "/proc/$pid/status")" = 1
head -c 3000000 /dev/urandom >"$work/sent"
peer "$landfall" send --to 10.77.0.1:5201 "$work/sent" >/dev/null 2>&1 || die "send: $(said)"
landed=/var/lib/landfall-recv/ingest/sent
for ((i = 0; i < 100; i++)); do ! inside test -e "$landed" || break; pause 0.1; done
inside cat "$landed" | cmp "$work/sent" || die "the file differs: $(said)"
expect "bytes by the NIC" "$(pool_of | cut -d' ' -f1)" -gt 2500000

echo "-- it starts again when it is killed"
kill -9 "$pid"
listening 2
expect "its process" "$(main)" -ne "$pid"

echo "-- and everything is put back when they stop"
inside systemctl stop landfall-nic.service || die "stop: $(said)"
expect "the receiver's unit" "$(shown landfall-recv@ingest.service ActiveState)" = inactive
snapshot | diff "$work/before" - || die "not as before: $(said)"
