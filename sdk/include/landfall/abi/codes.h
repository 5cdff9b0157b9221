/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers that C, C++ and plug-ins share: error codes, reason codes, origins. Append only. */
#ifndef LANDFALL_ABI_CODES_H
#define LANDFALL_ABI_CODES_H
#include <stdint.h>

typedef int32_t landfall_errc;
enum landfall_errc_values {
#define LANDFALL_ERRC(number, name, text) LANDFALL_ERRC_##name = number,
#include "landfall/abi/errc.def"
#undef LANDFALL_ERRC
  LANDFALL_ERRC_end_
};

/* Reason codes: why something was refused, copied or lost. Text and remedy are in reasons.def. */
enum landfall_reason_values {
  LANDFALL_REASON_none = 0,
#define LANDFALL_REASON(number, name, text, remedy) LANDFALL_REASON_##name = number,
#include "landfall/abi/reasons.def"
#undef LANDFALL_REASON
  LANDFALL_REASON_end_
};

/* Whose number `native` is. */
enum {
  LANDFALL_ORIGIN_LANDFALL = 0,
  LANDFALL_ORIGIN_OS = 1,      /* errno */
  LANDFALL_ORIGIN_NETLINK = 2, /* errno */
  LANDFALL_ORIGIN_CUDA = 3,
  LANDFALL_ORIGIN_LEVEL_ZERO = 4,
  LANDFALL_ORIGIN_VERBS = 5,
  LANDFALL_ORIGIN_LIBFABRIC = 6,
  LANDFALL_ORIGIN_RESOLVER = 7 /* EAI_* of getaddrinfo(3) */
};

#endif
