// SPDX-License-Identifier: Apache-2.0
#include "zcrx/domain.hpp"

#include <algorithm>

#include "shared/ordinary.hpp"
#include "shared/pool.hpp"

namespace landfall::zcrx {
namespace {

using authoring::refuse;

/// Memory that is a dma-buf is registered as one: its host view cannot be (VM_PFNMAP), and what the
/// NIC leaves in heads is told apart there (receive.cpp).
bool is_dmabuf(const landfall_memory* region) {
  return region != nullptr && (region->flags & LANDFALL_MEM_DMABUF) != 0;
}

}  // namespace

landfall_errc Domain::probe(const landfall_domain_spec& spec, landfall_needs* ret_needs,
                            landfall_why* reterr_why) {
  Options options;
  options.rx_page_bytes = spec.rx_page_bytes;
  const landfall_errc understood = read_options(spec.options, &options, reterr_why);
  ret_needs->flags = LANDFALL_TAKES_SOCKETS;
  if (options.no_device) {
    ret_needs->flags |= LANDFALL_NEED_HOST_VIEW | LANDFALL_FLOW_ON_ANY_QUEUE;
    ret_needs->copy_reason = LANDFALL_REASON_copied_by_kernel;
  } else {
    ret_needs->flags |= LANDFALL_NEED_QUEUES | LANDFALL_DRY_POOL_DROPS;
    ret_needs->flags |=
        is_dmabuf(spec.region) ? LANDFALL_NEED_DMABUF_PER_QUEUE : LANDFALL_NEED_HOST_VIEW;
    ret_needs->spill_bytes_per_queue = options.spill_bytes;
  }
  ret_needs->rx_page_bytes = options.rx_page_bytes;
  ret_needs->slice_align_bytes = options.page_bytes();
  ret_needs->min_slice_bytes = transport::kPoolPagesLeast * options.page_bytes();
  ret_needs->best_placement = options.no_device ? LANDFALL_COPIED : LANDFALL_DIRECT;
  if (understood != LANDFALL_ERRC_ok) return understood;
  Features features;
  if (const landfall_errc code = probe_kernel(spec.host, &features, reterr_why);
      code != LANDFALL_ERRC_ok)
    return code;
  if (options.rx_page_bytes > transport::PoolOptions{}.page_bytes() && !features.rx_page_size)
    return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_page_size_refused,
                  LANDFALL_ORIGIN_LANDFALL, 0, "this kernel's zero-copy receive has one page size");
  if (options.no_device)
    return features.no_device
               ? landfall_errc{LANDFALL_ERRC_ok}
               : refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_kernel_too_old,
                        LANDFALL_ORIGIN_LANDFALL, 0,
                        "zero-copy receive without an interface is newer than this kernel");
  if (spec.interface_index != 0) return LANDFALL_ERRC_ok;
  return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_interface_not_named);
}

landfall_errc Domain::open(const landfall_domain_spec& spec, landfall_why* reterr_why) {
  host_ = spec.host;
  region_ = spec.region;
  options_.rx_page_bytes = spec.rx_page_bytes;
  if (const landfall_errc code = read_options(spec.options, &options_, reterr_why);
      code != LANDFALL_ERRC_ok)
    return code;
  if (const landfall_errc code = probe_kernel(host_, &features_, reterr_why);
      code != LANDFALL_ERRC_ok)
    return code;
  page_bytes_ = options_.page_bytes();
  interface_index_ = spec.interface_index;
  if (options_.no_device) return LANDFALL_ERRC_ok;
  if (spec.queue_ids == nullptr)
    return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_grant);
  queue_ids_.assign(spec.queue_ids, spec.queue_ids + spec.queue_count);
  published_.resize(spec.queue_count);
  napi_ids_ = transport::napi_ids_of(spec);
  return transport::hold_lifeline(spec, &lifeline_, reterr_why);
}

std::optional<std::uint32_t> Domain::index_of(std::uint32_t napi_id) const noexcept {
  const auto at = std::find(napi_ids_.begin(), napi_ids_.end(), napi_id);
  if (napi_id == 0 || at == napi_ids_.end()) return std::nullopt;
  return static_cast<std::uint32_t>(at - napi_ids_.begin());
}

bool Domain::brought(int socket_fd) const noexcept {
  const bool all_known = std::find(napi_ids_.begin(), napi_ids_.end(), 0u) == napi_ids_.end();
  return napi_ids_.empty() || !all_known ||
         index_of(transport::incoming_napi(socket_fd)).has_value();
}

void Domain::publish(std::uint32_t index, const std::shared_ptr<InterfaceQueue>& queue) {
  const std::lock_guard hold{published_lock_};
  if (index < published_.size()) published_[index] = queue;
}

std::shared_ptr<InterfaceQueue> Domain::published(std::uint32_t index) const {
  const std::lock_guard hold{published_lock_};
  return index < published_.size() ? published_[index].lock() : nullptr;
}

}  // namespace landfall::zcrx
