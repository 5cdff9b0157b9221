// SPDX-License-Identifier: Apache-2.0
#include "program_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "console.hpp"

namespace landfall::cli {
namespace {

class ProgramFile final : public PartFile {
 public:
  ProgramFile(Fd input, pid_t process, std::string shown)
      : input_{std::move(input)}, process_{process}, shown_{std::move(shown)} {}
  ~ProgramFile() override {
    if (process_ == 0) return;
    ::kill(process_, SIGTERM);
    input_.reset();
    (void)wait();
  }
  ProgramFile(const ProgramFile&) = delete;
  ProgramFile& operator=(const ProgramFile&) = delete;

  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    static constexpr std::array<std::byte, 4096> kZeros{};
    while (at_ < offset) {
      const auto n = std::min<std::uint64_t>(offset - at_, kZeros.size());
      LANDFALL_CHECK(write_all(std::span{kZeros}.first(n)));
    }
    return write_all(bytes);
  }

  Result<void> finish(std::uint64_t size_bytes) override {
    LANDFALL_CHECK(write(size_bytes, {}));
    input_.reset();
    const int status = wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return failed(WIFEXITED(status) ? "it exited with " + std::to_string(WEXITSTATUS(status))
                                    : "it was ended by signal " + std::to_string(WTERMSIG(status)));
  }

 private:
  Error failed(const std::string& how) const {
    return Error{Errc::io, ""}.with("'" + shown_ + "': " + how);
  }
  Result<void> write_all(std::span<const std::byte> bytes) {
    at_ += bytes.size();
    while (!bytes.empty()) {
      const ssize_t n = ::write(input_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EPIPE) return failed("it ended before its input did");
      if (n < 0) return failed(std::strerror(errno));
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
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
  std::uint64_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<PartFile>> start_program(const std::string& program,
                                                const std::string& name) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe2");
  const Fd output{ends[0]};
  Fd input{ends[1]};
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
  return std::unique_ptr<PartFile>{
      std::make_unique<ProgramFile>(std::move(input), process, printable(program + " " + name))};
}

}  // namespace landfall::cli
