# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034  # variables are for the scripts that source this
# What the lab's scripts share: where things are, which kernel, how to complain.
lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$lab_dir/../.." && pwd)
cache=${LANDFALL_LAB_CACHE:-$checkout/build/lab/cache}
kernel=${LANDFALL_LAB_KERNEL:-7.3}
tree=$cache/trixie

say() { printf 'lab: %s\n' "$*" >&2; }
die() { printf 'lab: %s\n' "$*" >&2; exit "${die_status:-1}"; }

# The release of the chosen kernel ("7.3.4+deb13-amd64"), once it has been fetched.
krel() {
  cat "$cache/krel-$kernel" 2>/dev/null ||
    die "Linux $kernel is not in $cache. First: kernel/lab/fetch"
}

# Builds the kernel module whose source is in FOLDER for that kernel; says the folder where it then is.
# Kernels before 6.13 build a module only beside its source, so each gets a copy.
build_module() {  # build_module FOLDER
  local built
  built=$checkout/build/lab/$(basename "$1")-$(krel)
  mkdir -p "$built"
  cp -u "$1"/{Kbuild,*.[ch]} "$built"
  # shellcheck disable=SC2016  # expanded in the tree
  (cd "$built" && "$lab_dir/tree" sh -c 'make --silent -C $KDIR M=$PWD modules' >&2) || return
  echo "$built"
}

# Does FILE list the skip of NAME for this kernel RELEASE? Its lines: a pattern of kernel releases, a
# pattern of names, and why; without a reason a line does not count. Says the reason.
skip_listed() {  # skip_listed FILE RELEASE NAME
  local releases names why
  while read -r releases names why; do
    # shellcheck disable=SC2053  # patterns
    if [[ $releases != '#'* && $2 == $releases && $3 == $names && -n $why ]]; then
      echo "skip of $3 is listed: $why"
      return 0
    fi
  done <"$1"
  return 1
}
