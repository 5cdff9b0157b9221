// SPDX-License-Identifier: Apache-2.0
// How connections are made: endpoints that listen, that connect, and that accept.
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "ofi/msg_fabric.hpp"

namespace landfall::ofi {

using namespace authoring;
using messages::Link;
using State = Connection::State;

namespace {

constexpr std::uint32_t kFirstReceives = 2;  // of a queue that sends: fabric.hpp of messages

}  // namespace

Wanted MsgFabric::wanted() const noexcept {
  return {.sends = spec_.sends_per_link,
          .receives = spec_.slots != 0 ? device_.window() : spec_.receives_per_link};
}

// ---- listening

landfall_errc MsgFabric::listen(const void* address, std::uint32_t length,
                                std::unique_ptr<messages::Place>* ret_place, void* ret_address,
                                std::uint32_t* ret_length, landfall_why* why) {
  const auto failed = [&](const char* call, int number) { return refuse_call(why, call, number); };
  Wanted wants = wanted();
  wants.from = address;
  wants.length = length;
  int number = 0;
  auto listening = std::make_unique<Listening>();
  listening->info = device_.info_for(wants, &number);
  if (listening->info == nullptr) return failed("fi_getinfo", number);

  const std::lock_guard lock{events_mutex_};
  number = ofi::make<fid_pep>(host_, "fi_passive_ep", &listening->pep, [&](fid_pep** out) {
    return fi_passive_ep(&device_.fabric(), listening->info.get(), out, nullptr);
  });
  if (number != 0) return failed("fi_passive_ep", number);
  fid_pep* const pep = listening->pep.get();
  std::size_t room = 0, room_bytes = sizeof room;
  number = ofi::attempt(host_, "fi_getopt", [&] {
    return static_cast<ssize_t>(
        fi_getopt(&pep->fid, FI_OPT_ENDPOINT, FI_OPT_CM_DATA_SIZE, &room, &room_bytes));
  });
  if (number != 0) return failed("fi_getopt", number);
  if (room < messages::kHelloBytes)
    return authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_rdma_device,
                             LANDFALL_ORIGIN_LIBFABRIC, 0,
                             "%s carries %zu bytes with a connection, %zu are needed",
                             listening->info->fabric_attr->prov_name, room, messages::kHelloBytes);
  number = ofi::attempt(host_, "fi_pep_bind",
                        [&] { return static_cast<ssize_t>(fi_pep_bind(pep, &events_->fid, 0)); });
  if (number != 0) return failed("fi_pep_bind", number);
  number = ofi::attempt(host_, "fi_listen", [&] { return static_cast<ssize_t>(fi_listen(pep)); });
  if (number != 0) return failed("fi_listen", number);
  if (ret_address != nullptr) {
    std::size_t bytes = *ret_length;
    number = ofi::attempt(host_, "fi_getname", [&] {
      return static_cast<ssize_t>(fi_getname(&pep->fid, ret_address, &bytes));
    });
    if (number != 0) return failed("fi_getname", number);
    *ret_length = static_cast<std::uint32_t>(bytes);
  }
  *ret_place = std::make_unique<Place>(*listening);
  listening_.push_back(listening.get());
  const std::lock_guard devices_lock{device_.requests_mutex};
  device_.places.push_back(std::move(listening));
  return LANDFALL_ERRC_ok;
}

void MsgFabric::close(messages::Place& base) noexcept {
  const std::lock_guard lock{events_mutex_};
  close(static_cast<Place&>(base).listening);
}

void MsgFabric::close(Listening& listening) noexcept {
  if (std::exchange(listening.closed, true)) return;
  // Closing the endpoint here would leave what has connected and said nothing yet with a pointer to
  // it (tcpx_cm_recv_req, prov/tcp of 1.17; xnet_handle_conn of 2.1). So its socket alone goes,
  // with an active endpoint that takes it over (fi_passive_ep(3)). With `verbs` that endpoint
  // cannot be made, and what listened goes all the same (vrb_open_ep, prov/verbs of 1.17).
  const Info info = copy_of(*listening.info);
  if (info == nullptr) return;
  info->handle = &listening.pep->fid;
  Owned<fid_ep> heir;
  if (ofi::make<fid_ep>(host_, "fi_endpoint", &heir, [&](fid_ep** out) {
        return fi_endpoint(&device_.domain(), info.get(), out, nullptr);
      }) == 0)
    static_cast<void>(fi_ep_bind(heir.get(), &events_->fid, 0));
}

// ---- from here

int MsgFabric::make_endpoint(Connection& link, fi_info& info, const char** ret_call) {
  const auto step = [&](const char* call, auto&& body) {
    *ret_call = call;
    return ofi::attempt(host_, call, [&] { return static_cast<ssize_t>(body()); });
  };
  *ret_call = "fi_endpoint";
  int number = ofi::make<fid_ep>(host_, "fi_endpoint", &link.endpoint, [&](fid_ep** out) {
    return fi_endpoint(&device_.domain(), &info, out, nullptr);
  });
  if (number != 0) return number;
  fid_ep* const endpoint = link.endpoint.get();
  number = step("fi_ep_bind", [&] { return fi_ep_bind(endpoint, &events_->fid, 0); });
  if (number == 0)
    number = step("fi_ep_bind",
                  [&] { return fi_ep_bind(endpoint, &completions_->fid, FI_TRANSMIT | FI_RECV); });
  if (number == 0) number = step("fi_enable", [&] { return fi_enable(endpoint); });
  if (number == 0 && spec_.slots == 0) {
    *ret_call = "fi_recv";
    number = post_empty(link, kFirstReceives);
  }
  if (number != 0) return number;
  link.state = State::made;
  by_endpoint_[&endpoint->fid] = &link;
  return 0;
}

landfall_errc MsgFabric::prepare(const void* address, std::uint32_t length, void* owner,
                                 Link** ret_link, landfall_why* why) {
  if (lost_ != 0)
    return authoring::refuse(why, LANDFALL_ERRC_device_lost, LANDFALL_REASON_rdma_device_lost);
  Wanted wants = wanted();
  wants.to = address;
  wants.length = length;
  int number = 0;
  auto made = std::make_unique<Connection>();
  Connection& link = *made;
  link.owner = owner;
  const Info info = device_.info_for(wants, &number);
  if (info == nullptr) return refuse_call(why, "fi_getinfo", number);
  links_.emplace(&link, std::move(made));
  const char* call = "";
  number = make_endpoint(link, *info, &call);
  if (number != 0) {
    std::vector<std::uint32_t> none;
    drop(link, &none);
    return refuse_call(why, call, number);
  }
  link.to.resize(length);
  std::memcpy(link.to.data(), address, length);
  *ret_link = &link;
  return LANDFALL_ERRC_ok;
}

int MsgFabric::connect(Link& base, std::span<const std::byte> data) noexcept {
  Connection& link = own(base);
  link.state = State::connecting;
  return errno_of(ofi::attempt(host_, "fi_connect", [&] {
    return static_cast<ssize_t>(
        fi_connect(link.endpoint.get(), link.to.data(), data.data(), data.size()));
  }));
}

// ---- from there

std::unique_ptr<Connection> MsgFabric::take_request(const Link& link) noexcept {
  const std::lock_guard lock{device_.requests_mutex};
  auto node = device_.requests.extract(&link);
  return node.empty() ? nullptr : std::move(node.mapped());
}

int MsgFabric::adopt(Link& base, void* owner) {
  auto request = take_request(base);
  if (request == nullptr) return EINVAL;
  Connection& link = *request;
  int number = lost_ != 0 ? ENODEV : ECONNABORTED;
  if (lost_ == 0 && link.info != nullptr) {
    const char* call = "";
    number = make_endpoint(link, *link.info, &call);
  }
  if (number == 0) {
    link.owner = owner;
    links_.emplace(&link, std::move(request));
    return 0;
  }
  // Nobody can have it any more; who asked has it until it is refused.
  link.state = State::ended;
  close_endpoint(link);
  reject(link, {});
  const std::lock_guard lock{device_.requests_mutex};
  device_.requests.emplace(&link, std::move(request));
  return errno_of(number);
}

int MsgFabric::accept(Link& base, std::span<const std::byte> data) noexcept {
  Connection& link = own(base);
  if (link.endpoint == nullptr) return ENOTCONN;
  link.state = State::accepting;
  const int number = ofi::attempt(host_, "fi_accept", [&] {
    return static_cast<ssize_t>(fi_accept(link.endpoint.get(), data.data(), data.size()));
  });
  if (number != 0) return errno_of(number);
  link.info.reset();
  link.listening = nullptr;
  return 0;
}

void MsgFabric::reject(Connection& link, std::span<const std::byte> data) noexcept {
  // What the provider knows of the request is freed by this, whether it can say it or not.
  const std::lock_guard lock{device_.requests_mutex};
  if (link.info != nullptr && link.listening != nullptr && link.listening->pep != nullptr)
    fi_reject(link.listening->pep.get(), link.info->handle, data.data(), data.size());
  link.info.reset();
  link.listening = nullptr;
}

void MsgFabric::refuse(Link& base, std::span<const std::byte> data) noexcept {
  if (auto request = take_request(base)) reject(*request, data);
}

}  // namespace landfall::ofi
