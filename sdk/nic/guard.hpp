// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "landfall/base/fd.hpp"
#include "nic/guard/protocol.hpp"

namespace landfall::nic {

/// The helper process that removes this process's rules when it ends: see guard/main.cpp. It ends
/// itself when this object does; rules that it was told to keep are then removed as well.
///
/// Threads: one at a time.
class Guard {
 public:
  /// `program`: "" for the one that was installed with this library. `rule_socket` is lent.
  /// Errors: not_supported - steering_guard_failed; limit_reached.
  static Result<Guard> start(const std::string& program, int rule_socket);

  /// Told before the rule is made and again when its place is known; the guard has it as soon as
  /// this answers, whatever happens to this process. Errors: device_lost - the guard is gone.
  Result<void> tell(const GuardMessage& message);

 private:
  explicit Guard(Fd control) : control_{std::move(control)} {}
  Fd control_;
};

/// Where the guard is looked for; "" when it is nowhere.
std::string find_guard_program();

}  // namespace landfall::nic
