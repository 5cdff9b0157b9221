// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

namespace landfall::detail {

/// getpid(2) for the price of a load: whose an object is that a forked child must leave alone.
///
/// Threads: any. Cost: a system call the first time in each process; before Linux 4.14 always.
pid_t this_process() noexcept;

}  // namespace landfall::detail
