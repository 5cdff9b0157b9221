// SPDX-License-Identifier: Apache-2.0
// By which method a connection can send from a Region: found out by trial, without a byte sent.
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "transport/grant.hpp"
#include "transport/send_group_core.hpp"
#include "transport/sockets.hpp"

namespace landfall::detail {
namespace {

constexpr const char* kOp = "SendGroup::attach";
// An offset past the end of any dma-buf, and an address that a process may name.
constexpr std::uint64_t kPastTheEnd = 1ull << 40;

Error refuse(ReasonCode code) {
  return Error{Errc::not_supported, kOp, code};
}

/// IPv4 addresses as such, whatever socket they are of.
in6_addr as_ipv6(const sockaddr& address) {
  in6_addr result{};
  if (address.sa_family == AF_INET6) {
    result = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  } else if (address.sa_family == AF_INET) {
    result.s6_addr[10] = result.s6_addr[11] = 0xff;
    std::memcpy(&result.s6_addr[12], &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
  }
  return result;
}

/// The interface that has this address; 0: none.
std::uint32_t owner_of(const sockaddr& local) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return 0;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{list, ::freeifaddrs};
  const in6_addr wanted = as_ipv6(local);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr ||
        (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
      continue;
    const in6_addr has = as_ipv6(*one->ifa_addr);
    if (std::memcmp(&has, &wanted, sizeof has) == 0) return ::if_nametoindex(one->ifa_name);
  }
  return 0;
}

}  // namespace

bool SendGroupCore::has_zerocopy(int fd) noexcept {
  int on = 0;
  socklen_t length = sizeof on;
  return ::getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, &length) == 0 && on != 0;
}

int SendGroupCore::set_zerocopy(int fd, bool on) const noexcept {
  const int value = on ? 1 : 0;
  if (const int number = context_->fault("setsockopt(SO_ZEROCOPY)")) return number;
  return ::setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &value, sizeof value) != 0 ? errno : 0;
}

Result<void> SendGroupCore::try_method(SendMethod method, int fd, bool in_use, bool only_memory,
                                       SendWay& way) {
  const Memory& memory = region_->memory();
  if (method == SendMethod::devmem && !memory.exports_dmabuf())
    return refuse(ReasonCode::needs_dmabuf).with("the memory is no dma-buf");
  if (method != SendMethod::devmem && !memory.has_host_view())
    return refuse(ReasonCode::no_host_view);
  if (method == SendMethod::copy) {
    if (options_.contract.kind == CopyContract::Kind::require_direct)
      return refuse(ReasonCode::contract_needs_direct)
          .with("the contract demands that nothing is copied");
    return {};
  }
  if (only_memory) return {};
  if (in_use) return refuse(ReasonCode::zerocopy_in_use);
  if (const int number = set_zerocopy(fd, true))
    return os_error("setsockopt(SO_ZEROCOPY)", ReasonCode::kernel_too_old, number);
  return method == SendMethod::devmem ? try_devmem(fd, way) : try_zerocopy();
}

/// The kernel looks at binding and route first and at the offset then, which is none of the memory.
Result<void> SendGroupCore::try_devmem(int fd, SendWay& way) {
  LANDFALL_TRY(const std::uint32_t interface, interface_of(fd));
  LANDFALL_CHECK(bind(interface, way));
  iovec piece{reinterpret_cast<void*>(kPastTheEnd), 1};
  errno = context_->fault("sendmsg");
  const bool sent =
      errno == 0 && send_kernel->send(fd, &piece, 1, way.dmabuf_id,
                                      MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  const int number = sent ? 0 : errno;
  if (number == EFAULT || number == EAGAIN) return {};
  constexpr const char* kCall = "sendmsg(SCM_DEVMEM_DMABUF)";
  if (number == ENODEV)
    return Error{Errc::not_supported, kCall, ReasonCode::route_elsewhere, Origin::os, number};
  // The binding is there: it is the route that cannot gather (no scatter-gather).
  if (number == EINVAL)
    return Error{Errc::not_supported, kCall, ReasonCode::no_netmem_tx, Origin::os, number};
  if (number == ENOBUFS)
    return Error{Errc::limit_reached, kCall, ReasonCode::optmem_limit, Origin::os, number};
  return os_error(kCall, ReasonCode::none, number);
}

Result<void> SendGroupCore::try_zerocopy() const {
  errno = context_->fault("vmsplice");
  const int number = errno != 0 ? errno : send_kernel->hold(region_->memory().abi().host);
  if (number == 0) return {};
  return Error{errc_from_errno(number), "vmsplice",
               number == EMFILE ? ReasonCode::nofile_limit : ReasonCode::memory_not_pinnable,
               Origin::os, number};
}

Result<std::uint32_t> SendGroupCore::interface_of(int fd) const {
  if (!options_.interface.empty()) {
    if (const std::uint32_t index = ::if_nametoindex(options_.interface.c_str())) return index;
    return Error{Errc::not_found, kOp, ReasonCode::interface_unknown}.with(
        "there is no interface '" + options_.interface.substr(0, 40) + "'");
  }
  std::array<char, IF_NAMESIZE> name{};
  socklen_t length = name.size();
  if (::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0 && name[0] != 0) {
    if (const std::uint32_t index = ::if_nametoindex(name.data())) return index;
  }
  SocketAddress local;
  local.length = sizeof local.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local.storage), &local.length) == 0) {
    if (const std::uint32_t index = owner_of(*local.get())) return index;
  }
  return Error{Errc::not_found, kOp, ReasonCode::interface_not_named}.with(
      "no interface has the connection's address", "name the interface that it leaves by");
}

Result<void> SendGroupCore::bind(std::uint32_t interface_index, SendWay& way) {
  const std::lock_guard lock{mutex_};
  auto found = bindings_.find(interface_index);
  if (found == bindings_.end()) {
    LANDFALL_TRY(const std::shared_ptr<nic::Nic> nic, Grant::open_nic(context_->host()));
    LANDFALL_TRY(const DmabufRange range,
                 region_->export_dmabuf(0, region_->memory().size_bytes()));
    LANDFALL_TRY(nic::Bound bound, nic->bind_tx({interface_index, range.fd.get()}));
    found = bindings_.emplace(interface_index, Binding{std::move(bound), range.offset_bytes}).first;
  }
  way.dmabuf_id = found->second.bound.dmabuf_id;
  way.dmabuf_offset = found->second.offset_bytes;
  return {};
}

}  // namespace landfall::detail
