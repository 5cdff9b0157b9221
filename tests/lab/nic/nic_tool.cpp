// SPDX-License-Identifier: Apache-2.0
// What the tests of the software NIC need and the machine's tools cannot do: header split by
// netlink, a stream whose bytes are known, and receiving it into a dma-buf.
// usage: nic_tool hds IFACE on|off [THRESHOLD]
//        nic_tool xdp IFACE [QUEUE]: until it is killed, an XDP program, or an AF_XDP socket on
//        QUEUE nic_tool free-deferred: what other processors have freed goes back nic_tool send
//        HOST PORT BYTES [PIECE [reset]] nic_tool recv [--devmem IFACE --queue N [--pool BYTES]
//        [--page BYTES]] PORT nic_tool bind --devmem IFACE --queue N [--pool BYTES] TIMES
// bind: one after the other, refused or not.
// send: pieces of PIECE bytes are packets of their own, as far as windows let them; reset: it ends
// with one. recv prints "ready", takes one connection and prints what came as KEY=VALUE.
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "free_deferred.hpp"
#include "netlink.hpp"
#include "stream.hpp"
#include "xdp.hpp"

namespace landfall::lab {
namespace {

// From the kernel's interface, version 7.3: newer than the machine's headers.
constexpr int kMsgSockDevmem = 0x2000000;
constexpr int kScmDevmemLinear = 78;
constexpr int kScmDevmemDmabuf = 79;
constexpr int kSoDevmemDontneed = 80;
constexpr std::uint8_t kNetdevBindRx = 13;
constexpr std::uint16_t kBindIfindex = 1, kBindQueues = 2, kBindFd = 3, kBindPageSize = 5;
constexpr std::uint16_t kQueueId = 1, kQueueType = 3;
constexpr std::uint8_t kRingsSet = 16;
constexpr std::uint16_t kRingsHeader = 1, kRingsSplit = 11, kRingsHdsThresh = 17, kHeaderName = 2;
constexpr std::size_t kMaxTokens = 128;  // in one setsockopt; net/core/sock.c

struct DmabufCmsg {
  std::uint64_t offset;
  std::uint32_t size, token, dmabuf_id, flags;
};
struct Token {
  std::uint32_t start, count;
};

int fail(const std::string& what) {
  std::fprintf(stderr, "nic_tool: %s: %s\n", what.c_str(), std::strerror(errno));
  return 1;
}

int set_hds(const std::string& iface, bool on, const char* threshold) {
  Netlink netlink;
  Request request{netlink.family("ethtool"), kRingsSet};
  const auto header = request.nest(kRingsHeader);
  request.put(kHeaderName, iface);
  request.end(header);
  request.put_byte(kRingsSplit, on ? 2 : 1);
  if (threshold != nullptr)
    request.put(kRingsHdsThresh, static_cast<std::uint32_t>(std::strtoul(threshold, nullptr, 10)));
  netlink.ask(request, 0);
  return 0;
}

int send_stream(const char* host, const char* port, std::uint64_t bytes, std::size_t piece,
                bool reset) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host, port, &hints, &found) != 0) return fail("address");
  const int fd = ::socket(found->ai_family, SOCK_STREAM, 0);
  if (::connect(fd, found->ai_addr, found->ai_addrlen) != 0) return fail("connect");
  ::freeaddrinfo(found);
  // Full segments only, as long as the socket's buffer has room; or each piece at once.
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, piece == 0 ? TCP_CORK : TCP_NODELAY, &on, sizeof on);
  // The stream repeats in nothing, so its words are made as they are sent.
  static std::uint64_t block[8192];
  for (std::uint64_t at = 0; at < bytes;) {
    for (std::size_t i = 0; i < 8192; ++i) block[i] = (at / 8 + i + 1) * 0x9e3779b97f4a7c15U;
    const auto size = std::min<std::uint64_t>(sizeof block, bytes - at);
    for (std::size_t sent = 0; sent < size;) {
      const auto most = piece == 0 ? size - sent : std::min<std::uint64_t>(piece, size - sent);
      const auto n = ::send(fd, reinterpret_cast<char*>(block) + sent, most, MSG_NOSIGNAL);
      if (n < 0) return fail("send");
      sent += static_cast<std::size_t>(n);
    }
    at += size;
  }
  if (reset) {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return ::close(fd);
  }
  ::shutdown(fd, SHUT_WR);
  char end = 0;
  return ::recv(fd, &end, 1, 0) == 0 ? 0 : fail("the receiver ended early");
}

struct Options {
  std::string iface;
  std::uint32_t queue = 0;
  std::size_t pool_bytes = 16u << 20;
  std::uint32_t page_bytes = 4096;
  std::uint16_t port = 0;
};

// Memory that the NIC writes to, and its binding: it ends with the netlink socket.
class Pool {
 public:
  explicit Pool(const Options& options) {
    const auto page = std::max<std::size_t>(options.page_bytes, 4096);
    const unsigned huge = page > 4096 ? MFD_HUGETLB : 0;
    const int memory = ::memfd_create("nic_tool", MFD_ALLOW_SEALING | huge);
    if (memory < 0 || ::ftruncate(memory, static_cast<off_t>(options.pool_bytes)) != 0 ||
        ::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
      throw std::runtime_error("memfd");
    view_ = static_cast<unsigned char*>(
        ::mmap(nullptr, options.pool_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0));
    if (view_ == MAP_FAILED) throw std::runtime_error("mmap");
    std::memset(view_, 0, options.pool_bytes);
    const int device = ::open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    udmabuf_create create{};
    create.memfd = static_cast<std::uint32_t>(memory);
    create.size = options.pool_bytes;
    const int dmabuf = ::ioctl(device, UDMABUF_CREATE, &create);
    if (dmabuf < 0) throw std::runtime_error("udmabuf");

    Request request{netlink_.family("netdev"), kNetdevBindRx};
    request.put(kBindIfindex, ::if_nametoindex(options.iface.c_str()));
    request.put(kBindFd, static_cast<std::uint32_t>(dmabuf));
    const auto queue = request.nest(kBindQueues);
    request.put(kQueueId, options.queue);
    request.put(kQueueType, std::uint32_t{0});
    request.end(queue);
    if (options.page_bytes != 4096) request.put(kBindPageSize, options.page_bytes);
    netlink_.ask(request, 0);
  }
  const unsigned char* view() const { return view_; }

 private:
  Netlink netlink_;
  unsigned char* view_ = nullptr;
};

int bind_often(const Options& options, int times) {
  int refused = 0;
  for (int i = 0; i < times; ++i) {
    try {
      const Pool pool{options};
    } catch (const std::runtime_error&) {
      ++refused;
    }
  }
  std::printf("refused=%d\n", refused);
  return 0;
}

class Receiver {
 public:
  Receiver(int fd, const Pool* pool, std::uint32_t page) : fd_{fd}, pool_{pool}, page_{page} {}

  int run() {
    const auto begin = std::chrono::steady_clock::now();
    long got = 0;
    while ((got = step()) > 0) {
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf(
        "bytes=%llu devmem=%llu linear=%llu copied=%llu frags=%llu whole=%llu wrong=%llu "
        "seconds=%.3f\n",
        at_, devmem_, linear_, copied_, frags_, whole_, wrong_, took.count());
    std::fflush(stdout);
    if (got < 0) return fail("recv");
    return wrong_ == 0 ? 0 : 1;
  }

 private:
  void take(const unsigned char* bytes, std::size_t size) {
    if (!matches(at_, bytes, size)) ++wrong_;
    at_ += size;
  }

  // recvmsg() of plain TCP without MSG_SOCK_DEVMEM gives bytes and no control messages.
  long step() {
    // More than the control messages can name, so that its end cuts no piece in two.
    static unsigned char buffer[1 << 22];
    alignas(cmsghdr) static char control[32768];
    iovec iov{buffer, sizeof buffer};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    if (pool_ != nullptr) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
    }
    const auto got = ::recvmsg(fd_, &message, pool_ != nullptr ? kMsgSockDevmem : 0);
    if (got <= 0) return got;
    std::uint64_t by_message = 0;
    const unsigned char* linear = buffer;
    for (auto* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      DmabufCmsg d;
      if (c->cmsg_level != SOL_SOCKET) continue;
      std::memcpy(&d, CMSG_DATA(c), sizeof d);
      if (c->cmsg_type == kScmDevmemLinear) {
        take(linear, d.size);
        linear += d.size;
        linear_ += d.size;
      } else if (c->cmsg_type == kScmDevmemDmabuf) {
        take(pool_->view() + d.offset, d.size);
        devmem_ += d.size;
        ++frags_;
        if (d.offset % page_ == 0 && d.size == page_) ++whole_;
        tokens_.push_back({d.token, 1});
      } else {
        continue;
      }
      by_message += d.size;
    }
    if (by_message == 0) {
      take(buffer, static_cast<std::size_t>(got));
      copied_ += static_cast<std::uint64_t>(got);
    } else if (by_message != static_cast<std::uint64_t>(got)) {
      ++wrong_;
    }
    give_back();
    return got;
  }

  void give_back() {
    for (std::size_t i = 0; i < tokens_.size(); i += kMaxTokens) {
      const auto n = std::min(kMaxTokens, tokens_.size() - i);
      ::setsockopt(fd_, SOL_SOCKET, kSoDevmemDontneed, &tokens_[i],
                   static_cast<socklen_t>(n * sizeof(Token)));
    }
    tokens_.clear();
  }

  int fd_;
  const Pool* pool_;
  std::uint32_t page_;
  std::vector<Token> tokens_;
  unsigned long long at_ = 0, devmem_ = 0, linear_ = 0, copied_ = 0;
  unsigned long long frags_ = 0, whole_ = 0, wrong_ = 0;
};

int receive(const Options& options) {
  const Pool* pool = options.iface.empty() ? nullptr : new Pool{options};
  const int listener = ::socket(AF_INET6, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(options.port);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 1) != 0)
    return fail("listen");
  std::printf("ready\n");
  std::fflush(stdout);
  const int fd = ::accept(listener, nullptr, nullptr);
  if (fd < 0) return fail("accept");
  const int status = Receiver{fd, pool, options.page_bytes}.run();
  ::close(fd);
  delete pool;
  return status;
}

int hold_xdp(const char* iface, const char* queue) {
  const std::uint32_t index = ::if_nametoindex(iface);
  const int held = queue == nullptr
                       ? attach_xdp(index)
                       : open_xdp_socket(index, static_cast<std::uint32_t>(std::atoi(queue)));
  if (held < 0) return fail("xdp");
  std::puts("ready");
  std::fflush(stdout);
  return ::pause();
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "hds" && argc > 3)
    return set_hds(argv[2], std::string{argv[3]} == "on", argc > 4 ? argv[4] : nullptr);
  if (what == "xdp" && argc > 2) return hold_xdp(argv[2], argc > 3 ? argv[3] : nullptr);
  if (what == "free-deferred") return free_deferred(), 0;
  if (what == "send" && argc >= 5)
    return send_stream(argv[2], argv[3], std::strtoull(argv[4], nullptr, 10),
                       argc > 5 ? std::strtoul(argv[5], nullptr, 10) : 0, argc > 6);
  if ((what != "recv" && what != "bind") || argc < 3) {
    std::fprintf(stderr, "usage: at the top of nic_tool.cpp\n");
    return 2;
  }
  Options options;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--devmem") options.iface = argv[i + 1];
    if (name == "--queue") options.queue = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
    if (name == "--pool") options.pool_bytes = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--page") options.page_bytes = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
  }
  if (what == "bind") return bind_often(options, std::atoi(argv[argc - 1]));
  options.port = static_cast<std::uint16_t>(std::atoi(argv[argc - 1]));
  return receive(options);
}

}  // namespace
}  // namespace landfall::lab

int main(int argc, char** argv) {
  try {
    return landfall::lab::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "nic_tool: %s\n", error.what());
    return 1;
  }
}
