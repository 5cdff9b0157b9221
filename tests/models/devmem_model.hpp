// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"

namespace landfall::test {

/// The transport `devmem-model`: devmem TCP without the hardware. Sockets' bytes land in pages that
/// "the kernel" picks anywhere in the Region, shared by all queues; tokens are per socket; some
/// payloads come linear, into the spill; a socket that closes has its pages written over. It never
/// posts nor lands: the core slices and gathers. Options, all numbers:
///   page=4096         bytes of a page: the charge of an extent
///   linear_every=64   each n-th payload comes linear; 0: none
///   unsteered=0       1: every byte is copied into the spill
///   drop=0            1: a dry pool drops packets (the peer sends them again) instead of stalling
///   dmabuf=0          1: wants a dma-buf and writes through a mapping of it
///   grant=0           1: wants that dma-buf bound by the core, and refuses to open without
extern const landfall_backend kDevmemModel;

/// Wrongs that the core did to the model since the start of the process. Threads: any.
struct DevmemFaults {
  std::uint64_t bad_returns = 0;          // returned twice, forged, of another flow, after CLOSED
  std::uint64_t closed_with_extents = 0;  // extents still out when their queue was closed
  std::uint64_t demanded = 0;             // opened a demand flow, though there is no land nor post
};
DevmemFaults devmem_faults() noexcept;

/// Takes the binding from every open domain: their queues report LANDFALL_REVOKED, then nothing
/// but CLOSED. Threads: any.
void devmem_revoke();

}  // namespace landfall::test
