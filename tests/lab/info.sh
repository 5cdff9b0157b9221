#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: on a kernel that has everything the command says so: every memory source is usable. usage: info.sh LANDFALL
set -euo pipefail
landfall=$1
"$landfall" info
"$landfall" doctor
"$landfall" info --json | python3 -c '
import json, os, sys
info = json.load(sys.stdin)
assert info["kernel"]["release"] == os.environ["LANDFALL_LAB_KREL"], info["kernel"]
sources = {source["name"]: source for source in info["memory_sources"]}
for name in ("host", "hugepage", "udmabuf", "dma-heap", "dmabuf"):
    assert sources[name]["usable"], sources[name]'
