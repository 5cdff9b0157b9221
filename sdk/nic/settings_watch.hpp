// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "landfall/base/fd.hpp"

namespace landfall::nic {

/// Wakes its owner when a setting of some interface may have changed: channels, rings, features,
/// and RSS from Linux 6.16 on; interfaces that come and go. Of n-tuple rules the kernel tells
/// nobody.
///
/// Threads: one at a time.
class SettingsWatch {
 public:
  /// In the network namespace of the calling thread. Errors: not_supported - nic_support_missing;
  /// io, limit_reached.
  static Result<SettingsWatch> open();

  /// To be polled for POLLIN. The second is -1 where the kernel's ethtool tells nothing.
  std::array<int, 2> fds() const noexcept { return {link_.get(), ethtool_.get()}; }
  /// Forgets what has been told.
  void drain() const noexcept;

 private:
  SettingsWatch(Fd link, Fd ethtool) : link_{std::move(link)}, ethtool_{std::move(ethtool)} {}
  Fd link_, ethtool_;
};

}  // namespace landfall::nic
