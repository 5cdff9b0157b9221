// SPDX-License-Identifier: Apache-2.0
// Goal: whatever bytes come from a netlink socket, they are read within their bounds.
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "nic/decode.hpp"

// The first byte says how they are read, the rest is the message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace landfall::nic;
  if (size == 0) return 0;
  // As netlink.cpp has it: aligned, and nothing behind it.
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const AnswerBytes message{begin + 1, begin + size};
  NicState state;
  state.index = 7;
  constexpr void (*kDecoders[])(Bytes, NicState&) = {decode_link,     decode_rings, decode_channels,
                                                     decode_features, decode_rss,   decode_queue,
                                                     decode_pool};
  const std::size_t which = data[0] % (std::size(kDecoders) + 3);
  if (which < std::size(kDecoders)) {
    kDecoders[which](message, state);
    if (state.queues.size() > 1 || state.pools.size() > 1 || state.rss.size() > 1) std::abort();
  } else if (which == std::size(kDecoders)) {
    // Also as the request that it answers.
    const Refusal refusal = decode_refusal(message, message);
    if (refusal.number < 0) std::abort();
    if (refusal.number != EBADMSG && refusal.text.size() > message.size()) std::abort();
  } else if (which == std::size(kDecoders) + 1) {
    if (decode_family(message).commands.size() > message.size()) std::abort();
  } else {
    (void)decode_dmabuf_id(message);
  }
  return 0;
}
