// SPDX-License-Identifier: Apache-2.0
// Runs a part of a test in a process of its own, whose limits and privileges it may spoil.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace landfall::test {

struct ChildResult {
  int status = -1;  // exit status, or 128 + signal
  std::string output;
};

/// Forks, runs `body` with standard output and error going into a pipe, and exits with what it
/// answers. Ended after a minute. The caller must not have threads.
ChildResult in_child(const std::function<int()>& body);

/// For `body`: becomes another program. Answers only if that fails.
int become(const std::vector<std::string>& arguments);

/// For `body`: gives up a capability for good, also past exec(2).
void drop_capability(int capability);

/// For `body`: io_uring's system calls fail with `number` from now on, as under a container's
/// seccomp profile. False: the kernel has no seccomp filters.
bool refuse_io_uring(int number);

}  // namespace landfall::test
