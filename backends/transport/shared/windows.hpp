// SPDX-License-Identifier: Apache-2.0
// How much of a pool of pages the receive windows may fill.
//
// A NIC that finds no page drops the packet: TCP's window knows nothing of the pool. So the windows
// together are kept below it, each at its flow's share. A socket queues packets up to SO_RCVBUF,
// counted in whole pages (skb->truesize), so a limit of that holds however little of a page a
// packet fills, and the kernel derives the window from it.
#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

namespace landfall::transport {

/// The windows of the flows that draw from one pool.
///
/// Threads: any, after open().
class Windows {
 public:
  /// The windows of all flows together: `budget_bytes`, in pages of 1 << page_shift.
  void open(std::uint64_t budget_bytes, std::uint32_t page_shift);

  /// A flow has come, or is gone.
  void flow_came() noexcept { flows_.fetch_add(1, std::memory_order_relaxed); }
  void flow_left() noexcept { flows_.fetch_sub(1, std::memory_order_relaxed); }
  /// Bytes of the pool that one flow's socket may fill: the budget by the number of flows, that
  /// rounded up to a power of two, so that it changes seldom.
  std::uint32_t share() const noexcept {
    const std::uint32_t flows = flows_.load(std::memory_order_relaxed);
    const int halvings = flows == 0 ? 0 : static_cast<int>(std::bit_width(flows - 1));
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(budget_ >> halvings, kPagesPerFlow << page_shift_, 1u << 30));
  }
  /// Lets the kernel fill at most that much for this socket, where it might fill more, or was
  /// `limited` already. Answers whether it now is.
  bool limit(int fd, std::uint32_t share_bytes, bool limited) const noexcept;

 private:
  // With less a flow would wait for each packet's acknowledgement.
  static constexpr std::uint64_t kPagesPerFlow = 4;

  std::uint64_t budget_ = 0;
  std::uint32_t page_shift_ = 12;
  std::uint64_t tcp_rmem_bytes_ = 0;  // that the kernel gives a socket by itself, at most
  std::uint64_t rmem_max_bytes_ = 0;  // that it gives to whoever asks
  std::atomic<std::uint32_t> flows_{0};
};

}  // namespace landfall::transport
