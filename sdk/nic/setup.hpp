// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nic/journal.hpp"
#include "nic/setup_state.hpp"

namespace landfall::nic {

/// What became of steps that were taken back.
struct Undone {
  std::vector<Step> undone;     // as they were made
  std::vector<Step> elsewhere;  // somebody else has changed what they set: left as it is
  std::vector<Step> gone;       // with their interface
  std::vector<std::pair<Step, Error>> failed;
};

struct ApplyOptions {
  std::string policy;            // its name, for people
  std::uint64_t deadline_s = 0;  // CLOCK_BOOTTIME, until which it waits to be confirmed; 0: final
};

/// Sets NICs up as a transaction, and puts back what was there.
///
/// Each step is in the journal before it is made, with what it replaces. A crash at any point
/// leaves either a transaction that the next call of recover() takes back, or one that is whole.
/// Only what was made here is ever removed; what somebody else has changed since is reported and
/// left.
///
/// Threads: one at a time. `nic` is lent, and must outlive it.
class NicSetup {
 public:
  /// Takes the journal in `folder`. One of another boot is closed: what it set up has gone with
  /// that boot, and nothing is written; `closed()` tells.
  /// Errors: those of Journal::open; busy - setup_in_progress.
  static Result<NicSetup> open(Nic& nic, const std::string& folder,
                               Journal::Wait wait = Journal::Wait::no);

  const SetupState& state() const noexcept { return state_; }
  /// The journal of another boot that open() closed.
  const std::optional<SetupState>& closed() const noexcept { return closed_; }
  /// Takes back a transaction that was cut off, or was not confirmed in time, or goes on with a
  /// restore that was cut off.
  Result<Undone> recover();

  /// All steps or none. Errors: busy - awaiting_confirmation, plan_outdated (nothing was done);
  /// the error of the step that failed, with what became of those before it: setup_rolled_back
  /// (all were taken back) or undo_incomplete.
  Result<void> apply(const std::vector<Step>& steps, const ApplyOptions& options);
  /// Errors: not_found - nothing_set_up: nothing waits for it.
  Result<void> confirm();
  /// Takes back what waits to be confirmed. Errors: not_found - nothing_set_up; io -
  /// undo_incomplete.
  Result<Undone> roll_back();
  /// Puts back all that was there before the first apply. Errors: as roll_back().
  Result<Undone> restore();

 private:
  NicSetup(Nic& nic, Journal journal) : nic_{&nic}, journal_{std::move(journal)} {}
  Result<void> begin(const ApplyOptions& options);
  Result<void> check_found(const std::vector<Step>& steps);
  Result<void> make(Step step);
  Result<Settings> look(const Step& step);
  bool is_gone(std::uint32_t interface_index);
  Result<void> take_back(Step& step, const Settings* found, Undone& ret_undone);
  void take_back(std::vector<Step>& steps, const std::vector<Settings>* found, Undone& ret_undone);
  Result<Undone> undo_open();
  Result<Undone> finish_restore();
  Result<void> write_final();
  void resolve_context(Step& step) const;

  Nic* nic_;
  Journal journal_;
  SetupState state_;
  std::optional<SetupState> closed_;
};

}  // namespace landfall::nic
