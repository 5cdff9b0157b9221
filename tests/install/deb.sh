#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the Debian packages hold what they should, say what they need, and a program builds and runs
# against their contents. usage: deb.sh SOURCE_DIR BUILD_DIR CXX
source "$(dirname "$0")/common.sh"
source_dir=$1 build_dir=$2 cxx=$3
for tool in dpkg-deb dpkg-shlibdeps file; do
  command -v $tool >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done
(cd "$work" && cpack --config "$build_dir/CPackConfig.cmake" -G DEB -B "$work/debs" >"$work/log" 2>&1) ||
  { cat "$work/log"; exit 1; }

packages=$(cd "$work/debs" && ls ./*.deb)
for name in liblandfall0 liblandfall-dev; do
  grep -q "/${name}_" <<<"$packages" || { echo "no package $name among: $packages"; exit 1; }
done
mkdir "$work/root"
for package in $packages; do
  package=$work/debs/$package
  name=$(dpkg-deb -f "$package" Package)
  if dpkg-deb -c "$package" | grep -v '^d' | awk '{print $6}' | sort | comm -12 - <(
       cd "$work/root" && find . -type f -o -type l | sort) | grep .; then
    echo "$name: these files are in another package as well"
    exit 1
  fi
  dpkg-deb -x "$package" "$work/root"
  depends=$(dpkg-deb -f "$package" Depends)
  echo "$name: depends on $depends"
  case $name in
    liblandfall0) [[ $depends == *libc6* && $depends == *libstdc++6* ]] ;;
    *) [[ $depends == *liblandfall0* ]] ;;
  esac || { echo "$name: a dependency is missing"; exit 1; }
  for file in copyright changelog.gz; do
    [ -s "$work/root/usr/share/doc/$name/$file" ] || { echo "$name: no $file"; exit 1; }
  done
  [ "$(dpkg-deb -f "$package" Description | wc -l)" -ge 3 ] ||
    { echo "$name: no description"; exit 1; }
done
dpkg-deb -I "$work"/debs/liblandfall0_*.deb shlibs | grep -q '^liblandfall 0 liblandfall0 (= ' ||
  { echo "liblandfall0: no shlibs"; exit 1; }
# Built with libnl: the package says so, and brings the process that guards rules.
if [ -x "$build_dir/sdk/landfall-nic-guard" ]; then
  dpkg-deb -f "$work"/debs/liblandfall0_*.deb Depends | grep -q 'libnl-genl-3-200' ||
    { echo "liblandfall0: does not depend on libnl"; exit 1; }
  [ -x "$work/root/usr/libexec/landfall-0/landfall-nic-guard" ] ||
    { echo "liblandfall0: no landfall-nic-guard"; exit 1; }
fi
build_consumers "$work/root/usr" "$source_dir/README.md" "$source_dir" "$cxx"
