// SPDX-License-Identifier: Apache-2.0
// For this folder's tests: what a kernel with a NIC does to sockets on a devmem queue, over sockets
// of the loopback. What their peers send becomes packets in pages of a pool; they are received,
// named by tokens and given back by the rules of tcp_recvmsg_dmabuf and sock_devmem_dontneed
// (net/ipv4/tcp.c, net/core/sock.c, Linux 7.3).
#pragma once
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "devmem-tcp/kernel.hpp"

namespace landfall::devmem::test {

class FakeKernel {
 public:
  static constexpr std::uint32_t kOurs = 7;

  enum class Way {
    split,    // the payload in pages of the pool
    plain,    // in ordinary pages: no control message
    foreign,  // in pages of somebody else's pool
  };
  struct Packet {
    Way way = Way::split;
    std::uint32_t linear = 0;  // bytes left in the packet head
    std::uint32_t bytes = 4096;
  };

  explicit FakeKernel(std::span<std::byte> region, std::uint32_t page_bytes = 4096)
      : region_{region}, page_bytes_{page_bytes} {
    for (std::uint64_t at = 0; at < region.size(); at += page_bytes) free_.push_back(at);
    std::shuffle(free_.begin(), free_.end(), random_);
    current_ = this;
  }
  ~FakeKernel() { current_ = nullptr; }
  FakeKernel(const FakeKernel&) = delete;
  FakeKernel& operator=(const FakeKernel&) = delete;

  const Kernel table{
      .recvmsg = [](int fd, msghdr* message, int flags) noexcept -> ssize_t {
        return current_->receive(fd, *message, flags);
      },
      .dontneed = [](int fd, const DmabufToken* ranges, std::uint32_t count) noexcept -> int {
        return current_->give_back(fd, {ranges, count});
      },
      .incoming_napi = [](int) noexcept { return current_->napi; },
  };

  /// How the n-th packet of a socket comes; asked once for each.
  std::function<Packet(std::uint64_t)> way = [](std::uint64_t) { return Packet{}; };
  bool packs_halves = false;  // two packets of half a page share one
  std::uint32_t napi = 100;
  std::uint32_t pages_per_return = kTokensMax;  // less: a call takes fewer than it was given
  int refuse_returns = 0;                       // so many calls of dontneed end with ENOMEM

  std::uint64_t receives = 0, returns = 0, empty_receives = 0;
  std::uint64_t wrong_tokens = 0;  // given back that were not out
  std::vector<DmabufToken> last_return;

  /// The next packets come in pages that lie one behind another.
  void pages_in_order() { std::sort(free_.rbegin(), free_.rend()); }
  std::size_t pages_free() const { return free_.size(); }
  std::size_t tokens_out(int fd) const {
    const auto found = sockets_.find(fd);
    return found == sockets_.end() ? 0 : found->second.tokens.size();
  }
  /// What the peer has sent becomes packets, as far as there are pages for them.
  void arrive(int fd) { arrive(fd, sockets_[fd]); }
  std::size_t packets_queued(int fd) { return sockets_[fd].queue.size(); }

 private:
  struct Piece {
    std::uint64_t page_offset;
    std::uint32_t bytes;
  };
  struct Skb {
    Way way;
    std::vector<std::byte> linear;  // all of it where the way is plain
    std::vector<Piece> pieces;
    std::uint32_t done = 0;  // bytes read already
    std::uint32_t bytes() const {
      auto sum = static_cast<std::uint32_t>(linear.size());
      for (const Piece& piece : pieces) sum += piece.bytes;
      return sum;
    }
  };
  struct Socket {
    std::deque<Skb> queue;
    std::map<std::uint32_t, std::uint64_t> tokens;  // to the page's offset; foreign: kForeign
    std::set<std::uint32_t> free_tokens;
    std::uint32_t next_token = 1;  // XA_FLAGS_ALLOC1
    std::uint64_t packets = 0;
    std::uint64_t queued_bytes = 0;
    bool ended = false;
    int error = 0;
  };
  // ETOOSMALL: the control buffer cannot hold one message more (include/linux/errno.h).
  static constexpr int kTooSmall = 525;
  static constexpr std::uint64_t kForeign = ~std::uint64_t{0};

  void arrive(int fd, Socket& socket) {
    for (;;) {
      const Packet packet = way(socket.packets);
      const std::uint32_t in_pages = packet.way == Way::plain ? 0 : packet.bytes - packet.linear;
      const std::size_t pages = (in_pages + page_bytes_ - 1) / page_bytes_;
      if (packet.way == Way::split && free_.size() < pages) return;  // dropped, to be sent again
      std::vector<std::byte> bytes(packet.bytes);
      const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got <= 0) {
        socket.ended = socket.ended || got == 0;
        if (got < 0 && errno != EAGAIN) socket.error = errno;
        return;
      }
      bytes.resize(static_cast<std::size_t>(got));
      ++socket.packets;
      socket.queued_bytes += bytes.size();
      Skb& skb = socket.queue.emplace_back();
      skb.way = packet.way;
      const std::size_t linear = packet.way == Way::plain
                                     ? bytes.size()
                                     : std::min<std::size_t>(packet.linear, bytes.size());
      skb.linear.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(linear));
      for (std::size_t at = linear; at < bytes.size();) {
        const auto here =
            static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size() - at, page_bytes_));
        std::uint64_t page = 0;
        if (packet.way == Way::split) {
          page = take_room(here);
          std::memcpy(region_.data() + page, bytes.data() + at, here);
        }
        skb.pieces.push_back({page, here});
        at += here;
      }
      if (skb.pieces.empty()) skb.way = Way::plain;  // without pages a packet is like any other
    }
  }

  ssize_t receive(int fd, msghdr& message, int flags) {
    ++receives;
    if ((flags & kMsgSockDevmem) == 0) return fail(EFAULT);
    Socket& socket = sockets_[fd];
    arrive(fd, socket);
    Cursor cursor{message};
    std::uint64_t copied = 0;
    int last_way = -1, error = 0;
    std::uint64_t room = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) room += message.msg_iov[i].iov_len;
    while (!socket.queue.empty() && room != 0) {
      Skb& skb = socket.queue.front();
      const int this_way = skb.way == Way::plain ? 0 : 1;
      if (last_way >= 0 && last_way != this_way) break;
      last_way = this_way;
      const std::uint64_t used = this_way == 0 ? read_plain(skb, room, cursor, error)
                                               : read_pieces(socket, skb, room, cursor, error);
      copied += used;
      room -= used;
      if (error != 0) break;
      if (skb.done != skb.bytes()) continue;
      for (const Piece& piece : skb.pieces)
        if (skb.way == Way::split) release(piece.page_offset);
      socket.queue.pop_front();
    }
    socket.queued_bytes -= copied;
    if (copied == 0 && error != 0) return fail(error);
    if (copied == 0 && room != 0) {
      if (socket.error != 0) return fail(socket.error);
      if (!socket.ended) {
        ++empty_receives;
        return fail(EAGAIN);
      }
    }
    int left = 0;
    ::ioctl(fd, FIONREAD, &left);
    const int inq = static_cast<int>(socket.queued_bytes) + left + (socket.ended ? 1 : 0);
    cursor.put(SOL_TCP, TCP_CM_INQ, &inq, sizeof inq);
    message.msg_controllen = cursor.used;
    return static_cast<ssize_t>(copied);
  }

  struct Cursor {
    explicit Cursor(msghdr& of) : message{of}, left{of.msg_controllen} {}
    msghdr& message;
    std::size_t used = 0, left;
    std::size_t iov_used = 0;  // of the first target: the second one is no memory

    bool copy(const std::byte* from, std::size_t bytes) {
      const iovec& first = message.msg_iov[0];
      const std::size_t here = std::min(bytes, first.iov_len - iov_used);
      std::memcpy(static_cast<std::byte*>(first.iov_base) + iov_used, from, here);
      iov_used += here;
      return here == bytes;
    }
    bool put(int level, int type, const void* data, std::size_t bytes) {
      if (left < CMSG_LEN(bytes)) return false;
      auto* head = reinterpret_cast<cmsghdr*>(static_cast<std::byte*>(message.msg_control) + used);
      head->cmsg_len = CMSG_LEN(bytes);
      head->cmsg_level = level;
      head->cmsg_type = type;
      std::memcpy(CMSG_DATA(head), data, bytes);
      used += std::min(CMSG_SPACE(bytes), left);
      left -= std::min(CMSG_SPACE(bytes), left);
      return true;
    }
  };

  static std::uint64_t read_plain(Skb& skb, std::uint64_t room, Cursor& cursor, int& ret_error) {
    const auto bytes =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(room, skb.bytes() - skb.done));
    const std::size_t before = cursor.iov_used;
    if (!cursor.copy(skb.linear.data() + skb.done, bytes)) {
      cursor.iov_used = before;
      ret_error = EFAULT;
      return 0;
    }
    skb.done += bytes;
    return bytes;
  }

  std::uint64_t read_pieces(Socket& socket, Skb& skb, std::uint64_t room, Cursor& cursor,
                            int& ret_error) {
    std::uint64_t sent = 0;
    if (skb.done < skb.linear.size()) {
      const auto bytes =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(room, skb.linear.size() - skb.done));
      const DmabufCmsg piece{0, bytes, 0, 0, 0};
      if (!cursor.copy(skb.linear.data() + skb.done, bytes)) return ret_error = EFAULT, 0;
      if (!cursor.put(SOL_SOCKET, kScmLinear, &piece, sizeof piece))
        return ret_error = kTooSmall, 0;
      skb.done += bytes;
      sent += bytes;
      room -= bytes;
    }
    auto start = static_cast<std::uint32_t>(skb.linear.size());
    for (const Piece& piece : skb.pieces) {
      const std::uint32_t end = start + piece.bytes;
      if (skb.done < end && room != 0) {
        const auto bytes =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(room, end - skb.done));
        // The lowest that is free (xa_alloc).
        const bool again = !socket.free_tokens.empty();
        const std::uint32_t token = again ? *socket.free_tokens.begin() : socket.next_token;
        const bool ours = skb.way == Way::split;
        const DmabufCmsg told{piece.page_offset + skb.done - start, bytes, token,
                              ours ? kOurs : kOurs + 1, 0};
        if (!cursor.put(SOL_SOCKET, kScmDmabuf, &told, sizeof told)) {
          if (sent == 0) ret_error = kTooSmall;
          return sent;
        }
        again ? void(socket.free_tokens.erase(token)) : void(++socket.next_token);
        socket.tokens[token] = ours ? piece.page_offset : kForeign;
        if (ours) ++users_[page_of(piece.page_offset)];
        skb.done += bytes;
        sent += bytes;
        room -= bytes;
      }
      start = end;
    }
    return sent;
  }

  int give_back(int fd, std::span<const DmabufToken> ranges) {
    ++returns;
    last_return.assign(ranges.begin(), ranges.end());
    if (refuse_returns > 0) {
      --refuse_returns;
      return fail(ENOMEM);
    }
    if (ranges.size() > kTokenRangesMax) return fail(EINVAL);
    std::uint32_t asked = 0;
    int back = 0;
    for (const DmabufToken& range : ranges) {
      for (std::uint32_t i = 0; i < range.token_count; ++i) {
        if (++asked > std::min<std::size_t>(kTokensMax, pages_per_return)) return back;
        const auto found = sockets_[fd].tokens.find(range.token_start + i);
        if (found == sockets_[fd].tokens.end()) {
          ++wrong_tokens;
          continue;
        }
        const std::uint64_t page = found->second;
        sockets_[fd].tokens.erase(found);
        sockets_[fd].free_tokens.insert(range.token_start + i);
        ++back;
        if (page != kForeign) release(page);
      }
    }
    return back;
  }

  std::uint64_t page_of(std::uint64_t offset) const { return offset - offset % page_bytes_; }
  /// Where the next payload goes.
  std::uint64_t take_room(std::uint32_t bytes) {
    if (open_half_ && bytes <= page_bytes_ / 2) return *std::exchange(open_half_, std::nullopt);
    const std::uint64_t page = free_.back();
    free_.pop_back();
    users_[page] = 1;
    if (packs_halves && bytes <= page_bytes_ / 2) {
      open_half_ = page + page_bytes_ / 2;
      ++users_[page];  // the packet that will come there
    }
    return page;
  }
  void release(std::uint64_t offset) {
    const std::uint64_t page = page_of(offset);
    if (--users_[page] != 0) return;
    std::memset(region_.data() + page, 0xdb, page_bytes_);  // the NIC's next packet
    free_.push_back(page);
  }

  static int fail(int number) {
    errno = number;
    return -1;
  }

  static inline FakeKernel* current_ = nullptr;
  const std::span<std::byte> region_;
  const std::uint32_t page_bytes_;
  std::vector<std::uint64_t> free_;
  std::optional<std::uint64_t> open_half_;
  std::map<std::uint64_t, int> users_;  // of each page: tokens, and the packet until it is read
  std::map<int, Socket> sockets_;
  std::mt19937 random_{20240708};
};

}  // namespace landfall::devmem::test
