// SPDX-License-Identifier: Apache-2.0
// The transport `devmem-tcp`: the NIC writes payload straight into the Region's dma-buf.
#include "devmem-tcp/domain.hpp"
#include "devmem-tcp/queue.hpp"
#include "landfall/abi/transport_authoring.hpp"

namespace {

using namespace landfall;

constexpr landfall_transport_ops make_ops() {
  auto ops = authoring::transport_ops<devmem::Domain, devmem::Queue, devmem::Flow>();
  ops.wait = [](landfall_queue* queue, std::int32_t control_fd, std::uint64_t timeout_ns,
                std::int32_t* ret_control) {
    return authoring::guarded(nullptr, [&] {
      return authoring::own<devmem::Queue>(queue)->wait(control_fd, timeout_ns, ret_control);
    });
  };
  return ops;
}
constexpr landfall_transport_ops kOps = make_ops();

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_transport_devmem_tcp =
    authoring::describe(&kOps, 10, "devmem-tcp", "0.1.0",
                        "TCP whose payload the NIC writes into a dma-buf (device memory TCP)");
