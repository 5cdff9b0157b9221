// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "landfall/abi/authoring.hpp"

namespace landfall::verbs {

// What is called by name; the rest of libibverbs is inline, over the device's own table.
#define LANDFALL_VERBS_CALLS(call)                                                                \
  call(_ibv_query_gid_table) call(ibv_ack_async_event) call(ibv_ack_cq_events) call(ibv_alloc_pd) \
      call(ibv_create_comp_channel) call(ibv_create_cq) call(ibv_create_srq) call(ibv_dealloc_pd) \
          call(ibv_dereg_mr) call(ibv_destroy_comp_channel) call(ibv_destroy_cq)                  \
              call(ibv_destroy_srq) call(ibv_get_async_event) call(ibv_get_cq_event)              \
                  call(ibv_get_device_name) call(ibv_modify_qp) call(ibv_query_device)            \
                      call(ibv_reg_dmabuf_mr) call(ibv_reg_mr)
#define LANDFALL_RDMACM_CALLS(call)                                                                \
  call(rdma_accept) call(rdma_ack_cm_event) call(rdma_bind_addr) call(rdma_connect)                \
      call(rdma_create_event_channel) call(rdma_create_id) call(rdma_create_qp)                    \
          call(rdma_destroy_event_channel) call(rdma_destroy_id) call(rdma_destroy_qp)             \
              call(rdma_disconnect) call(rdma_free_devices) call(rdma_get_cm_event)                \
                  call(rdma_get_devices) call(rdma_listen) call(rdma_migrate_id) call(rdma_reject) \
                      call(rdma_resolve_addr) call(rdma_resolve_route)

/// libibverbs and librdmacm, opened when they are needed: a machine without them says so.
struct Library {
#define LANDFALL_DECLARE(name) decltype(&(::name)) name = nullptr;
  LANDFALL_VERBS_CALLS(LANDFALL_DECLARE)
  LANDFALL_RDMACM_CALLS(LANDFALL_DECLARE)
#undef LANDFALL_DECLARE

  /// nullptr: they are not there, or too old; never closed. Errors: not_supported -
  /// rdma_library_missing.
  static const Library* open(landfall_why* reterr_why) noexcept;
};

/// What the library answered in errno.
inline landfall_errc refuse_call(landfall_why* why, const char* call, int number) noexcept {
  return authoring::refuse_os(why, call, LANDFALL_REASON_fabric_call_failed, number);
}

}  // namespace landfall::verbs
