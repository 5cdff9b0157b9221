// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "landfall/abi/backend.h"

namespace landfall::test {

/// The transport `verbs-model`: RDMA receive without the hardware. It makes its own connections,
/// receives messages into slots that it posted in its slice of the Region, tells senders by credits
/// how many slots they may fill, and sends credits again in batches as extents come back. Its
/// wait_fd fires only once per arm(), as a completion channel does after ibv_req_notify_cq.
/// An OPENED flow is mute (no credits) until flow_start, on any queue. Options, all numbers:
///   slot=8192   bytes of a slot: the charge of an extent; slot_bytes of the Group goes before it
///   credits=8   most slots that one sender may fill ahead
/// Senders: verbs_wire.hpp.
extern const landfall_backend kVerbsModel;

}  // namespace landfall::test
