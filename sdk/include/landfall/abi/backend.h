/* SPDX-License-Identifier: Apache-2.0 */
/* landfall backend ABI 1: memory sources and transports behind one C descriptor.
 *
 * Rules: every table and struct begins with struct_size, filled by whoever owns the memory; fields
 * are only ever appended; nobody reads past struct_size; reserved fields are zero. Calls answer
 * LANDFALL_ERRC_ok or another landfall_errc and then fill *reterr_why unless it is NULL. Nothing is
 * allocated across the line: who opens closes, texts live in the caller's structs. No C++ type,
 * exception, FILE or errno crosses. The data path is poll and give_back: one call each per batch.
 *
 * Major 1 is frozen: a backend that was built against it keeps loading. */
#ifndef LANDFALL_ABI_BACKEND_H
#define LANDFALL_ABI_BACKEND_H
#include <stddef.h>
#include <stdint.h>

#include "landfall/abi/codes.h"
#ifdef __cplusplus
extern "C" {
#endif

#define LANDFALL_ABI_MAJOR 1u
#define LANDFALL_ABI_MINOR 0u

/* Does this table reach as far as `op`, and is the op there? The only way to look at an op. */
#define LANDFALL_HAS(table, type, op) \
  ((table)->struct_size >= offsetof(type, op) + sizeof((table)->op) && (table)->op)

typedef struct landfall_why { /* one reason; the caller's memory */
  uint32_t struct_size;
  uint32_t code;  /* LANDFALL_REASON_*, or a plug-in's own number >= 100000 */
  int32_t origin; /* LANDFALL_ORIGIN_* */
  int32_t native;
  char text[256]; /* one sentence with the particulars; "" = the text of the reason list */
  char fix[256];  /* the one command that would help; "" = the remedy of the reason list */
} landfall_why;

typedef struct landfall_host { /* what the core offers to a backend; outlives every object opened
                                  with it */
  uint32_t struct_size, reserved;
  void* ctx;
  /* Something worth a log line happened. Any thread, never per completion. */
  void (*event)(void* ctx, const landfall_why* what);
  uint64_t (*now_ns)(void* ctx); /* monotonic */
  /* Asked before each outside call (site = "io_uring_enter", "mmap"): 0 - make the call; else do
   * not, and behave as if it had failed with that errno. NULL: no faults, do not ask. */
  int32_t (*fault)(void* ctx, const char* site);
} landfall_host;

/* ---- memory
 * --------------------------------------------------------------------------------------------------
 */

enum { /* landfall_memory.flags */
       LANDFALL_MEM_CPU_READ = 1,
       LANDFALL_MEM_CPU_WRITE = 2,
       LANDFALL_MEM_DEVICE =
           4, /* lives on a device: device_address, device_kind, device_id say which */
       LANDFALL_MEM_DMABUF = 8, /* export_dmabuf works for the whole */
       LANDFALL_MEM_DMABUF_RANGES =
           16,                   /* ... and for any page-aligned part, each a dma-buf of its own */
       LANDFALL_MEM_SHARED = 32, /* MAP_SHARED: a forked child sees the same bytes */
       LANDFALL_MEM_LOCKED = 64, /* resident: mlock(2)ed, or hugetlb pages */
       LANDFALL_MEM_BORROWED = 128 /* the application's own memory: release does not free it */
};

typedef struct landfall_memory { /* one coordinate system that records point into; no ownership */
  uint32_t struct_size, flags;
  uint64_t size_bytes, page_bytes;
  void* host;                     /* NULL: no host view; the core never touches it with the CPU */
  uint64_t device_address;        /* 0: none */
  int32_t device_kind, device_id; /* DLPack's numbers: 1 CPU, 2 CUDA, 3 CUDA host, 14 oneAPI */
  int32_t numa_node;              /* -1: not known */
  int32_t reserved;
} landfall_memory;

enum { /* landfall_memory_spec.flags: what is wanted */
       LANDFALL_WANT_MEMFD =
           1, /* host, hugepage: back it by a memfd (can be sealed, shared, made a udmabuf) */
       LANDFALL_WANT_LOCKED = 2,       /* resident, or refused: memlock_limit */
       LANDFALL_WANT_NO_HOST_VIEW = 4, /* do not map it, even where one could */
       LANDFALL_WANT_POPULATED = 8     /* fault the pages in now */
};
typedef struct landfall_memory_spec {
  uint32_t struct_size, flags;
  const landfall_host* host;
  uint64_t size_bytes, page_bytes; /* page_bytes 0: the source's choice */
  uint64_t address;                /* borrow [address, address + size_bytes); 0: none */
  int32_t fd;        /* adopt this memfd or dma-buf, -1: none; the source dups what it keeps */
  int32_t numa_node; /* -1: any */
  int32_t device_id, reserved;
  const char* device_name; /* UUID, PCI address or heap name; NULL: the default one */
} landfall_memory_spec;

typedef struct landfall_region landfall_region; /* the source's own object */
typedef struct landfall_fence landfall_fence;   /* a point in a stream of device work */

typedef struct landfall_memory_ops {
  uint32_t struct_size, reserved;
  /* Would allocate() with this spec stand a chance? Opens nothing that stays open. */
  landfall_errc (*probe)(const landfall_memory_spec*, landfall_why* reterr_why);
  landfall_errc (*allocate)(const landfall_memory_spec*, landfall_region** ret_region,
                            landfall_memory* ret_memory, landfall_why* reterr_why);
  void (*release)(landfall_region*); /* any thread: the last Buffer may be dropped anywhere */
  /* Optional: without it no region has LANDFALL_MEM_DMABUF, and the core refuses exports itself.
   * A descriptor whose bytes [*ret_offset, *ret_offset + length) are this region's [offset, offset
   * + length). The caller closes it. */
  landfall_errc (*export_dmabuf)(landfall_region*, uint64_t offset, uint64_t length,
                                 int32_t* ret_fd, uint64_t* ret_offset, landfall_why* reterr_why);
  /* Optional, device memory: CPU-writable memory that the region's device reads too (pinned), for a
   * spill. Released by release(). */
  landfall_errc (*companion)(landfall_region*, uint64_t size_bytes, landfall_region** ret_region,
                             landfall_memory* ret_memory, landfall_why* reterr_why);

  /* Optional, all four or none: points in an application's stream of work on this memory.
   * native_stream is the device's own (CUstream); what was put on it before must be done before the
   * fence has passed. */
  landfall_errc (*fence_record)(landfall_region*, void* native_stream, landfall_fence** ret_fence,
                                landfall_why* reterr_why); /* any thread */
  /* 1 passed, 0 not yet, < 0 the device is lost and touches nothing any more (-errc). Any thread.
   */
  int32_t (*fence_done)(landfall_fence*);
  /* Writes 1 to a duplicate of its own of this eventfd(2) when it has passed, at once if it has.
   * Any thread, for any number of descriptors. */
  landfall_errc (*fence_arm)(landfall_fence*, int32_t event_fd);
  void (*fence_drop)(landfall_fence*); /* any thread, also before it has passed */
} landfall_memory_ops;

/* ---- transport: domain (the binding) > queue (one Receiver) > flow
 * --------------------------------------------- */

typedef struct landfall_domain
    landfall_domain;                          /* region x interface x queues: one binding, one PD */
typedef struct landfall_queue landfall_queue; /* one polling thread */
typedef struct landfall_listener
    landfall_listener; /* of a transport that makes its own connections */
typedef struct landfall_flow landfall_flow;

enum { LANDFALL_DIRECT = 0, LANDFALL_LINEAR = 1, LANDFALL_COPIED = 2, LANDFALL_UNSURE = 3 };

enum { /* landfall_needs.flags: what the core must bring, and what the transport can do */
       LANDFALL_NEED_HOST_VIEW = 1,
       LANDFALL_NEED_DMABUF = 2,
       LANDFALL_NEED_DMABUF_PER_QUEUE = 4, /* each queue wants a whole dma-buf of its own */
       LANDFALL_SHARED_POOL =
           8, /* all queues draw from the whole region; else the core cuts disjoint slices */
       LANDFALL_TAKES_SOCKETS = 16, /* attach(fd) works; listen and connect are the core's */
       LANDFALL_FLOW_ON_ANY_QUEUE =
           32,                 /* a flow need not arrive on the hardware queue of its Receiver */
       LANDFALL_MESSAGES = 64, /* records carry message ends */
       LANDFALL_DRY_POOL_DROPS =
           128, /* a full region drops packets at the NIC; else senders stall by flow control */
       LANDFALL_NEED_GRANT =
           256, /* the core binds the region to the interface's queues and passes a grant */
       LANDFALL_NEED_QUEUES =
           512,                 /* the core chooses receive queues of the interface and steers flows
                                   to them, and the transport binds them: a grant without id */
       LANDFALL_CAN_SEND = 1024 /* queues may be opened for sending: send and finish are there */
};
typedef struct landfall_needs {
  uint32_t struct_size, flags;
  uint64_t spill_bytes_per_queue; /* CPU-writable side memory (memory id 1); 0: none */
  uint64_t slice_align_bytes;     /* 0 = 1 */
  uint64_t min_slice_bytes;       /* per queue */
  uint32_t best_placement; /* LANDFALL_DIRECT or LANDFALL_COPIED: the best an extent can be here */
  uint32_t copy_reason;    /* LANDFALL_REASON_*: why not direct; 0 where it can be */
  uint32_t rx_page_bytes;  /* NEED_GRANT, NEED_QUEUES: the NIC shall fill the region by pages of so
                              many bytes; 0: its own choice */
  uint32_t reserved;
} landfall_needs;

typedef struct landfall_domain_spec {
  uint32_t struct_size;
  uint32_t interface_index; /* 0: none asked */
  const landfall_host* host;
  const landfall_memory*
      region; /* stays valid until domain_close; NULL in probe: memory not chosen yet */
  const uint32_t* queue_ids; /* hardware queues; NULL: none asked */
  uint32_t queue_count;
  uint32_t flows_max;  /* per queue */
  uint32_t slot_bytes; /* 0: the transport's choice */
  int32_t dmabuf_fd;   /* of the region where NEED_DMABUF, else -1; the domain dups what it keeps */
  uint64_t dmabuf_offset; /* of the region in that dma-buf */
  const char* options;    /* "key=value\n..." for this transport, checked by it; NULL = "" */
  /* The grant, where NEED_GRANT: the region is bound to queue_ids from before domain_open to after
   * domain_close. NEED_QUEUES: without the binding, and grant_dmabuf_id is 0. */
  int32_t grant_fd; /* hang-up: the binding is gone; -1: none; the domain dups what it keeps */
  uint32_t grant_dmabuf_id; /* the kernel's number of the binding */
  uint32_t rx_page_bytes;   /* of the binding; 0: the CPU's page size. In probe: what is asked for,
                               where the transport's options do not say; 0: nothing */
  uint32_t reserved;
  const uint32_t* queue_napi_ids; /* of queue_ids, as SO_INCOMING_NAPI_ID tells them; NULL: not
                                     known */
} landfall_domain_spec;

typedef struct landfall_queue_spec {
  uint32_t struct_size, index; /* index: which of the domain's queues */
  uint64_t slice_offset,
      slice_length; /* the part of the region that this queue may fill (all of it: SHARED_POOL) */
  const landfall_memory* spill; /* memory id 1; NULL: none was needed */
  int32_t slice_dmabuf_fd;      /* NEED_DMABUF_PER_QUEUE; else -1 */
  uint32_t ring_slots;          /* 0: the transport's choice */
  uint32_t extents_max;         /* never more extents out than this */
  uint32_t flows_max;
  uint32_t sends; /* 1: for sending from the slice and the spill, CAN_SEND: its flows receive
                     nothing, and extents_max ranges may be under way */
  uint32_t reserved;
} landfall_queue_spec;

enum { /* landfall_record.kind */
       LANDFALL_DATA = 1,
       LANDFALL_POSTED = 2,        /* a post() is complete (length = its bytes, fewer only before
                                      END_OF_STREAM or FAILED) */
       LANDFALL_OPENED = 3,        /* a connection of a transport's own listen() or connect() */
       LANDFALL_END_OF_STREAM = 4, /* the peer finished; no DATA follows */
       LANDFALL_FAILED = 5,        /* native = errno, code = reason; no DATA follows */
       LANDFALL_CLOSED =
           6, /* after flow_close, when every extent is back: the last record of its flow */
       LANDFALL_REVOKED = 7, /* the binding is gone; flow may be NULL: all flows */
       LANDFALL_LANDED = 8,  /* a land() is used up */
       LANDFALL_STARVED = 9, /* flow NULL: bytes wait, and no memory is left to place them in; told
                                once. Optional, for transports that can be dry before all of their
                                slice is charged: the application then hears of pressure */
       LANDFALL_FED = 10,    /* ... after STARVED: there is memory again */
       LANDFALL_SENT = 11    /* of a queue that sends: a range of send() is through and may be
                                overwritten (token, length; length 0: the end of the stream, after
                                finish()). There OPENED, FAILED and CLOSED mean what
                                they mean elsewhere, and END_OF_STREAM that the receiver has ended
                                the connection in order */
};
enum { LANDFALL_RECORD_MESSAGE_END = 1 }; /* landfall_record.flags */

/* One thing that happened. 64 bytes: a cache line. */
typedef struct landfall_record {
  uint8_t kind, placement;
  uint16_t memory; /* 0 region, 1 spill, >= 2 made by the transport (own_memory) */
  uint32_t length;
  uint64_t offset;   /* in that memory, absolute, also within a slice */
  uint64_t token;    /* DATA: goes back unchanged in give_back. POSTED: the post's */
  uint64_t flow_tag; /* the core's, from landfall_flow_spec; 0 in OPENED of a listener */
  uint64_t stream_offset;
  landfall_flow* flow;
  uint32_t code; /* reason: of the placement, the failure, the revocation; 0 none */
  uint32_t flags;
  int32_t native;
  uint32_t charge_bytes; /* memory that this extent really holds back (page, slot, cell) */
} landfall_record;

typedef struct landfall_return { /* one extent going back */
  landfall_flow* flow;
  uint64_t token, offset;
  uint32_t length;
  uint16_t memory, reserved;
} landfall_return;

enum { LANDFALL_SEND_MESSAGE_END = 1 }; /* landfall_send.flags */

typedef struct landfall_send { /* one range to send */
  uint64_t offset;             /* in that memory */
  uint64_t length;             /* > 0 */
  uint64_t token;              /* comes back in SENT */
  uint16_t memory;             /* 0 region, 1 spill */
  uint16_t reserved;
  uint32_t flags;
} landfall_send;

typedef struct landfall_flow_spec {
  uint32_t struct_size;
  uint32_t demand;        /* 1: nothing is received but by land() and post() */
  uint64_t flow_tag;      /* returned in every record of this flow */
  uint64_t stream_offset; /* of the first byte */
  uint64_t early_bytes;   /* so many were queued before the flow was steered to a queue */
} landfall_flow_spec;

enum {                         /* *ret_armed of arm() */
       LANDFALL_ARM_READY = 1, /* do not sleep: there is work */
       LANDFALL_ARM_WANTS_RETURNS =
           2 /* extents given back would let it go on: wake the poller when one comes back */
};

typedef struct landfall_transport_ops {
  uint32_t struct_size, reserved;
  /* Can it work with this spec, and what does it need? Fills ret_needs also where it answers no, as
   * far as it knows. */
  landfall_errc (*probe)(const landfall_domain_spec*, landfall_needs* ret_needs,
                         landfall_why* reterr_why);
  landfall_errc (*domain_open)(const landfall_domain_spec*, landfall_domain** ret_domain,
                               landfall_why* reterr_why);
  void (*domain_close)(landfall_domain*); /* any thread, after its queues */
  /* May run on another thread than the one that will poll. */
  landfall_errc (*queue_open)(landfall_domain*, const landfall_queue_spec*,
                              landfall_queue** ret_queue, landfall_why* reterr_why);
  /* No more records, flows stop receiving; extents out stay valid and unchanged. From now on only
   * give_back and queue_close, each from any thread, one at a time. */
  void (*queue_stop)(landfall_queue*);
  void (*queue_close)(
      landfall_queue*); /* last; every extent is back; closes sockets of flows that still live */
  /* Describes memory id >= 2. */
  landfall_errc (*own_memory)(landfall_queue*, uint16_t memory, landfall_memory* ret_memory);

  /* Data path. From here on: the thread that called poll first, until queue_stop. */
  landfall_errc (*poll)(landfall_queue*, landfall_record* records, uint32_t capacity,
                        uint32_t* ret_count);
  /* Newest first; every extent exactly once, after CLOSED never. What the kernel will not take yet
   * the transport keeps and retries. */
  void (*give_back)(landfall_queue*, const landfall_return*, uint32_t count);
  /* Before sleeping on wait_fd. */
  landfall_errc (*arm)(landfall_queue*, uint32_t* ret_armed);
  /* A descriptor that becomes readable when an armed queue has work. The polling thread, or before
   * its first call; -1: poll without sleeping (arm is then always READY). */
  int32_t (*wait_fd)(landfall_queue*);
  /* Optional, after arm answered without READY: sleeps until poll has work, control_fd (an epoll of
   * the core's, always the same; -1: none, of a queue that sends) is readable, or timeout_ns has
   * passed (UINT64_MAX: never). May return early. *ret_control 1: control_fd is readable. Without
   * this op the core sleeps on wait_fd. */
  landfall_errc (*wait)(landfall_queue*, int32_t control_fd, uint64_t timeout_ns,
                        int32_t* ret_control);

  /* The fd changes hands only on ok. Bytes already queued in the socket come first. */
  landfall_errc (*attach)(landfall_queue*, int32_t fd, const landfall_flow_spec*,
                          landfall_flow** ret_flow, landfall_why* reterr_why);
  /* The socket back, no byte lost: busy while extents are out. After ok the flow is gone, without
   * CLOSED. */
  landfall_errc (*detach)(landfall_queue*, landfall_flow*, int32_t* ret_fd,
                          landfall_why* reterr_why);
  /* Stops receiving (reset: RST). The socket stays open until the last extent is back; then CLOSED.
   */
  void (*flow_close)(landfall_queue*, landfall_flow*, int32_t reset);
  landfall_errc (*flow_pause)(landfall_queue*, landfall_flow*,
                              int32_t on); /* may still deliver what is under way */

  /* Optional, demand flows; without them the core slices and gathers. Requests are served in order.
   */
  landfall_errc (*land)(landfall_queue*, landfall_flow*,
                        uint64_t most_bytes); /* DATA up to that, then LANDED */
  landfall_errc (*post)(landfall_queue*, landfall_flow*, const landfall_memory* to, uint64_t offset,
                        uint64_t length,
                        uint64_t token); /* bytes end there, then POSTED with token */

  /* Optional: transports that make their own connections. OPENED names the flow (flow_tag 0 from a
   * listener); it stays mute until flow_start on the queue that shall have it. */
  landfall_errc (*listen)(landfall_domain*, landfall_queue* reports_to, const void* sockaddr,
                          uint32_t length, landfall_listener** ret_listener, void* ret_sockaddr,
                          uint32_t* ret_length, landfall_why* reterr_why);
  void (*listener_close)(landfall_listener*);
  landfall_errc (*connect)(landfall_queue*, const void* sockaddr, uint32_t length,
                           const landfall_flow_spec*, landfall_flow** ret_flow,
                           landfall_why* reterr_why); /* OPENED or FAILED follows */
  landfall_errc (*flow_start)(landfall_queue*, landfall_flow*, const landfall_flow_spec*);

  /* Optional, both or none: queues that were opened for sending (CAN_SEND). Ranges go in the order
   * of the calls; the memory must not change until their SENT. limit_reached: extents_max are under
   * way. */
  landfall_errc (*send)(landfall_queue*, landfall_flow*, const landfall_send*,
                        landfall_why* reterr_why);
  landfall_errc (*finish)(landfall_queue*, landfall_flow*); /* the end of the stream, after them */
} landfall_transport_ops;

/* ---- the descriptor
 * ---------------------------------------------------------------------------------------------- */

enum { LANDFALL_KIND_MEMORY = 1, LANDFALL_KIND_TRANSPORT = 2 };
/* Transports whose senders must speak more than TCP. */
enum { LANDFALL_RANK_NAMED = 1000 };
typedef struct landfall_backend {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  uint32_t kind;    /* LANDFALL_KIND_* */
  uint32_t rank;    /* transports: the lower is tried first where the application names none (devmem
                       10, tcp 90). From LANDFALL_RANK_NAMED on: only where it names them */
  const char* name; /* [a-z0-9-]{1,31} */
  const char* version;
  const char* summary; /* one line for `landfall info` */
  const void* ops;     /* landfall_memory_ops or landfall_transport_ops */
} landfall_backend;

/* The one exported symbol of a plug-in. index 0, 1, ...; NULL ends: one library may carry several
 * backends. Must not throw, print, or start threads. */
#define LANDFALL_BACKEND_QUERY_SYMBOL "landfall_backend_query"
const landfall_backend* landfall_backend_query(uint32_t host_abi_major, uint32_t index);
typedef const landfall_backend* (*landfall_backend_query_fn)(uint32_t host_abi_major,
                                                             uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
