// SPDX-License-Identifier: Apache-2.0
// The receive buffer of a connection whose other end is on this host.
//
// There is no path there whose delay a window would have to cover: more than a little of it only
// queues, out of the cache, and while it is not full the sender's processor does all of TCP's work.
// Full, each end has its share: what the receiver's acknowledgements let go is sent and received on
// the receiver's processor. Loopback, two processors, 64 KiB segments: 6.1 GB/s where the kernel
// tunes the buffer (3 to 13 MB), 8.3 GB/s with 1 MiB, 6.1 with 1.2 MB; posts of 1 MiB 6.1 and 10.6;
// with 768 KiB a sender that refers to its pages fell to 3.5 (of 10.4). That was where a processor
// has 1 MiB of second-level cache (AMD EPYC, Genoa). Where it has 2 MiB and the processors are far
// apart (Intel Xeon, 300 ns for a cache line there and back), posts had 9.2 GB/s with 1 MiB, 10.0
// with 1.25, 10.3 with 2 MiB and where the kernel tunes it; the stream 8.8, 9.5, 10.0 and 10.3.
#pragma once
#include <cstdint>

namespace landfall::tcp {

/// As much as a processor's second-level cache has, from 1 to 2 MiB; 1 MiB where that is not known.
std::uint32_t same_host_rcvbuf() noexcept;
/// Who comes to a Receiver that has as many flows, of whatever kind, is left to the kernel: all of
/// them together would queue more than it lets them.
inline constexpr std::uint32_t kSameHostFlows = 128;

/// By its addresses: of a peer in another network namespace it says no.
bool is_on_this_host(int fd) noexcept;

/// Makes the receive buffer same_host_rcvbuf() and has the kernel leave it so. Without privilege,
/// and beyond net.core.rmem_max. False: it is as it was, because the application has set it,
/// because it is larger already (what is offered to the peer cannot be taken back), or because the
/// kernel cannot (before Linux 5.16). For a socket that nobody waits on; SO_RCVLOWAT is 1
/// afterwards.
bool fix_rcvbuf(int fd) noexcept;

/// The kernel tunes it again.
void unfix_rcvbuf(int fd) noexcept;

}  // namespace landfall::tcp
