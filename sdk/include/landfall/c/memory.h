/* SPDX-License-Identifier: Apache-2.0 */
/* A part of landfall.h: contexts and memory. */
#ifndef LANDFALL_C_MEMORY_H
#define LANDFALL_C_MEMORY_H
#include "landfall/c/error.h"
#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif
#endif
