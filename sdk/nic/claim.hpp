// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "landfall/base/fd.hpp"

namespace landfall::nic {

/// Nic::claim_queue: an abstract socket address, which at most one in a network namespace can have,
/// until the descriptor closes, however its process ends. A child of fork(2) that does not exec has
/// it as well. `nic`: "", or a name for what is no interface of this network namespace.
Result<Fd> take_queue(const std::string& nic, std::uint32_t interface_index,
                      std::uint32_t queue_id);

/// The pages behind a dma-buf, where they are a memfd's: two dma-bufs over the same range are two
/// names of the same memory.
struct Backing {
  int memfd = -1;  // -1: none, or not known
  std::uint64_t offset_bytes = 0, length_bytes = 0;
};

/// The right to bind a memory, held by at most one binding. The kernel binds a memory twice without
/// a word, and then hands every page of it out twice.
///
/// What it sees: the same dma-buf, however the descriptor came here, in this process and in all
/// that use landfall in this network namespace; and overlapping ranges of one memfd, in all
/// processes that use landfall, where the memfd is known.
/// What it cannot see: two dma-bufs over the same memory that is no known memfd (two exports of
/// device memory, two udmabufs over a memfd that is not given here); the same dma-buf in another
/// network namespace; programs that do not use landfall.
///
/// Both marks are the kernel's and end with the process, however it ends. A child of fork(2) that
/// does not exec has them as well, as it has the binding.
class Claim {
 public:
  /// Errors: busy - region_in_use; invalid_argument - not_a_memfd; limit_reached, io.
  static Result<Claim> take(int dmabuf_fd, const Backing& backing);

 private:
  Claim(Fd name, Fd range) : name_{std::move(name)}, range_{std::move(range)} {}
  Fd name_;   // an abstract socket address that is made of the dma-buf's inode
  Fd range_;  // a lock of the memfd's range, on an open file description of its own
};

}  // namespace landfall::nic
