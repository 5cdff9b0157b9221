// SPDX-License-Identifier: Apache-2.0
#include "devmem-tcp/domain.hpp"

#include <unistd.h>

#include <algorithm>

#include "shared/pool.hpp"

namespace landfall::devmem {
using authoring::refuse;

landfall_errc Domain::probe(const landfall_domain_spec& spec, landfall_needs* ret_needs,
                            landfall_why* reterr_why) {
  Options options{.rx_page_bytes = spec.rx_page_bytes};
  const landfall_errc understood = read_options(spec.options, &options, reterr_why);
  ret_needs->flags = LANDFALL_NEED_DMABUF | LANDFALL_NEED_GRANT | LANDFALL_SHARED_POOL |
                     LANDFALL_TAKES_SOCKETS | LANDFALL_FLOW_ON_ANY_QUEUE | LANDFALL_DRY_POOL_DROPS;
  ret_needs->spill_bytes_per_queue = options.spill_bytes;
  ret_needs->rx_page_bytes = options.rx_page_bytes;
  ret_needs->slice_align_bytes = options.page_bytes();
  ret_needs->min_slice_bytes = transport::kPoolPagesLeast * options.page_bytes();
  ret_needs->best_placement = LANDFALL_DIRECT;
  if (understood != LANDFALL_ERRC_ok) return understood;
  if (const landfall_errc code = probe_kernel(spec.host, reterr_why); code != LANDFALL_ERRC_ok)
    return code;
  if (spec.interface_index != 0) return LANDFALL_ERRC_ok;
  return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_interface_not_named);
}

landfall_errc Domain::open(const landfall_domain_spec& spec, landfall_why* reterr_why) {
  host_ = spec.host;
  if (const landfall_errc code = read_options(spec.options, &options_, reterr_why);
      code != LANDFALL_ERRC_ok)
    return code;
  const bool granted = LANDFALL_HAS(&spec, landfall_domain_spec, grant_dmabuf_id);
  if (!granted) return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_grant);
  dmabuf_id_ = spec.grant_dmabuf_id;
  const Options granted_pages{.rx_page_bytes = spec.rx_page_bytes};
  page_shift_ = static_cast<std::uint32_t>(std::countr_zero(granted_pages.page_bytes()));
  region_bytes_ = spec.region->size_bytes;
  queue_count_ = std::max(spec.queue_count, 1u);
  // The NIC fills the whole dma-buf, so that its offsets must be the Region's.
  const off_t bound_bytes = spec.dmabuf_fd < 0 ? 0 : ::lseek(spec.dmabuf_fd, 0, SEEK_END);
  if (spec.dmabuf_offset != 0 ||
      (bound_bytes > 0 && static_cast<std::uint64_t>(bound_bytes) > region_bytes_))
    return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_range_outside,
                  LANDFALL_ORIGIN_LANDFALL, 0,
                  "the Region is a part of its dma-buf, and the NIC would fill all of it");
  if (const landfall_errc code = transport::hold_lifeline(spec, &lifeline_, reterr_why);
      code != LANDFALL_ERRC_ok)
    return code;
  napi_ids_ = transport::napi_ids_of(spec);
  windows_.open(options_.window_of_pool(region_bytes_), page_shift_);
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::devmem
