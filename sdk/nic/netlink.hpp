// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "nic/refusals.hpp"

namespace landfall::nic {

using Message = std::unique_ptr<nl_msg, decltype(&nlmsg_free)>;
/// One answer, header included.
using AnswerBytes = std::vector<std::byte>;

struct Answer {
  Refusal refusal;
  std::vector<AnswerBytes> messages;
};

/// A family of generic netlink as this kernel has it.
struct Family {
  std::uint16_t id = 0;  // 0: the kernel has none of this name
  std::vector<std::uint32_t> commands;
  std::vector<std::pair<std::string, std::uint32_t>> groups;  // that tell of changes
  bool has(std::uint32_t command) const noexcept;
};

/// One netlink socket; requests are asked and answered one by one.
///
/// Threads: one at a time. Failures on this side (no memory, no buffer) are refusals as well: the
/// caller tells people about both in the same way.
class Netlink {
 public:
  /// `protocol`: NETLINK_GENERIC or NETLINK_ROUTE. Errors: limit_reached, io.
  static Result<Netlink> open(int protocol, const landfall_host* host);

  /// Sends and waits for all of the answer. A listing that changed meanwhile is asked for again.
  Answer ask(nl_msg* request);
  /// Errors: io, no_memory.
  Result<Family> family(const char* name);
  /// The descriptor itself, when an answer that belongs to its life has been given.
  Result<Fd> share_fd() const;

 private:
  Netlink(nl_sock* socket, const landfall_host* host)
      : socket_{socket, nl_socket_free}, host_{host} {}
  Answer ask_once(nl_msg* request, bool& ret_torn);

  std::unique_ptr<nl_sock, decltype(&nl_socket_free)> socket_;
  const landfall_host* host_;
};

/// A request of generic netlink; `flags`: NLM_F_DUMP for a listing.
Message generic_message(const Family& family, std::uint8_t command, int flags);

}  // namespace landfall::nic
