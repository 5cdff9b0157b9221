// SPDX-License-Identifier: Apache-2.0
#include "setup_guard.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "exit_code.hpp"
#include "nic/setup.hpp"

namespace landfall::cli {
namespace {

constexpr int kLifeline = 3;
// A NIC that will not go back is asked again, each time after twice as long, for about 17 minutes.
constexpr unsigned kTriesMax = 10;

void sleep_s(std::uint64_t seconds) {
  timespec rest{static_cast<time_t>(seconds), 0};
  while (::nanosleep(&rest, &rest) != 0 && errno == EINTR) {
  }
}

enum class Watch : std::uint8_t { done, waits, again };

/// One look at the journal, with what must be taken back taken back.
Watch take_back(nic::Nic& nic, const std::string& folder, std::uint64_t& ret_deadline_s) {
  auto setup = nic::NicSetup::open(nic, folder, nic::Journal::Wait::yes);
  if (!setup) return Watch::again;
  const auto undone = setup->recover();
  if (!undone || !undone->failed.empty()) return Watch::again;
  const auto& open = setup->state().open;
  if (!open || open->deadline_s == 0) return Watch::done;
  ret_deadline_s = open->deadline_s;
  return Watch::waits;
}

/// Is it still this apply that waits?
bool still_waits(const std::string& folder, std::uint64_t deadline_s) {
  const auto records = nic::Journal::look(folder);
  if (!records) return true;
  const auto state = nic::read_state(*records);
  return !state || (state->open && state->open->deadline_s == deadline_s);
}

}  // namespace

Result<Fd> start_setup_guard(const std::string& state_folder) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe2");
  const Fd read_end{ends[0]};
  Fd write_end{ends[1]};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  for (int fd = 0; fd < kLifeline; ++fd)
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, read_end.get(), kLifeline);
  // A session of its own: the end of the terminal does not reach it, and neither does its Ctrl-C.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::string program = "/proc/self/exe", verb = "setup-guard", folder = state_folder;
  char* arguments[] = {program.data(), verb.data(), folder.data(), nullptr};
  pid_t child = 0;
  const int number =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, arguments, ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (number != 0) return os_error("posix_spawn", ReasonCode::none, number);
  return write_end;
}

int run_setup_guard(const std::string& state_folder) {
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  const Fd lifeline{kLifeline};
  char byte = 0;
  while (::read(lifeline.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  auto nic = nic::open_kernel_nic();
  if (!nic) return exit_of(nic.error());
  for (unsigned tries = 0; tries < kTriesMax;) {
    std::uint64_t deadline_s = 0;
    const Watch watch = take_back(**nic, state_folder, deadline_s);
    if (watch == Watch::done) return kExitOk;
    if (watch == Watch::again) sleep_s(std::uint64_t{1} << tries++);
    while (watch == Watch::waits && nic::boot_time_s() < deadline_s) {
      sleep_s(1);
      if (!still_waits(state_folder, deadline_s)) return kExitOk;
    }
  }
  return kExitConfig;
}

}  // namespace landfall::cli
