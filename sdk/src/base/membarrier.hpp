// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace landfall::detail {

/// The dear half of an asymmetric fence: the other half costs its thread nothing but the compiler's
/// word, std::atomic_signal_fence(). After it each thread of this process has run a full fence, so
/// that it sees what was written here before, and is seen in what it wrote.
/// membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED, Linux 4.14.
///
/// Threads: any. Cost: microseconds, an interrupt on each processor that runs a thread of ours.
void fence_all_threads() noexcept;

/// Whether the kernel lets us; asked once in a process. A filter of system calls may say no.
bool can_fence_all_threads() noexcept;

}  // namespace landfall::detail
