// SPDX-License-Identifier: Apache-2.0
// Goal: whatever a kernel answers to sending without copying, the Sender tells it truly and by
// name. The kernel is the test; what is sent goes through real sockets.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <deque>

#include "landfall/base/limits.hpp"
#include "nic/sim_nic.hpp"
#include "transport/grant.hpp"
#include "transport/send_group_core.hpp"
#include "transport/sender_rig_test.hpp"

namespace landfall {
namespace {

using detail::SendKernel;
using detail::SendNotice;
using test::Peer;
using test::seconds;
using test::tcp_pair;

/// Sends the bytes by copying and keeps the calls until the test is through with them.
class FakeKernel {
 public:
  explicit FakeKernel(const Memory& memory) : memory_{test::bytes_of(memory.abi())} {
    current_ = this;
    detail::send_kernel = &table_;
  }
  ~FakeKernel() {
    detail::send_kernel = &detail::kRealSendKernel;
    current_ = nullptr;
  }

  std::deque<int> refusals;  // errno of the next calls that send without copying; 0: goes
  std::size_t calls_max = ~std::size_t{0};  // out at a time, else ENOBUFS
  std::uint64_t taken_max = ~0ull;          // bytes of one call
  int hold_refusal = 0;
  std::uint32_t calls = 0, dmabuf_id = 0;
  std::uint64_t plain_calls = 0, trials = 0, asked_most = 0;
  int plain_flags = 0;  // of the last call that copies
  std::deque<SendNotice> notices;

  void complete(std::uint32_t first, std::uint32_t last, bool copied = false) {
    notices.push_back({first, last, copied});
    out -= last - first + 1;
  }
  void complete_all(bool copied = false) {
    if (out != 0) complete(calls - static_cast<std::uint32_t>(out), calls - 1, copied);
  }
  std::size_t out = 0;

 private:
  ssize_t send(int fd, iovec* pieces, std::size_t count, std::uint32_t id, int flags) {
    if ((flags & MSG_ZEROCOPY) == 0) {
      ++plain_calls;
      plain_flags = flags;
      return detail::kRealSendKernel.send(fd, pieces, count, 0, flags);
    }
    if (!refusals.empty()) {
      errno = refusals.front();
      refusals.pop_front();
      if (errno != 0) return -1;
    }
    const auto base = id == 0 ? memory_.data() : nullptr;
    const auto offset_of = [&](const iovec& piece) {
      return static_cast<std::uint64_t>(static_cast<std::byte*>(piece.iov_base) - base);
    };
    if (offset_of(pieces[0]) >= memory_.size()) {
      ++trials;
      errno = EFAULT;
      return -1;
    }
    if (out >= calls_max) {
      errno = ENOBUFS;
      return -1;
    }
    dmabuf_id = id;
    std::vector<iovec> taken_pieces;
    std::uint64_t asked = 0;
    for (const iovec& piece : std::span{pieces, count}) {
      const std::uint64_t length = std::min(piece.iov_len, taken_max - std::min(asked, taken_max));
      if (length != 0) taken_pieces.push_back({&memory_[offset_of(piece)], length});
      asked += piece.iov_len;
    }
    asked_most = std::max(asked_most, asked);
    const ssize_t taken = detail::kRealSendKernel.send(fd, taken_pieces.data(), taken_pieces.size(),
                                                       0, flags & ~MSG_ZEROCOPY);
    if (taken > 0) {
      ++calls;
      ++out;
    }
    return taken;
  }
  int notice(SendNotice* ret_notice) {
    if (notices.empty()) return 0;
    *ret_notice = notices.front();
    notices.pop_front();
    return 1;
  }

  static inline FakeKernel* current_ = nullptr;
  const SendKernel table_{
      .send = [](int fd, iovec* pieces, std::size_t count, std::uint32_t id,
                 int flags) noexcept { return current_->send(fd, pieces, count, id, flags); },
      .notice = [](int, SendNotice* ret_notice) noexcept { return current_->notice(ret_notice); },
      .hold = [](const void*) noexcept { return current_->hold_refusal; },
  };
  std::span<std::byte> memory_;
};

class SenderOnFakeKernel : public test::SendingTest {
 public:
  SenderOnFakeKernel() {
    g_nic = std::make_shared<nic::SimNic>();
    g_nic->add(1, "lo", 4);
    g_nic->privileged = false;
    detail::Grant::open_nic = [](const landfall_host*) -> Result<std::shared_ptr<nic::Nic>> {
      return std::shared_ptr<nic::Nic>{g_nic};
    };
  }
  ~SenderOnFakeKernel() override {
    detail::Grant::open_nic = usual_;
    g_nic.reset();
  }

 protected:
  static std::vector<Sent> poll(Sender& sender) {
    std::vector<Sent> out(64);
    const auto count = sender.poll(out);
    EXPECT_TRUE(count) << count.error().describe();
    out.resize(count ? *count : 0);
    return out;
  }
  static ReasonCode why_not(const Decision& decision, const std::string& method) {
    for (const auto& one : decision.candidates)
      if (one.transport == method && !one.usable) return one.reasons.at(0).code;
    return ReasonCode::none;
  }
  static inline std::shared_ptr<nic::SimNic> g_nic;

 private:
  const detail::Grant::OpenNic usual_ = detail::Grant::open_nic;
};

// Goal: memory without a host view is sent by its dma-buf; one binding serves all connections of an
// interface, and ends with the last of them.
TEST_F(SenderOnFakeKernel, SendsFromDeviceMemory) {
  constexpr std::uint64_t kSize = 1u << 20;
  Region region = allocate(kSize, "device-memory");
  FakeKernel kernel{region.memory()};
  std::optional<SendGroup> group{open(std::move(region))};
  auto [ours, theirs] = tcp_pair();
  auto [ours2, theirs2] = tcp_pair(true);
  Peer peer{std::move(theirs)}, peer2{std::move(theirs2)};
  std::optional<Sender> sender{attach(*group, ours)}, second{attach(*group, ours2)};
  EXPECT_EQ(sender->decision().chosen, "devmem") << sender->decision().describe();
  EXPECT_EQ(why_not(sender->decision(), "zerocopy"), ReasonCode::no_host_view);
  EXPECT_EQ(kernel.trials, 2u) << "nothing is believed untried";
  EXPECT_EQ(g_nic->bindings(), 1u);

  ASSERT_TRUE(sender->send(0, kSize, 5));
  ASSERT_TRUE(second->send(0, kSize));
  EXPECT_EQ(kernel.dmabuf_id, 1u);
  while (sender->sent_bytes() != kSize || second->sent_bytes() != kSize) {
    EXPECT_TRUE(poll(*sender).empty());
    EXPECT_TRUE(poll(*second).empty());
  }
  kernel.complete_all();  // by the number of each socket's calls: the other's are beyond
  const auto sent = poll(*sender);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].tag, 5u);
  EXPECT_EQ(sent[0].placement, Placement::direct);
  EXPECT_EQ(sender->verdict()[Placement::direct], kSize);
  ASSERT_TRUE(sender->finish());
  sender.reset();
  expect_pattern(peer.take(), kSize);
  EXPECT_EQ(g_nic->bindings(), 1u);
  group.reset();
  EXPECT_EQ(g_nic->bindings(), 1u);
  second.reset();
  peer2.take();
  EXPECT_EQ(g_nic->bindings(), 0u);
}

TEST_F(SenderOnFakeKernel, SaysWhyNotFromDeviceMemory) {
  struct Row {
    const char* what;
    std::function<void(FakeKernel&)> make;
    ReasonCode reason;
  };
  const Row rows[] = {
      {"old kernel", [](FakeKernel&) { g_nic->kernel_binds_tx = false; },
       ReasonCode::kernel_too_old},
      {"driver", [](FakeKernel&) { g_nic->at(1).sends_from_memory = false; },
       ReasonCode::no_netmem_tx},
      {"other interface", [](FakeKernel& k) { k.refusals = {ENODEV}; },
       ReasonCode::route_elsewhere},
      {"no scatter-gather", [](FakeKernel& k) { k.refusals = {EINVAL}; }, ReasonCode::no_netmem_tx},
      {"no room", [](FakeKernel& k) { k.refusals = {ENOBUFS}; }, ReasonCode::optmem_limit},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    g_nic = std::make_shared<nic::SimNic>();
    g_nic->add(1, "lo", 4);
    Region region = allocate(1u << 16, "device-memory");
    FakeKernel kernel{region.memory()};
    row.make(kernel);
    SendGroup group = open(std::move(region));
    auto [ours, theirs] = tcp_pair();
    Decision decision;
    const auto refused = group.attach(ours, &decision);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::not_supported);
    EXPECT_EQ(refused.error().reason(), row.reason) << refused.error().describe();
    EXPECT_EQ(why_not(decision, "devmem"), row.reason);
    EXPECT_TRUE(ours);
  }
  SendGroup group =
      open(allocate(1u << 16, "device-memory"), {.interface = "no-such0", .methods = {"devmem"}});
  auto [ours, theirs] = tcp_pair();
  EXPECT_EQ(group.attach(ours).error().reason(), ReasonCode::interface_unknown);
}

TEST_F(SenderOnFakeKernel, SaysWhatEndsADeviceMemoryConnection) {
  const struct {
    int number;
    ReasonCode reason;
    Errc code;
  } rows[] = {{EINVAL, ReasonCode::binding_revoked, Errc::revoked},
              {ENODEV, ReasonCode::route_elsewhere, Errc::device_lost},
              {EHOSTUNREACH, ReasonCode::peer_unreachable, Errc::flow_reset},
              {ETIMEDOUT, ReasonCode::peer_unreachable, Errc::flow_reset},
              {EPIPE, ReasonCode::peer_reset, Errc::flow_reset},
              {ENOBUFS, ReasonCode::optmem_limit, Errc::limit_reached},
              {EFAULT, ReasonCode::memory_not_pinnable, Errc::io}};
  for (const auto& row : rows) {
    Region region = allocate(1u << 16, "device-memory");
    FakeKernel kernel{region.memory()};
    SendGroup group = open(std::move(region));
    auto [ours, theirs] = tcp_pair();
    Sender sender = attach(group, ours);
    kernel.refusals = {row.number};
    const auto sent = sender.send(0, 4096);
    ASSERT_FALSE(sent) << row.number;
    EXPECT_EQ(sent.error().reason(), row.reason) << sent.error().describe();
    EXPECT_EQ(sent.error().code(), row.code) << sent.error().describe();
    EXPECT_EQ(sent.error().native(), row.number);
    EXPECT_EQ(sender.finish().error().reason(), row.reason) << "for good";
  }
}

// Goal: ranges come back in order, each when all of its calls are through, whatever the order and
// the grouping of the notices; copied ones are told apart.
TEST_F(SenderOnFakeKernel, UnderstandsNoticesInAnyOrder) {
  Region region = allocate(1u << 20);
  FakeKernel kernel{region.memory()};
  kernel.taken_max = 1000;
  SendGroup group = open(std::move(region), {.methods = {"zerocopy"}});
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, 2500, 1));     // calls 0, 1, 2
  ASSERT_TRUE(sender.send(5000, 1000, 2));  // call 3
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(10)));
  ASSERT_TRUE(sender.send(9000, 1500, 3));  // calls 4, 5
  ASSERT_EQ(kernel.calls, 6u);
  EXPECT_TRUE(poll(sender).empty());
  kernel.complete(3, 5, true);
  kernel.complete(0, 0);
  EXPECT_TRUE(poll(sender).empty());
  EXPECT_EQ(sender.verdict().total(), 1000u);
  kernel.complete(2, 2);
  EXPECT_TRUE(poll(sender).empty());
  kernel.complete(1, 1);
  kernel.notices.push_back({77, 99, true});  // of calls that never were
  const auto sent = poll(sender);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].tag, 1u);
  EXPECT_EQ(sent[0].placement, Placement::direct);
  EXPECT_EQ(sent[1].tag, 2u);
  EXPECT_EQ(sent[1].placement, Placement::copied);
  EXPECT_EQ(sent[2].placement, Placement::copied);
  EXPECT_EQ(sender.verdict()[Placement::direct], 2500u);
  EXPECT_EQ(sender.verdict()[Placement::copied], 2500u);
  EXPECT_EQ(sender.ranges_out(), 0u);
}

// Goal: what the kernel cannot hold waits for notices while there are any to come; then it is
// copied if that is allowed, and an error with its remedy if not.
TEST_F(SenderOnFakeKernel, WaitsWhereTheKernelHoldsAsMuchAsItMay) {
  Region region = allocate(1u << 16);
  FakeKernel kernel{region.memory()};
  kernel.calls_max = 1;
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, 1000));
  ASSERT_TRUE(sender.send(1000, 1000));
  EXPECT_EQ(sender.sent_bytes(), 1000u);
  EXPECT_TRUE(poll(sender).empty());
  kernel.complete_all();
  EXPECT_EQ(poll(sender).size(), 1u);
  EXPECT_EQ(sender.sent_bytes(), 2000u);
  kernel.complete_all();
  EXPECT_EQ(poll(sender).size(), 1u);
  EXPECT_EQ(sender.verdict()[Placement::direct], 2000u);

  kernel.calls_max = 0;
  ASSERT_TRUE(sender.send(0, 500));
  const auto copied = poll(sender);
  ASSERT_EQ(copied.size(), 1u);
  EXPECT_EQ(copied[0].placement, Placement::copied);
  EXPECT_EQ(sender.verdict()[Placement::copied], 500u);
  EXPECT_EQ(sender.verdict().reasons[0].reason, ReasonCode::optmem_limit);
}

TEST_F(SenderOnFakeKernel, NamesTheLimitWhereNothingMayBeCopied) {
  Region region = allocate(1u << 16);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region), {.methods = {"zerocopy"}});
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  kernel.calls_max = 0;
  const auto refused = sender.send(0, 500);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::limit_reached);
  EXPECT_NE(refused.error().remedy().find("sysctl"), std::string_view::npos);

  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &old), 0);
  const rlimit little{65536, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
  auto [ours2, theirs2] = tcp_pair();
  Sender second = attach(group, ours2);
  EXPECT_EQ(second.send(0, 500).error().reason(), ReasonCode::memlock_limit);
  ::setrlimit(RLIMIT_MEMLOCK, &old);
}

TEST_F(SenderOnFakeKernel, CopiesWhatTheKernelCannotHold) {
  Region region = allocate(1u << 16);
  FakeKernel kernel{region.memory()};
  kernel.hold_refusal = EFAULT;
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  EXPECT_EQ(sender.decision().chosen, "copy");
  EXPECT_EQ(why_not(sender.decision(), "zerocopy"), ReasonCode::memory_not_pinnable);
  ASSERT_TRUE(sender.send(0, 1000));
  EXPECT_EQ(poll(sender).size(), 1u);
  EXPECT_EQ(kernel.plain_calls, 1u);
  EXPECT_EQ(kernel.calls, 0u);
}

// Goal: no more calls are out than can be told apart.
TEST_F(SenderOnFakeKernel, LimitsTheCallsThatAreOut) {
  Region region = allocate(1u << 20);
  FakeKernel kernel{region.memory()};
  kernel.taken_max = 8;
  SendGroup group = open(std::move(region), {.methods = {"zerocopy"}});
  auto [ours, theirs] = tcp_pair();
  Peer peer{std::move(theirs)};
  Sender sender = attach(group, ours);
  constexpr std::uint64_t kSize = 3 * 8 * kSendCallsMax;
  ASSERT_TRUE(sender.send(0, kSize));
  EXPECT_EQ(kernel.out, kSendCallsMax);
  for (int i = 0; i < 3; ++i) {
    kernel.complete_all();
    EXPECT_EQ(poll(sender).size(), i == 2 ? 1u : 0u);
  }
  ASSERT_TRUE(sender.finish());
  expect_pattern(peer.take(), kSize);
}

// Goal: what could not go at once goes later, from where it lies, behind what came before it; in as
// few calls as may be.
TEST_F(SenderOnFakeKernel, WhatWaitsKeepsItsPlace) {
  constexpr std::uint64_t kSize = 2u << 20;
  Region region = allocate(kSize);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region), {.methods = {"zerocopy"}});
  auto [ours, theirs] = tcp_pair();
  Peer peer{std::move(theirs)};
  Sender sender = attach(group, ours);
  std::vector<std::byte> expected;
  const auto send = [&](std::uint64_t offset, std::uint64_t length, int number) {
    kernel.refusals = {number};
    ASSERT_TRUE(sender.send(offset, length));
    for (std::uint64_t k = offset; k != offset + length; ++k)
      expected.push_back(test::pattern_at(k));
  };
  send(1000, 700, EAGAIN);
  EXPECT_EQ(sender.sent_bytes(), 0u) << "what was refused is asked for once";
  send(9000, 700, EAGAIN);
  send(100, 700, EAGAIN);
  kernel.taken_max = 1000;  // into the middle of the second one
  EXPECT_TRUE(poll(sender).empty());
  EXPECT_EQ(sender.sent_bytes(), 2100u);
  EXPECT_EQ(kernel.calls, 3u) << "1000, 1000 and 100 bytes";
  kernel.taken_max = ~0ull;
  for (int i = 0; i < 40; ++i) send(static_cast<std::uint64_t>(i) * 300, 10, EAGAIN);
  EXPECT_TRUE(poll(sender).empty());
  EXPECT_EQ(kernel.calls, 6u) << "sixteen ranges in a call";
  send(0, kSize, EINTR);
  while (sender.sent_bytes() != expected.size()) EXPECT_TRUE(poll(sender).empty());
  EXPECT_EQ(kernel.asked_most, kSendCallBytes);
  EXPECT_EQ(sender.ranges_out(), 44u);
  kernel.complete_all();
  EXPECT_EQ(poll(sender).size(), 44u);
  ASSERT_TRUE(sender.finish());
  EXPECT_EQ(peer.take(), expected);
}

TEST_F(SenderOnFakeKernel, InlineBytesThatWaitAreLimited) {
  Region region = allocate(4096);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(kSendInlineBytesMax - 10)));
  const auto refused = sender.send_inline(std::vector<std::byte>(11));
  ASSERT_FALSE(refused) << "what waits would be written over";
  EXPECT_EQ(refused.error().reason(), ReasonCode::ranges_limit);
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(10)));
  EXPECT_FALSE(sender.send_inline(std::vector<std::byte>(1)));
  Peer peer{std::move(theirs)};
  while (sender.sent_bytes() != kSendInlineBytesMax) EXPECT_TRUE(poll(sender).empty());
  EXPECT_TRUE(poll(sender).empty()) << "inline pieces are not told";
  EXPECT_TRUE(sender.send_inline(std::vector<std::byte>(kSendInlineBytesMax)));
  ASSERT_TRUE(sender.finish());
  drain(sender);
  EXPECT_EQ(peer.take().size(), 2 * kSendInlineBytesMax);
}

// Goal: a header is no packet of its own where something follows, and does not wait for anything
// (MSG_MORE: 200 ms) where nothing does.
TEST_F(SenderOnFakeKernel, AHeaderGoesWithWhatFollows) {
  Region region = allocate(4096);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(10)));
  EXPECT_EQ(kernel.plain_calls, 0u);
  EXPECT_TRUE(poll(sender).empty());
  EXPECT_EQ(kernel.plain_calls, 1u);
  EXPECT_EQ(kernel.plain_flags & MSG_MORE, 0);
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(10)));
  ASSERT_TRUE(sender.send(0, 10));
  EXPECT_EQ(kernel.plain_calls, 2u);
  EXPECT_NE(kernel.plain_flags & MSG_MORE, 0);
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(10)));
  ASSERT_TRUE(sender.finish());
  EXPECT_EQ(kernel.plain_calls, 3u);
  EXPECT_NE(kernel.plain_flags & MSG_MORE, 0) << "the end follows";
  EXPECT_EQ(Peer{std::move(theirs)}.take().size(), 40u);
}

// Goal: a range is copied if a part of it is, and no other is; the method stays as long as anything
// goes without copying.
TEST_F(SenderOnFakeKernel, CopiesOfSomeAreNotOfAll) {
  constexpr std::uint64_t kSize = 4u << 20;
  Region region = allocate(kSize);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Peer peer{std::move(theirs)};
  Sender sender = attach(group, ours);
  kernel.refusals = {EAGAIN};
  kernel.taken_max = 1000;
  ASSERT_TRUE(sender.send(0, 500, 0));    // call 0 has these two
  ASSERT_TRUE(sender.send(500, 500, 1));  //
  ASSERT_TRUE(sender.send(0, 2000, 2));   // calls 1 and 2
  ASSERT_TRUE(sender.send(0, 1000, 3));   // call 3
  kernel.taken_max = ~0ull;
  EXPECT_TRUE(poll(sender).empty());
  ASSERT_EQ(kernel.calls, 4u);
  kernel.complete(1, 2, true);
  kernel.complete(0, 0);
  kernel.complete(3, 3);
  const auto sent = poll(sender);
  ASSERT_EQ(sent.size(), 4u);
  for (const Sent& one : sent)
    EXPECT_EQ(one.placement, one.tag == 2 ? Placement::copied : Placement::direct) << one.tag;

  for (const bool copied : {true, false, true}) {
    const std::uint64_t end = sender.sent_bytes() + kSize;
    ASSERT_TRUE(sender.send(0, kSize));
    while (sender.sent_bytes() != end) EXPECT_TRUE(poll(sender).empty());
    kernel.complete_all(copied);
    ASSERT_EQ(poll(sender).size(), 1u);
  }
  EXPECT_EQ(kernel.plain_calls, 0u);
  EXPECT_EQ(sender.verdict()[Placement::direct], 2000u + kSize);
  EXPECT_EQ(sender.verdict()[Placement::copied], 2000u + 2 * kSize);
  ASSERT_TRUE(sender.finish());
  peer.take();
}

// Goal: what is through is told, also where what comes after it is not.
TEST_F(SenderOnFakeKernel, TellsWhatWentBeforeAFailure) {
  Region region = allocate(4096);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, 1000, 7));
  kernel.refusals = {EAGAIN, EFAULT};
  ASSERT_TRUE(sender.send(1000, 1000, 8));
  kernel.complete_all();
  const auto sent = poll(sender);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].tag, 7u);
  std::vector<Sent> out(4);
  const auto failed = sender.poll(out);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().reason(), ReasonCode::memory_not_pinnable);
  EXPECT_EQ(sender.ranges_out(), 1u);
}

// Goal: of a connection that was reset the kernel says that it is through with everything.
TEST_F(SenderOnFakeKernel, WhatAResetDroppedIsNotSent) {
  Region region = allocate(4096);
  FakeKernel kernel{region.memory()};
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, 1000));
  const linger at_once{1, 0};
  ::setsockopt(theirs.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  theirs.reset();
  kernel.complete_all();
  std::vector<Sent> out(4);
  const auto failed = sender.poll(out);
  ASSERT_FALSE(failed) << "told as sent";
  EXPECT_EQ(failed.error().reason(), ReasonCode::peer_reset);
  EXPECT_EQ(sender.verdict().total(), 0u);
}

// Goal: who watches hears of the limit once, not with every call.
TEST_F(SenderOnFakeKernel, TellsOnceThatTheKernelHoldsAsMuchAsItMay) {
  std::vector<ReasonCode> told;
  context_ = std::move(
      *Context::create({.on_event = [&](const Reason& reason) { told.push_back(reason.code); }}));
  Region region = allocate(4096);
  FakeKernel kernel{region.memory()};
  kernel.calls_max = 1;
  SendGroup group = open(std::move(region));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  told.clear();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sender.send(0, 1000));
  EXPECT_TRUE(poll(sender).empty());
  EXPECT_THAT(told, ::testing::ElementsAre(ReasonCode::optmem_limit));
}

}  // namespace
}  // namespace landfall
