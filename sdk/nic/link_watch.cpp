// SPDX-License-Identifier: Apache-2.0
#include "nic/link_watch.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"

namespace landfall::nic {

namespace {

class KernelLinkWatch final : public LinkWatch {
 public:
  KernelLinkWatch(Fd fd, std::uint32_t index) : fd_{std::move(fd)}, interface_index_{index} {}

  int fd() const noexcept override { return fd_.get(); }
  bool gone() const noexcept override {
    // What is said does not matter, and may have been more than there was room for (ENOBUFS).
    std::array<char, 256> said{};
    while (::recv(fd_.get(), said.data(), said.size(), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
           errno == EINTR) {
    }
    // In the namespace of the socket, whatever the thread's is.
    ifreq request{};
    request.ifr_ifindex = static_cast<int>(interface_index_);
    return ::ioctl(fd_.get(), SIOCGIFNAME, &request) < 0 && errno == ENODEV;
  }

 private:
  Fd fd_;
  std::uint32_t interface_index_;
};

}  // namespace

Result<std::unique_ptr<LinkWatch>> watch_link(std::uint32_t interface_index,
                                              const landfall_host* host) {
  constexpr const char* kCall = "socket(AF_NETLINK)";
  int fd = -1;
  int number = authoring::attempt(host, kCall, [&] {
    return fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  });
  Fd socket{fd};
  if (number != 0)
    return os_error(kCall, number == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none, number);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  number = authoring::attempt(host, "bind(AF_NETLINK)", [&] {
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  });
  if (number != 0) return os_error("bind(AF_NETLINK)", ReasonCode::none, number);
  return std::unique_ptr<LinkWatch>{
      std::make_unique<KernelLinkWatch>(std::move(socket), interface_index)};
}

}  // namespace landfall::nic
