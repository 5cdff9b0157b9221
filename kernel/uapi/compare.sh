#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the facts in landfall/uapi are those of the newest kernel headers on this machine: of the
# lab's kernel, or the machine's own if they are new enough. usage: compare.sh CXX
set -euo pipefail
cxx=$1
here=$(cd "$(dirname "$0")" && pwd)
cache=${LANDFALL_LAB_CACHE:-$here/../../build/lab/cache}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian's kernel headers have the files as they are in the source: linux/netdev.h and the two of
# ethtool include nothing else of it, so only these are looked at.
uapi=
for folder in "$cache"/trixie/usr/src/linux-headers-*-common/include/uapi /usr/include; do
  if grep -qs NETDEV_A_DMABUF_RX_PAGE_SIZE "$folder/linux/netdev.h"; then uapi=$folder; fi
done
if [ -z "$uapi" ]; then
  echo "SKIP: no kernel headers of Linux 7 here: kernel/lab/fetch brings them"
  exit 77
fi
mkdir -p "$work/linux" "$work/asm-generic"
cp -r "$uapi"/linux/{netdev.h,ethtool_netlink_generated.h,io_uring.h,io_uring} "$work/linux"
cp "$uapi"/asm-generic/socket.h "$work/asm-generic/new_socket.h"
sed -n '/^struct dmabuf_cmsg/,/^};/p; /^struct dmabuf_token/,/^};/p' "$uapi/linux/uio.h" >"$work/dmabuf.h"
grep -q frag_token "$work/dmabuf.h" || { echo "no dmabuf_cmsg in $uapi/linux/uio.h"; exit 1; }

"$cxx" -std=c++20 -Wall -Werror -I "$here" -isystem "$work" -fsyntax-only "$here/compare.cpp"

# MSG_SOCK_DEVMEM is in no uapi header: C libraries have it, the kernel its own.
private=${uapi%/uapi}/linux/socket.h
if [ -e "$private" ]; then
  grep -qE 'MSG_SOCK_DEVMEM[[:space:]]+0x2000000' "$private" || { echo "MSG_SOCK_DEVMEM has changed"; exit 1; }
fi
echo "as in $uapi"
