// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>

namespace landfall::detail {
namespace {

using Cached = std::atomic<pid_t>;
static_assert(Cached::is_always_lock_free);

/// Reads as 0 in a forked child (MADV_WIPEONFORK of madvise(2)). Null: there is no such memory.
/// Never freed: senders may be dropped while the process ends.
Cached* make_cached() noexcept {
  void* page =
      ::mmap(nullptr, sizeof(Cached), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, sizeof(Cached), MADV_WIPEONFORK) == 0) return new (page) Cached{0};
  ::munmap(page, sizeof(Cached));
  return nullptr;
}

}  // namespace

pid_t this_process() noexcept {
  static Cached* const cached = make_cached();
  if (cached == nullptr) return ::getpid();
  pid_t pid = cached->load(std::memory_order_relaxed);
  if (pid == 0) cached->store(pid = ::getpid(), std::memory_order_relaxed);
  return pid;
}

}  // namespace landfall::detail
