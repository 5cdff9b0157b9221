// SPDX-License-Identifier: Apache-2.0
#include "nic/setup_state.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "nic/journal.hpp"

namespace landfall::nic {
namespace {

using What = Step::What;

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

const Settings* find_settings(const std::vector<Settings>& all, std::uint32_t index) {
  const auto found = std::ranges::find(all, index, &Settings::index);
  return found == all.end() ? nullptr : &*found;
}

const Settings* SetupState::before_of(std::uint32_t interface_index) const noexcept {
  return find_settings(before, interface_index);
}

const Step* SetupState::find(const Step& subject) const noexcept {
  const auto found =
      std::ranges::find_if(steps, [&](const Step& one) { return same_subject(one, subject); });
  return found == steps.end() ? nullptr : &*found;
}

void SetupState::add(const Step& step) {
  const auto old =
      std::ranges::find_if(steps, [&](const Step& one) { return same_subject(one, step); });
  if (step.is_setting() && old != steps.end()) {
    old->to = step.to;
    old->to_table = step.to_table;
    const bool as_before =
        step.what == What::rss_table ? old->from_table == old->to_table : old->from == old->to;
    if (as_before) steps.erase(old);
  } else if (step.removes) {
    if (old != steps.end()) steps.erase(old);
  } else {
    steps.push_back(step);
  }
}

// The file: "host", "before"*, "step"*, "sealed", written as one; then, while a transaction is not
// final, "begin", "found"*, ("do", "done")*, "applied"; or "restoring".
std::vector<Record> records_of(const SetupState& state) {
  std::vector<Record> records;
  records.push_back(Record{"host", {}}
                        .add("format", kFormat)
                        .add("boot", state.boot_id)
                        .add("netns", state.netns_cookie));
  for (const Settings& settings : state.before) records.push_back(record_of("before", settings));
  for (const Step& step : state.steps) records.push_back(record_of("step", step));
  records.push_back(Record{"sealed", {}}.add("records", std::uint64_t{records.size() + 1}));
  return records;
}

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
    for (const Step& step : state.open->steps) state.add(step);
  return state;
}

}  // namespace landfall::nic
