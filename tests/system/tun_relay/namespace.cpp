// SPDX-License-Identifier: Apache-2.0
#include "namespace.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace landfall::test {
namespace {

constexpr const char* kOwnSpace = "/proc/thread-self/ns/net";

Error missing(const char* what) {
  return os_error(what, ReasonCode::not_permitted)
      .with(std::string{what} + ": " + std::strerror(errno),
            "run as root on a machine that has /dev/net/tun");
}

/// Sets one thing of the device by ioctl(2).
template <class Request>
Result<void> set(int socket, unsigned long number, Request& request, const char* what) {
  if (::ioctl(socket, number, &request) != 0) return missing(what);
  return {};
}

ifreq named(const char* name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return request;
}

/// By netlink, because only it can say IFA_F_NODAD: the address shall be there at once, not after
/// the kernel has looked for another one like it.
Result<void> add_ipv6(int interface_index, const std::string& address) {
  struct {
    nlmsghdr head{};
    ifaddrmsg message{};
    rtattr address_head{};
    in6_addr address{};
    rtattr flags_head{};
    std::uint32_t flags = IFA_F_NODAD;
  } request;
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = RTM_NEWADDR;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
  request.message.ifa_family = AF_INET6;
  request.message.ifa_prefixlen = 64;
  request.message.ifa_index = static_cast<unsigned>(interface_index);
  request.address_head = {RTA_LENGTH(sizeof(in6_addr)), IFA_LOCAL};
  ::inet_pton(AF_INET6, address.c_str(), &request.address);
  request.flags_head = {RTA_LENGTH(sizeof request.flags), IFA_FLAGS};
  struct {
    nlmsghdr head;
    nlmsgerr error;
    char rest[256];
  } answer{};
  const Fd netlink{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (!netlink || ::send(netlink.get(), &request, sizeof request, 0) < 0 ||
      ::recv(netlink.get(), &answer, sizeof answer, 0) < 0) {
    return missing("netlink");
  }
  errno = -answer.error.error;
  if (answer.error.error != 0) return missing("RTM_NEWADDR");
  return {};
}

Result<void> configure(const char* name, const std::string& ipv4, const std::string& ipv6,
                       std::uint32_t mtu) {
  const Fd v4{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!v4) return missing("socket(AF_INET)");

  ifreq request = named(name);
  request.ifr_mtu = static_cast<int>(mtu);
  LANDFALL_CHECK(set(v4.get(), SIOCSIFMTU, request, "SIOCSIFMTU"));

  request = named(name);
  auto* address = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
  address->sin_family = AF_INET;
  ::inet_pton(AF_INET, ipv4.c_str(), &address->sin_addr);
  LANDFALL_CHECK(set(v4.get(), SIOCSIFADDR, request, "SIOCSIFADDR"));
  ::inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
  LANDFALL_CHECK(set(v4.get(), SIOCSIFNETMASK, request, "SIOCSIFNETMASK"));

  request = named(name);
  LANDFALL_CHECK(set(v4.get(), SIOCGIFFLAGS, request, "SIOCGIFFLAGS"));
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  LANDFALL_CHECK(set(v4.get(), SIOCSIFFLAGS, request, "SIOCSIFFLAGS"));
  LANDFALL_CHECK(set(v4.get(), SIOCGIFINDEX, request, "SIOCGIFINDEX"));

  if (mtu < 1280) return {};  // IPv6 has no smaller links (RFC 8200)
  return add_ipv6(request.ifr_ifindex, ipv6);
}

}  // namespace

Result<TunNamespace> TunNamespace::make(std::uint8_t host, std::uint32_t mtu) {
  TunNamespace made;
  made.ipv4_ = "10.77.0." + std::to_string(host);
  made.ipv6_ = "fd77::" + std::to_string(host);
  Result<void> done;
  // On a thread of its own: the caller stays where it is.
  std::thread{[&] {
    done = [&]() -> Result<void> {
      if (::unshare(CLONE_NEWNET) != 0) return missing("unshare(CLONE_NEWNET)");
      made.space_.reset(::open(kOwnSpace, O_RDONLY | O_CLOEXEC));
      if (!made.space_) return missing(kOwnSpace);
      made.tun_.reset(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
      if (!made.tun_) return missing("/dev/net/tun");
      ifreq request = named("tun0");
      request.ifr_flags = IFF_TUN | IFF_NO_PI;
      LANDFALL_CHECK(set(made.tun_.get(), TUNSETIFF, request, "TUNSETIFF"));
      return configure("tun0", made.ipv4_, made.ipv6_, mtu);
    }();
  }}.join();
  if (!done) return done.error();
  return made;
}

TunNamespace::Visit::Visit(const TunNamespace& where)
    : home_{::open(kOwnSpace, O_RDONLY | O_CLOEXEC)} {
  ::setns(where.space_.get(), CLONE_NEWNET);
}

TunNamespace::Visit::~Visit() {
  ::setns(home_.get(), CLONE_NEWNET);
}

std::uint64_t TunNamespace::counter(const std::string& protocol, const std::string& name) const {
  const Visit visit{*this};
  // Two lines per protocol: names, then values.
  std::ifstream file{"/proc/thread-self/net/snmp"};
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(protocol + ":", 0) != 0) continue;
    std::istringstream words{line};
    std::vector<std::string> row;
    for (std::string word; words >> word;) row.push_back(word);
    if (names.empty()) {
      names = row;
      continue;
    }
    for (std::size_t i = 0; i < names.size() && i < row.size(); ++i)
      if (names[i] == name) return std::stoull(row[i]);
  }
  return 0;
}

}  // namespace landfall::test
