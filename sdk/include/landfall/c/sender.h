/* SPDX-License-Identifier: Apache-2.0 */
/* A part of landfall.h: sending ranges of a region. */
#ifndef LANDFALL_C_SENDER_H
#define LANDFALL_C_SENDER_H
#include "landfall/c/group.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct landfall_send_group_options_t {
  uint32_t struct_size;
  uint32_t ranges_max;        /* per sender, not told as sent yet; 0: the default */
  const char* interface_name; /* that connections leave by; NULL: the one with their address */
  const char* methods; /* "devmem,zerocopy,copy": in order of preference; NULL: these, best first */
  const landfall_contract_t* contract; /* NULL: prefer_direct */
  /* For connect and listen: transports that make their own connections, "verbs,ofi", in order of
   * preference; NULL: none */
  const char* transports;
  const char* options; /* of theirs: "ofi.provider=tcp,...": transport.key=value; NULL: none */
} landfall_send_group_options_t;
#define LANDFALL_SEND_GROUP_OPTIONS_INIT \
  { sizeof(landfall_send_group_options_t), 0, NULL, NULL, NULL, NULL, NULL }

/* Takes *region over on success only, and sets it NULL then. options NULL: the defaults. */
LANDFALL_API landfall_errc landfall_send_group_open(
    const landfall_context_t* context, const landfall_send_group_options_t* options,
    landfall_region_t** region, landfall_send_group_t** ret_group,
    landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* On success the handle is gone, *group is NULL, and the region comes back in *ret_region (NULL: it
 * is freed). Errors: busy - senders are open, or another thread is about to open one. */
LANDFALL_API landfall_errc
landfall_send_group_close(landfall_send_group_t** group, landfall_region_t** ret_region,
                          landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Like close, but never refuses: the memory stays until the last sender is freed. */
LANDFALL_API void landfall_send_group_free(landfall_send_group_t* group) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_send_group_memory(
    const landfall_send_group_t* group, landfall_memory_info_t* ret_memory) LANDFALL_NOEXCEPT;
/* Takes *fd, a connected TCP socket, on success only, and sets it -1 then. ret_decision, unless
 * NULL, is filled on success and when no method works; free it with landfall_decision_free. */
LANDFALL_API landfall_errc landfall_send_group_attach(
    landfall_send_group_t* group, int* fd, landfall_sender_t** ret_sender,
    landfall_decision_t** ret_decision, landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* A sender over a connection that a transport of the options makes, the first that can, to a
 * receiver that listens by the same one. Ranges are sent from where they lie, and are through when
 * the receiver's device has them. Blocks until the connection stands or timeout_ns has passed;
 * negative: for ever. ret_decision, unless NULL, is filled on success and when no transport can;
 * free it with landfall_decision_free. Errors: not_supported - no transport can; invalid_argument -
 * the options name none; flow_reset - LF1313, LF1331, the peer refused; timed_out; not_found -
 * LF1314. */
LANDFALL_API landfall_errc landfall_send_group_connect(
    landfall_send_group_t* group, const char* host, uint16_t port, int64_t timeout_ns,
    landfall_sender_t** ret_sender, landfall_decision_t** ret_decision,
    landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* ... or over one that a receiver makes to here (landfall_receiver_connect): listen once, accept
 * for each. host NULL or "": all addresses. port 0: one that is free; *ret_port is the one in use.
 * ret_decision and errors as for connect; address_in_use - LF1315. */
LANDFALL_API landfall_errc landfall_send_group_listen(
    landfall_send_group_t* group, const char* host, uint16_t port, uint16_t* ret_port,
    landfall_decision_t** ret_decision, landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* A sender over the next one that connects to here. Blocks until there is one or timeout_ns has
 * passed; negative: for ever. Errors: timed_out; invalid_argument - listen first. */
LANDFALL_API landfall_errc landfall_send_group_accept(
    landfall_send_group_t* group, int64_t timeout_ns, landfall_sender_t** ret_sender,
    landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;

/* ---- senders: one thread at a time ---- */

/* A range that may be overwritten. 48 bytes for ever: new fields take the reserved ones. */
typedef struct landfall_sent_t {
  uint64_t tag; /* of the send call */
  uint64_t offset, length;
  uint32_t placement; /* LANDFALL_PLACEMENT_DIRECT: sent from where it lies; _COPIED */
  uint32_t reserved[5];
} landfall_sent_t;

/* The bytes must not change until they are told as sent.
 * Errors: invalid_argument - not inside the region; limit_reached - poll first; closed - after
 * finish; and those of poll. */
LANDFALL_API landfall_errc landfall_sender_send(landfall_sender_t* sender, uint64_t offset,
                                                uint64_t length, uint64_t tag,
                                                landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Bytes of the caller's, copied: headers. They are not told as sent. */
LANDFALL_API landfall_errc
landfall_sender_send_inline(landfall_sender_t* sender, const void* bytes, size_t length,
                            landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Ends the stream when all that is queued has been sent. Over a transport's own connection that
 * goes on in poll, and ranges_out counts the end, until the receiver's device has it. */
LANDFALL_API landfall_errc landfall_sender_finish(landfall_sender_t* sender,
                                                  landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Sends on what is queued, fills up to `capacity` entries and answers how many; 0: none yet.
 * Errors, for good: flow_reset, contract_broken, revoked, device_lost, limit_reached,
 * wrong_process, io. */
LANDFALL_API landfall_errc landfall_sender_poll(landfall_sender_t* sender, landfall_sent_t* sent,
                                                size_t capacity, size_t* ret_count,
                                                landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Sleeps until there is something, nothing is out any more or timeout_ns has passed; negative: for
 * ever. */
LANDFALL_API landfall_errc landfall_sender_wait(landfall_sender_t* sender, landfall_sent_t* sent,
                                                size_t capacity, int64_t timeout_ns,
                                                size_t* ret_count,
                                                landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* For one's own event loop: readable when poll has work, if arm answered 1 since the last poll. */
LANDFALL_API int landfall_sender_fd(const landfall_sender_t* sender) LANDFALL_NOEXCEPT;
/* *ret_sleep 1: sleep on the fd now; 0: there is work, poll first. */
LANDFALL_API landfall_errc landfall_sender_arm(landfall_sender_t* sender, int* ret_sleep,
                                               landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
LANDFALL_API uint32_t landfall_sender_ranges_out(const landfall_sender_t* sender) LANDFALL_NOEXCEPT;
LANDFALL_API uint64_t landfall_sender_sent_bytes(const landfall_sender_t* sender) LANDFALL_NOEXCEPT;
LANDFALL_API landfall_errc landfall_sender_verdict(
    const landfall_sender_t* sender, landfall_verdict_t* ret_verdict) LANDFALL_NOEXCEPT;
/* Finishes, and waits until every range is through and the receiver has ended the connection, so
 * that it has read everything; what it says meanwhile is dropped, and ranges that were not polled
 * for are not told as sent. The handle stays, to be freed. timeout_ns negative: for ever.
 * Errors: timed_out - call it again; flow_reset - LF1312, the receiver ended before; those of
 * poll. */
LANDFALL_API landfall_errc landfall_sender_close(landfall_sender_t* sender, int64_t timeout_ns,
                                                 landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* The socket back in *ret_fd; *sender is gone and NULL then. Errors: busy - ranges are out;
 * not_supported - LF1207, there is no socket. */
LANDFALL_API landfall_errc landfall_sender_detach(landfall_sender_t** sender, int* ret_fd,
                                                  landfall_error_t* reterr_error) LANDFALL_NOEXCEPT;
/* Closes the connection; while ranges are out it is reset, so that the peer cannot take a part for
 * the whole. */
LANDFALL_API void landfall_sender_free(landfall_sender_t* sender) LANDFALL_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
