// SPDX-License-Identifier: Apache-2.0
#include "conformance/held.hpp"

#include <gtest/gtest.h>

#include <iterator>

#include "conformance/pattern.hpp"
#include "models/device_memory.hpp"

namespace landfall::test {
namespace {

std::span<const std::byte> bytes_in(const Buffer& buffer) {
  const std::span<std::byte> memory = bytes_of(buffer.memory().abi());
  if (buffer.offset() > memory.size() || buffer.length() > memory.size() - buffer.offset())
    return {};
  return memory.subspan(buffer.offset(), buffer.length());
}

std::uint64_t begin_of(const Buffer& buffer) {
  return reinterpret_cast<std::uint64_t>(bytes_in(buffer).data());
}

}  // namespace

bool Extents::add(const Buffer& buffer) {
  const std::uint64_t begin = begin_of(buffer);
  const std::uint64_t end = begin + buffer.length();
  const std::lock_guard lock{mutex_};
  const auto next = ends_.lower_bound(begin);
  if (next != ends_.end() && next->first < end) return false;
  if (next != ends_.begin() && std::prev(next)->second > begin) return false;
  ends_.emplace(begin, end);
  return true;
}

void Extents::remove(const Buffer& buffer) {
  const std::lock_guard lock{mutex_};
  ends_.erase(begin_of(buffer));
}

std::size_t Extents::count() const {
  const std::lock_guard lock{mutex_};
  return ends_.size();
}

Held::Held(Buffer buffer, std::uint64_t seed, std::shared_ptr<Extents> extents)
    : buffer_{std::move(buffer)}, seed_{seed}, extents_{std::move(extents)} {
  EXPECT_FALSE(bytes_in(buffer_).empty()) << "an extent outside its memory";
  EXPECT_TRUE(extents_->add(buffer_)) << "an extent was handed out while a Buffer still has it";
  EXPECT_TRUE(unchanged()) << "wrong bytes at stream offset " << buffer_.stream_offset();
}

Held& Held::operator=(Held&& other) noexcept {
  if (this == &other) return *this;
  drop();
  buffer_ = std::move(other.buffer_);
  seed_ = other.seed_;
  extents_ = std::move(other.extents_);
  return *this;
}

bool Held::unchanged() const {
  return matches_pattern(seed_, buffer_.stream_offset(), bytes_in(buffer_));
}

Buffer Held::take() noexcept {
  extents_->remove(buffer_);
  return std::move(buffer_);
}

void Held::drop() noexcept {
  if (!buffer_) return;
  EXPECT_TRUE(unchanged()) << "bytes at stream offset " << buffer_.stream_offset()
                           << " changed under a Buffer";
  extents_->remove(buffer_);
  buffer_.reset();
}

}  // namespace landfall::test
