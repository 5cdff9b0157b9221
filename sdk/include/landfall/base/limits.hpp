// SPDX-License-Identifier: Apache-2.0
// Every limit of landfall, each with the reason for its number.
#pragma once
#include <cstdint>

namespace landfall {

/// Distinct texts that Error::with() keeps for the life of the process: a process that meets more
/// different failures than this has other worries than their wording. Each takes at most 640 bytes,
/// so together they stay below 1.3 MiB.
inline constexpr std::uint32_t kErrorDetailsMax = 2048;

/// Backends in one Context: far above what exists, small enough for linear searches.
inline constexpr std::uint32_t kBackendsMax = 64;

/// Queues of one Group: NICs have at most a few hundred; kernel UAPI lists are short.
inline constexpr std::uint32_t kQueuesMax = 256;

/// Buffers that may be out per Receiver: 64 bytes of slot table each; 2^20 of them are 64 MiB.
inline constexpr std::uint32_t kBuffersMax = 1u << 20;

/// Receivers of one process: one per queue of many NICs, and their list stays 64 KiB.
inline constexpr std::uint32_t kReceiversMax = 4096;

/// Flows per Receiver: RLIMIT_NOFILE's usual hard limit.
inline constexpr std::uint32_t kFlowsMax = 1u << 20;

/// Rules of a NIC that a Group's flows and listeners have, at most: one for each flow.
inline constexpr std::uint32_t kRulesMax = kFlowsMax;

/// Records taken from a transport in one call: with their slots and Completions 28 KiB, which stay
/// in the L1 cache (256 cost 15 ns each instead of 11 on a processor with 48 KiB of it).
inline constexpr std::uint32_t kPollBatch = 128;

/// Extents given back in one call: two kernel token returns of 128 ranges (tcp.c,
/// MAX_DONTNEED_TOKENS).
inline constexpr std::uint32_t kReturnBatch = 256;

/// land() and post() requests queued on one flow: more in flight than this hides no latency on any
/// link.
inline constexpr std::uint32_t kDemandMax = 64;

/// Most bytes of one post(): lengths of one receive call are 32 bits, and MAX_RW_COUNT is 2 GiB - 4
/// KiB.
inline constexpr std::uint64_t kPostBytesMax = 1ull << 30;

/// Ranges and inline pieces of one Sender that are not through: 48 bytes each.
inline constexpr std::uint32_t kSendRangesMax = 1u << 16;

/// Bytes of one Sender that were given to send_inline() and wait: headers, not payload.
inline constexpr std::uint32_t kSendInlineBytesMax = 64u << 10;

/// Most bytes in one call that sends without copying: the kernel joins calls up to this size into
/// one notice (net/core/skbuff.c, msg_zerocopy_realloc), and charges a whole call to
/// RLIMIT_MEMLOCK, 8 MiB by default, however little of it fits.
inline constexpr std::uint32_t kSendCallBytes = 512u << 10;

/// Calls of one Sender whose notices have not come: a socket's send buffer (net.ipv4.tcp_wmem, 4
/// MiB by default) holds fewer in all likelihood.
inline constexpr std::uint32_t kSendCallsMax = 1024;

/// Sockets handed over to one Receiver and not yet taken: a burst of accepts; each pins a
/// descriptor.
inline constexpr std::uint32_t kInboxMax = 4096;

/// Backlog of a listener: the kernel cuts it to net.core.somaxconn (4096 by default).
inline constexpr int kListenBacklog = 4096;

/// A plug-in that does not answer a trial within this time hangs.
inline constexpr std::uint32_t kPluginTrialMs = 5000;

/// Longest transport options text: some dozens of key=value lines.
inline constexpr std::uint32_t kOptionsBytesMax = 4096;

/// Bytes of a policy: room for 1,000 flows of 130 bytes. yaml-cpp takes up to 240 bytes for each
/// byte of hostile text (nested brackets) and 0.4 us (long lists), so that any text is refused
/// within 64 MiB and 100 ms.
inline constexpr std::uint32_t kPolicyBytesMax = 128u << 10;

/// Levels of lists and maps in a policy: its form has five; yaml-cpp's own limit of 500 overflows
/// stacks of 128 KiB.
inline constexpr std::uint32_t kPolicyDepthMax = 64;

/// Values and keys in a policy: 4,096 flows with nearly all their keys are 70,000.
inline constexpr std::uint32_t kPolicyNodesMax = 100'000;

/// Flows of a policy: NICs have room for some thousands of rules.
inline constexpr std::uint32_t kPolicyFlowsMax = 4096;

/// Findings that are reported of one policy: nobody reads more.
inline constexpr std::uint32_t kPolicyFindingsMax = 100;

}  // namespace landfall
