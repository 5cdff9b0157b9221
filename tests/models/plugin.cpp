// SPDX-License-Identifier: Apache-2.0
// The model of devmem TCP as a plug-in, so that the tests see the command with a direct transport.
#include "models/devmem_model.hpp"

extern "C" __attribute__((visibility("default"))) const landfall_backend* landfall_backend_query(
    std::uint32_t host_abi_major, std::uint32_t index) {
  return host_abi_major == LANDFALL_ABI_MAJOR && index == 0 ? &landfall::test::kDevmemModel
                                                            : nullptr;
}
