// SPDX-License-Identifier: Apache-2.0
// Sockets of another network namespace.
#pragma once
#include <fcntl.h>
#include <sched.h>

#include <string>
#include <thread>
#include <utility>

#include "landfall/base/fd.hpp"

namespace landfall::test {

/// From now on this thread makes its sockets in the namespace that ip-netns(8) calls `name`.
inline bool enter_namespace(const std::string& name) {
  if (name.empty()) return true;
  const Fd there{::open(("/var/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC)};
  return there && ::setns(there.get(), CLONE_NEWNET) == 0;
}

/// Runs `make` on a thread in the namespace that ip-netns(8) calls `name`, "" for this one: a
/// socket stays in the namespace that it was made in.
template <class Make>
auto in_namespace(const std::string& name, Make&& make) -> decltype(make()) {
  if (name.empty()) return make();
  decltype(make()) result{};
  std::thread{[&] {
    if (enter_namespace(name)) result = make();
  }}.join();
  return result;
}

}  // namespace landfall::test
