// SPDX-License-Identifier: Apache-2.0
// What the event queue tells of connections.
#include <algorithm>
#include <cstring>

#include "ofi/msg_fabric.hpp"

namespace landfall::ofi {

using State = Connection::State;

namespace {

constexpr std::uint32_t kReadsToFail = 3;  // in a row: it is not there any more
constexpr std::size_t kSaidMost = 512;     // that may come with a connection; providers pad

void keep(Connection& link, std::span<const std::byte> data) noexcept {
  link.said_bytes = static_cast<std::uint32_t>(std::min(data.size(), link.said.size()));
  if (link.said_bytes != 0) std::memcpy(link.said.data(), data.data(), link.said_bytes);
}

}  // namespace

Connection* MsgFabric::link_of(const fid* endpoint) const noexcept {
  const auto found = by_endpoint_.find(endpoint);
  return found == by_endpoint_.end() ? nullptr : found->second;
}

void MsgFabric::read_events() {
  alignas(fi_eq_cm_entry) std::array<std::byte, sizeof(fi_eq_cm_entry) + kSaidMost> event;
  const auto& entry = *reinterpret_cast<const fi_eq_cm_entry*>(event.data());
  const std::lock_guard lock{events_mutex_};
  while (!events_lost_) {
    std::uint32_t kind = 0;
    ssize_t bytes = 0;
    const int number = ofi::attempt(
        host_, "fi_eq_read",
        [&] { return fi_eq_read(events_.get(), &kind, event.data(), event.size(), 0); }, &bytes);
    if (number == EAGAIN) return;
    if (number == FI_EAVAIL) {
      read_event_error();
      continue;
    }
    if (number == EINTR) continue;
    // What it would have told is still there, and so are connections that only it can end.
    if (number != 0) return ++failed_reads_ < kReadsToFail ? void() : lose_events(number);
    failed_reads_ = 0;
    const auto said = std::span<const std::byte>{event}
                          .first(static_cast<std::size_t>(bytes))
                          .subspan(std::min<std::size_t>(bytes, sizeof entry));
    if (kind == FI_CONNREQ) {
      on_request(entry, said);
    } else if (Connection* const link = link_of(entry.fid)) {
      if (kind == FI_CONNECTED) on_connected(*link, said);
      if (kind == FI_SHUTDOWN) end(*link, 0);
    }
  }
}

void MsgFabric::read_event_error() {
  std::array<std::byte, kSaidMost> data;
  fi_eq_err_entry entry{};
  entry.err_data = data.data();
  entry.err_data_size = data.size();
  const int number =
      ofi::attempt(host_, "fi_eq_readerr", [&] { return fi_eq_readerr(events_.get(), &entry, 0); });
  if (number == EAGAIN) return;
  if (number != 0) return lose_events(number);
  Connection* const link = link_of(entry.fid);
  if (link == nullptr) return;
  if (link->state == State::connecting)
    keep(*link, std::span{static_cast<const std::byte*>(entry.err_data), entry.err_data_size});
  end(*link, errno_of(entry.err));
}

/// Nobody hears of connections any more: none shall begin.
void MsgFabric::lose_events(int number) noexcept {
  events_lost_ = true;
  lose(number);
  for (Listening* listening : listening_) close(*listening);
}

void MsgFabric::on_request(const fi_eq_cm_entry& entry, std::span<const std::byte> data) {
  Info info{entry.info};
  const auto by = std::find_if(listening_.begin(), listening_.end(), [&](const auto& one) {
    return one->pep != nullptr && &one->pep->fid == entry.fid;
  });
  if (by == listening_.end()) return;
  auto request = std::make_unique<Connection>();
  Connection& link = *request;
  link.info = std::move(info);
  link.listening = *by;
  if (link.listening->closed || lost_ != 0) return reject(link, {});
  keep(link, data);
  {
    const std::lock_guard lock{device_.requests_mutex};
    device_.requests.emplace(&link, std::move(request));
  }
  tell({.kind = Event::Kind::request,
        .link = &link,
        .data = std::span{link.said}.first(link.said_bytes)});
}

void MsgFabric::on_connected(Connection& link, std::span<const std::byte> data) {
  if (link.state != State::connecting && link.state != State::accepting) return;
  link.state = State::established;
  keep(link, data);
  tell({.kind = Event::Kind::established,
        .link = &link,
        .data = std::span{link.said}.first(link.said_bytes)});
  for (const Event& event : std::exchange(link.early, {})) tell(event);
}

}  // namespace landfall::ofi
