/* SPDX-License-Identifier: Apache-2.0 */
/* A part of landfall.h: verdicts, contracts, groups, decisions. */
#ifndef LANDFALL_C_GROUP_H
#define LANDFALL_C_GROUP_H
#include "landfall/c/memory.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ---- verdict and contract ---- */

enum { /* placement */
       LANDFALL_PLACEMENT_DIRECT = 0,
       LANDFALL_PLACEMENT_LINEAR = 1,
       LANDFALL_PLACEMENT_COPIED = 2,
       LANDFALL_PLACEMENT_UNSURE = 3
};
LANDFALL_API const char* landfall_placement_name(uint32_t placement) LANDFALL_NOEXCEPT;

/* Bytes per placement, and the reasons for those that were not direct. */
typedef struct landfall_verdict_t {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t bytes[4]; /* by LANDFALL_PLACEMENT_* */
  struct {
    uint32_t code, reserved;
    uint64_t bytes;
  } reasons[4]; /* code 0: no more */
} landfall_verdict_t;
#define LANDFALL_VERDICT_INIT                      \
  {                                                \
    sizeof(landfall_verdict_t), 0, {0, 0, 0, 0}, { \
      {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {           \
        0, 0, 0                                    \
      }                                            \
    }                                              \
  }

enum {
  LANDFALL_CONTRACT_REQUIRE_DIRECT = 0,
  LANDFALL_CONTRACT_PREFER_DIRECT = 1,
  LANDFALL_CONTRACT_ALLOW_COPY = 2
};
typedef struct landfall_contract_t {
  uint32_t struct_size;
  uint32_t kind;           /* LANDFALL_CONTRACT_* */
  uint32_t max_linear_ppm; /* require_direct */
  uint32_t max_copied_ppm; /* prefer_direct */
  uint64_t grace_bytes;
} landfall_contract_t;
#define LANDFALL_CONTRACT_INIT \
  { sizeof(landfall_contract_t), LANDFALL_CONTRACT_PREFER_DIRECT, 10000, 1000000, 65536 }

/* ---- groups ---- */

enum { /* landfall_group_options_t.flags */
       LANDFALL_GROUP_NO_STEERING =
           1 /* rules that send the flows to the queues are there already */
};
typedef struct landfall_group_options_t {
  uint32_t struct_size;
  uint32_t queues;            /* receivers, where queue_ids is NULL */
  const char* interface_name; /* NULL: none asked */
  const uint32_t* queue_ids;  /* hardware queues; NULL: none asked */
  const char* transports;     /* "devmem-tcp,tcp": in order of preference; NULL: best first */
  const char* options;        /* "tcp.engine=recv,...": transport.key=value; NULL: none */
  const landfall_contract_t* contract; /* NULL: prefer_direct */
  uint32_t queue_id_count;
  uint32_t slot_bytes, ring_slots;           /* 0: the transport's choice */
  uint32_t buffers_max, flows_max;           /* per queue; 0: the default */
  uint32_t pressure_percent, relief_percent; /* 0: the default */
  uint32_t flags;                            /* LANDFALL_GROUP_* */
  /* "verbs,ofi": transports with connections of their own that serve senders beside the chosen one,
   * where they can; each has one receiver more, behind the others. NULL: none */
  const char* also;
} landfall_group_options_t;
#define LANDFALL_GROUP_OPTIONS_INIT                                                            \
  {                                                                                            \
    sizeof(landfall_group_options_t), 1, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, \
        NULL                                                                                   \
  }

enum { LANDFALL_DELIVERY_STREAMING = 0, LANDFALL_DELIVERY_DEMAND = 1 };
typedef struct landfall_flow_options_t {
  uint32_t struct_size;
  uint32_t delivery;                   /* LANDFALL_DELIVERY_* */
  const landfall_contract_t* contract; /* NULL: the group's */
  uint64_t share_bytes;                /* 0: a fair share */
  uint64_t stream_offset;              /* of the next byte */
  uint32_t refuse_queued;              /* attach: 1 - an error if bytes are queued already */
  uint32_t reserved;
  void* user;
} landfall_flow_options_t;
#define LANDFALL_FLOW_OPTIONS_INIT \
  { sizeof(landfall_flow_options_t), LANDFALL_DELIVERY_STREAMING, NULL, 0, 0, 0, 0, NULL }

/* Takes *region over on success only, and sets it NULL then. ret_decision, unless NULL, is filled
 * on success and when no transport fits; free it with landfall_decision_free. options NULL: the
 * defaults. */
LANDFALL_API landfall_errc landfall_group_open(const landfall_context_t* context,
                                               const landfall_group_options_t* options,
                                               landfall_region_t** region,
                                               landfall_group_t** ret_group,
                                               landfall_decision_t** ret_decision,
                                               landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Ends all flows. On success the handle is gone, *group is NULL, and the region comes back in
 * *ret_region (NULL: it is freed). Errors: busy - buffers are out; drop them and try again. */
LANDFALL_API landfall_errc landfall_group_close(landfall_group_t** group,
                                                landfall_region_t** ret_region,
                                                landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Like close, but never refuses: memory and sockets stay until the last buffer is dropped. */
LANDFALL_API void landfall_group_free(landfall_group_t* group) LANDFALL_NOEXCEPT;
/* host NULL or "": all addresses. port 0: the kernel picks one; *ret_port is the one in use. */
LANDFALL_API landfall_errc landfall_group_listen(landfall_group_t* group, const char* host,
                                                 uint16_t port,
                                                 const landfall_flow_options_t* options,
                                                 uint16_t* ret_port,
                                                 landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Drops buffers when the device has done what was put on `native_stream` (its own: a CUstream)
 * before this call; NULLs are passed over. Errors: not_supported - LF1121, the memory source knows
 * no streams, and nothing is dropped; invalid_argument, wrong_process - a handle was refused, the
 * others are dropped. */
LANDFALL_API landfall_errc landfall_group_drop_after(
    landfall_group_t* group, void* native_stream, landfall_buffer_t* const* buffers, uint32_t count,
    landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
LANDFALL_API size_t landfall_group_receivers(const landfall_group_t* group) LANDFALL_NOEXCEPT;
/* NULL: no such index. Valid until the group is closed or freed. */
LANDFALL_API landfall_receiver_t* landfall_group_receiver(landfall_group_t* group,
                                                          size_t index) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_group_memory(
    const landfall_group_t* group, landfall_memory_info_t* ret_memory) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_group_verdict(
    const landfall_group_t* group, landfall_verdict_t* ret_verdict) LANDFALL_NOEXCEPT;
/* A copy, to be freed. */
LANDFALL_API landfall_errc landfall_group_decision(
    const landfall_group_t* group, landfall_decision_t** ret_decision) LANDFALL_NOEXCEPT;

/* ---- decisions: the texts live as long as the handle ---- */

LANDFALL_API const char* landfall_decision_chosen(const landfall_decision_t* decision)
    LANDFALL_NOEXCEPT;
LANDFALL_API const char* landfall_decision_describe(const landfall_decision_t* decision)
    LANDFALL_NOEXCEPT;
LANDFALL_API size_t landfall_decision_candidates(const landfall_decision_t* decision)
    LANDFALL_NOEXCEPT;
typedef struct landfall_candidate_t {
  uint32_t struct_size;
  uint32_t usable;
  uint32_t best_placement; /* what an extent can be at best */
  uint32_t reason_count;
  const char* transport;
} landfall_candidate_t;
#define LANDFALL_CANDIDATE_INIT \
  { sizeof(landfall_candidate_t), 0, 0, 0, NULL }
LANDFALL_API landfall_errc
landfall_decision_candidate(const landfall_decision_t* decision, size_t index,
                            landfall_candidate_t* ret_candidate) LANDFALL_NOEXCEPT;
/* The particulars come as an error would: reason, origin, native, text, remedy. */
LANDFALL_API landfall_errc landfall_decision_reason(const landfall_decision_t* decision,
                                                    size_t candidate, size_t index,
                                                    landfall_error_t* ret_reason) LANDFALL_NOEXCEPT;
LANDFALL_API void landfall_decision_free(landfall_decision_t* decision) LANDFALL_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
