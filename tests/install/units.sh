#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: systemd understands the units in config/, and finds what they may do limited: at most 2.0 of 10.
# usage: units.sh CONFIG_DIR
set -euo pipefail
command -v systemd-analyze >/dev/null || { echo "SKIP: no systemd-analyze"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As if it were installed: verify looks for the programs and the man pages.
sed "s|/usr/bin/landfall|/bin/true|; /^Documentation=/d" "$1/landfall-nic.service" >"$work/landfall-nic.service"
sed "s|/usr/bin/landfall|/bin/true|; /^Documentation=/d" "$1/landfall-recv@.service" >"$work/landfall-recv@ingest.service"
for unit in landfall-nic landfall-recv@ingest; do
  said=$(SYSTEMD_UNIT_PATH=$work:/lib/systemd/system systemd-analyze verify "$work/$unit.service" 2>&1) || {
    echo "FAIL: $unit: $said"
    exit 1
  }
  [ -z "$said" ] || { echo "FAIL: $unit: $said"; exit 1; }
  score=$(systemd-analyze security --offline=yes --no-pager --threshold=20 "$work/$unit.service" | tail -n 1) || {
    echo "FAIL: $unit may do too much: $score"
    exit 1
  }
  echo "$score"
done
