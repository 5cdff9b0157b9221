// SPDX-License-Identifier: Apache-2.0
// measure FILE COMMAND...: runs it and writes its CPU seconds (user + system, all its threads) to
// FILE when it ends, also when it is ended by a signal. Passes SIGTERM and SIGINT on.
// measure --free-port: prints a TCP port that nobody uses now.
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace {
pid_t g_child = 0;
void pass_on(int signal) {
  ::kill(g_child, signal);
}
double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}
int print_free_port() {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* address = reinterpret_cast<sockaddr*>(&at);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::bind(fd, address, size) != 0 || ::getsockname(fd, address, &size) != 0) return 1;
  std::printf("%u\n", ntohs(at.sin_port));
  return 0;
}
}  // namespace

int main(int count, char** values) {
  if (count == 2 && std::string_view{values[1]} == "--free-port") return print_free_port();
  if (count < 3) return 2;
  g_child = ::fork();
  if (g_child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execvp(values[2], values + 2);
    ::_exit(127);
  }
  ::signal(SIGTERM, pass_on);
  ::signal(SIGINT, pass_on);
  int status = 0;
  rusage used{};
  while (::wait4(g_child, &status, 0, &used) < 0) {
  }
  std::FILE* file = std::fopen(values[1], "w");
  if (file == nullptr) return 1;
  std::fprintf(file, "%.6f\n", seconds(used.ru_utime) + seconds(used.ru_stime));
  std::fclose(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
