// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "landfall/base/result.hpp"

namespace landfall {

/// One file descriptor, closed once. Move-only.
class LANDFALL_API Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_{fd} {}
  Fd(Fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Fd& operator=(Fd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  /// The descriptor, no longer owned.
  int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes what it has and takes `fd`.
  void reset(int fd = -1) noexcept;
  explicit operator bool() const noexcept { return fd_ >= 0; }

  /// A close-on-exec duplicate of a descriptor that someone else owns. Errors: limit_reached -
  /// RLIMIT_NOFILE.
  static Result<Fd> duplicate(int fd) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace landfall
