// SPDX-License-Identifier: Apache-2.0
#include "nic/setup.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <map>

#include "nic/refusals.hpp"

namespace landfall::nic {
namespace {

using What = Step::What;

constexpr int kUndoTries = 6;  // a NIC that is busy is given 10, 20, ... 320 ms

void pause_ms(long ms) {
  const timespec pause{ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

}  // namespace

Result<NicSetup> NicSetup::open(Nic& nic, const std::string& folder, Journal::Wait wait) {
  LANDFALL_TRY(const Record host, host_record("host"));
  const std::string boot_id{host.text("boot")};
  const std::uint64_t cookie = host.number("netns");
  LANDFALL_TRY(Journal journal, Journal::open(folder, wait));
  LANDFALL_TRY(SetupState state, read_state(journal.records()));
  NicSetup setup{nic, std::move(journal)};
  if (!state.boot_id.empty() && state.boot_id != boot_id) {
    LANDFALL_CHECK(setup.journal_.remove());
    setup.closed_ = std::move(state);
    state = {};
  } else if (!state.boot_id.empty() && state.netns_cookie != cookie) {
    return Error{Errc::busy, "journal", ReasonCode::setup_in_progress}.with(
        journal_path(folder) + " is of another network namespace",
        "ip netns exec NAME landfall ..., or name another folder with --state");
  }
  setup.state_ = std::move(state);
  setup.state_.boot_id = boot_id;
  setup.state_.netns_cookie = cookie;
  return setup;
}

Result<void> NicSetup::write_final() {
  state_.open.reset();
  state_.restoring = false;
  std::erase_if(state_.before, [&](const Settings& one) {
    return std::ranges::none_of(
        state_.steps, [&](const Step& step) { return step.interface_index == one.index; });
  });
  return state_.steps.empty() ? journal_.remove() : journal_.replace(records_of(state_));
}

void NicSetup::resolve_context(Step& step) const {
  if (step.what != What::rule || step.context.empty()) return;
  const auto find_in = [&](const std::vector<Step>& steps) {
    for (auto one = steps.rbegin(); one != steps.rend(); ++one)
      if (one->what == What::rss_context && !one->removes && one->context == step.context &&
          one->interface_index == step.interface_index)
        return one->id;
    return 0u;
  };
  std::uint32_t id = state_.open ? find_in(state_.open->steps) : 0;
  if (id == 0) id = find_in(state_.steps);
  step.rule.rss_context = id;
}

// The state of the NICs must be that for which the steps were made.
Result<void> NicSetup::check_found(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    const Settings* found = find_settings(state_.open->found, step.interface_index);
    if (found == nullptr) {
      LANDFALL_TRY(Settings settings, read_settings(*nic_, step.interface_index));
      state_.open->found.push_back(std::move(settings));
      found = &state_.open->found.back();
    }
    const Settings* before = state_.before_of(step.interface_index);
    if (before != nullptr && !before->same_device(*found))
      return Error{Errc::busy, "apply", ReasonCode::interface_replaced}.with(
          "interface " + std::to_string(found->index) + " was " + before->name + " (" +
              before->bus + ") and is " + found->name + " (" + found->bus + ")",
          "landfall restore, which leaves it alone");
    if (begins_at(step, *found)) continue;
    return Error{Errc::busy, "apply", ReasonCode::plan_outdated}.with(
        step.interface + ": " + describe(step) + " does not begin where the interface is");
  }
  return {};
}

Result<void> NicSetup::begin(const ApplyOptions& options) {
  for (const Settings& found : state_.open->found)
    if (state_.before_of(found.index) == nullptr) state_.before.push_back(found);
  std::vector<Record> records = records_of(state_);
  records.push_back(
      Record{"begin", {}}.add("policy", options.policy).add("deadline", options.deadline_s));
  for (const Settings& found : state_.open->found) records.push_back(record_of("found", found));
  return journal_.replace(records);
}

Result<void> NicSetup::make(Step step) {
  resolve_context(step);
  // Most drivers replace what stands at a place that is named.
  const bool placed =
      step.what == What::rule && !step.removes && step.rule.spec.location != RX_CLS_LOC_ANY;
  if (placed) {
    LANDFALL_TRY(const auto there, nic_->rule_at(step.interface_index, step.rule.spec.location));
    if (there)
      return Error{Errc::busy, "apply", ReasonCode::plan_outdated}.with(
          step.interface + " has a rule at location " + std::to_string(step.rule.spec.location) +
          ", which was free when the plan was made");
  }
  LANDFALL_CHECK(journal_.append(record_of("do", step)));
  state_.open->steps.push_back(step);
  LANDFALL_CHECK(perform(*nic_, step));
  state_.open->steps.back() = step;
  LANDFALL_TRY(const Settings now, look(step));
  if (audit(step, now, nullptr) != Effect::present)
    return Error{Errc::io, "apply", ReasonCode::setting_not_kept}.with(
        step.interface + " took \"" + describe(step) + "\" and does not show it");
  return journal_.append(record_of("done", step));
}

Result<void> NicSetup::apply(const std::vector<Step>& steps, const ApplyOptions& options) {
  if (state_.open || state_.restoring)
    return Error{Errc::busy, "apply", ReasonCode::awaiting_confirmation};
  if (steps.empty()) return {};
  const SetupState before = state_;
  state_.open.emplace();
  state_.open->policy = options.policy;
  state_.open->deadline_s = options.deadline_s;
  Result<void> done = check_found(steps);
  if (done) done = begin(options);
  if (!done) {
    state_ = before;
    return done;
  }
  for (const Step& step : steps) {
    done = make(step);
    if (!done) break;
  }
  if (done && options.deadline_s != 0) {
    done = journal_.append(Record{"applied", {}});
    if (done) state_.open->applied = true;
    if (done) return {};
  }
  if (done) {
    const std::vector<Step> owned = state_.steps;
    for (const Step& step : state_.open->steps) state_.add(step);
    const auto open = state_.open;
    done = write_final();
    if (done) return {};
    state_.steps = owned;
    state_.open = open;
  }
  const Error cause = done.error();
  const auto undone = undo_open();
  const bool clean = undone && undone->failed.empty();
  return Error{clean ? cause.code() : Errc::io, "apply",
               clean ? ReasonCode::setup_rolled_back : ReasonCode::undo_incomplete, cause.origin(),
               cause.native()}
      .with((clean ? "a step failed, and those before it were taken back: "
                   : "a step failed, and not all before it could be taken back: ") +
                std::string{cause.cause()},
            cause.remedy());
}

Result<Settings> NicSetup::look(const Step& step) {
  // Of a rule only its place: listing costs a call for each rule.
  if (step.what != What::rule || step.rule.spec.location == RX_CLS_LOC_ANY)
    return read_settings(*nic_, step.interface_index);
  LANDFALL_TRY(const auto rule, nic_->rule_at(step.interface_index, step.rule.spec.location));
  Settings settings;
  settings.index = step.interface_index;
  if (rule) settings.rules.push_back(*rule);
  return settings;
}

bool NicSetup::is_gone(std::uint32_t interface_index) {
  const Settings* before = state_.before_of(interface_index);
  const auto state = nic_->read(interface_index);
  if (!state) return state.error().reason() == ReasonCode::interface_unknown;
  return before != nullptr && !before->same_device(settings_of(*state, {}));
}

Result<void> NicSetup::take_back(Step& step, const Settings* found, Undone& ret_undone) {
  LANDFALL_TRY(const Settings now, look(step));
  Effect effect = audit(step, now, found);
  // With the feature go all rules, in most drivers; so it stays on for those of others.
  if (step.what == What::ntuple && step.to != 0 && !now.rules.empty()) {
    if (!ret_undone.failed.empty())
      return Error{Errc::busy, "restore", ReasonCode::undo_incomplete}.with(
          "rules of ours are still there");
    if (effect == Effect::present) effect = Effect::neither;
  }
  if (effect == Effect::neither) ret_undone.elsewhere.push_back(step);
  if (effect != Effect::present) return {};
  Step back = inverse(step);
  if (back.what == What::rule && !back.removes) resolve_context(back);
  LANDFALL_CHECK(perform(*nic_, back));
  ret_undone.undone.push_back(step);
  if (back.is_setting() || back.removes) return {};
  // What was taken away and is back may stand elsewhere now.
  for (Step& owned : state_.steps) {
    if (!same_subject(owned, step)) continue;
    owned.id = back.id;
    owned.rule = back.rule;
  }
  return {};
}

// The last one first. What is not in effect needs nothing, so this may be begun again at any time.
void NicSetup::take_back(std::vector<Step>& steps, const std::vector<Settings>* found,
                         Undone& ret_undone) {
  std::map<std::uint32_t, bool> gone;
  std::vector<Step> kept;
  for (auto at = steps.rbegin(); at != steps.rend(); ++at) {
    Step& step = *at;
    const std::uint32_t index = step.interface_index;
    const auto [known, is_new] = gone.try_emplace(index, false);
    if (is_new) known->second = is_gone(index);
    if (known->second) {
      ret_undone.gone.push_back(step);
      continue;
    }
    const Settings* at_begin = found == nullptr ? nullptr : find_settings(*found, index);
    Result<void> result;
    for (int attempt = 0; attempt < kUndoTries; ++attempt) {
      if (attempt != 0) pause_ms(10L << (attempt - 1));
      result = take_back(step, at_begin, ret_undone);
      if (result || result.error().code() != Errc::busy) break;
    }
    if (result) continue;
    ret_undone.failed.emplace_back(step, result.error());
    kept.push_back(std::move(step));
  }
  std::ranges::reverse(kept);
  steps = std::move(kept);
}

Result<Undone> NicSetup::undo_open() {
  Undone undone;
  std::vector<Step> steps = state_.open->steps;
  take_back(steps, &state_.open->found, undone);
  state_.open->steps = steps;
  if (steps.empty()) LANDFALL_CHECK(write_final());
  return undone;
}

Result<Undone> NicSetup::finish_restore() {
  Undone undone;
  take_back(state_.steps, nullptr, undone);
  if (state_.steps.empty()) {
    LANDFALL_CHECK(write_final());
  } else {
    LANDFALL_CHECK(journal_.replace(records_of(state_)));
    LANDFALL_CHECK(journal_.append(Record{"restoring", {}}));
  }
  return undone;
}

Result<Undone> NicSetup::recover() {
  Undone undone;
  const bool late = state_.open && state_.open->applied && boot_time_s() >= state_.open->deadline_s;
  if (state_.open && (!state_.open->applied || late)) {
    LANDFALL_TRY(undone, undo_open());
  }
  if (!state_.restoring) return undone;
  LANDFALL_TRY(Undone more, finish_restore());
  const auto add = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  add(undone.undone, more.undone);
  add(undone.elsewhere, more.elsewhere);
  add(undone.gone, more.gone);
  add(undone.failed, more.failed);
  return undone;
}

Result<void> NicSetup::confirm() {
  if (!state_.open || !state_.open->applied)
    return Error{Errc::not_found, "confirm", ReasonCode::nothing_set_up}.with(
        "nothing waits to be confirmed");
  const SetupState before = state_;
  for (const Step& step : state_.open->steps) state_.add(step);
  const auto written = write_final();
  if (!written) state_ = before;
  return written;
}

Result<Undone> NicSetup::roll_back() {
  if (!state_.open)
    return Error{Errc::not_found, "rollback", ReasonCode::nothing_set_up}.with(
        "nothing waits to be confirmed", "landfall restore puts back all that was applied");
  return undo_open();
}

Result<Undone> NicSetup::restore() {
  Undone undone;
  if (!state_.open && state_.steps.empty())
    return Error{Errc::not_found, "restore", ReasonCode::nothing_set_up};
  // All at once: what an open transaction has made is ours as well.
  if (state_.open) {
    LANDFALL_TRY(undone, undo_open());
    if (!undone.failed.empty() || state_.steps.empty()) return undone;
  }
  LANDFALL_CHECK(journal_.append(Record{"restoring", {}}));
  state_.restoring = true;
  return recover();
}

}  // namespace landfall::nic
