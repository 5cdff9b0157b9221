// SPDX-License-Identifier: Apache-2.0
// The transport `zcrx` where landfall was built without liburing: it says so.
#include "landfall/abi/authoring.hpp"

namespace {

constexpr landfall_transport_ops make_ops() {
  landfall_transport_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = [](const landfall_domain_spec*, landfall_needs*, landfall_why* why) {
    return landfall::authoring::refuse(why, LANDFALL_ERRC_not_supported,
                                       LANDFALL_REASON_io_uring_missing, LANDFALL_ORIGIN_LANDFALL,
                                       0, "this landfall was built without liburing");
  };
  return ops;
}
constexpr landfall_transport_ops kOps = make_ops();

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_transport_zcrx =
    landfall::authoring::describe(
        &kOps, 20, "zcrx", "0.1.0",
        "TCP whose payload the NIC writes into memory that io_uring lends it");
