// SPDX-License-Identifier: Apache-2.0
#include "zcrx/interface_queue.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "landfall/abi/authoring.hpp"

namespace landfall::zcrx {
namespace {

using authoring::fix;
using authoring::refuse;

constexpr std::uint32_t kRingFlags = IORING_SETUP_CQE32;

template <class T>
std::uint64_t address_of(T* object) noexcept {
  return reinterpret_cast<std::uint64_t>(object);
}

landfall_errc needs_capability(landfall_why* why, int number) {
  return fix(
      why,
      refuse(why, LANDFALL_ERRC_permission_denied, LANDFALL_REASON_not_permitted,
             LANDFALL_ORIGIN_OS, number,
             "zero-copy receive of io_uring needs CAP_NET_ADMIN in the initial user namespace"),
      "run it as root, or give it that capability: AmbientCapabilities=CAP_NET_ADMIN");
}

/// The kernel answers with an errno and no words (io_register_zcrx and netif_mp_open_rxq, Linux
/// 7.3); the core reads the interface before it gets here, so that these are what is left.
landfall_errc refuse_queue(landfall_why* why, const InterfaceQueue::Setup& setup, int number) {
  const auto answer = [&](landfall_errc code, std::uint32_t reason, const char* text) {
    return refuse(why, code, reason, LANDFALL_ORIGIN_OS, number,
                  "queue %u refused the area: %s (errno %d)", setup.queue_id, text, number);
  };
  switch (number) {
    case EPERM:
      return needs_capability(why, number);
    case ENODEV:
      return answer(LANDFALL_ERRC_not_found, LANDFALL_REASON_interface_unknown, "no interface");
    case EEXIST:
    case EBUSY:
      return answer(LANDFALL_ERRC_busy, LANDFALL_REASON_queue_busy, "it has other memory");
    case EOPNOTSUPP:
      return setup.rx_page_bytes != 0
                 ? answer(LANDFALL_ERRC_not_supported, LANDFALL_REASON_page_size_refused,
                          "pages of this size")
                 : answer(LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_memory_provider,
                          "no memory provider");
    case ERANGE:
      return setup.rx_page_bytes != 0
                 ? answer(LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_dmabuf_not_aligned,
                          "its pieces are smaller than the pages")
                 : answer(LANDFALL_ERRC_not_found, LANDFALL_REASON_queue_unknown, "no such queue");
    case ENOMEM:
      return answer(LANDFALL_ERRC_no_memory, LANDFALL_REASON_memlock_limit, "no memory");
    case EFAULT:
      return answer(LANDFALL_ERRC_not_supported, LANDFALL_REASON_memory_not_pinnable,
                    "its pages cannot be held");
    default:
      return answer(authoring::errc_of(number), LANDFALL_REASON_none, "no cause is known");
  }
}

}  // namespace

landfall_errc probe_kernel(const landfall_host* host, Features* ret_features,
                           landfall_why* reterr_why) {
  *ret_features = {};
  uring::Ring ring;
  if (const auto code = ring.open(host, 1, 2, kRingFlags, reterr_why); code != LANDFALL_ERRC_ok)
    return code;
  // A registration that cannot be read: who is asked says first whether he knows it, and may.
  const int number = -ring.register_raw(uapi::kRegisterIfq, reinterpret_cast<void*>(1), 1);
  if (number == EPERM) return needs_capability(reterr_why, number);
  if (number == EINVAL || number == EOPNOTSUPP)
    return fix(reterr_why,
               refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_kernel_too_old,
                      LANDFALL_ORIGIN_OS, number,
                      "zero-copy receive of io_uring needs Linux 6.15 with CONFIG_IO_URING_ZCRX"),
               "boot Linux 6.15 or later");
  if (number != EFAULT)
    return authoring::refuse_os(reterr_why, "IORING_REGISTER_ZCRX_IFQ", LANDFALL_REASON_none,
                                number);
  uapi::Query answer{};
  uapi::QueryHeader query{};
  query.data = address_of(&answer);
  query.op = uapi::kQueryZcrx;
  query.size = sizeof answer;
  // Kernels that cannot be asked have none of this.
  if (ring.register_raw(uapi::kRegisterQuery, &query, 0) < 0 || query.result < 0)
    return LANDFALL_ERRC_ok;
  ret_features->no_device = (answer.register_flags & uapi::kRegNoDevice) != 0;
  ret_features->rx_page_size = (answer.features & uapi::kFeatureRxPageSize) != 0;
  ret_features->events =
      (answer.features & uapi::kFeatureEvent) != 0 && answer.ctrl_ops > uapi::kCtrlArmEvent;
  ret_features->flush = answer.ctrl_ops > uapi::kCtrlFlushRq;
  ret_features->share =
      (answer.register_flags & uapi::kRegImport) != 0 && answer.ctrl_ops > uapi::kCtrlExport;
  return LANDFALL_ERRC_ok;
}

void Unmap::operator()(void* at) const noexcept {
  ::munmap(at, bytes_);
}

/// The refill ring's memory:  | head, tail | entries, 16 B each | Stats |
landfall_errc InterfaceQueue::map_ring(const Setup& setup, std::uint32_t entries,
                                       landfall_why* why) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  // A page for head and tail, of whatever size the kernel has them; one for the Stats.
  const std::size_t bytes = (entries * sizeof(uapi::Rqe) + page - 1) / page * page + 2 * page;
  void* at = MAP_FAILED;
  const int number = authoring::attempt(setup.host, "mmap", [&] {
    at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                -1, 0);
    return at == MAP_FAILED ? -1 : 0;
  });
  if (number != 0) return authoring::refuse_os(why, "mmap", LANDFALL_REASON_out_of_memory, number);
  ::madvise(at, bytes, MADV_DONTFORK);
  memory_ = std::unique_ptr<void, Unmap>{at, Unmap{bytes}};
  return LANDFALL_ERRC_ok;
}

landfall_errc InterfaceQueue::open(uring::Ring& ring, const Setup& setup, landfall_why* why) {
  const std::uint32_t entries = std::bit_ceil(std::clamp(setup.refill_entries, 1u, 32768u));
  if (const auto code = map_ring(setup, entries, why); code != LANDFALL_ERRC_ok) return code;
  auto* const base = static_cast<std::byte*>(memory_.get());
  const std::size_t bytes = memory_.get_deleter().bytes();

  uapi::Area area{};
  area.length = setup.area_bytes;
  if (setup.dmabuf_fd >= 0) {
    area.flags = uapi::kAreaDmabuf;
    area.dmabuf_fd = static_cast<std::uint32_t>(setup.dmabuf_fd);
  } else {
    area.address = address_of(setup.area);
  }
  uapi::Region region{};
  region.address = address_of(base);
  region.size = bytes;
  region.flags = uapi::kRegionUser;
  uapi::EventDesc events{};
  events.user_data = setup.event_user_data;
  events.type_mask = 1u << uapi::kEventAllocFail;
  events.flags = uapi::kEventDescStats;
  events.stats_offset = bytes - sizeof(uapi::Stats);
  uapi::Ifq queue{};
  queue.rq_entries = entries;
  queue.area = address_of(&area);
  queue.region = address_of(&region);
  queue.rx_buf_len = setup.rx_page_bytes;
  if (setup.features.events) queue.event_desc = address_of(&events);
  if (setup.no_device) {
    queue.flags = uapi::kRegNoDevice;
  } else {
    queue.interface_index = setup.interface_index;
    queue.queue_id = setup.queue_id;
  }
  const int answer = ring.register_raw(uapi::kRegisterIfq, &queue, 1);
  if (answer < 0) return refuse_queue(why, setup, -answer);

  id_ = queue.zcrx_id;
  area_offset_ = setup.area_offset;
  can_flush_ = setup.features.flush;
  if (setup.features.events)
    stats_ = reinterpret_cast<const uapi::Stats*>(base + events.stats_offset);
  refill_ = RefillRing{reinterpret_cast<std::uint32_t*>(base + queue.offsets.head),
                       reinterpret_cast<std::uint32_t*>(base + queue.offsets.tail),
                       reinterpret_cast<uapi::Rqe*>(base + queue.offsets.rqes), queue.rq_entries};
  return setup.share && setup.features.share ? share(ring, why) : landfall_errc{LANDFALL_ERRC_ok};
}

landfall_errc InterfaceQueue::share(uring::Ring& ring, landfall_why* why) {
  uapi::Ctrl control{};
  control.zcrx_id = id_;
  control.op = uapi::kCtrlExport;
  if (const int answer = ring.register_raw(uapi::kRegisterCtrl, &control, 0); answer < 0)
    return authoring::refuse_os(
        why, "ZCRX_CTRL_EXPORT",
        answer == -EMFILE ? LANDFALL_REASON_nofile_limit : LANDFALL_REASON_none, -answer);
  exported_.reset(static_cast<int>(control.argument));
  exported_once_ = true;
  return LANDFALL_ERRC_ok;
}

int InterfaceQueue::import_into(uring::Ring& ring) noexcept {
  const std::lock_guard hold{export_lock_};
  uapi::Ifq queue{};
  queue.flags = uapi::kRegImport;
  queue.interface_index = static_cast<std::uint32_t>(exported_.get());
  const int answer = ring.register_raw(uapi::kRegisterIfq, &queue, 1);
  if (answer < 0) return answer;
  imported_.store(true, std::memory_order_relaxed);
  return static_cast<int>(queue.zcrx_id);
}

void InterfaceQueue::unshare() noexcept {
  const std::lock_guard hold{export_lock_};
  exported_.reset();
}

void InterfaceQueue::flush(uring::Ring& ring) noexcept {
  if (!can_flush_) return;
  uapi::Ctrl control{};
  control.zcrx_id = id_;
  control.op = uapi::kCtrlFlushRq;
  ring.register_raw(uapi::kRegisterCtrl, &control, 0);
}

void InterfaceQueue::arm_event(uring::Ring& ring, std::uint32_t event) noexcept {
  uapi::Ctrl control{};
  control.zcrx_id = id_;
  control.op = uapi::kCtrlArmEvent;
  control.argument = event;
  ring.register_raw(uapi::kRegisterCtrl, &control, 0);
}

}  // namespace landfall::zcrx
