// SPDX-License-Identifier: Apache-2.0
// io_uring's zero-copy receive since Linux 6.15, with what 7.3 has added; liburing 2.3 (Debian 12)
// knows none of it. kernel/uapi/compare.sh holds it against newer headers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace landfall::uapi::zcrx {

inline constexpr unsigned kRegisterIfq = 32;    // IORING_REGISTER_ZCRX_IFQ, Linux 6.15
inline constexpr unsigned kRegisterCtrl = 36;   // IORING_REGISTER_ZCRX_CTRL, newer than 6.17
inline constexpr unsigned kRegisterQuery = 35;  // IORING_REGISTER_QUERY; with a ring's fd or -1
inline constexpr std::uint8_t kOpRecvZc = 58;   // IORING_OP_RECV_ZC
/// Of the request: the number of the interface queue, in the place of splice_fd_in (zcrx_ifq_idx).

/// struct io_uring_zcrx_rqe: an extent on its way back.
struct Rqe {
  std::uint64_t off;  // in the area, below the bits of the area's token
  std::uint32_t len;
  std::uint32_t pad;  // zero
};
static_assert(sizeof(Rqe) == 16);

/// struct io_uring_zcrx_cqe: the second half of a completion of 32 bytes.
struct Cqe {
  std::uint64_t off;  // and the area's token
  std::uint64_t pad;
};
static_assert(sizeof(Cqe) == 16);
inline constexpr unsigned kAreaShift = 48;  // IORING_ZCRX_AREA_SHIFT
inline constexpr std::uint64_t kOffsetMask = (std::uint64_t{1} << kAreaShift) - 1;

/// struct io_uring_zcrx_offsets: where the parts of the refill ring lie in its memory.
struct Offsets {
  std::uint32_t head, tail, rqes, reserved;
  std::uint64_t reserved2[2];
};

inline constexpr std::uint32_t kAreaDmabuf = 1;  // IORING_ZCRX_AREA_DMABUF, Linux 6.16
/// struct io_uring_zcrx_area_reg.
struct Area {
  std::uint64_t address;  // a dma-buf: 0
  std::uint64_t length;
  std::uint64_t token;  // answered
  std::uint32_t flags;
  std::uint32_t dmabuf_fd;
  std::uint64_t reserved[2];
};

/// struct io_uring_region_desc, with IORING_MEM_REGION_TYPE_USER.
struct Region {
  std::uint64_t address;
  std::uint64_t size;
  std::uint32_t flags;
  std::uint32_t id;
  std::uint64_t mmap_offset;
  std::uint64_t reserved[4];
};
inline constexpr std::uint32_t kRegionUser = 1;

inline constexpr std::uint32_t kRegImport = 1;    // ZCRX_REG_IMPORT: another ring's, by descriptor
inline constexpr std::uint32_t kRegNoDevice = 2;  // ZCRX_REG_NODEV: no interface, all is copied
/// struct io_uring_zcrx_ifq_reg.
struct Ifq {
  std::uint32_t interface_index;
  std::uint32_t queue_id;
  std::uint32_t rq_entries;
  std::uint32_t flags;
  std::uint64_t area;     // Area*
  std::uint64_t region;   // Region*
  Offsets offsets;        // answered
  std::uint32_t zcrx_id;  // answered
  std::uint32_t rx_buf_len;
  std::uint64_t event_desc;  // EventDesc*, where the kernel has events
  std::uint64_t reserved[2];
};
static_assert(sizeof(Ifq) == 96);

inline constexpr std::uint32_t kEventAllocFail = 0;  // ZCRX_EVENT_ALLOC_FAIL
inline constexpr std::uint32_t kEventCopy = 1;       // ZCRX_EVENT_COPY
inline constexpr std::uint32_t kEventDescStats = 1;  // ZCRX_EVENT_DESC_FLAG_STATS
/// struct zcrx_event_desc.
struct EventDesc {
  std::uint64_t user_data;  // of the completion that tells of an event; its result: which
  std::uint32_t type_mask;
  std::uint32_t flags;
  std::uint64_t stats_offset;  // of a Stats in the refill ring's memory
  std::uint64_t reserved[9];
};
static_assert(sizeof(EventDesc) == 96);
/// struct zcrx_stats: what the kernel copied out of pages that are not the area's. Not counted:
/// what it copied out of packet heads (io_zcrx_recv_skb, io_uring/zcrx.c, Linux 7.3).
struct Stats {
  std::uint64_t copy_count;
  std::uint64_t copy_bytes;
};

inline constexpr std::uint32_t kCtrlFlushRq = 0;   // ZCRX_CTRL_FLUSH_RQ
inline constexpr std::uint32_t kCtrlExport = 1;    // ZCRX_CTRL_EXPORT
inline constexpr std::uint32_t kCtrlArmEvent = 2;  // ZCRX_CTRL_ARM_EVENT
/// struct zcrx_ctrl.
struct Ctrl {
  std::uint32_t zcrx_id;
  std::uint32_t op;
  std::uint64_t reserved[2];
  std::uint32_t argument;  // kCtrlArmEvent: which event; kCtrlExport: answers the descriptor
  std::uint32_t reserved2[11];
};
static_assert(sizeof(Ctrl) == 72);

/// struct io_uring_query_hdr and io_uring_query_zcrx.
struct QueryHeader {
  std::uint64_t next;
  std::uint64_t data;
  std::uint32_t op;
  std::uint32_t size;
  std::int32_t result;
  std::uint32_t reserved[3];
};
static_assert(sizeof(QueryHeader) == 40);
inline constexpr std::uint32_t kQueryZcrx = 1;  // IO_URING_QUERY_ZCRX
struct Query {
  std::uint64_t register_flags;
  std::uint64_t area_flags;
  std::uint32_t ctrl_ops;
  std::uint32_t features;
  std::uint32_t rq_header_bytes;
  std::uint32_t rq_header_alignment;
  std::uint64_t reserved;
};
static_assert(sizeof(Query) == 40);
inline constexpr std::uint32_t kFeatureRxPageSize = 1;  // ZCRX_FEATURE_RX_PAGE_SIZE
inline constexpr std::uint32_t kFeatureEvent = 2;       // ZCRX_FEATURE_EVENT

}  // namespace landfall::uapi::zcrx
