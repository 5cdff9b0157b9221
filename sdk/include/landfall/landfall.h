/* SPDX-License-Identifier: Apache-2.0 */
/* The C API of landfall: the objects of landfall.hpp behind opaque handles, for C99 and for other
 * languages.
 *
 * Names: every type here ends in _t; the types of abi/backend.h (for authors of plug-ins) do not,
 * and landfall_flow is another thing than landfall_flow_t. Both headers may be included together.
 *
 * Errors: calls answer LANDFALL_ERRC_ok or another landfall_errc, and then fill *reterr_error
 * unless it is NULL. Outputs (ret_...) are untouched on failure. No exception leaves the library.
 *
 * Structs: those that begin with struct_size are filled by the caller, who starts from the
 * ..._INIT macro. Fields are only ever appended. A struct_size below the first release's, or
 * unknown fields that are not zero, are invalid_argument.
 *
 * NULL: a handle that is NULL is invalid_argument, or answers 0; dropping NULL does nothing.
 *
 * Threads: as in landfall.hpp. A receiver and its flows belong to the thread that polled first;
 * landfall_receiver_hand_over and landfall_buffer_drop are for any thread. */
#ifndef LANDFALL_LANDFALL_H
#define LANDFALL_LANDFALL_H
#include <stddef.h>
#include <stdint.h>

#include "landfall/abi/codes.h"
#include "landfall/abi/export.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct landfall_context_handle landfall_context_t;   /* backends, event sink */
typedef struct landfall_region_handle landfall_region_t;     /* one range of memory */
typedef struct landfall_group_handle landfall_group_t;       /* a region bound to a transport */
typedef struct landfall_receiver_handle landfall_receiver_t; /* one receive queue, its group's */
typedef struct landfall_flow_handle landfall_flow_t;         /* one connection, its receiver's */
typedef struct landfall_buffer_handle landfall_buffer_t;     /* a lease of received bytes */
typedef struct landfall_decision_handle landfall_decision_t; /* which transport, and why */

/* ---- errors and reasons ---- */

/* Filled by calls that fail. A caller that leaves struct_size 0 gets nothing written. */
typedef struct landfall_error_t {
  uint32_t struct_size;
  landfall_errc code;
  uint32_t reason; /* LANDFALL_REASON_*, or a plug-in's own number; 0: none */
  int32_t origin;  /* LANDFALL_ORIGIN_*: whose number `native` is */
  int32_t native;
  char op[64];      /* the call that failed */
  char text[256];   /* the cause in one sentence */
  char remedy[256]; /* the one command or change that would help; "": none known */
} landfall_error_t;
#define LANDFALL_ERROR_INIT                           \
  {                                                   \
    sizeof(landfall_error_t), 0, 0, 0, 0, {0}, {0}, { \
      0                                               \
    }                                                 \
  }

/* "0.1.0": the library that is running. */
LANDFALL_API const char* landfall_version(void) LANDFALL_NOEXCEPT;
/* "busy"; "unknown" for a number that this version does not know. Static storage. */
LANDFALL_API const char* landfall_errc_name(landfall_errc code) LANDFALL_NOEXCEPT;
LANDFALL_API const char* landfall_errc_text(landfall_errc code) LANDFALL_NOEXCEPT;

/* One line of the reason list; the texts have static storage. */
typedef struct landfall_reason_t {
  uint32_t struct_size;
  uint32_t code;
  const char* name;
  const char* text;
  const char* remedy;
} landfall_reason_t;
#define LANDFALL_REASON_INIT \
  { sizeof(landfall_reason_t), 0, NULL, NULL, NULL }
/* Errors: not_found - not in the list. */
LANDFALL_API landfall_errc landfall_reason_lookup(uint32_t code,
                                                  landfall_reason_t* ret_reason) LANDFALL_NOEXCEPT;
/* By "LF1105", "1105" or "no_udmabuf_device". */
LANDFALL_API landfall_errc landfall_reason_by_name(const char* code_or_name,
                                                   landfall_reason_t* ret_reason) LANDFALL_NOEXCEPT;

/* ---- context ---- */

typedef struct landfall_context_options_t {
  uint32_t struct_size;
  uint32_t no_builtin_backends; /* 1: only what landfall_context_load adds */
  /* Where events go: any thread, never per completion. NULL: nowhere. The texts live for the
   * call. */
  void (*on_event)(void* user, uint32_t reason, int32_t native, const char* text);
  void* user;
} landfall_context_options_t;
#define LANDFALL_CONTEXT_OPTIONS_INIT \
  { sizeof(landfall_context_options_t), 0, NULL, NULL }

/* options NULL: the defaults. */
LANDFALL_API landfall_errc
landfall_context_create(const landfall_context_options_t* options, landfall_context_t** ret_context,
                        landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Groups, regions and buffers keep what they need of it. */
LANDFALL_API void landfall_context_destroy(landfall_context_t* context) LANDFALL_NOEXCEPT;
/* Loads a plug-in, tried in a helper process first. */
LANDFALL_API landfall_errc landfall_context_load(landfall_context_t* context, const char* path,
                                                 landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;

/* Registers a backend that is linked into the program (abi/backend.h); it lives as long as the
 * process. */
struct landfall_backend;
LANDFALL_API landfall_errc landfall_context_add(landfall_context_t* context,
                                                const struct landfall_backend* backend,
                                                landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;

/* ---- memory ---- */

enum { /* landfall_region_options_t.flags */
       LANDFALL_REGION_MEMFD = 1,
       LANDFALL_REGION_LOCKED = 2,
       LANDFALL_REGION_POPULATED = 4,
       LANDFALL_REGION_NO_HOST_VIEW = 8,
       LANDFALL_REGION_ADOPT = 16 /* adopt_fd counts */
};
typedef struct landfall_region_options_t {
  uint32_t struct_size;
  uint32_t flags;
  const char* source;  /* "host", "hugepage", ...; NULL: "host" */
  uint64_t size_bytes; /* whole pages; 0 with adopt_fd: the descriptor's own size */
  uint64_t page_bytes; /* 0: the source's choice */
  int32_t numa_node;   /* -1: any */
  int32_t device;
  const char* device_name; /* NULL: the default one */
  int32_t adopt_fd;        /* a memfd or dma-buf, duplicated; with LANDFALL_REGION_ADOPT */
  uint32_t reserved;
  void* borrow; /* a range of the caller's that outlives region, group and buffers; NULL: none */
} landfall_region_options_t;
#define LANDFALL_REGION_OPTIONS_INIT \
  { sizeof(landfall_region_options_t), 0, NULL, 0, 0, -1, 0, NULL, -1, 0, NULL }

enum { /* landfall_memory_info_t.flags */
       LANDFALL_MEMORY_HOST_VIEW = 1,
       LANDFALL_MEMORY_WRITABLE = 2,
       LANDFALL_MEMORY_ON_DEVICE = 4,
       LANDFALL_MEMORY_LOCKED = 8,
       LANDFALL_MEMORY_EXPORTS_DMABUF = 16
};
/* The memory that offsets refer to. */
typedef struct landfall_memory_info_t {
  uint32_t struct_size;
  uint32_t id; /* 0: the region, 1: the spill, 2 and up: made by the transport */
  uint32_t flags;
  int32_t numa_node; /* -1: not known */
  uint64_t size_bytes;
  uint64_t page_bytes;
  void* host; /* NULL: no host view */
  uint64_t device_address;
  int32_t device_kind, device_id; /* DLPack's numbers */
} landfall_memory_info_t;
#define LANDFALL_MEMORY_INFO_INIT \
  { sizeof(landfall_memory_info_t), 0, 0, -1, 0, 0, NULL, 0, 0, 0 }

LANDFALL_API landfall_errc landfall_region_allocate(
    const landfall_context_t* context, const landfall_region_options_t* options,
    landfall_region_t** ret_region, landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
LANDFALL_API void landfall_region_free(landfall_region_t* region) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_region_memory(
    const landfall_region_t* region, landfall_memory_info_t* ret_memory) LANDFALL_NOEXCEPT;
/* A dma-buf of [offset, offset + length): the caller closes *ret_fd; the range begins at
 * *ret_offset in it. */
LANDFALL_API landfall_errc landfall_region_export_dmabuf(
    const landfall_region_t* region, uint64_t offset, uint64_t length, int32_t* ret_fd,
    uint64_t* ret_offset, landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;

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
  uint32_t reserved;
} landfall_group_options_t;
#define LANDFALL_GROUP_OPTIONS_INIT \
  { sizeof(landfall_group_options_t), 1, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0 }

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

/* ---- receivers ---- */

enum { /* landfall_completion_t.kind */
       LANDFALL_COMPLETION_NONE = 0,
       LANDFALL_COMPLETION_OPENED = 1,
       LANDFALL_COMPLETION_DATA = 2,
       LANDFALL_COMPLETION_POSTED = 3,
       LANDFALL_COMPLETION_LANDED = 4,
       LANDFALL_COMPLETION_END_OF_STREAM = 5,
       LANDFALL_COMPLETION_FAILED = 6,
       LANDFALL_COMPLETION_PRESSURE = 7,
       LANDFALL_COMPLETION_RELIEF = 8,
       LANDFALL_COMPLETION_REVOKED = 9,
       LANDFALL_COMPLETION_CLOSED = 10
};
/* One thing that happened. 80 bytes for ever: new fields take the reserved ones. `buffer` is the
 * caller's to drop; overwriting a completion does not drop it. */
typedef struct landfall_completion_t {
  uint32_t kind;         /* LANDFALL_COMPLETION_* */
  uint32_t reason;       /* pressure, revoked; data: why it is not direct */
  landfall_flow_t* flow; /* valid until the poll after the one that returned `closed` */
  landfall_buffer_t* buffer;
  uint64_t tag;
  uint64_t bytes;
  landfall_errc error; /* failed */
  uint32_t error_reason;
  int32_t error_native;
  int32_t error_origin;
  uint64_t reserved[3];
} landfall_completion_t;

/* Fills up to `capacity` completions and answers how many; 0: nothing yet.
 * Errors: wrong_thread, wrong_process, device_lost, io. */
LANDFALL_API landfall_errc landfall_receiver_poll(landfall_receiver_t* receiver,
                                                  landfall_completion_t* completions,
                                                  size_t capacity, size_t* ret_count,
                                                  landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Sleeps until there is something or timeout_ns has passed; negative: for ever. */
LANDFALL_API landfall_errc landfall_receiver_wait(landfall_receiver_t* receiver,
                                                  landfall_completion_t* completions,
                                                  size_t capacity, int64_t timeout_ns,
                                                  size_t* ret_count,
                                                  landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* For one's own event loop: readable when poll has work, if arm answered 1 since the last poll. */
LANDFALL_API int landfall_receiver_fd(const landfall_receiver_t* receiver) LANDFALL_NOEXCEPT;
/* *ret_sleep 1: sleep on the fd now; 0: there is work, poll first. */
LANDFALL_API landfall_errc landfall_receiver_arm(landfall_receiver_t* receiver, int* ret_sleep,
                                                 landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Takes *fd, a connected TCP socket, on success only, and sets it -1 then. */
LANDFALL_API landfall_errc landfall_receiver_attach(
    landfall_receiver_t* receiver, int* fd, const landfall_flow_options_t* options,
    landfall_flow_t** ret_flow, landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* `opened` or `failed` follows. */
LANDFALL_API landfall_errc
landfall_receiver_connect(landfall_receiver_t* receiver, const char* host, uint16_t port,
                          const landfall_flow_options_t* options, landfall_flow_t** ret_flow,
                          landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Any thread. Takes *fd on success only, and sets it -1 then. */
LANDFALL_API landfall_errc landfall_receiver_hand_over(
    landfall_receiver_t* receiver, int* fd, const landfall_flow_options_t* options,
    landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_receiver_verdict(
    const landfall_receiver_t* receiver, landfall_verdict_t* ret_verdict) LANDFALL_NOEXCEPT;
LANDFALL_API uint32_t landfall_receiver_buffers_out(const landfall_receiver_t* receiver)
    LANDFALL_NOEXCEPT;
LANDFALL_API uint32_t landfall_receiver_flows(const landfall_receiver_t* receiver)
    LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_receiver_held_bytes(const landfall_receiver_t* receiver)
    LANDFALL_NOEXCEPT;

/* ---- flows: the receiver's polling thread only ---- */

LANDFALL_API uint64_t landfall_flow_id(const landfall_flow_t* flow) LANDFALL_NOEXCEPT;
LANDFALL_API void* landfall_flow_user(const landfall_flow_t* flow) LANDFALL_NOEXCEPT;
LANDFALL_API void landfall_flow_set_user(landfall_flow_t* flow, void* user) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_flow_verdict(const landfall_flow_t* flow,
                                                 landfall_verdict_t* ret_verdict) LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_flow_received_bytes(const landfall_flow_t* flow) LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_flow_held_bytes(const landfall_flow_t* flow) LANDFALL_NOEXCEPT;
/* The peer's numeric address into text[capacity] (46 bytes hold any), its port into *ret_port. */
LANDFALL_API landfall_errc landfall_flow_peer(const landfall_flow_t* flow, char* ret_text,
                                              size_t capacity, uint16_t* ret_port,
                                              landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
LANDFALL_API void landfall_flow_pause(landfall_flow_t* flow) LANDFALL_NOEXCEPT;
LANDFALL_API void landfall_flow_resume(landfall_flow_t* flow) LANDFALL_NOEXCEPT;
/* Demand: at most the next most_bytes come as buffers, then `landed`. */
LANDFALL_API landfall_errc landfall_flow_land(landfall_flow_t* flow, uint64_t most_bytes,
                                              landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Demand: the next `length` bytes end at `into`, then `posted` with `tag`. */
LANDFALL_API landfall_errc landfall_flow_post(landfall_flow_t* flow, void* into, uint64_t length,
                                              uint64_t tag,
                                              landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* The socket back in *ret_fd; the flow is gone then, without `closed`. */
LANDFALL_API landfall_errc landfall_flow_detach(landfall_flow_t* flow, int* ret_fd,
                                                landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Ends it: FIN, or RST where reset is 1; `closed` comes when its last buffer is back. */
LANDFALL_API void landfall_flow_close(landfall_flow_t* flow, int reset) LANDFALL_NOEXCEPT;

/* ---- buffers: any thread, one at a time; also after receiver, group and context are gone ----
 *
 * A buffer's handle is no address. One that was dropped already, or was made up, is refused: drop
 * and memory answer invalid_argument, the others 0 (placement: unsure). A number tells a dropped
 * handle from the next one of the same extent, except in 1 of 65535 cases. In a forked child, the
 * parent's handles are wrong_process until the child opens a group, then invalid_argument. */

/* Errors: invalid_argument, wrong_process - refused, and nothing happened. NULL is ok. */
LANDFALL_API landfall_errc landfall_buffer_drop(landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
/* NULL: the memory has no host view, or the handle is refused. */
LANDFALL_API void* landfall_buffer_data(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API uint32_t landfall_buffer_length(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_buffer_offset(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_buffer_stream_offset(const landfall_buffer_t* buffer)
    LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_buffer_flow_id(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API uint32_t landfall_buffer_charge(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API uint32_t landfall_buffer_placement(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API int landfall_buffer_ends_message(const landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_buffer_memory(
    const landfall_buffer_t* buffer, landfall_memory_info_t* ret_memory) LANDFALL_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
