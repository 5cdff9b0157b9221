// SPDX-License-Identifier: Apache-2.0
#include "uring/ring.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace landfall::uring {
namespace {

constexpr std::uint32_t kFeatures = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

bool switched_off_by_sysctl() {
  std::ifstream file{"/proc/sys/kernel/io_uring_disabled"};
  int level = 0;
  return file >> level && level != 0;
}

landfall_errc refuse_setup(landfall_why* why, int number) {
  switch (number) {
    case ENOSYS:
      return authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_io_uring_missing,
                               LANDFALL_ORIGIN_OS, number, "io_uring_setup: ENOSYS");
    case EPERM:
    case EACCES:
      if (switched_off_by_sysctl()) {
        return authoring::refuse(why, LANDFALL_ERRC_permission_denied,
                                 LANDFALL_REASON_io_uring_disabled, LANDFALL_ORIGIN_OS, number,
                                 "io_uring_setup: the sysctl kernel.io_uring_disabled is on");
      }
      return authoring::refuse(why, LANDFALL_ERRC_permission_denied,
                               LANDFALL_REASON_io_uring_missing, LANDFALL_ORIGIN_OS, number,
                               "io_uring_setup: refused, as seccomp filters do");
    case EINVAL:
      return authoring::refuse(why, LANDFALL_ERRC_not_supported,
                               LANDFALL_REASON_io_uring_feature_missing, LANDFALL_ORIGIN_OS, number,
                               "io_uring_setup: no SINGLE_ISSUER and DEFER_TASKRUN");
    case ENOMEM:
      return authoring::refuse(why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_memlock_limit,
                               LANDFALL_ORIGIN_OS, number, "io_uring_setup: ENOMEM");
    case EMFILE:
    case ENFILE:
      return authoring::refuse_os(why, "io_uring_setup", LANDFALL_REASON_nofile_limit, number);
    default:
      return authoring::refuse_os(why, "io_uring_setup", LANDFALL_REASON_io_uring_missing, number);
  }
}

}  // namespace

landfall_errc Ring::refuse_register(landfall_why* why, const char* what, int number) {
  const std::uint32_t reason = number == ENOMEM   ? LANDFALL_REASON_memlock_limit
                               : number == EPERM  ? LANDFALL_REASON_io_uring_missing
                               : number == EINVAL ? LANDFALL_REASON_io_uring_feature_missing
                                                  : LANDFALL_REASON_none;
  return authoring::refuse_os(why, what, reason, number);
}

__kernel_timespec timespec_of(std::uint64_t ns) {
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  const std::uint64_t limit = std::min(ns, kHour);
  __kernel_timespec time{};
  time.tv_sec = static_cast<std::int64_t>(limit / 1'000'000'000);
  time.tv_nsec = static_cast<long long>(limit % 1'000'000'000);
  return time;
}

landfall_errc Ring::open(const landfall_host* host, std::uint32_t entries,
                         std::uint32_t completions, std::uint32_t flags, landfall_why* why) {
  host_ = host;
  io_uring_params params{};
  // TASKRUN_FLAG: poll() sees without a system call whether there is anything to enter for.
  params.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = completions;
  int number = fault("io_uring_setup");
  if (number == 0) number = -io_uring_queue_init_params(entries, &ring_, &params);
  if (number != 0) return refuse_setup(why, number);
  open_ = true;
  landfall_errc code = LANDFALL_ERRC_ok;
  if ((params.features & kFeatures) != kFeatures) {
    code = authoring::refuse(why, LANDFALL_ERRC_not_supported,
                             LANDFALL_REASON_io_uring_feature_missing, LANDFALL_ORIGIN_LANDFALL, 0,
                             "io_uring here has the features %#x", params.features);
  }
  io_uring_ring_dontfork(&ring_);
  if (code == LANDFALL_ERRC_ok) code = register_witness(why);
  if (code != LANDFALL_ERRC_ok) close();
  return code;
}

landfall_errc Ring::register_witness(landfall_why* why) {
  int ends[2] = {-1, -1};
  int number = fault("pipe2");
  if (number == 0 && ::pipe2(ends, O_CLOEXEC) != 0) number = errno;
  if (number != 0) {
    return authoring::refuse_os(why, "pipe2", LANDFALL_REASON_nofile_limit, number);
  }
  witness_.reset(ends[0]);
  const Fd write_end{ends[1]};
  number = fault("io_uring_register");
  if (number == 0) number = -io_uring_register_files(&ring_, ends + 1, 1);
  return number == 0 ? LANDFALL_ERRC_ok : refuse_register(why, "IORING_REGISTER_FILES", number);
}

int Ring::register_raw(unsigned operation, void* argument, unsigned count) noexcept {
  if (const int number = fault("io_uring_register"); number != 0) return -number;
  const long code = ::syscall(__NR_io_uring_register, ring_.ring_fd, operation, argument, count);
  return code < 0 ? -errno : static_cast<int>(code);
}

int Ring::enable() noexcept {
  // liburing 2.3 declares io_uring_enable_rings() and does not export it.
  return register_raw(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

io_uring_sqe* Ring::request() noexcept {
  if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_); sqe != nullptr) return sqe;
  if (fault("io_uring_enter") != 0 || io_uring_submit(&ring_) < 0) return nullptr;
  return io_uring_get_sqe(&ring_);
}

int Ring::enter() noexcept {
  if (const int number = fault("io_uring_enter"); number != 0) return -number;
  return io_uring_submit_and_get_events(&ring_);
}

int Ring::enter_and_wait(unsigned count, std::uint64_t timeout_ns) noexcept {
  if (const int number = fault("io_uring_enter"); number != 0) return -number;
  // Without an end no timer is set: that alone costs microseconds in a virtual machine.
  if (timeout_ns == UINT64_MAX) return io_uring_submit_and_wait(&ring_, count);
  __kernel_timespec time = timespec_of(timeout_ns);
  io_uring_cqe* first = nullptr;
  return io_uring_submit_and_wait_timeout(&ring_, &first, count, &time, nullptr);
}

int Ring::enter_and_gather(unsigned count, std::uint32_t gather_us,
                           std::uint64_t timeout_ns) noexcept {
  if (const int number = fault("io_uring_enter"); number != 0) return -number;
  // liburing 2.3 knows no such wait, and does not tell how it shows requests to the kernel.
  io_uring_sq& requests = ring_.sq;
  const unsigned tail = requests.sqe_tail;
  if (requests.sqe_head != tail) {
    requests.sqe_head = tail;
    io_uring_smp_store_release(requests.ktail, tail);
  }
  const __kernel_timespec time = timespec_of(timeout_ns);
  io_uring_getevents_arg argument{};
  argument.pad = gather_us;  // min_wait_usec
  if (timeout_ns != UINT64_MAX) argument.ts = reinterpret_cast<std::uint64_t>(&time);
  const long code = ::syscall(
      __NR_io_uring_enter, ring_.ring_fd, tail - io_uring_smp_load_acquire(requests.khead), count,
      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  return code < 0 ? -errno : static_cast<int>(code);
}

bool Ring::completion_waits(std::uint64_t user_data) noexcept {
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (cqe->user_data == user_data) return true;
  }
  return false;
}

int Ring::wait_fd() noexcept {
  if (event_fd_ || no_event_fd_) return event_fd_.get();
  Fd event_fd{fault("eventfd") != 0 ? -1 : ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (event_fd && fault("io_uring_register") == 0 &&
      io_uring_register_eventfd(&ring_, event_fd.get()) == 0) {
    event_fd_ = std::move(event_fd);
  } else {
    no_event_fd_ = true;
  }
  return event_fd_.get();
}

bool Ring::arm_wait_fd() noexcept {
  if (!event_fd_) return !no_event_fd_;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t drained = ::read(event_fd_.get(), &count, sizeof count);
  return true;
}

void Ring::close() noexcept {
  if (!open_) return;
  open_ = false;
  io_uring_queue_exit(&ring_);
}

void Ring::wait_until_gone() noexcept {
  pollfd hang_up{.fd = witness_.get(), .events = 0, .revents = 0};
  while (hang_up.fd >= 0 && ::poll(&hang_up, 1, 1000) < 0 && errno == EINTR) {
  }
}

}  // namespace landfall::uring
