// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>

#include "landfall/abi/backend.h"
#include "landfall/base/result.hpp"

namespace landfall::nic {

/// Tells when an interface has gone, of which neither a binding nor a socket says anything.
///
/// Threads: any.
class LinkWatch {
 public:
  LinkWatch() = default;
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;
  virtual ~LinkWatch() = default;

  /// Readable when some interface has changed.
  virtual int fd() const noexcept = 0;
  /// Is the interface no longer there? Looks at all that was told since.
  virtual bool gone() const noexcept = 0;
};

/// The kernel's word, in the network namespace of the calling thread. Errors: limit_reached, io.
Result<std::unique_ptr<LinkWatch>> watch_link(std::uint32_t interface_index,
                                              const landfall_host* host);

}  // namespace landfall::nic
