// SPDX-License-Identifier: Apache-2.0
// The pages that a NIC fills: what can be asked of them, and who may take them away.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"
#include "shared/options.hpp"
#include "shared/spill.hpp"

namespace landfall::transport {

// A pool below this is dry before a window has opened.
inline constexpr std::uint64_t kPoolPagesLeast = 256;

struct PoolOptions {
  std::uint32_t rx_page_bytes = 0;  // 0: the CPU's page size
  std::uint64_t window_bytes = 0;   // 0: half of the pool
  std::uint64_t spill_bytes = 2u << 20;
  bool gather = true;

  std::uint32_t page_bytes() const noexcept {
    return rx_page_bytes != 0 ? rx_page_bytes : static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  }
  /// Of a pool of this size.
  std::uint64_t window_of_pool(std::uint64_t pool_bytes) const noexcept {
    return window_bytes != 0 ? std::min(window_bytes, pool_bytes) : pool_bytes / 2;
  }
  /// False: another key, or a value that it cannot have.
  bool read(std::string_view key, std::string_view value) {
    if (key == "rx-page")
      return read_bytes(value, 4096, 2u << 20, &rx_page_bytes) &&
             std::has_single_bit(rx_page_bytes);
    if (key == "window") return read_bytes(value, 1, UINT64_MAX, &window_bytes);
    if (key == "spill") return read_bytes(value, Spill::kBlockBytes, 1u << 30, &spill_bytes);
    if (key == "gather") return read_switch(value, &gather);
    return false;
  }
};

/// The grant's lifeline, as a descriptor of our own: it hangs up when the queues are taken away.
inline landfall_errc hold_lifeline(const landfall_domain_spec& spec, Fd* ret_lifeline,
                                   landfall_why* reterr_why) {
  if (spec.grant_fd < 0) return LANDFALL_ERRC_ok;
  int fd = -1;
  const int number = authoring::attempt(
      spec.host, "fcntl", [&] { return fd = ::fcntl(spec.grant_fd, F_DUPFD_CLOEXEC, 0); });
  if (number != 0)
    return authoring::refuse_os(
        reterr_why, "fcntl(F_DUPFD_CLOEXEC)",
        number == EMFILE ? LANDFALL_REASON_nofile_limit : LANDFALL_REASON_none, number);
  ret_lifeline->reset(fd);
  return LANDFALL_ERRC_ok;
}

/// Of the granted queues, as SO_INCOMING_NAPI_ID tells them; none: not known.
inline std::vector<std::uint32_t> napi_ids_of(const landfall_domain_spec& spec) {
  if (!LANDFALL_HAS(&spec, landfall_domain_spec, queue_napi_ids)) return {};
  return {spec.queue_napi_ids, spec.queue_napi_ids + spec.queue_count};
}

}  // namespace landfall::transport
