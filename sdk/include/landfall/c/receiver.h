/* SPDX-License-Identifier: Apache-2.0 */
/* A part of landfall.h: receivers, flows, buffers. */
#ifndef LANDFALL_C_RECEIVER_H
#define LANDFALL_C_RECEIVER_H
#include "landfall/c/group.h"
#ifdef __cplusplus
extern "C" {
#endif

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
/* Which transport carries it: its receiver's. A copy, to be freed. */
LANDFALL_API landfall_errc landfall_flow_decision(
    const landfall_flow_t* flow, landfall_decision_t** ret_decision) LANDFALL_NOEXCEPT;
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
 * parent's handles are wrong_process until the child opens a group, then invalid_argument. A
 * library that was built with asserts (without NDEBUG) aborts instead of answering
 * invalid_argument. */

/* Errors: invalid_argument, wrong_process - refused, and nothing happened. NULL is ok. */
LANDFALL_API landfall_errc landfall_buffer_drop(landfall_buffer_t* buffer) LANDFALL_NOEXCEPT;
/* Calls of this process that were refused for their handle so far: not 0 is a bug of the caller. */
LANDFALL_API uint64_t landfall_buffers_refused(void) LANDFALL_NOEXCEPT;
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
