// SPDX-License-Identifier: Apache-2.0
// What the journal says of how NICs are set up.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nic/record.hpp"
#include "nic/step.hpp"

namespace landfall::nic {

/// A transaction that is not final.
struct OpenTransaction {
  std::vector<Step> steps;       // begun; all but the last are done
  std::vector<Settings> found;   // each interface at its beginning
  std::string policy;            // for people
  bool applied = false;          // it waits to be confirmed
  std::uint64_t deadline_s = 0;  // CLOCK_BOOTTIME; 0: none
};

/// What a journal says: how things were before landfall, and what it has made of them.
struct SetupState {
  std::string boot_id;
  std::uint64_t netns_cookie = 0;
  std::vector<Settings> before;  // of each interface, when it was first touched
  std::vector<Step> steps;       // in effect, and ours to take back; in the order of their making

  std::optional<OpenTransaction> open;
  bool restoring = false;  // a restore has begun

  const Settings* before_of(std::uint32_t interface_index) const noexcept;
  /// nullptr: not ours.
  const Step* find(const Step& subject) const noexcept;
  /// One more step is in effect.
  void add(const Step& step);
};

/// nullptr: none of this interface.
const Settings* find_settings(const std::vector<Settings>& all, std::uint32_t index);

/// What a journal begins with: all but an open transaction.
std::vector<Record> records_of(const SetupState& state);
/// Errors: io - journal_damaged.
Result<SetupState> read_state(const std::vector<Record>& records);

/// Of the journal in `folder`, without taking it, as it is when what waits is confirmed: `steps`
/// has that too. Empty where it is of another boot. Errors: io - journal_failed, journal_damaged.
Result<SetupState> look_at_state(const std::string& folder);

/// "format", "boot" and "netns" of this process: what a journal or a plan is good for.
/// Errors: io - journal_failed.
Result<Record> host_record(const char* type);

/// Seconds of CLOCK_BOOTTIME.
std::uint64_t boot_time_s();

/// The folder where journals are unless another is named.
inline constexpr char kSetupFolder[] = "/var/lib/landfall";

}  // namespace landfall::nic
