/* SPDX-License-Identifier: Apache-2.0 */
/* A part of landfall.h: handles, errors, reasons. */
#ifndef LANDFALL_C_ERROR_H
#define LANDFALL_C_ERROR_H
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
typedef struct landfall_send_group_handle landfall_send_group_t; /* a region to send from */
typedef struct landfall_sender_handle landfall_sender_t;         /* one connection that sends */

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

#ifdef __cplusplus
}
#endif
#endif
