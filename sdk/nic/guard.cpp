// SPDX-License-Identifier: Apache-2.0
#include "nic/guard.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace landfall::nic {
namespace {

Error failed(const char* op, int number, const std::string& why) {
  return Error{Errc::not_supported, op, ReasonCode::steering_guard_failed, Origin::os, number}.with(
      "the helper that removes rules after a crash could not be started: " + why);
}

Error out_of_fds(const char* op) {
  return os_error(op, errno == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none);
}

/// A copy outside the numbers that the guard's own descriptors get.
Result<Fd> aside(int fd) {
  Fd copy{::fcntl(fd, F_DUPFD_CLOEXEC, 3)};
  if (!copy) return out_of_fds("fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

/// A program that is started by a process with CAP_NET_ADMIN has it too only if it is root's or the
/// capability is ambient. This makes it so for the calling thread, and takes it back.
class AmbientNetAdmin {
 public:
  AmbientNetAdmin() {
    if (::syscall(SYS_capget, &header_, before_) != 0) return;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_ADMIN, 0, 0) == 1) return;
    __user_cap_data_struct wanted[2] = {before_[0], before_[1]};
    wanted[0].inheritable |= 1u << CAP_NET_ADMIN;
    raised_ = ::syscall(SYS_capset, &header_, wanted) == 0 &&
              ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0;
  }
  AmbientNetAdmin(const AmbientNetAdmin&) = delete;
  AmbientNetAdmin& operator=(const AmbientNetAdmin&) = delete;
  ~AmbientNetAdmin() {
    if (!raised_) return;
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_NET_ADMIN, 0, 0);
    ::syscall(SYS_capset, &header_, before_);
  }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};  // 0: the calling thread
  __user_cap_data_struct before_[2]{};
  bool raised_ = false;
};

class SpawnSetup {
 public:
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    // A session of its own: no terminal's signals.
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  void give(const Fd& fd, int as) { ::posix_spawn_file_actions_adddup2(&actions_, fd.get(), as); }
  int spawn(const std::string& program, pid_t& ret_child) {
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, kGuardProcess + 1);
    std::string name = "landfall-nic-guard";
    char* const arguments[] = {name.data(), nullptr};
    char* const environment[] = {nullptr};
    const AmbientNetAdmin ambient;
    return ::posix_spawn(&ret_child, program.c_str(), &actions_, &attributes_, arguments,
                         environment);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::string folder_of_this_library() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&find_guard_program), &info) == 0) return {};
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

std::string find_guard_program() {
  // Beside the library in a build folder; where the installation has it; and for programs of the
  // tests, which have no library.
  const std::string folder = folder_of_this_library();
  for (const std::string& path :
       {folder + "/landfall-nic-guard", folder + "/" + LANDFALL_GUARD_FROM_LIBRARY,
        std::string{LANDFALL_GUARD_OF_TESTS}})
    if (!path.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  return {};
}

Result<Guard> Guard::start(const std::string& program, int rule_socket) {
  const std::string path = program.empty() ? find_guard_program() : program;
  if (path.empty()) return failed("posix_spawn", ENOENT, "landfall-nic-guard is not installed");
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return out_of_fds("socketpair");
  Fd ours{ends[0]};
  const Fd theirs{ends[1]};
  // glibc 2.36 declares pidfd_open() as a function of C++.
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))};
  if (!process) return out_of_fds("pidfd_open");
  LANDFALL_TRY(const Fd control, aside(theirs.get()));
  LANDFALL_TRY(const Fd rules, aside(rule_socket));
  LANDFALL_TRY(const Fd watched, aside(process.get()));

  SpawnSetup setup;
  setup.give(control, kGuardControl);
  setup.give(rules, kGuardRuleSocket);
  setup.give(watched, kGuardProcess);
  pid_t child = -1;
  if (const int number = setup.spawn(path, child))
    return failed("posix_spawn", number, path + " could not be run");
  // It goes on in a child of its own; where the application reaps for itself there is no status.
  int status = 0;
  pid_t reaped = -1;
  while ((reaped = ::waitpid(child, &status, 0)) < 0 && errno == EINTR) {
  }
  if (reaped == child && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
    return failed("posix_spawn", 0, path + " ended at once");
  return Guard{std::move(ours)};
}

Result<void> Guard::tell(const GuardMessage& message) {
  const ssize_t sent = ::send(control_.get(), &message, sizeof message, MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(sizeof message)) return {};
  return Error{Errc::device_lost, "send", ReasonCode::steering_guard_failed, Origin::os, errno}
      .with("the helper that removes rules after a crash has gone");
}

}  // namespace landfall::nic
