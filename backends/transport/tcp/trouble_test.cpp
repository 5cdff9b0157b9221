// SPDX-License-Identifier: Apache-2.0
// Goal: where the kernel refuses - io_uring as a whole, or any single call - the transport says so
// with its reason, falls back where it may, and leaks nothing; and no byte is written after a stop.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <future>
#include <thread>

#include "landfall_test/census.hpp"
#include "tcp/mini_core.hpp"

namespace landfall::tcp::test {
namespace {

bool uring_works() {
  MiniCore core{{.options = "engine=io_uring\n"}};
  return core.open() == LANDFALL_ERRC_ok;
}

class Trouble : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string{GetParam()}.find("io_uring") != std::string::npos && !uring_works())
      GTEST_SKIP() << "io_uring is refused here";
  }
};

// ---- options and probe
// ---------------------------------------------------------------------------

landfall_errc probe(const char* options, landfall_needs* needs, landfall_why* why) {
  landfall_domain_spec spec{};
  spec.struct_size = sizeof spec;
  spec.dmabuf_fd = -1;
  spec.options = options;
  needs->struct_size = sizeof *needs;
  why->struct_size = sizeof *why;
  const auto& ops = *static_cast<const landfall_transport_ops*>(landfall_builtin_transport_tcp.ops);
  return ops.probe(&spec, needs, why);
}

TEST(TcpProbe, SaysWhatItNeedsWithoutMemory) {
  landfall_needs needs{};
  landfall_why why{};
  EXPECT_EQ(probe(nullptr, &needs, &why), LANDFALL_ERRC_ok);
  EXPECT_EQ(needs.flags,
            static_cast<std::uint32_t>(LANDFALL_NEED_HOST_VIEW | LANDFALL_TAKES_SOCKETS |
                                       LANDFALL_FLOW_ON_ANY_QUEUE));
  EXPECT_EQ(needs.best_placement, static_cast<std::uint32_t>(LANDFALL_COPIED));
  EXPECT_EQ(needs.copy_reason, static_cast<std::uint32_t>(LANDFALL_REASON_copied_by_kernel));
}

TEST(TcpProbe, RefusesOptionsThatItDoesNotKnow) {
  for (const char* text : {"engin=recv\n", "engine=fast\n", "engine\n", "ring=0\n", "ring=2000\n",
                           "bundles=maybe\n", "gather=30\n", "rcvbuf=many\n", "turn=\n", "=\n"}) {
    landfall_needs needs{};
    landfall_why why{};
    EXPECT_EQ(probe(text, &needs, &why), LANDFALL_ERRC_invalid_argument) << text;
    EXPECT_EQ(why.code, static_cast<std::uint32_t>(LANDFALL_REASON_option_not_understood));
  }
  for (const char* text :
       {"", "engine=recv",
        "engine=recv\nring=16\nbundles=off\ngather=off\nrcvbuf=1MiB\nturn=1KiB\n",
        "\n\nengine=auto\n"}) {
    landfall_needs needs{};
    landfall_why why{};
    EXPECT_EQ(probe(text, &needs, &why), LANDFALL_ERRC_ok) << text;
  }
}

/// The exit status of a child that does `body`.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// In a child whose seccomp filter answers io_uring_setup with `number`; its exit status.
int with_io_uring_refused(int number, const std::function<int()>& body) {
  return in_child([&] {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = 4, .filter = filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      return 77;
    }
    return body();
  });
}

TEST(TcpProbe, FallsBackAloudWhereASeccompFilterHidesIoUring) {
  for (const int number : {EPERM, ENOSYS}) {
    const int status = with_io_uring_refused(number, [] {
      MiniCore core{{}};
      if (core.open() != LANDFALL_ERRC_ok) return 1;
      if (core.events.size() != 1 || core.events[0].code != LANDFALL_REASON_io_uring_missing)
        return 2;
      Stream& stream = core.add();
      stream.to_send = 1u << 20;
      return core.run_until([&] { return stream.got == stream.to_send; }) ? 0 : 3;
    });
    if (status == 77) GTEST_SKIP() << "seccomp filters are not available";
    EXPECT_EQ(status, 0) << number;
  }
}

TEST(TcpProbe, RefusesTheForcedEngineWithItsReason) {
  for (const int number : {EPERM, ENOSYS}) {
    const int status = with_io_uring_refused(number, [number] {
      MiniCore core{{.options = "engine=io_uring\n"}};
      const landfall_errc code = core.open();
      if (code != (number == EPERM ? LANDFALL_ERRC_permission_denied : LANDFALL_ERRC_not_supported))
        return 1;
      return core.why.code == LANDFALL_REASON_io_uring_missing && core.why.native == number ? 0 : 2;
    });
    if (status == 77) GTEST_SKIP() << "seccomp filters are not available";
    EXPECT_EQ(status, 0) << number;
  }
}

/// What engine=io_uring is refused with where every call of `site` fails with `number`.
landfall_why refused_by(std::string_view site, int number) {
  MiniCore::Setup setup{.options = "engine=io_uring\n"};
  setup.fault = [=](const char* asked) { return asked == site ? number : 0; };
  MiniCore core{setup};
  EXPECT_NE(core.open(), LANDFALL_ERRC_ok) << site << " " << number;
  return core.why;
}

TEST(TcpProbe, NamesWhatIoUringLacks) {
  if (!uring_works()) GTEST_SKIP() << "io_uring is refused here";
  const struct {
    const char* site;
    int number;
    std::uint32_t reason;
  } cases[] = {
      {"io_uring_setup", ENOMEM, LANDFALL_REASON_memlock_limit},
      {"io_uring_setup", EMFILE, LANDFALL_REASON_nofile_limit},
      {"io_uring_setup", EINVAL, LANDFALL_REASON_io_uring_feature_missing},
      {"io_uring_register", ENOMEM, LANDFALL_REASON_memlock_limit},
      {"io_uring_register", EINVAL, LANDFALL_REASON_io_uring_feature_missing},
      {"io_uring_register", EPERM, LANDFALL_REASON_io_uring_missing},
      {"mmap", ENOMEM, LANDFALL_REASON_out_of_memory},
      {"pipe2", EMFILE, LANDFALL_REASON_nofile_limit},
  };
  for (const auto& one : cases) {
    const landfall_why why = refused_by(one.site, one.number);
    EXPECT_EQ(why.code, one.reason) << one.site << " " << one.number << ": " << why.text;
    EXPECT_EQ(why.native, one.number) << one.site;
    // engine=auto says the same, and receives.
    MiniCore::Setup setup;
    setup.fault = [&](const char* asked) {
      return std::string_view{asked} == one.site ? one.number : 0;
    };
    MiniCore core{setup};
    ASSERT_EQ(core.open(), LANDFALL_ERRC_ok) << one.site << " " << core.why.text;
    ASSERT_EQ(core.events.size(), 1u) << one.site;
    EXPECT_EQ(core.events[0].code, one.reason) << one.site;
  }
}

/// In mounts of its own, makes the sysctl read as 2: the machine's stays as it is.
bool show_io_uring_switched_off() {
  char path[] = "/tmp/landfall_sysctl_XXXXXX";
  const Fd file{::mkostemp(path, O_CLOEXEC)};
  const bool shown =
      file && ::write(file.get(), "2\n", 2) == 2 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
      ::mount(path, "/proc/sys/kernel/io_uring_disabled", nullptr, MS_BIND, nullptr) == 0;
  ::unlink(path);
  return shown;
}

TEST(TcpProbe, NamesTheSysctlThatSwitchesIoUringOff) {
  if (::access("/proc/sys/kernel/io_uring_disabled", F_OK) != 0)
    GTEST_SKIP() << "the sysctl kernel.io_uring_disabled: Linux 6.6";
  const int status = in_child([] {
    if (!show_io_uring_switched_off()) return 77;
    const landfall_why why = refused_by("io_uring_setup", EPERM);
    if (why.code == LANDFALL_REASON_io_uring_disabled) return 0;
    std::fprintf(stderr, "%s\n", why.text);
    return 1;
  });
  if (status == 77) GTEST_SKIP() << "user and mount namespaces";
  EXPECT_EQ(status, 0);
}

// ---- single calls that fail
// ----------------------------------------------------------------------

/// A life: open, attach, receive, a post, close. Each step may fail; what matters is that the next
/// one is told, and that nothing stays behind.
void live(MiniCore& core) {
  if (core.open() != LANDFALL_ERRC_ok) {
    EXPECT_NE(core.why.code, 0u);
    return;
  }
  for (const bool demand : {false, true}) {
    auto [ours, peer] = tcp_pair();
    core.streams.push_back(std::make_unique<Stream>());
    Stream& stream = *core.streams.back();
    stream.seed = core.streams.size();
    stream.peer = std::move(peer);
    if (core.attach(stream, ours.get(), demand) != LANDFALL_ERRC_ok) {
      stream.closed = 1;  // the socket stayed ours
      continue;
    }
    ours.release();
    stream.to_send = 400'000;
    stream.finish = true;
    if (demand) core.post(stream, 300'000);
    EXPECT_TRUE(core.run_until([&] {
      return stream.failures + stream.ends == 1 ||
             (demand && !stream.posted.empty() && stream.posted[0] == 300'000);
    }));
    if (stream.failures == 0 && !demand) {
      EXPECT_EQ(stream.got, 400'000u);
    }
    core.ops().flow_close(core.queue(), stream.flow, 0);
    EXPECT_TRUE(core.run_until([&] { return stream.closed == 1; }));
  }
}

TEST_P(Trouble, EachCallThatFailsIsToldAndLeaksNothing) {
  bool hit = true;
  for (int call = 0; hit && call < 2000; ++call) {
    SCOPED_TRACE(call);
    hit = false;
    int left = call;
    landfall::test::FdCensus fds;
    {
      MiniCore::Setup setup;
      setup.options = GetParam();
      setup.use_wait_fd = call % 2 == 1;
      setup.fault = [&](const char*) {
        if (left-- != 0) return 0;
        hit = true;
        return ENOMEM;
      };
      MiniCore core{setup};
      live(core);
      core.shut();
      for (auto& stream : core.streams) stream->peer.reset();
    }
    ASSERT_EQ(fds.leaked(), 0);
    if (HasFailure()) return;
  }
  EXPECT_FALSE(hit);
}

// Even where the ring can never be entered again the end is clean.
TEST_P(Trouble, ClosesWhereNoCallWorksAnyMore) {
  landfall::test::FdCensus fds;
  {
    bool broken = false;
    MiniCore::Setup setup;
    setup.options = GetParam();
    setup.fault = [&](const char*) { return broken ? EIO : 0; };
    MiniCore core{setup};
    ASSERT_EQ(core.open(), LANDFALL_ERRC_ok);
    core.add().to_send = 100'000;
    Stream& posted = core.add(true);
    core.post(posted, 1u << 20);
    EXPECT_TRUE(core.run_until([&] { return core.streams[0]->got == 100'000; }));
    broken = true;
    core.ops().flow_close(core.queue(), core.streams[0]->flow, 0);
    core.poll_once();
    core.shut();
    for (auto& stream : core.streams) stream->peer.reset();
  }
  EXPECT_EQ(fds.leaked(), 0);
}

// ---- stop
// ----------------------------------------------------------------------------------------

// The poller's thread lives and does nothing; another thread stops the queue.
TEST_P(Trouble, NothingIsWrittenAfterAStopOnAnotherThread) {
  MiniCore core{{.options = GetParam()}};
  ASSERT_EQ(core.open(), LANDFALL_ERRC_ok);
  std::promise<void> polled, over;
  std::thread poller{[&] {
    core.add().to_send = 3000;
    core.streams[0]->keep = true;
    core.post(core.add(true), 1u << 20);
    core.run_until([&] { return core.streams[0]->got == 3000; });
    for (int i = 0; i < 5; ++i) core.poll_once();
    polled.set_value();
    over.get_future().wait();
  }};
  polled.get_future().wait();
  core.stop();
  Stream& stream = *core.streams[0];
  Stream& demand = *core.streams[1];
  auto* target = static_cast<std::uint8_t*>(demand.targets[0].host);
  std::memset(target, 0xee, 1u << 20);
  for (Stream* each : {&stream, &demand}) {
    each->to_send += 500'000;
    core.step(*each);
  }
  for (int i = 0; i < 500'000; ++i) ASSERT_EQ(target[i], 0xee);
  for (const auto& record : stream.held) EXPECT_TRUE(core.intact(stream, record));
  core.shut();
  over.set_value();
  poller.join();
}

// ---- the rest of the contract
// --------------------------------------------------------------------

TEST_P(Trouble, WaitSeesTheControlDescriptorAsLongAsItIsReadable) {
  MiniCore core{{.options = GetParam()}};
  ASSERT_EQ(core.open(), LANDFALL_ERRC_ok);
  const Fd control{::epoll_create1(EPOLL_CLOEXEC)};
  const Fd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  epoll_event interest{};
  interest.events = EPOLLIN;
  ::epoll_ctl(control.get(), EPOLL_CTL_ADD, event.get(), &interest);
  std::int32_t seen = 7;
  core.poll_once();
  EXPECT_EQ(core.ops().wait(core.queue(), control.get(), 1'000'000, &seen), LANDFALL_ERRC_ok);
  EXPECT_EQ(seen, 0);
  std::uint64_t one = 1;
  ASSERT_EQ(::write(event.get(), &one, sizeof one), 8);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(core.ops().wait(core.queue(), control.get(), 10'000'000'000, &seen),
              LANDFALL_ERRC_ok);
    EXPECT_EQ(seen, 1);
    core.poll_once();
  }
  ASSERT_EQ(::read(event.get(), &one, sizeof one), 8);
  core.ops().wait(core.queue(), control.get(), 1'000'000, &seen);
  core.poll_once();
  EXPECT_EQ(core.ops().wait(core.queue(), control.get(), 1'000'000, &seen), LANDFALL_ERRC_ok);
  EXPECT_EQ(seen, 0);
}

TEST_P(Trouble, ServesNonBlockingSocketsAndGivesThemBackAsTheyWere) {
  MiniCore core{{.options = GetParam()}};
  ASSERT_EQ(core.open(), LANDFALL_ERRC_ok);
  auto [ours, peer] = tcp_pair();
  ::fcntl(ours.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  core.streams.push_back(std::make_unique<Stream>());
  Stream& stream = *core.streams.back();
  stream.seed = 1;
  stream.peer = std::move(peer);
  ASSERT_EQ(core.attach(stream, ours.release(), false), LANDFALL_ERRC_ok);
  core.poll_once();
  core.sleep_once(std::chrono::milliseconds{5});
  stream.to_send = 1u << 20;
  EXPECT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  std::int32_t fd = -1;
  ASSERT_EQ(core.ops().detach(core.queue(), stream.flow, &fd, &core.why), LANDFALL_ERRC_ok);
  const Fd socket{fd};
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, Trouble, ::testing::Values("engine=recv\n", "engine=io_uring\n"),
                         [](const auto& way) {
                           return std::string{way.param}.find("io_uring") != std::string::npos
                                      ? "io_uring"
                                      : "recv";
                         });

}  // namespace
}  // namespace landfall::tcp::test
