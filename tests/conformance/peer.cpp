// SPDX-License-Identifier: Apache-2.0
#include "conformance/peer.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "models/verbs_wire.hpp"

namespace landfall::test {
namespace {

bool send_all(int fd, const void* bytes, std::size_t length) {
  const auto* next = static_cast<const std::byte*>(bytes);
  while (length > 0) {
    const ssize_t sent = ::send(fd, next, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    next += sent;
    length -= static_cast<std::size_t>(sent);
  }
  return true;
}

class SocketPeer : public Peer {
 public:
  explicit SocketPeer(Fd socket) : socket_{std::move(socket)} {
    const int on = 1;  // what is sent alone shall arrive alone
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  bool send(std::span<const std::byte> bytes) override {
    return send_all(socket_.get(), bytes.data(), bytes.size());
  }
  bool finish() override { return ::shutdown(socket_.get(), SHUT_WR) == 0; }
  void reset() override {
    const linger at_once{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket_.reset();
  }
  int wait_for_end() override {
    std::array<std::byte, 4096> ignored;
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), ignored.data(), ignored.size(), 0);
      if (got == 0) return 0;
      if (got < 0 && errno != EINTR) return errno;
    }
  }
  void abort() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }

 protected:
  Fd socket_;
};

class VerbsPeer final : public SocketPeer {
 public:
  using SocketPeer::SocketPeer;

  bool send(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      if (credit_ == 0 && !wait_for_credit()) return false;
      const std::span<const std::byte> now = bytes.first(std::min(bytes.size(), slot_bytes_));
      bytes = bytes.subspan(now.size());
      const VerbsFrame frame{static_cast<std::uint32_t>(now.size()),
                             bytes.empty() ? VerbsFrame::kMessageEnd : 0};
      --credit_;
      if (!send_all(socket_.get(), &frame, sizeof frame) || !SocketPeer::send(now)) return false;
    }
    return true;
  }
  bool finish() override {
    const VerbsFrame frame{0, VerbsFrame::kEndOfStream};
    return send_all(socket_.get(), &frame, sizeof frame);
  }

 private:
  bool wait_for_credit() {
    VerbsCredit credit;
    if (::recv(socket_.get(), &credit, sizeof credit, MSG_WAITALL) != sizeof credit) return false;
    credit_ += credit.slots;
    slot_bytes_ = credit.slot_bytes;
    return true;
  }
  std::uint64_t credit_ = 0;
  std::size_t slot_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Peer> socket_peer(Fd socket) {
  return std::make_unique<SocketPeer>(std::move(socket));
}
std::unique_ptr<Peer> verbs_peer(Fd socket) {
  return std::make_unique<VerbsPeer>(std::move(socket));
}

}  // namespace landfall::test
