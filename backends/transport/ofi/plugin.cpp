// SPDX-License-Identifier: Apache-2.0
#include "landfall/abi/export.h"
#include "messages/transport.hpp"
#include "ofi/device.hpp"

namespace landfall::ofi {
namespace {

struct Medium {
  static constexpr const char* kName = "ofi";
  static constexpr messages::Keys kKeys = messages::Keys::ofi;

  static landfall_errc probe(const landfall_domain_spec& spec, const messages::Options& options,
                             landfall_needs* ret_needs, landfall_why* why) {
    // Memory that the CPU cannot reach is registered as a dma-buf where it is one.
    if (spec.region != nullptr && spec.region->host == nullptr &&
        (spec.region->flags & LANDFALL_MEM_DMABUF) != 0)
      ret_needs->flags |= LANDFALL_NEED_DMABUF;
    return OfiDevice::probe(spec, options, ret_needs, why);
  }

  static landfall_errc open(const landfall_domain_spec& spec, const messages::Options& options,
                            std::unique_ptr<messages::Device>* ret_device, landfall_why* why) {
    auto device = std::make_unique<OfiDevice>(spec.host);
    const landfall_errc code = device->open(spec, options, why);
    if (code == LANDFALL_ERRC_ok) *ret_device = std::move(device);
    return code;
  }
};

const landfall_transport_ops kOps = messages::make_ops<Medium>();
constexpr landfall_backend kOfi =
    authoring::describe(&kOps, LANDFALL_RANK_NAMED, "ofi", "0.1.0",
                        "libfabric: a provider places whole messages of a landfall sender in the "
                        "region");

}  // namespace
}  // namespace landfall::ofi

extern "C" LANDFALL_API const landfall_backend* landfall_backend_query(std::uint32_t host_abi_major,
                                                                       std::uint32_t index) {
  return host_abi_major == LANDFALL_ABI_MAJOR && index == 0 ? &landfall::ofi::kOfi : nullptr;
}
