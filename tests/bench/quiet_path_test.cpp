// SPDX-License-Identifier: Apache-2.0
// What the polling thread must not do for a completion: allocate, lock, call the system.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <thread>

#include "landfall/landfall.hpp"
#include "models/null_transport.hpp"

namespace {
thread_local bool t_watched = false;
thread_local unsigned t_allocations = 0, t_locks = 0;
}  // namespace

// The program's own definitions come before the C library's, for every library in the process.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names for the real ones.
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
// NOLINTEND(bugprone-reserved-identifier)
void* malloc(std::size_t size) {
  t_allocations += t_watched;
  return __libc_malloc(size);
}
void* calloc(std::size_t nmemb, std::size_t size) {
  t_allocations += t_watched;
  return __libc_calloc(nmemb, size);
}
void* realloc(void* ptr, std::size_t size) {
  t_allocations += t_watched;
  return __libc_realloc(ptr, size);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static const auto real =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  t_locks += t_watched;
  return real(mutex);
}
}

namespace landfall {
namespace {

constexpr std::size_t kCompletions = 200'000;

/// A Receiver of the null transport with data without end.
struct Source {
  Source() : context{*Context::create()} {
    EXPECT_TRUE(context.add(&test::kNullTransport));
    Region region = *Region::allocate(context, {.size_bytes = 1 << 20});
    GroupOptions options;
    options.transports = {"null"};
    options.options = {"null.flows=3"};
    group.emplace(*Group::open(context, options, region));
    EXPECT_TRUE(group->listen({.host = "127.0.0.1", .port = 0}));
    receive(1000, [](Buffer) {});
  }
  template <class Drop>
  void receive(std::size_t completions, Drop&& drop) {
    std::array<Completion, 64> batch;
    for (std::size_t done = 0; done < completions;) {
      const Result<std::size_t> count = (*group)[0].poll(batch);
      if (!count) return ADD_FAILURE() << count.error().describe();
      for (std::size_t i = 0; i < *count; ++i) {
        if (batch[i].kind != Completion::Kind::data) continue;
        drop(std::move(batch[i].buffer));
        ++done;
      }
    }
  }
  Context context;
  std::optional<Group> group;
};

/// From here on any system call of this thread but exit_group kills the process.
bool forbid_system_calls() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(rules)), rules};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Runs `body` in a child process after `before`, without system calls; answers the wait status.
int in_child(const std::function<void(Source&)>& before, const std::function<int(Source&)>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    Source source;
    before(source);
    if (!forbid_system_calls()) ::_exit(99);
    ::syscall(SYS_exit_group, body(source));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

// Goal: the counters count and the filter kills, or the tests below show nothing.
TEST(QuietPath, TheWatchersSeeWhatTheyWatchFor) {
  t_allocations = t_locks = 0;
  t_watched = true;
  std::free(std::malloc(1));
  delete new std::atomic<int>;
  std::mutex mutex;
  mutex.lock();
  t_watched = false;
  mutex.unlock();
  EXPECT_GE(t_allocations, 1u);
  EXPECT_EQ(t_locks, 1u);
  const int status = in_child([](Source&) {}, [](Source&) { return ::getppid() == 0 ? 1 : 0; });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

// Goal: poll and release allocate nothing and take no lock.
TEST(QuietPath, NoAllocationAndNoLock) {
  Source source;
  t_allocations = t_locks = 0;
  t_watched = true;
  source.receive(kCompletions, [](Buffer) {});
  t_watched = false;
  EXPECT_EQ(t_allocations, 0u);
  EXPECT_EQ(t_locks, 0u);
}

// Goal: poll and release make no system call.
TEST(QuietPath, NoSystemCall) {
  const int status = in_child([](Source&) {},
                              [](Source& source) {
                                source.receive(kCompletions, [](Buffer) {});
                                return 0;
                              });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// Goal: nor does poll when the Buffers are dropped on another thread.
TEST(QuietPath, NoSystemCallWithReleaseOnAnotherThread) {
  static std::array<std::atomic<void*>, 64> ring;  // Buffers as handles; null: free
  const auto before = [](Source&) {
    std::thread{[] {
      for (std::size_t at = 0;; ++at) {
        void* handle = nullptr;
        while ((handle = ring[at % ring.size()].exchange(nullptr)) == nullptr) {
          std::this_thread::yield();
        }
        Buffer::from_handle(handle).reset();
      }
    }}.detach();
  };
  const auto body = [](Source& source) {
    std::size_t at = 0;
    source.receive(kCompletions / 40, [&](Buffer buffer) {
      std::atomic<void*>& place = ring[at++ % ring.size()];
      while (place.load() != nullptr) {
      }
      place.store(std::move(buffer).into_handle());
    });
    return 0;
  };
  const int status = in_child(before, body);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace landfall
