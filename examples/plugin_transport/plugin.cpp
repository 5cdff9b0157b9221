// SPDX-License-Identifier: Apache-2.0
// A transport as a plug-in: recv(2) into slots of the Region. Build it against an installed
// landfall, load it with Context::load, and name it in GroupOptions::transports: "sample-recv".
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <vector>

#include "landfall/abi/export.h"
#include "landfall/abi/transport_authoring.hpp"

using namespace landfall::authoring;

struct landfall_flow {
  landfall_flow_spec spec;
  int fd;
  std::uint32_t extents_out = 0;
  bool paused = false, ended = false, closing = false, watched = false;
};

namespace {

struct Domain {
  const landfall_host* host = nullptr;
  std::byte* memory = nullptr;
  std::uint32_t slot_bytes = 16 * 1024;

  static landfall_errc probe(const landfall_domain_spec& spec, landfall_needs* ret_needs,
                             landfall_why* why) {
    ret_needs->flags =
        LANDFALL_NEED_HOST_VIEW | LANDFALL_TAKES_SOCKETS | LANDFALL_FLOW_ON_ANY_QUEUE;
    ret_needs->min_slice_bytes = spec.slot_bytes != 0 ? spec.slot_bytes : Domain{}.slot_bytes;
    ret_needs->best_placement = LANDFALL_COPIED;
    ret_needs->copy_reason = LANDFALL_REASON_copied_by_kernel;
    if (spec.options == nullptr || *spec.options == '\0') return LANDFALL_ERRC_ok;
    return refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_option_not_understood);
  }
  landfall_errc open(const landfall_domain_spec& spec, landfall_why*) {
    host = spec.host;
    memory = static_cast<std::byte*>(spec.region->host);
    if (spec.slot_bytes != 0) slot_bytes = spec.slot_bytes;
    return LANDFALL_ERRC_ok;
  }
};

class Queue {
 public:
  explicit Queue(Domain& domain) : domain_{domain} {}
  ~Queue() {
    for (const landfall_flow& flow : flows_) ::close(flow.fd);
    if (epoll_fd_ >= 0) ::close(epoll_fd_);
  }
  landfall_errc open(const landfall_queue_spec& spec, landfall_why* why) {
    slice_offset_ = spec.slice_offset;
    auto slots = std::min<std::uint64_t>(spec.slice_length / domain_.slot_bytes, spec.extents_max);
    while (slots > 0) free_slots_.push_back(--slots);
    const int failed = attempt(domain_.host, "epoll_create1",
                               [&] { return epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC); });
    if (failed == 0) return LANDFALL_ERRC_ok;
    return refuse_os(why, "epoll_create1", LANDFALL_REASON_event_fd_failed, failed);
  }
  void stop() {}

  std::uint32_t poll(std::span<landfall_record> records) {
    epoll_event events[64];
    const auto most = std::min({std::size(events), records.size(), free_slots_.size()});
    const int ready = ::epoll_wait(epoll_fd_, events, static_cast<int>(most), 0);  // -1 where dry
    std::uint32_t count = 0;
    for (int i = 0; i < ready; ++i)
      if (receive(static_cast<landfall_flow*>(events[i].data.ptr), records[count])) ++count;
    if (ready > 0 && free_slots_.empty()) watch_all();  // dry: senders stall
    for (; count < records.size() && !closed_.empty(); closed_.pop_back())
      records[count++] = closed_.back();
    return count;
  }
  void give_back(std::span<const landfall_return> returns) {
    const bool was_dry = free_slots_.empty();
    for (const landfall_return& back : returns) {
      free_slots_.push_back(back.token);
      --back.flow->extents_out;
      close_if_last(back.flow);
    }
    if (was_dry) watch_all();
  }
  std::uint32_t arm() const {
    if (!closed_.empty()) return LANDFALL_ARM_READY;
    return free_slots_.empty() ? LANDFALL_ARM_WANTS_RETURNS : 0;
  }
  std::int32_t wait_fd() const { return epoll_fd_; }

  landfall_errc attach(int fd, const landfall_flow_spec& spec, landfall_flow** ret_flow,
                       landfall_why* why) {
    if (const int injected = fault(domain_.host, "epoll_ctl"))
      return refuse_os(why, "epoll_ctl", LANDFALL_REASON_none, injected);
    watch(*ret_flow = &flows_.emplace_back(landfall_flow{spec, fd}));
    return LANDFALL_ERRC_ok;
  }
  landfall_errc detach(landfall_flow* flow, int* ret_fd, landfall_why* why) {
    if (flow->extents_out != 0) return refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_extents_out);
    flow->ended = true;
    watch(flow);
    *ret_fd = forget(flow);
    return LANDFALL_ERRC_ok;
  }
  void close(landfall_flow* flow, bool reset) {
    flow->closing = true;
    watch(flow);
    end_connection(flow->fd, reset);
    close_if_last(flow);
  }
  void pause(landfall_flow* flow, bool on) {
    flow->paused = on;
    watch(flow);
  }

 private:
  /// Level-triggered: a flow is in the epoll while its bytes are wanted and there is a slot for
  /// them; out of it, not muted: a hang-up is told of whatever is in the set.
  void watch(landfall_flow* flow) const {
    const bool wanted = !flow->paused && !flow->ended && !flow->closing && !free_slots_.empty();
    if (wanted == flow->watched) return;
    epoll_event event{EPOLLIN, {flow}};
    ::epoll_ctl(epoll_fd_, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, flow->fd, &event);
    flow->watched = wanted;
  }
  void watch_all() {
    for (landfall_flow& flow : flows_) watch(&flow);
  }
  /// One recv(2): false when there is nothing to tell of.
  bool receive(landfall_flow* flow, landfall_record& record) {
    const std::uint64_t slot = free_slots_.back();
    const std::uint64_t offset = slice_offset_ + slot * domain_.slot_bytes;
    ssize_t got = 0;
    const int failed = attempt(domain_.host, "recv", [&] {
      return got = ::recv(flow->fd, domain_.memory + offset, domain_.slot_bytes, MSG_DONTWAIT);
    });
    if (failed == EAGAIN || failed == EINTR) return false;
    if (got > 0) {
      record = record_of(LANDFALL_DATA, flow, flow->spec);
      free_slots_.pop_back();
      record.placement = LANDFALL_COPIED;
      record.code = LANDFALL_REASON_copied_by_kernel;
      record.offset = offset;
      record.token = slot;
      record.length = static_cast<std::uint32_t>(got);
      record.charge_bytes = domain_.slot_bytes;
      flow->spec.stream_offset += record.length;
      ++flow->extents_out;
    } else {
      record = end_of(flow, flow->spec, failed);
      flow->ended = true;
      watch(flow);
    }
    return true;
  }
  void close_if_last(landfall_flow* flow) {
    if (!flow->closing || flow->extents_out != 0) return;
    closed_.push_back(record_of(LANDFALL_CLOSED, flow, flow->spec));
    ::close(forget(flow));
  }
  int forget(landfall_flow* flow) {
    const int fd = flow->fd;
    flows_.remove_if([&](const landfall_flow& one) { return &one == flow; });
    return fd;
  }

  Domain& domain_;
  std::uint64_t slice_offset_ = 0;
  int epoll_fd_ = -1;
  std::vector<std::uint64_t> free_slots_;  // the newest on top: it is still in the cache
  std::list<landfall_flow> flows_;
  std::vector<landfall_record> closed_;
};

constexpr landfall_transport_ops kOps = transport_ops<Domain, Queue, landfall_flow>();
constexpr landfall_backend kBackend =
    describe(&kOps, 95, "sample-recv", "1.0", "recv(2) into the Region, as an example");

}  // namespace

extern "C" LANDFALL_API const landfall_backend* landfall_backend_query(std::uint32_t host_abi_major,
                                                                       std::uint32_t index) {
  return host_abi_major == LANDFALL_ABI_MAJOR && index == 0 ? &kBackend : nullptr;
}
