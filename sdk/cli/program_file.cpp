// SPDX-License-Identifier: Apache-2.0
#include "program_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "console.hpp"
#include "serial_writer.hpp"

namespace landfall::cli {
namespace {

class ProgramFile final : public PartFile {
 public:
  ProgramFile(Fd input, pid_t process, std::string shown, int stop_fd)
      : input_{std::move(input)},
        process_{process},
        shown_{std::move(shown)},
        stop_fd_{stop_fd},
        writer_{input_.get(), stop_fd} {}
  ~ProgramFile() override {
    if (process_ == 0) return;
    ::kill(process_, SIGTERM);
    input_.reset();
    (void)wait();
  }
  ProgramFile(const ProgramFile&) = delete;
  ProgramFile& operator=(const ProgramFile&) = delete;

  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const int number = writer_.write(offset, bytes);
    if (number == 0) return {};
    return failed(number == EPIPE ? "it ended before its input did" : std::strerror(number));
  }

  Result<void> finish(std::uint64_t size_bytes) override {
    LANDFALL_CHECK(write(size_bytes, {}));
    input_.reset();
    if (!ends()) return failed(std::strerror(ECANCELED));
    const int status = wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return failed(WIFEXITED(status) ? "it exited with " + std::to_string(WEXITSTATUS(status))
                                    : "it was ended by signal " + std::to_string(WTERMSIG(status)));
  }

 private:
  Error failed(const std::string& how) const {
    return Error{Errc::io, ""}.with("'" + shown_ + "': " + how);
  }
  /// Waits until the program has ended; false: stopped before.
  bool ends() const {
    const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, process_, 0))};
    if (!process) return true;  // it is waited for without
    std::array<pollfd, 2> fds{{{process.get(), POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
    }
    return fds[0].revents != 0;
  }
  int wait() {
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = 0;
    return status;
  }

  Fd input_;
  pid_t process_;
  std::string shown_;
  int stop_fd_;
  SerialWriter writer_;
};

}  // namespace

Result<std::unique_ptr<PartFile>> start_program(const std::string& program, const std::string& name,
                                                int stop_fd) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe2");
  const Fd output{ends[0]};
  Fd input{ends[1]};
  ::fcntl(input.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, output.get(), STDIN_FILENO);
  // As a shell would start it: recv holds some signals, and ignores one.
  sigset_t none, usual;
  ::sigemptyset(&none);
  ::sigemptyset(&usual);
  ::sigaddset(&usual, SIGPIPE);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string first = program, second = name;
  char* arguments[] = {first.data(), second.data(), nullptr};
  pid_t process = 0;
  const int number =
      ::posix_spawnp(&process, program.c_str(), &actions, &attributes, arguments, ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (number != 0)
    return Error{errc_from_errno(number), "", ReasonCode::none, Origin::os, number}.with(
        "cannot start '" + printable(program) + "': " + std::strerror(number));
  return std::unique_ptr<PartFile>{std::make_unique<ProgramFile>(
      std::move(input), process, printable(program + " " + name), stop_fd)};
}

}  // namespace landfall::cli
