// SPDX-License-Identifier: Apache-2.0
// Bytes of a direct flow that lie in ordinary pages: why they do, and whether recv(2) can read
// them.
#pragma once
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "landfall/abi/backend.h"

namespace landfall::transport {

struct Cause {
  std::uint8_t placement;
  std::uint32_t code;
};

/// What a NIC leaves in packet heads of a direct flow comes between pages. More than the largest
/// merged packet without one page between is something else.
inline constexpr std::uint64_t kHeadsInARowMost = 64u << 10;

/// The kernel tells of it in no other way than by what is known here.
constexpr Cause cause_of_copy(bool before_steering, bool by_right_queue,
                              std::uint64_t bytes_in_a_row) noexcept {
  if (before_steering) return {LANDFALL_COPIED, LANDFALL_REASON_before_steering};
  if (!by_right_queue) return {LANDFALL_COPIED, LANDFALL_REASON_wrong_queue};
  // The right queue. A packet that was too short to be split, or pages that are not the Region's?
  if (bytes_in_a_row <= kHeadsInARowMost)
    return {LANDFALL_LINEAR, LANDFALL_REASON_linear_in_packet_head};
  return {LANDFALL_COPIED, LANDFALL_REASON_queue_not_bound};
}

/// Of the queue that the socket's last packet came by; 0: none.
inline std::uint32_t incoming_napi(int fd) noexcept {
  std::uint32_t id = 0;
  socklen_t length = sizeof id;
  return ::getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &length) == 0 ? id : 0;
}

/// At most so many bytes are on their way to this socket.
inline std::uint64_t window_of(int fd) noexcept {
  int bytes = 0;
  socklen_t length = sizeof bytes;
  return ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) == 0
             ? static_cast<std::uint64_t>(bytes)
             : 0;
}

/// Can recv(2) read all that waits in this socket? A look that takes nothing stops where it cannot.
inline bool can_be_read(int fd) {
  int queued = 0;
  if (::ioctl(fd, FIONREAD, &queued) != 0 || queued <= 0) return true;
  const auto bytes = static_cast<std::size_t>(queued);
  const auto scratch = std::make_unique_for_overwrite<std::byte[]>(bytes);
  const ssize_t seen = ::recv(fd, scratch.get(), bytes, MSG_PEEK | MSG_DONTWAIT);
  return seen == queued;
}

}  // namespace landfall::transport
