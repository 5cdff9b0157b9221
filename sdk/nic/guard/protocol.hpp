// SPDX-License-Identifier: Apache-2.0
// What a process tells the guard of its rules, over a SOCK_SEQPACKET socket.
#pragma once
#include <linux/ethtool.h>

#include <cstdint>
#include <type_traits>

namespace landfall::nic {

/// The guard's descriptors.
enum GuardFd : int {
  kGuardControl = 0,     // messages; its end, or that of the process, is what the guard waits for
  kGuardRuleSocket = 1,  // in the network namespace of the rules
  kGuardProcess = 2,     // pidfd
};

struct GuardMessage {
  enum Kind : std::uint32_t {
    keep = 1,  // remember this rule, or what is now known of it, under `id`
    drop = 2,  // forget `id`: the rule is gone
  };
  std::uint32_t kind = 0;
  std::uint32_t id = 0;
  std::uint32_t interface_index = 0;
  std::uint32_t reserved = 0;
  ethtool_rx_flow_spec spec{};  // location RX_CLS_LOC_ANY: it may be anywhere, or nowhere yet
};
static_assert(std::is_trivially_copyable_v<GuardMessage>);

}  // namespace landfall::nic
