// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <random>
#include <span>
#include <vector>

namespace landfall::test {

/// What a binding of the model kernel shares out: the pages of one memory, in pseudo-random order.
/// A page that comes back is scribbled over at once, as the next packet would. Threads: any.
class DevmemPool {
 public:
  static constexpr std::byte kScribble{0xdb};

  DevmemPool(std::span<std::byte> bytes, std::uint64_t page_bytes);
  std::uint64_t page_bytes() const noexcept { return page_bytes_; }
  std::byte* page(std::uint32_t number) const noexcept {
    return bytes_.data() + number * page_bytes_;
  }

  /// Takes up to out.size() pages; answers how many.
  std::size_t take(std::span<std::uint32_t> out);
  void put(std::uint32_t number, bool scribble);
  /// Is a page free? If not, the next one that comes back writes to `event_fd`.
  bool free_or_notify(int event_fd);
  void forget(int event_fd);

 private:
  const std::span<std::byte> bytes_;
  const std::uint64_t page_bytes_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::uint32_t> free_;
  std::vector<int> waiters_;
  std::mt19937 random_{20240708};
};

/// A socket of the model kernel. Tokens are per socket, count from 0 and are used again, as the
/// xarray of tcp_sock does; closing frees them all and the pages are written to.
/// Threads: one at a time.
class DevmemSocket {
 public:
  struct Piece {
    std::uint64_t token, offset;  // offset: in the pool's memory
    std::uint32_t length;
  };

  /// Takes `fd` over.
  DevmemSocket(DevmemPool& pool, int fd) : pool_{pool}, fd_{fd} {}
  DevmemSocket(const DevmemSocket&) = delete;
  DevmemSocket& operator=(const DevmemSocket&) = delete;
  ~DevmemSocket();

  int fd() const noexcept { return fd_; }
  /// The descriptor, no longer owned; only without tokens out.
  int release() noexcept;
  /// One payload into pages that the kernel picks: recv(2)'s answer; fills `pieces` from the front.
  /// -1 with ENOBUFS: the pool is dry.
  ssize_t receive(std::span<Piece> pieces, std::size_t& ret_count);
  /// False: no such token is out, or it stands for another page.
  bool give_back(std::uint64_t token, std::uint64_t offset);
  std::size_t tokens_out() const noexcept { return tokens_.size() - free_tokens_.size(); }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  DevmemPool& pool_;
  int fd_;
  std::vector<std::uint64_t> tokens_;  // offset of the piece, or kFree
  std::vector<std::uint64_t> free_tokens_;
  std::mt19937 random_{20240709};
};

}  // namespace landfall::test
