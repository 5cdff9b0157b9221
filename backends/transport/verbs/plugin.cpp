// SPDX-License-Identifier: Apache-2.0
#include "landfall/abi/export.h"
#include "messages/transport.hpp"
#include "verbs/fabric.hpp"

namespace landfall::verbs {
namespace {

struct Verbs {
  static constexpr const char* kName = "verbs";
  static constexpr messages::Keys kKeys = messages::Keys::verbs;

  static landfall_errc probe(const landfall_domain_spec& spec, const messages::Options& options,
                             landfall_needs* ret_needs, landfall_why* why) {
    // Memory that is a dma-buf is registered as one; where the device cannot, by its host view.
    if (spec.region != nullptr && (spec.region->flags & LANDFALL_MEM_DMABUF) != 0)
      ret_needs->flags |= LANDFALL_NEED_DMABUF;
    std::shared_ptr<Adapter> adapter;
    return find_device(spec, options.device, &adapter, why);
  }

  static landfall_errc open(const landfall_domain_spec& spec, const messages::Options& options,
                            std::unique_ptr<messages::Device>* ret_device, landfall_why* why) {
    std::shared_ptr<Adapter> adapter;
    if (const auto code = find_device(spec, options.device, &adapter, why)) return code;
    auto device = std::make_unique<VerbsDevice>(std::move(adapter), spec.host);
    const landfall_errc code = device->open(spec, why);
    if (code == LANDFALL_ERRC_ok) *ret_device = std::move(device);
    return code;
  }
};

landfall_errc wait(landfall_queue* queue, std::int32_t control_fd, std::uint64_t timeout_ns,
                   std::int32_t* ret_control) {
  auto& fabric = authoring::own<messages::Queue>(queue)->fabric();
  return static_cast<VerbsFabric&>(fabric).wait(control_fd, timeout_ns, ret_control);
}

const landfall_transport_ops kOps = [] {
  landfall_transport_ops ops = messages::make_ops<Verbs>();
  ops.wait = wait;
  return ops;
}();
constexpr landfall_backend kVerbs =
    authoring::describe(&kOps, LANDFALL_RANK_NAMED, "verbs", "0.1.0",
                        "RDMA (InfiniBand, RoCE): the device places whole messages of a landfall "
                        "sender in the region");

}  // namespace
}  // namespace landfall::verbs

extern "C" LANDFALL_API const landfall_backend* landfall_backend_query(std::uint32_t host_abi_major,
                                                                       std::uint32_t index) {
  return host_abi_major == LANDFALL_ABI_MAJOR && index == 0 ? &landfall::verbs::kVerbs : nullptr;
}
