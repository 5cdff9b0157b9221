// SPDX-License-Identifier: Apache-2.0
// Counts what a process holds, so that a test can say that a path leaks nothing.
#pragma once
#include <dirent.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace landfall::test {

/// Open descriptors of this process.
inline int open_fds() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(folder);
  return count - 1;  // the folder's own
}

/// Mappings of this process whose line in /proc/self/maps holds `part`: "memfd:", "/dev/zero"
/// (MAP_SHARED | MAP_ANONYMOUS), "hugepage", "dmabuf". Heap and stacks grow by themselves and are
/// no evidence, so count by name.
inline int mappings_of(const std::string& part) {
  std::ifstream maps{"/proc/self/maps"};
  int count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find(part) != std::string::npos ? 1 : 0;
  return count;
}

/// Descriptors opened since and not closed.
class FdCensus {
 public:
  int leaked() const { return open_fds() - before_; }

 private:
  int before_ = open_fds();
};

/// Shared mappings made since and not unmapped: memfd, anonymous shared, hugetlb, dma-buf.
class MapCensus {
 public:
  int leaked() const { return now() - before_; }

 private:
  static int now() {
    return mappings_of("memfd:") + mappings_of("/dev/zero") + mappings_of("anon_hugepage") +
           mappings_of("dmabuf");
  }
  int before_ = now();
};

}  // namespace landfall::test
