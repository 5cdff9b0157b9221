// SPDX-License-Identifier: Apache-2.0
#include "nic/settings_watch.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "landfall/uapi/ethtool.hpp"
#include "nic/netlink.hpp"

namespace landfall::nic {
namespace {

Result<Fd> listen_to(int protocol, std::uint32_t group) {
  Fd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return os_error("socket(AF_NETLINK)");
  return fd;
}

}  // namespace

Result<SettingsWatch> SettingsWatch::open() {
  namespace ethtool = uapi::ethtool;
  LANDFALL_TRY(Fd link, listen_to(NETLINK_ROUTE, RTNLGRP_LINK));
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_GENERIC, nullptr));
  LANDFALL_TRY(const Family family, netlink.family(ethtool::kFamily));
  Fd told;
  for (const auto& [name, id] : family.groups) {
    if (name != ethtool::kMonitorGroup) continue;
    LANDFALL_TRY(told, listen_to(NETLINK_GENERIC, id));
  }
  return SettingsWatch{std::move(link), std::move(told)};
}

void SettingsWatch::drain() const noexcept {
  std::array<char, 256> said{};  // what is said does not matter, nor whether there was room for it
  for (const int fd : fds())
    while (fd >= 0 && (::recv(fd, said.data(), said.size(), MSG_DONTWAIT) >= 0 ||
                       errno == ENOBUFS || errno == EINTR)) {
    }
}

}  // namespace landfall::nic
