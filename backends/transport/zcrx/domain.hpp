// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "landfall/abi/transport_authoring.hpp"
#include "landfall/base/fd.hpp"
#include "zcrx/interface_queue.hpp"
#include "zcrx/options.hpp"

namespace landfall::zcrx {

/// What the queues of a Group share: the interface, and what the kernel can do. Each queue
/// registers its own slice with its own ring.
///
/// Threads: any, after open().
class Domain {
 public:
  static landfall_errc probe(const landfall_domain_spec& spec, landfall_needs* ret_needs,
                             landfall_why* reterr_why);
  landfall_errc open(const landfall_domain_spec& spec, landfall_why* reterr_why);

  const landfall_host* host() const noexcept { return host_; }
  const Options& options() const noexcept { return options_; }
  const Features& features() const noexcept { return features_; }
  const landfall_memory& region() const noexcept { return *region_; }
  std::uint32_t interface_index() const noexcept { return interface_index_; }
  std::uint32_t queue_id(std::uint32_t index) const noexcept {
    return index < queue_ids_.size() ? queue_ids_[index] : 0;
  }
  /// Which queue of the Group has it?
  std::optional<std::uint32_t> index_of(std::uint32_t napi_id) const noexcept;
  /// Did the socket's last packet come by a queue of the Group? True also where that is not known.
  bool brought(int socket_fd) const noexcept;
  std::uint32_t queue_count() const noexcept {
    return static_cast<std::uint32_t>(queue_ids_.size());
  }
  /// Queue `index` was registered, so that others may import it.
  void publish(std::uint32_t index, const std::shared_ptr<InterfaceQueue>& queue);
  /// nullptr: not yet, or never.
  std::shared_ptr<InterfaceQueue> published(std::uint32_t index) const;
  std::uint32_t page_bytes() const noexcept { return page_bytes_; }
  /// Hangs up when the interface goes; -1: none.
  int lifeline() const noexcept { return lifeline_.get(); }

 private:
  const landfall_host* host_ = nullptr;
  const landfall_memory* region_ = nullptr;
  Options options_;
  Features features_;
  std::uint32_t interface_index_ = 0;
  std::uint32_t page_bytes_ = 4096;
  std::vector<std::uint32_t> queue_ids_, napi_ids_;
  mutable std::mutex published_lock_;
  std::vector<std::weak_ptr<InterfaceQueue>> published_;
  Fd lifeline_;
};

}  // namespace landfall::zcrx
