// SPDX-License-Identifier: Apache-2.0
#include "conformance/rig.hpp"

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "conformance/pattern.hpp"

namespace landfall::test {
namespace {

using Clock = std::chrono::steady_clock;
/// The lab emulates.
const auto kPatience = std::chrono::seconds{std::getenv("LANDFALL_LAB_KREL") != nullptr ? 30 : 10};

}  // namespace

Stream::~Stream() {
  peer->abort();
  if (sender_.joinable()) sender_.join();
}

void Stream::send(std::uint64_t bytes, bool finish, std::size_t segment_most) {
  sent();
  const std::uint64_t from = sent_bytes;
  sent_bytes += bytes;
  sender_ = std::thread{[this, from, bytes, finish, segment_most] {
    std::mt19937_64 random{seed ^ from};
    std::vector<std::byte> segment(segment_most);
    bool ok = true;
    for (std::uint64_t done = 0; ok && done < bytes;) {
      const std::uint64_t length =
          std::min<std::uint64_t>(bytes - done, 1 + random() % segment_most);
      const std::span<std::byte> now = std::span{segment}.first(length);
      fill_pattern(seed, from + done, now);
      ok = peer->send(now);
      done += length;
    }
    if (ok && finish) ok = peer->finish();
    if (!ok) sent_ok_ = false;
  }};
}

bool Stream::sent() {
  if (sender_.joinable()) sender_.join();
  return sent_ok_;
}

Result<std::unique_ptr<Rig>> Rig::open(const Subject& subject, RigOptions options) {
  std::unique_ptr<Rig> rig{new Rig{subject}};
  LANDFALL_TRY(Context context, subject.context({.fault = std::move(options.fault)}));
  RegionSpec spec;
  spec.source = subject.memory;
  spec.size_bytes = std::max(options.region_bytes, subject.region_least_bytes);
  LANDFALL_TRY(Region region, Region::allocate(context, spec));
  GroupOptions group;
  group.interface = subject.interface;
  group.queues = options.queues;
  group.transports = {subject.transport};
  group.options = subject.options;
  group.options.insert(group.options.end(), options.options.begin(), options.options.end());
  group.contract = options.contract;
  group.slot_bytes = options.slot_bytes;
  group.buffers_max = options.buffers_max;
  group.flows_max = options.flows_max;
  Decision decision;
  Result<Group> opened = Group::open(context, group, region, &decision);
  if (!opened) return opened.error();
  rig->context.emplace(std::move(context));
  rig->group.emplace(std::move(*opened));
  return rig;
}

Rig::~Rig() {
  for (Completion& completion : batch_) completion = Completion{};
  for (const auto& stream : streams) stream->held.clear();
  group.reset();
}

Stream& Rig::add_stream(std::unique_ptr<Peer> peer) {
  streams.push_back(std::make_unique<Stream>(next_seed_++, std::move(peer)));
  return *streams.back();
}

Stream* Rig::connect(FlowOptions options, std::size_t at) {
  if (subject.can(Cap::sockets)) {
    SocketPair pair = subject.pair();
    Stream& stream = add_stream(socket_peer(std::move(pair.theirs)));
    stream.next_offset = options.stream_offset;
    options.user = &stream;
    Result<Flow*> flow = receiver(at).attach(pair.ours, options);
    EXPECT_OK(flow);
    if (!flow) return nullptr;
    stream.flow = *flow;
    stream.opened = true;
    return &stream;
  }
  Stream& stream = add_stream(nullptr);
  stream.next_offset = options.stream_offset;
  options.user = &stream;
  Result<Address> address = group->listen({subject.here.ipv4, 0}, options);
  EXPECT_OK(address);
  if (!address) return nullptr;
  stream.peer = subject.peer_to(*address);
  const bool opened = until([&] { return stream.opened; });
  // The peer may still need this end to be polled.
  const auto deadline = Clock::now() + kPatience;
  while (opened && !stream.peer->connected() && Clock::now() < deadline) {
    step();
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  EXPECT_TRUE(opened);
  return opened ? &stream : nullptr;
}

bool Rig::step() {
  bool happened = false;
  for (std::size_t i = 0; i < group->size() && !poll_error; ++i) {
    ++polls;
    Result<std::size_t> count = pace == Pace::waits
                                    ? receiver(i).wait(batch_, std::chrono::milliseconds{100})
                                    : receiver(i).poll(batch_);
    if (!count) {
      poll_error = count.error();
      return true;
    }
    for (Completion& completion : std::span{batch_}.first(*count)) on(completion);
    happened = happened || *count != 0;
  }
  return happened;
}

void Rig::sleep(std::chrono::nanoseconds at_most) {
  if (pace == Pace::waits) return;  // step() does
  // Long beside what a sender needs to become one (ofi_rxm under tsan: half a second).
  if (pace == Pace::polls_now_and_then)
    return std::this_thread::sleep_for(std::chrono::milliseconds{100});
  std::vector<pollfd> fds;
  for (std::size_t i = 0; i < group->size(); ++i) {
    Result<bool> armed = receiver(i).arm();
    if (!armed || !*armed) return;
    fds.push_back({.fd = receiver(i).wait_fd(), .events = POLLIN, .revents = 0});
    if (fds.back().fd < 0) return;  // nothing to sleep on: poll on
  }
  // Not negative, which would be for ever: the end may have passed since the caller looked.
  const std::chrono::nanoseconds left = std::max(at_most, std::chrono::nanoseconds{0});
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  ::poll(fds.data(), fds.size(), static_cast<int>(ms));
}

bool Rig::until(const std::function<bool()>& done) {
  Clock::time_point deadline = Clock::now() + kPatience;
  while (!done()) {
    if (poll_error || Clock::now() >= deadline) return false;
    if (step())
      deadline = Clock::now() + kPatience;
    else
      sleep(deadline - Clock::now());
  }
  return true;
}

void Rig::quiet(std::chrono::milliseconds for_so_long) {
  Clock::time_point end = Clock::now() + for_so_long;
  while (Clock::now() < end && !poll_error) {
    if (step())
      end = Clock::now() + for_so_long;
    else
      sleep(end - Clock::now());
  }
}

bool Rig::close(Stream& stream, bool reset) {
  if (stream.flow != nullptr) stream.flow->close(reset);
  return until([&] { return stream.closed; });
}

void Rig::on(Completion& completion) {
  using Kind = Completion::Kind;
  if (completion.flow == nullptr) {
    if (completion.kind == Kind::pressure) ++pressures;
    if (completion.kind == Kind::relief) ++reliefs;
    if (completion.kind == Kind::revoked) ++revocations;
    if (completion.kind == Kind::failed) ++orphan_failures;
    return;
  }
  auto* known = static_cast<Stream*>(completion.flow->user());
  ASSERT_NE(known, nullptr) << "a flow that nobody opened";
  Stream& stream = *known;
  EXPECT_FALSE(stream.closed) << name(completion.kind) << " after closed";
  switch (completion.kind) {
    case Kind::opened:
      EXPECT_FALSE(stream.opened) << "opened twice";
      stream.opened = true;
      stream.flow = completion.flow;
      break;
    case Kind::data:
      on_data(stream, completion);
      break;
    case Kind::posted:
      EXPECT_FALSE(stream.ended || stream.failed) << "posted after the end";
      if (stream.on_posted) stream.on_posted(completion);
      break;
    case Kind::landed:
      ++stream.landed;
      if (stream.on_posted) stream.on_posted(completion);
      break;
    case Kind::end_of_stream:
      EXPECT_FALSE(stream.ended) << "two ends of stream";
      EXPECT_FALSE(stream.failed) << "an end of stream after a failure";
      stream.ended = true;
      stream.verdict = stream.flow->verdict();
      if (stream.on_end) stream.on_end();
      break;
    case Kind::failed:
      EXPECT_FALSE(stream.failed) << "failed twice";
      EXPECT_NE(completion.error.code(), Errc::ok);
      stream.failed = true;
      stream.error = completion.error;
      break;
    case Kind::pressure:
      ++stream.pressures;
      break;
    case Kind::relief:
      ++stream.reliefs;
      break;
    case Kind::revoked:
      ++revocations;
      break;
    case Kind::closed:
      EXPECT_TRUE(stream.held.empty()) << "closed, though Buffers of the flow are out";
      stream.closed = true;
      stream.flow = nullptr;
      break;
    case Kind::none:
      ADD_FAILURE() << "a Completion of no kind";
  }
}

void Rig::on_data(Stream& stream, Completion& completion) {
  const Buffer& buffer = completion.buffer;
  ASSERT_TRUE(buffer);
  EXPECT_FALSE(stream.ended) << "data after the end of the stream";
  EXPECT_FALSE(stream.failed) << "data after a failure";
  EXPECT_EQ(buffer.stream_offset(), stream.next_offset) << "lost, repeated or out of order";
  EXPECT_GT(buffer.length(), 0u);
  EXPECT_EQ(completion.bytes, buffer.length());
  EXPECT_EQ(buffer.flow_id(), completion.flow->id());
  EXPECT_LE(buffer.charge_bytes(), buffer.memory().size_bytes());
  const bool whole = completion.flow->delivery() == Delivery::streaming;
  if (whole) {
    EXPECT_GE(buffer.charge_bytes(), buffer.length()) << "it holds more than it is charged for";
  }
  switch (buffer.placement()) {
    case Placement::direct:
      EXPECT_TRUE(subject.can(Cap::direct)) << "claims to be direct";
      EXPECT_TRUE(buffer.memory().is_region()) << "direct, but not in the Region";
      break;
    case Placement::linear:
      EXPECT_TRUE(subject.can(Cap::linear) || subject.can(Cap::unsure))
          << "linear where nothing is direct";
      EXPECT_FALSE(buffer.memory().is_region()) << "the CPU wrote to the Region of a direct flow";
      EXPECT_NE(completion.reason, ReasonCode::none) << "linear, and no word why";
      break;
    case Placement::unsure:
      EXPECT_TRUE(subject.can(Cap::unsure)) << "is not sure";
      [[fallthrough]];
    default:
      EXPECT_NE(completion.reason, ReasonCode::none) << "copied, and no word why";
  }
  stream.next_offset = buffer.stream_offset() + buffer.length();
  stream.received += buffer.length();
  stream.seen.add(buffer.placement(), buffer.length(), completion.reason);
  Held held{std::move(completion.buffer), stream.seed, extents};
  if (stream.consume) stream.consume(std::move(held));
}

}  // namespace landfall::test
