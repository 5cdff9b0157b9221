// SPDX-License-Identifier: Apache-2.0
#include "models/devmem_kernel.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace landfall::test {

DevmemPool::DevmemPool(std::span<std::byte> bytes, std::uint64_t page_bytes)
    : bytes_{bytes}, page_bytes_{page_bytes}, free_(bytes.size() / page_bytes) {
  for (std::uint32_t i = 0; i < free_.size(); ++i) free_[i] = i;
  std::shuffle(free_.begin(), free_.end(), random_);
}

std::size_t DevmemPool::take(std::span<std::uint32_t> out) {
  const std::lock_guard lock{mutex_};
  std::size_t count = 0;
  for (; count < out.size() && !free_.empty(); ++count) {
    std::swap(free_[random_() % free_.size()], free_.back());
    out[count] = free_.back();
    free_.pop_back();
  }
  return count;
}

void DevmemPool::put(std::uint32_t number, bool scribble) {
  if (scribble) std::memset(page(number), static_cast<int>(kScribble), page_bytes_);
  const std::lock_guard lock{mutex_};
  free_.push_back(number);
  const std::uint64_t one = 1;
  for (const int waiter : waiters_) {
    [[maybe_unused]] const ssize_t written = ::write(waiter, &one, sizeof one);
  }
  waiters_.clear();
}

bool DevmemPool::free_or_notify(int event_fd) {
  const std::lock_guard lock{mutex_};
  if (!free_.empty()) return true;
  if (std::find(waiters_.begin(), waiters_.end(), event_fd) == waiters_.end())
    waiters_.push_back(event_fd);
  return false;
}

void DevmemPool::forget(int event_fd) {
  const std::lock_guard lock{mutex_};
  std::erase(waiters_, event_fd);
}

DevmemSocket::~DevmemSocket() {
  if (fd_ >= 0) ::close(fd_);
  for (const std::uint64_t offset : tokens_)
    if (offset != kFree) pool_.put(static_cast<std::uint32_t>(offset / pool_.page_bytes()), true);
}

int DevmemSocket::release() noexcept {
  return std::exchange(fd_, -1);
}

ssize_t DevmemSocket::receive(std::span<Piece> pieces, std::size_t& ret_count) {
  std::array<std::uint32_t, 8> pages;
  std::array<iovec, 8> targets;
  ret_count = 0;
  const std::size_t taken =
      pool_.take(std::span{pages}.first(std::min(pages.size(), pieces.size())));
  if (taken == 0) {
    errno = ENOBUFS;
    return -1;
  }
  for (std::size_t i = 0; i < taken; ++i) {  // a payload begins anywhere in its page
    const std::uint64_t gap = random_() % 2 == 0 ? 0 : random_() % (pool_.page_bytes() / 2);
    targets[i] = {pool_.page(pages[i]) + gap, pool_.page_bytes() - gap};
  }
  msghdr message{};
  message.msg_iov = targets.data();
  message.msg_iovlen = taken;
  const ssize_t got = ::recvmsg(fd_, &message, MSG_DONTWAIT);
  const int failed = errno;
  std::size_t left = got > 0 ? static_cast<std::size_t>(got) : 0;
  for (std::size_t i = 0; i < taken; ++i) {
    const std::size_t here = std::min(left, targets[i].iov_len);
    if (here == 0) {
      pool_.put(pages[i], false);
      continue;
    }
    left -= here;
    if (free_tokens_.empty()) {
      free_tokens_.push_back(tokens_.size());
      tokens_.push_back(kFree);
    }
    const std::uint64_t token = free_tokens_.back();
    free_tokens_.pop_back();
    tokens_[token] =
        static_cast<std::uint64_t>(static_cast<std::byte*>(targets[i].iov_base) - pool_.page(0));
    pieces[ret_count++] = {token, tokens_[token], static_cast<std::uint32_t>(here)};
  }
  errno = failed;
  return got;
}

bool DevmemSocket::give_back(std::uint64_t token, std::uint64_t offset) {
  if (token >= tokens_.size() || tokens_[token] == kFree || tokens_[token] != offset) return false;
  tokens_[token] = kFree;
  free_tokens_.push_back(token);
  pool_.put(static_cast<std::uint32_t>(offset / pool_.page_bytes()), true);
  return true;
}

}  // namespace landfall::test
