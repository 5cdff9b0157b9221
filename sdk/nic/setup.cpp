// SPDX-License-Identifier: Apache-2.0
#include "nic/setup.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <map>

#include "nic/refusals.hpp"

namespace landfall::nic {
namespace {

using What = Step::What;

constexpr int kUndoTries = 6;  // a NIC that is busy is given 10, 20, ... 320 ms
constexpr std::uint64_t kFormat = 1;

Result<std::string> read_boot_id() {
  const Fd fd{::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)};
  char text[64]{};
  const ssize_t n = fd ? ::read(fd.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return os_error("read(boot_id)", ReasonCode::journal_failed);
  std::string id{text, static_cast<std::size_t>(n)};
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

Result<std::uint64_t> read_netns_cookie() {
  constexpr int kSoNetnsCookie = 71;  // SO_NETNS_COOKIE, Linux 5.14
  const Fd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!fd || ::getsockopt(fd.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &size) != 0)
    return os_error("getsockopt(SO_NETNS_COOKIE)", ReasonCode::journal_failed);
  return cookie;
}

Error damaged(const char* what) {
  return Error{Errc::io, "journal", ReasonCode::journal_damaged}.with(std::string{"the journal "} +
                                                                      what);
}

void pause_ms(long ms) {
  const timespec pause{ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

Record step_record(const char* type, const Step& step) {
  Record record{type, {}};
  add_step(record, step);
  return record;
}
Record settings_record(const char* type, const Settings& settings) {
  Record record{type, {}};
  add_settings(record, settings);
  return record;
}

const Settings* find_settings(const std::vector<Settings>& all, std::uint32_t index) {
  const auto found = std::ranges::find(all, index, &Settings::index);
  return found == all.end() ? nullptr : &*found;
}

/// What is in effect after one more step.
void join(std::vector<Step>& owned, const Step& step) {
  const auto old =
      std::ranges::find_if(owned, [&](const Step& one) { return same_subject(one, step); });
  if (step.is_setting() && old != owned.end()) {
    old->to = step.to;
    old->to_table = step.to_table;
    const bool as_before =
        step.what == What::rss_table ? old->from_table == old->to_table : old->from == old->to;
    if (as_before) owned.erase(old);
  } else if (step.removes) {
    if (old != owned.end()) owned.erase(old);
  } else {
    owned.push_back(step);
  }
}

}  // namespace

std::uint64_t boot_time_s() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

Result<Record> host_record(const char* type) {
  LANDFALL_TRY(const std::string boot_id, read_boot_id());
  LANDFALL_TRY(const std::uint64_t cookie, read_netns_cookie());
  return Record{type, {}}.add("format", kFormat).add("boot", boot_id).add("netns", cookie);
}

const Settings* SetupState::before_of(std::uint32_t interface_index) const noexcept {
  return find_settings(before, interface_index);
}

const Step* SetupState::find(const Step& subject) const noexcept {
  const auto found =
      std::ranges::find_if(steps, [&](const Step& one) { return same_subject(one, subject); });
  return found == steps.end() ? nullptr : &*found;
}

// The file: "host", "before"*, "step"*, "sealed", written as one; then, while a transaction is not
// final, "begin", "found"*, ("do", "done")*, "applied"; or "restoring".
Result<SetupState> read_state(const std::vector<Record>& records) {
  SetupState state;
  bool sealed = false;
  std::size_t count = 0;
  for (const Record& record : records) {
    ++count;
    if (record.type == "host") {
      if (record.number("format") != kFormat) return damaged("is of another version");
      state.boot_id = record.text("boot");
      state.netns_cookie = record.number("netns");
    } else if (record.type == "before" || record.type == "found") {
      auto settings = settings_of(record);
      if (!settings) return damaged("has settings that cannot be read");
      if (record.type == "before") {
        state.before.push_back(std::move(*settings));
      } else if (state.open) {
        state.open->found.push_back(std::move(*settings));
      }
    } else if (record.type == "step" || record.type == "do") {
      auto step = step_of(record);
      if (!step) return damaged("has a step that cannot be read");
      if (record.type == "do" && !state.open) return damaged("has a step of no transaction");
      (record.type == "do" ? state.open->steps : state.steps).push_back(std::move(*step));
    } else if (record.type == "done") {
      if (!state.open || state.open->steps.empty()) return damaged("has an end without beginning");
      auto step = step_of(record);
      if (!step) return damaged("has a step that cannot be read");
      state.open->steps.back() = std::move(*step);
    } else if (record.type == "sealed") {
      if (record.number("records") != count) return damaged("lacks records");
      sealed = true;
    } else if (record.type == "begin") {
      state.open.emplace();
      state.open->policy = record.text("policy");
      state.open->deadline_s = record.number("deadline");
    } else if (record.type == "applied") {
      if (state.open) state.open->applied = true;
    } else if (record.type == "restoring") {
      state.restoring = true;
    } else {
      return damaged("has a record of a kind that is not known");
    }
  }
  if (!records.empty() && !sealed) return damaged("has lost its end");
  return state;
}

Result<SetupState> look_at_state(const std::string& folder) {
  LANDFALL_TRY(const std::vector<Record> records, Journal::look(folder));
  LANDFALL_TRY(SetupState state, read_state(records));
  LANDFALL_TRY(const Record host, host_record("host"));
  if (state.boot_id != host.text("boot")) return SetupState{};
  if (state.open && state.open->applied)
    for (const Step& step : state.open->steps) join(state.steps, step);
  return state;
}

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

std::vector<Record> NicSetup::snapshot() const {
  std::vector<Record> records;
  records.push_back(Record{"host", {}}
                        .add("format", kFormat)
                        .add("boot", state_.boot_id)
                        .add("netns", state_.netns_cookie));
  for (const Settings& settings : state_.before)
    records.push_back(settings_record("before", settings));
  for (const Step& step : state_.steps) records.push_back(step_record("step", step));
  records.push_back(Record{"sealed", {}}.add("records", std::uint64_t{records.size() + 1}));
  return records;
}

Result<void> NicSetup::write_final() {
  state_.open.reset();
  state_.restoring = false;
  std::erase_if(state_.before, [&](const Settings& one) {
    return std::ranges::none_of(
        state_.steps, [&](const Step& step) { return step.interface_index == one.index; });
  });
  return state_.steps.empty() ? journal_.remove() : journal_.replace(snapshot());
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
  std::vector<Record> records = snapshot();
  records.push_back(
      Record{"begin", {}}.add("policy", options.policy).add("deadline", options.deadline_s));
  for (const Settings& found : state_.open->found)
    records.push_back(settings_record("found", found));
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
  LANDFALL_CHECK(journal_.append(step_record("do", step)));
  state_.open->steps.push_back(step);
  LANDFALL_CHECK(perform(*nic_, step));
  state_.open->steps.back() = step;
  LANDFALL_TRY(const Settings now, look(step));
  if (audit(step, now, nullptr) != Effect::present)
    return Error{Errc::io, "apply", ReasonCode::setting_not_kept}.with(
        step.interface + " took \"" + describe(step) + "\" and does not show it");
  return journal_.append(step_record("done", step));
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
    for (const Step& step : state_.open->steps) join(state_.steps, step);
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
    LANDFALL_CHECK(journal_.replace(snapshot()));
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
  for (const Step& step : state_.open->steps) join(state_.steps, step);
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
