// SPDX-License-Identifier: Apache-2.0
#include "rig.hpp"

#include <algorithm>

#include "models/devmem_model.hpp"
#include "pattern.hpp"

namespace landfall::test {

std::vector<Way> tcp_ways() {
  return {{"tcp_recv", "tcp", "engine=recv"}, {"tcp_io_uring", "tcp", "engine=io_uring"}};
}

std::vector<Way> all_ways() {
  std::vector<Way> ways = tcp_ways();
  ways.push_back({"devmem_model", "devmem-model", "", &kDevmemModel});
  return ways;
}

bool is_missing(const Error& error) {
  switch (error.reason()) {
    case ReasonCode::transport_unknown:
    case ReasonCode::io_uring_missing:
    case ReasonCode::io_uring_disabled:
    case ReasonCode::io_uring_feature_missing:
      return true;
    default:
      return false;
  }
}

Result<Rig> open_rig(const Way& way, RigOptions options) {
  LANDFALL_TRY(Context context, Context::create(std::move(options.context)));
  if (way.backend != nullptr) LANDFALL_CHECK(context.add(way.backend));
  LANDFALL_TRY(Region region, Region::allocate(context, {.size_bytes = options.region_bytes}));
  options.group.transports = {way.transport};
  if (*way.option != '\0') {
    options.group.options.push_back(std::string{way.transport} + "." + way.option);
  }
  Decision decision;
  Result<Group> group = Group::open(context, options.group, region, &decision);
  if (!group) {
    const auto& reasons =
        decision.candidates.empty() ? std::vector<Reason>{} : decision.candidates.front().reasons;
    if (reasons.empty()) return group.error();
    return Error{group.error().code(), "open_rig", reasons.front().code}.with(reasons.front().text);
  }
  return Rig{std::move(context), std::move(*group)};
}

bool unchanged(const Buffer& buffer, std::uint64_t seed) {
  const Result<std::span<std::byte>> bytes = buffer.host_bytes();
  return bytes && matching_bytes(seed, buffer.stream_offset(), *bytes) == bytes->size();
}

void Collector::adopt(Flow& flow, std::uint64_t seed) {
  flows_[flow.id()] = &flow;
  streams_[flow.id()].seed = seed;
}

std::size_t Collector::count(bool Stream::*what) const {
  return static_cast<std::size_t>(std::count_if(
      streams_.begin(), streams_.end(), [what](const auto& entry) { return entry.second.*what; }));
}

void Collector::check(Stream& stream, const Buffer& buffer) {
  ASSERT_GT(buffer.length(), 0u);
  ASSERT_EQ(buffer.stream_offset(), stream.received) << "a byte was lost or came twice";
  const Result<std::span<std::byte>> bytes = buffer.host_bytes();
  ASSERT_TRUE(bytes) << bytes.error().describe();
  const std::size_t good = matching_bytes(stream.seed, stream.received, *bytes);
  ASSERT_EQ(good, bytes->size()) << "byte " << stream.received + good << " of the stream is wrong";
}

void Collector::take(Completion& completion) {
  using Kind = Completion::Kind;
  if (completion.flow == nullptr) {
    if (on_event) on_event(completion);
    return;
  }
  if (completion.kind == Kind::opened) adopt(*completion.flow, seed_of(opened_++));
  Stream& stream = streams_[completion.flow->id()];
  EXPECT_FALSE(stream.closed) << name(completion.kind) << " after closed";
  switch (completion.kind) {
    case Kind::data:
      EXPECT_FALSE(stream.ended || stream.failed) << "data after the end";
      check(stream, completion.buffer);
      stream.received += completion.buffer.length();
      total_ += completion.buffer.length();
      if (on_data) on_data(*completion.flow, stream, completion.buffer);
      completion.buffer.reset();
      return;
    case Kind::end_of_stream:
      stream.ended = true;
      break;
    case Kind::failed:
      stream.failed = true;
      stream.error = completion.error;
      break;
    case Kind::closed:
      stream.closed = true;
      flows_.erase(completion.flow->id());
      break;
    default:
      break;
  }
  if (on_event) on_event(completion);
}

std::size_t Collector::step(std::chrono::nanoseconds timeout) {
  const Result<std::size_t> count = receiver_.wait(batch_, timeout);
  EXPECT_TRUE(count) << count.error().describe();
  if (!count) return 0;
  for (std::size_t i = 0; i < *count; ++i) take(batch_[i]);
  return *count;
}

void Collector::run_until(const std::function<bool()>& done, std::chrono::seconds patience) {
  using Clock = std::chrono::steady_clock;
  auto deadline = Clock::now() + patience;
  while (!done()) {
    if (testing::Test::HasFatalFailure()) return;
    if (step(std::chrono::milliseconds{100}) != 0) {
      deadline = Clock::now() + patience;
    } else if (Clock::now() > deadline) {
      FAIL() << "nothing has happened for " << patience.count() << " s; " << total_
             << " bytes came, " << receiver_.buffers_out() << " Buffers are out, "
             << receiver_.held_bytes() << " bytes are held";
    }
  }
}

}  // namespace landfall::test
