// SPDX-License-Identifier: Apache-2.0
#include "base/membarrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace landfall::detail {
namespace {

bool membarrier(int command) noexcept {
  return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

}  // namespace

bool can_fence_all_threads() noexcept {
  static const bool can = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  return can;
}

void fence_all_threads() noexcept {
  // Registered and refused all the same: a filter that was set since. No write waits that long in a
  // processor.
  if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
}

}  // namespace landfall::detail
