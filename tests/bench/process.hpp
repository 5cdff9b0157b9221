// SPDX-License-Identifier: Apache-2.0
// Child processes of the runner: their lines come over a pipe, and they end with it.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

namespace bench {

class Process {
 public:
  explicit Process(const std::vector<std::string>& command) {
    int out[2], in[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(in, O_CLOEXEC) != 0) return;
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setpgid(0, 0);
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    ::close(out[1]);
    ::close(in[0]);
    out_ = out[0];
    in_ = in[1];
  }
  ~Process() {
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);  // what it started too
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (out_ >= 0) ::close(out_);
    if (in_ >= 0) ::close(in_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// The next line; none at its end, or when nothing came for `seconds`.
  std::optional<std::string> line(int seconds) {
    for (;;) {
      if (const auto end = read_.find('\n'); end != std::string::npos) {
        std::string found = read_.substr(0, end);
        read_.erase(0, end + 1);
        return found;
      }
      pollfd readable{.fd = out_, .events = POLLIN, .revents = 0};
      char buffer[4096];
      if (::poll(&readable, 1, seconds * 1000) <= 0) return std::nullopt;
      const ssize_t got = ::read(out_, buffer, sizeof buffer);
      if (got <= 0) return std::nullopt;
      read_.append(buffer, static_cast<std::size_t>(got));
    }
  }
  /// The first line that begins with `word`.
  std::optional<std::string> line_with(const std::string& word, int seconds) {
    for (;;) {
      std::optional<std::string> next = line(seconds);
      if (!next || next->compare(0, word.size(), word) == 0) return next;
    }
  }
  void send_line() { [[maybe_unused]] const ssize_t written = ::write(in_, "\n", 1); }
  /// Its exit status.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1, in_ = -1;
  std::string read_;
};

}  // namespace bench
