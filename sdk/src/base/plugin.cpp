// SPDX-License-Identifier: Apache-2.0
#include "base/plugin.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"
#include "landfall/base/limits.hpp"

namespace landfall::detail {
namespace {

constexpr const char* kOp = "Context::load";

struct Report {  // what the trial says, through a pipe: smaller than PIPE_BUF, so it comes whole
  landfall_errc code = LANDFALL_ERRC_ok;
  landfall_why why{};
};
static_assert(sizeof(Report) <= PIPE_BUF);

struct Loaded {
  std::array<const landfall_backend*, kBackendsMax> backends{};
  std::size_t count = 0;
};

landfall_errc refuse(landfall_why* why, landfall_errc code, std::uint32_t reason,
                     const char* text) {
  return authoring::refuse(why, code, reason, LANDFALL_ORIGIN_LANDFALL, 0, "%s", text);
}

// Loads the library and asks it for its descriptors; in the trial and then in earnest. The library
// is never unloaded, also where it is refused: unloading runs more of its code.
landfall_errc open_library(const char* path, Loaded* ret_loaded, landfall_why* reterr_why) {
  void* library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* text = ::dlerror();
    return refuse(reterr_why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_plugin_not_found,
                  text == nullptr ? "" : text);
  }
  void* symbol = ::dlsym(library, LANDFALL_BACKEND_QUERY_SYMBOL);
  if (symbol == nullptr)
    return refuse(reterr_why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_plugin_symbol_missing,
                  "");
  const auto query = reinterpret_cast<landfall_backend_query_fn>(symbol);
  for (std::uint32_t index = 0;; ++index) {
    const landfall_backend* backend = query(LANDFALL_ABI_MAJOR, index);
    if (backend == nullptr) break;
    if (index == kBackendsMax)
      return refuse(reterr_why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_plugin_malformed,
                    "the list of its backends does not end");
    if (const auto code = check_descriptor(backend, reterr_why); code != LANDFALL_ERRC_ok)
      return code;
    ret_loaded->backends[ret_loaded->count++] = backend;
  }
  if (ret_loaded->count == 0)
    return authoring::refuse(reterr_why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_plugin_abi_mismatch, LANDFALL_ORIGIN_LANDFALL, 0,
                             "it offers no backend for ABI %u", LANDFALL_ABI_MAJOR);
  return LANDFALL_ERRC_ok;
}

// Runs in the forked child, where other threads' locks may be held for ever: nothing here takes one
// of landfall's. glibc resets its own allocator's and loader's locks in fork(3). noexcept: what a
// constructor of the plug-in's throws comes out of dlopen(3), and must end here and not run on as a
// copy of the caller.
[[noreturn]] void trial_child(const char* path, int report_fd) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  // The application's handlers must not run on the plug-in's crash.
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS})
    ::signal(signal_number, SIG_DFL);
  if (const int null = ::open("/dev/null", O_RDWR); null >= 0)
    for (int fd = 0; fd <= 2; ++fd)
      if (fd != report_fd) ::dup2(null, fd);
  Report report;
  report.why.struct_size = sizeof report.why;
  Loaded loaded;
  report.code = open_library(path, &loaded, &report.why);
  const ssize_t written = ::write(report_fd, &report, sizeof report);
  ::_exit(written == static_cast<ssize_t>(sizeof report) ? 0 : 1);
}

class Child {
 public:
  explicit Child(pid_t pid) noexcept
      : pid_{pid}, pidfd_{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))} {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  int pidfd() const noexcept { return pidfd_.get(); }  // -1: this kernel has none

  /// Kills it if it still runs, and says how it ended; -1 where the application reaps children
  /// itself and was first.
  int end() noexcept {
    if (pid_ < 0) return -1;
    if (pidfd_)
      ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    else
      ::kill(pid_, SIGKILL);
    int status = 0;
    pid_t reaped = 0;
    do reaped = ::waitpid(pid_, &status, 0);
    while (reaped < 0 && errno == EINTR);
    pid_ = -1;
    return reaped < 0 ? -1 : status;
  }

 private:
  pid_t pid_;
  Fd pidfd_;
};

Error crashed(int status) {
  std::string how = "ended without an answer while it was tried in a helper process";
  if (status >= 0 && WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    how = "was killed by SIG" + std::string{name == nullptr ? "?" : name} +
          " while it was tried in a helper process";
  } else if (status >= 0 && WIFEXITED(status)) {
    how =
        "ended the helper process that tried it with status " + std::to_string(WEXITSTATUS(status));
  }
  return Error{Errc::invalid_argument, kOp, ReasonCode::plugin_crashed}.with("the plug-in " + how);
}

Result<void> wait_for_report(ContextCore& core, Child& child, int report_fd, Report* report) {
  const std::uint64_t deadline_ns = core.now_ns() + std::uint64_t{kPluginTrialMs} * 1'000'000u;
  std::array<pollfd, 2> waits = {pollfd{report_fd, POLLIN, 0},
                                 pollfd{child.pidfd(), POLLIN, 0}};  // poll(2) skips -1
  while (true) {
    const std::uint64_t now_ns = core.now_ns();
    const int left_ms =
        now_ns >= deadline_ns ? 0 : static_cast<int>((deadline_ns - now_ns) / 1'000'000u) + 1;
    const int ready = ::poll(waits.data(), waits.size(), left_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return os_error("poll");
    if (ready == 0)
      return Error{Errc::timed_out, kOp, ReasonCode::plugin_hangs}.with(
          "the plug-in did not answer within " + std::to_string(kPluginTrialMs) +
          " ms while it was tried in a helper process");
    const ssize_t got = ::read(report_fd, report, sizeof *report);  // O_NONBLOCK
    if (got == static_cast<ssize_t>(sizeof *report)) return {};
    // A dying process closes its pipe first. It must not be killed now, or its own end is lost.
    const bool ended = child.pidfd() < 0 || waits[1].revents != 0;
    if (ended) return crashed(child.end());
    waits[0].fd = -1;
  }
}

Result<void> try_in_child(ContextCore& core, const char* path) {
  if (const int number = core.fault("pipe2"); number != 0)
    return os_error("pipe2", ReasonCode::none, number);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    return os_error("pipe2", errno == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none);
  const Fd report_from{ends[0]};
  Fd report_to{ends[1]};
  if (const int number = core.fault("fork"); number != 0)
    return os_error("fork", ReasonCode::none, number);
  const pid_t pid = ::fork();
  if (pid < 0) return os_error("fork");
  if (pid == 0) trial_child(path, report_to.get());
  Child child{pid};
  report_to.reset();
  Report report;
  LANDFALL_CHECK(wait_for_report(core, child, report_from.get(), &report));
  if (report.code != LANDFALL_ERRC_ok) return backend_error(kOp, report.code, report.why);
  return {};
}

// Does this process have a privilege that someone who may write the plug-in could borrow? Any
// effective capability counts; root without one is nobody special.
bool privileged() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, data) != 0) return true;
  return data[0].effective != 0 || data[1].effective != 0;
}

bool others_may_write(const struct stat& status) noexcept {
  const bool foreign = status.st_uid != 0 && status.st_uid != ::geteuid();
  const bool writable = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  // In a sticky folder others may add files but not replace this one.
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  return foreign || (writable && !sticky);
}

// The file's real path, if it is a plain file that only this user and root may change.
Result<std::string> safe_path(ContextCore& core, const std::string& path) {
  if (const int number = core.fault("realpath"); number != 0)
    return os_error("realpath", ReasonCode::plugin_not_found, number);
  char real[PATH_MAX];
  if (::realpath(path.c_str(), real) == nullptr)
    return os_error("realpath", ReasonCode::plugin_not_found).with(path + " cannot be opened");
  const std::string file{real};
  const std::string folder = file.substr(0, std::max<std::size_t>(file.rfind('/'), 1));
  struct stat file_status {};
  struct stat folder_status {};
  if (::stat(file.c_str(), &file_status) != 0 || ::stat(folder.c_str(), &folder_status) != 0)
    return os_error("stat", ReasonCode::plugin_not_found);
  if (!S_ISREG(file_status.st_mode))
    return Error{Errc::invalid_argument, kOp, ReasonCode::plugin_not_found}.with(
        file + " is not a plain file");
  if (privileged() && (others_may_write(file_status) || others_may_write(folder_status))) {
    const std::string& culprit = others_may_write(file_status) ? file : folder;
    return Error{Errc::permission_denied, kOp, ReasonCode::plugin_path_unsafe}.with(
        "others may write " + culprit + ", and this process has privileges",
        "chmod go-w " + culprit + ", and let its owner be root or this user");
  }
  return file;
}

Result<void> load_and_add(ContextCore& core, const std::string& file) {
  if (const int number = core.fault("dlopen"); number != 0)
    return os_error("dlopen", ReasonCode::plugin_not_found, number);
  Loaded loaded;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const auto code = open_library(file.c_str(), &loaded, &why); code != LANDFALL_ERRC_ok)
    return backend_error(kOp, code, why);
  return core.add(std::span{loaded.backends}.first(loaded.count), false, file);
}

/// The folder of the file that has this code: the library's, or that of a program which has it
/// linked in.
std::string own_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&load_installed), &info) == 0) return {};
  const std::string file = info.dli_fname;
  const std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

}  // namespace

Result<void> load_plugin(ContextCore& core, const std::string& path) {
  LANDFALL_TRY(const std::string file, safe_path(core, path));
  LANDFALL_CHECK(try_in_child(core, file.c_str()));
  return load_and_add(core, file);
}

void load_installed(ContextCore& core) {
  std::error_code none;
  const std::filesystem::path folder =
      own_folder() + "/landfall/backends-" + std::to_string(LANDFALL_ABI_MAJOR);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator{folder, none})
    if (entry.path().extension() == ".so") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::string& path : files) {
    Result<std::string> file = safe_path(core, path);
    const Result<void> loaded = file ? load_and_add(core, *file) : Result<void>{file.error()};
    if (!loaded) core.event(reason_from(loaded.error()));
  }
}

}  // namespace landfall::detail
