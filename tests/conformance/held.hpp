// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "landfall/transport/buffer.hpp"

namespace landfall::test {

/// The extents that are out, by where they are: none may overlap another. Threads: any.
class Extents {
 public:
  /// False: a part of it is out already.
  bool add(const Buffer& buffer);
  void remove(const Buffer& buffer);
  std::size_t count() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> ends_;  // by begin
};

/// A Buffer with what must still be in it when it is dropped. Threads: any, one at a time.
class Held {
 public:
  Held() = default;
  /// Checks the content, and that it overlaps no other.
  Held(Buffer buffer, std::uint64_t seed, std::shared_ptr<Extents> extents);
  Held(Held&&) noexcept = default;
  Held& operator=(Held&& other) noexcept;
  ~Held() { drop(); }

  const Buffer& buffer() const noexcept { return buffer_; }
  /// Is what was received still in it?
  bool unchanged() const;
  /// Takes the Buffer out; it counts as given back from now on.
  Buffer take() noexcept;
  /// Checks once more, then gives it back.
  void drop() noexcept;
  /// As `landfall_buffer_drop` in a forked child: no checks, nothing of the parent's is touched.
  void drop_unchecked() noexcept { buffer_.reset(); }

 private:
  Buffer buffer_;
  std::uint64_t seed_ = 0;
  std::shared_ptr<Extents> extents_;
};

}  // namespace landfall::test
