// SPDX-License-Identifier: Apache-2.0
// The transport `zcrx`: the NIC writes payload into pages that an io_uring has given to its queue.
#include "landfall/abi/transport_authoring.hpp"
#include "zcrx/domain.hpp"
#include "zcrx/queue.hpp"

namespace {

using namespace landfall;

constexpr landfall_transport_ops make_ops() {
  auto ops = authoring::transport_ops<zcrx::Domain, zcrx::Queue, zcrx::Flow>();
  ops.wait = [](landfall_queue* queue, std::int32_t control_fd, std::uint64_t timeout_ns,
                std::int32_t* ret_control) {
    return authoring::guarded(nullptr, [&] {
      return authoring::own<zcrx::Queue>(queue)->wait(control_fd, timeout_ns, ret_control);
    });
  };
  return ops;
}
constexpr landfall_transport_ops kOps = make_ops();

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_transport_zcrx =
    authoring::describe(&kOps, 20, "zcrx", "0.1.0",
                        "TCP whose payload the NIC writes into memory that io_uring lends it");
