// SPDX-License-Identifier: Apache-2.0
// From the kernel's messages to NicState. Pure: bytes in, state out, whatever the bytes are.
#pragma once
#include <linux/netlink.h>

#include <cstddef>
#include <optional>
#include <span>

#include "nic/netlink.hpp"
#include "nic/state.hpp"

namespace landfall::nic {

using Bytes = std::span<const std::byte>;

/// As the kernel names the feature: net/ethtool/common.c, netdev_features_strings.
inline constexpr char kNtupleFeature[] = "rx-ntuple-filter";

/// `message` is an error or the end of a listing: what the kernel said. `request`: what it answers,
/// to find the attribute that it points at; may be empty.
Refusal decode_refusal(Bytes message, Bytes request);

/// Each reads one message, header included, and fills what it finds of its kind.
void decode_link(Bytes message, NicState& state);  // RTM_NEWLINK
void decode_rings(Bytes message, NicState& state);
void decode_channels(Bytes message, NicState& state);
void decode_features(Bytes message, NicState& state);
void decode_rss(Bytes message, NicState& state);
void decode_queue(Bytes message, NicState& state);  // transmit queues are left out
void decode_pool(Bytes message, NicState& state);   // pools of other interfaces are left out

/// Of the answer to bind-rx and bind-tx.
std::optional<std::uint32_t> decode_dmabuf_id(Bytes message);
Family decode_family(Bytes message);

}  // namespace landfall::nic
