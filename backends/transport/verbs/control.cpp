// SPDX-License-Identifier: Apache-2.0
// How connections are made and end, by rdma_cm(7).
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "verbs/fabric.hpp"

namespace landfall::verbs {

using namespace landfall::authoring;
using messages::Event;
using State = VerbsLink::State;

namespace {

constexpr int kResolveMs = 2000;
constexpr int kBacklog = 1024;

struct VerbsPlace final : messages::Place {
  rdma_cm_id* id = nullptr;
};

VerbsLink& own(messages::Link& link) noexcept {
  return static_cast<VerbsLink&>(link);
}

rdma_conn_param parameters(std::span<const std::byte> data) noexcept {
  rdma_conn_param said{};
  said.private_data = data.data();
  said.private_data_len = static_cast<std::uint8_t>(data.size());
  said.retry_count = 6;      // 7 is for ever on soft-RoCE (rxe_completer, rxe_comp.c, Linux 7.3)
  said.rnr_retry_count = 7;  // for ever; credits see to it that it is never needed
  return said;
}

std::uint32_t length_of(const sockaddr* address) noexcept {
  return address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

}  // namespace

// ---- listen

landfall_errc VerbsFabric::listen(const void* address, std::uint32_t length,
                                  std::unique_ptr<messages::Place>* ret_place, void* ret_address,
                                  std::uint32_t* ret_length, landfall_why* why) {
  sockaddr_storage at{};
  std::memcpy(&at, address, std::min<std::size_t>(length, sizeof at));
  auto place = std::make_unique<VerbsPlace>();
  const auto failed = [&](const char* call, int number) {
    if (place->id != nullptr) library_.rdma_destroy_id(place->id);
    return refuse_os(
        why, call,
        number == EADDRINUSE ? LANDFALL_REASON_address_in_use : LANDFALL_REASON_fabric_call_failed,
        number);
  };
  const landfall_host* host = device_.host();
  if (const int number = attempt(host, "rdma_create_id", [&] {
        return library_.rdma_create_id(control_, &place->id, nullptr, RDMA_PS_TCP);
      }))
    return failed("rdma_create_id", number);
  if (const int number = attempt(host, "rdma_bind_addr", [&] {
        return library_.rdma_bind_addr(place->id, reinterpret_cast<sockaddr*>(&at));
      }))
    return failed("rdma_bind_addr", number);
  if (const int number =
          attempt(host, "rdma_listen", [&] { return library_.rdma_listen(place->id, kBacklog); }))
    return failed("rdma_listen", number);
  const sockaddr* const bound = rdma_get_local_addr(place->id);
  *ret_length = std::min(*ret_length, length_of(bound));
  std::memcpy(ret_address, bound, *ret_length);
  *ret_place = std::move(place);
  return LANDFALL_ERRC_ok;
}

void VerbsFabric::close(messages::Place& place) noexcept {
  library_.rdma_destroy_id(static_cast<VerbsPlace&>(place).id);
}

// ---- connections from here

landfall_errc VerbsFabric::prepare(const void* address, std::uint32_t length, void* owner,
                                   messages::Link** ret_link, landfall_why* why) {
  sockaddr_storage to{};
  std::memcpy(&to, address, std::min<std::size_t>(length, sizeof to));
  auto link = std::make_unique<VerbsLink>();
  link->owner = owner;
  link->state = State::resolving;
  if (const int number = attempt(device_.host(), "rdma_create_id", [&] {
        return library_.rdma_create_id(control_, &link->id, link.get(), RDMA_PS_TCP);
      }))
    return refuse_call(why, "rdma_create_id", number);
  if (const int number = attempt(device_.host(), "rdma_resolve_addr", [&] {
        return library_.rdma_resolve_addr(link->id, nullptr, reinterpret_cast<sockaddr*>(&to),
                                          kResolveMs);
      })) {
    library_.rdma_destroy_id(link->id);
    return refuse_os(why, "rdma_resolve_addr", LANDFALL_REASON_peer_unreachable, number);
  }
  *ret_link = link.release();
  return LANDFALL_ERRC_ok;
}

int VerbsFabric::connect(messages::Link& any, std::span<const std::byte> data) noexcept {
  // Said when the route is known.
  std::copy_n(data.begin(), std::min(data.size(), own(any).hello.size()), own(any).hello.begin());
  return 0;
}

void VerbsFabric::on_resolved(VerbsLink& link) noexcept {
  int number = link.id->verbs == device_.context() ? create_qp(link) : ENODEV;
  if (number == 0) {
    rdma_conn_param said = parameters(link.hello);
    number = attempt(device_.host(), "rdma_connect",
                     [&] { return library_.rdma_connect(link.id, &said); });
  }
  if (number != 0) return refused(link, number);
  link.state = State::connecting;
}

int VerbsFabric::create_qp(VerbsLink& link) noexcept {
  ibv_qp_init_attr wanted{};
  wanted.qp_context = &link;
  wanted.send_cq = cq_;
  wanted.recv_cq = cq_;
  wanted.srq = srq_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap.max_send_wr = spec_.sends_per_link + kProbes;
  wanted.cap.max_send_sge = 1;
  wanted.cap.max_recv_wr = srq_ == nullptr ? spec_.receives_per_link : 0;
  wanted.cap.max_recv_sge = srq_ == nullptr ? 1 : 0;
  if (const int number = attempt(device_.host(), "rdma_create_qp", [&] {
        return library_.rdma_create_qp(link.id, device_.pd(), &wanted);
      }))
    return number;
  link.qp_number = link.id->qp->qp_num;
  try {
    links_[link.qp_number] = &link;
  } catch (...) {
    return ENOMEM;
  }
  if (!times_) set_timer(spec_.keepalive_s);
  // The other side may end the connection, or ask for something, before it grants a credit.
  return srq_ == nullptr ? post_empty(link, 2) : 0;
}

// ---- connections from there

void VerbsFabric::on_request(const rdma_cm_event& event) noexcept {
  // Another device than the one that has the region: it is not served.
  if (event.id->verbs != device_.context()) {
    library_.rdma_reject(event.id, nullptr, 0);
    library_.rdma_destroy_id(event.id);
    return;
  }
  auto* link = new (std::nothrow) VerbsLink;
  if (link == nullptr) return static_cast<void>(library_.rdma_destroy_id(event.id));
  link->id = event.id;
  link->id->context = link;
  keep_said(*link, event);
  tell({.kind = Event::Kind::request,
        .link = link,
        .data = std::span{link->hello}.first(link->said_bytes)});
}

int VerbsFabric::adopt(messages::Link& any, void* owner) {
  VerbsLink& link = own(any);
  if (link.id->channel != control_) {
    if (library_.rdma_migrate_id(link.id, control_) != 0) return errno;
  }
  link.owner = owner;
  link.state = State::accepting;
  return link.dead.load(std::memory_order_acquire) ? ECONNABORTED : create_qp(link);
}

int VerbsFabric::accept(messages::Link& any, std::span<const std::byte> data) noexcept {
  rdma_conn_param said = parameters(data);
  const int number = attempt(device_.host(), "rdma_accept",
                             [&] { return library_.rdma_accept(own(any).id, &said); });
  // The other side has given up meanwhile (cma_accept finds another state,
  // drivers/infiniband/core).
  return number == EINVAL ? ECONNRESET : number;
}

void VerbsFabric::refuse(messages::Link& any, std::span<const std::byte> data) noexcept {
  VerbsLink& link = own(any);
  library_.rdma_reject(link.id, data.data(), static_cast<std::uint8_t>(data.size()));
  drop(link, nullptr);
}

// ---- what is said

void VerbsFabric::take_ready() noexcept {
  const std::uint32_t ready = std::exchange(ready_, ready_ & kCompletions);
  if ((ready & kControl) != 0) {
    rdma_cm_event* event = nullptr;
    while (library_.rdma_get_cm_event(control_, &event) == 0) {
      on_control(*event);
      library_.rdma_ack_cm_event(event);
    }
  }
  if ((ready & kWoken) != 0) {
    std::uint64_t value = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_, &value, sizeof value);
  }
  if ((ready & kDevice) != 0) device_.adapter().take_events();
  if ((ready & kTimer) != 0) probe();
}

void VerbsFabric::keep_said(VerbsLink& link, const rdma_cm_event& event) noexcept {
  const auto* said = static_cast<const std::byte*>(event.param.conn.private_data);
  link.said_bytes = 0;
  if (said == nullptr) return;
  link.said_bytes = static_cast<std::uint32_t>(
      std::min<std::size_t>(event.param.conn.private_data_len, link.hello.size()));
  std::copy_n(said, link.said_bytes, link.hello.begin());
}

void VerbsFabric::on_control(const rdma_cm_event& event) noexcept {
  if (event.event == RDMA_CM_EVENT_CONNECT_REQUEST) return on_request(event);
  auto* const link = static_cast<VerbsLink*>(event.id->context);
  if (event.event == RDMA_CM_EVENT_DEVICE_REMOVAL) return on_lost(ENODEV);
  if (link == nullptr) return;  // a listener's
  const int number = event.status < 0 ? -event.status : event.status == 0 ? 0 : ECONNREFUSED;
  switch (event.event) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      if (const int failed = attempt(device_.host(), "rdma_resolve_route", [&] {
            return library_.rdma_resolve_route(link->id, kResolveMs);
          }))
        refused(*link, failed);
      return;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      return on_resolved(*link);
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
      return refused(*link, number == 0 ? EHOSTUNREACH : number);
    case RDMA_CM_EVENT_REJECTED:
      keep_said(*link, event);
      return refused(*link, ECONNREFUSED);
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
      return refused(*link, number == 0 ? ETIMEDOUT : number);
    case RDMA_CM_EVENT_ESTABLISHED:
      if (link->state == State::connecting) keep_said(*link, event);
      if (link->state != State::connecting && link->state != State::accepting) return;
      link->state = State::open;
      tell({.kind = Event::Kind::established,
            .link = link,
            .data = std::span{link->hello}.first(link->said_bytes)});
      return link->stopped ? stopped(*link) : static_cast<void>(0);
    case RDMA_CM_EVENT_DISCONNECTED:
      return ended(*link, 0);
    default:
      return;
  }
}

// ---- how they end

/// Of a queue pair that was not stopped here: `number`, unless the device is gone.
int VerbsFabric::unless_lost(int number) noexcept {
  device_.adapter().take_events();
  const int lost = lost_.load(std::memory_order_acquire);
  return lost != 0 ? lost : number;
}

/// A queue pair has stopped, and not by what was sent, which would complete first: the other side
/// has reached for memory, or broken another rule of the fabric.
void VerbsFabric::stopped(VerbsLink& link) noexcept {
  link.stopped = true;
  if (link.state != State::open && link.state != State::accepting) return;
  if (link.sends == 0) ended(link, unless_lost(EPROTO));
}

void VerbsFabric::take_stopped() noexcept {
  any_stopped_.store(false, std::memory_order_relaxed);
  std::vector<VerbsLink*> links;
  {
    const std::lock_guard lock{stopped_mutex_};
    links.swap(stopped_);
  }
  for (VerbsLink* link : links) stopped(*link);
}

void VerbsFabric::refused(VerbsLink& link, int number) noexcept {
  if (link.state == State::requested) return link.dead.store(true, std::memory_order_release);
  if (link.state == State::accepting) return ended(link, number);
  if (link.state != State::resolving && link.state != State::connecting) return;
  link.state = State::ended;
  tell({.kind = Event::Kind::refused,
        .number = number,
        .link = &link,
        .data = std::span{link.hello}.first(link.said_bytes)});
}

/// The queue pair stops; what is under way comes back, and then it is told.
void VerbsFabric::ended(VerbsLink& link, int number) noexcept {
  if (link.state == State::requested) return link.dead.store(true, std::memory_order_release);
  if (link.state == State::ending || link.state == State::ended) return;
  const bool was_open = link.state == State::open;
  link.state = State::ending;
  link.end_number = number;
  if (!was_open || library_.rdma_disconnect(link.id) != 0) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_ERR;
    if (link.id->qp != nullptr) library_.ibv_modify_qp(link.id->qp, &attributes, IBV_QP_STATE);
  }
  if (link.sends == 0) tell_end(link);
}

void VerbsFabric::tell_end(VerbsLink& link) noexcept {
  link.state = State::ended;
  ending_.push_back({{.kind = Event::Kind::ended, .number = link.end_number, .link = &link},
                     completed_ + places_});
}

void VerbsFabric::disconnect(messages::Link& any) noexcept {
  ended(own(any), 0);
}

void VerbsFabric::drop(messages::Link& any, std::vector<std::uint32_t>*) noexcept {
  VerbsLink& link = own(any);
  links_.erase(link.qp_number);
  may_have_lost_ = may_have_lost_ || !link.at_end;
  std::erase_if(ending_, [&](const Ending& one) { return one.event.link == &link; });
  std::erase_if(told_, [&](const Event& event) { return event.link == &link; });
  if (link.id->qp != nullptr) library_.rdma_destroy_qp(link.id);
  library_.rdma_destroy_id(link.id);
  {
    const std::lock_guard lock{stopped_mutex_};
    std::erase(stopped_, &link);
  }
  delete &link;
  if (links_.empty() && may_have_lost_ && srq_ != nullptr) renew_srq();
}

}  // namespace landfall::verbs
