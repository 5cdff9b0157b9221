// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "devmem-tcp/kernel.hpp"
#include "devmem-tcp/options.hpp"
#include "landfall/abi/transport_authoring.hpp"
#include "landfall/base/fd.hpp"
#include "shared/windows.hpp"

namespace landfall::devmem {

/// What the queues of a binding share: its grant, and how much of the pool each flow's receive
/// window may fill.
///
/// Threads: any, after open().
class Domain {
 public:
  explicit Domain(const Kernel& kernel = kRealKernel) noexcept : kernel_{kernel} {}

  static landfall_errc probe(const landfall_domain_spec& spec, landfall_needs* ret_needs,
                             landfall_why* reterr_why);
  landfall_errc open(const landfall_domain_spec& spec, landfall_why* reterr_why);

  const Kernel& kernel() const noexcept { return kernel_; }
  const landfall_host* host() const noexcept { return host_; }
  const Options& options() const noexcept { return options_; }
  int lifeline() const noexcept { return lifeline_.get(); }
  std::uint32_t dmabuf_id() const noexcept { return dmabuf_id_; }
  std::uint32_t page_bytes() const noexcept { return 1u << page_shift_; }
  std::uint32_t page_shift() const noexcept { return page_shift_; }
  std::uint64_t region_bytes() const noexcept { return region_bytes_; }
  /// So many pages of one queue's flows may wait to go back. All queues together: an eighth of the
  /// pool, for large returns and hardly less room.
  std::uint64_t held_back_max() const noexcept {
    return (region_bytes_ >> page_shift_) / 8 / queue_count_;
  }
  /// The queues of the binding, as far as the core knows their numbers.
  const std::vector<std::uint32_t>& napi_ids() const noexcept { return napi_ids_; }

  transport::Windows& windows() noexcept { return windows_; }

 private:
  const Kernel& kernel_;
  const landfall_host* host_ = nullptr;
  Options options_;
  Fd lifeline_;
  std::uint32_t dmabuf_id_ = 0;
  std::uint32_t page_shift_ = 12;
  std::uint32_t queue_count_ = 1;
  std::uint64_t region_bytes_ = 0;
  std::vector<std::uint32_t> napi_ids_;
  transport::Windows windows_;
};

}  // namespace landfall::devmem
