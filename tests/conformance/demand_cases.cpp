// SPDX-License-Identifier: Apache-2.0
// Demand flows: nothing is received but what land() and post() ask for.
#include <deque>
#include <random>

#include "conformance/pattern.hpp"
#include "conformance/rig.hpp"
#include "landfall/base/limits.hpp"

namespace landfall::test {
namespace {

class Demands : public Transport {};
LANDFALL_CONFORMANCE(Demands);

/// Asks for a stream of `total` bytes in random land() and post() requests, a few ahead, and checks
/// that each is answered in order with the bytes that were its turn.
class Asker {
 public:
  Asker(Stream& stream, std::uint64_t total, bool may_post)
      : stream_{stream}, total_{total}, may_post_{may_post}, target_(total + kMost) {
    stream.on_posted = [this](const Completion& completion) { answered(completion); };
  }
  void ask() {
    while (waiting_.size() < 4 && asked_ < total_) {
      const std::uint64_t length = 1 + random_() % kMost;
      const bool post = may_post_ && random_() % 2 == 0;
      const std::span<std::byte> into = std::span{target_}.subspan(asked_, length);
      const Result<void> taken =
          post ? stream_.flow->post(into, asked_) : stream_.flow->land(length);
      ASSERT_OK(taken);
      waiting_.push_back({post, asked_, length});
      asked_ += length;
    }
  }
  std::uint64_t posted_bytes() const { return posted_bytes_; }
  bool short_post() const { return short_post_; }

 private:
  static constexpr std::uint64_t kMost = 50'000;
  struct Request {
    bool post;
    std::uint64_t offset, length;
  };
  void answered(const Completion& completion) {
    ASSERT_FALSE(waiting_.empty()) << "an answer that nobody asked for";
    const Request request = waiting_.front();
    waiting_.pop_front();
    ASSERT_EQ(completion.kind, request.post ? Completion::Kind::posted : Completion::Kind::landed);
    if (!request.post) {
      EXPECT_GE(stream_.next_offset, std::min(request.offset + request.length, total_));
      return;
    }
    EXPECT_EQ(completion.tag, request.offset);
    EXPECT_LE(completion.bytes, request.length);
    short_post_ = short_post_ || completion.bytes < request.length;
    EXPECT_TRUE(short_post_ == (request.offset + request.length > total_));
    EXPECT_TRUE(matches_pattern(stream_.seed, request.offset,
                                std::span{target_}.subspan(request.offset, completion.bytes)));
    posted_bytes_ += completion.bytes;
    // The next Buffer continues behind the posted bytes.
    stream_.next_offset = request.offset + completion.bytes;
  }

  Stream& stream_;
  const std::uint64_t total_;
  const bool may_post_;
  std::vector<std::byte> target_;
  std::deque<Request> waiting_;
  std::mt19937_64 random_{99};
  std::uint64_t asked_ = 0, posted_bytes_ = 0;
  bool short_post_ = false;
};

// Goal: land() and post() in any order cut the stream exactly where they ask; a post that the end
// of the stream cuts short says so.
TEST_P(Demands, CutTheStreamExactly) {
  constexpr std::uint64_t kTotal = 3'000'001;
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect({.delivery = Delivery::demand});
  ASSERT_NE(stream, nullptr);
  Asker asker{*stream, kTotal, GetParam().can(Cap::posts_to_region)};
  asker.ask();
  stream->send(kTotal, true);
  ASSERT_TRUE((*rig)->until([&] {
    if (!stream->ended && !stream->failed) asker.ask();
    return stream->ended || stream->failed;
  }));
  EXPECT_FALSE(stream->failed) << stream->error.describe();
  EXPECT_EQ(stream->received + asker.posted_bytes(), kTotal);
  EXPECT_EQ(stream->verdict.total(), kTotal);
  EXPECT_TRUE((*rig)->close(*stream));
}

// Goal: nothing comes before it is asked for, and never more than that.
TEST_P(Demands, NothingComesUnasked) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect({.delivery = Delivery::demand});
  ASSERT_NE(stream, nullptr);
  stream->send(20'000, false, 2000);
  (*rig)->quiet();
  EXPECT_EQ(stream->received, 0u);
  ASSERT_OK(stream->flow->land(7));
  EXPECT_TRUE((*rig)->until([&] { return stream->landed == 1; }));
  EXPECT_EQ(stream->received, 7u);
  (*rig)->quiet();
  EXPECT_EQ(stream->received, 7u);
  ASSERT_OK(stream->flow->land(19'993));
  EXPECT_TRUE((*rig)->until([&] { return stream->landed == 2; }));
  EXPECT_EQ(stream->received, 20'000u);
}

// Goal: a stream that ends inside a post() answers it with what there was.
TEST_P(Demands, TheEndAnswersAPost) {
  LANDFALL_NEEDS(posts_to_region);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect({.delivery = Delivery::demand});
  ASSERT_NE(stream, nullptr);
  std::vector<std::byte> target(4096);
  std::vector<std::uint64_t> answers;
  stream->on_posted = [&](const Completion& completion) { answers.push_back(completion.bytes); };
  ASSERT_OK(stream->flow->post(target, 1));
  ASSERT_OK(stream->flow->post(target, 2));
  stream->send(5000, true);
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(answers, (std::vector<std::uint64_t>{4096, 904}));
}

// Goal: what makes no sense is refused, by code and reason.
TEST_P(Demands, RefuseWhatMakesNoSense) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* streaming = (*rig)->connect();
  ASSERT_NE(streaming, nullptr);
  EXPECT_REFUSED(streaming->flow->land(1), invalid_argument, flow_is_streaming);
  Stream* demand = (*rig)->connect({.delivery = Delivery::demand});
  ASSERT_NE(demand, nullptr);
  const Result<void> nothing = demand->flow->land(0);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code(), Errc::invalid_argument);
  std::vector<std::byte> target(64);
  if (!GetParam().can(Cap::posts_to_region))
    EXPECT_REFUSED(demand->flow->post(target, 1), not_supported, no_host_view);
  for (std::uint32_t i = 0; i < kDemandMax; ++i) EXPECT_OK(demand->flow->land(10));
  EXPECT_REFUSED(demand->flow->land(10), limit_reached, demand_queue_full);
}

// Goal: a gather is a copy: it is refused under require_direct, and counted otherwise.
TEST_P(Demands, AGatherIsACopy) {
  LANDFALL_NEEDS(direct);
  LANDFALL_NEEDS(posts_to_region);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  std::vector<std::byte> target(1000);
  Stream* strict =
      (*rig)->connect({.delivery = Delivery::demand,
                       .contract = CopyContract{.kind = CopyContract::Kind::require_direct}});
  ASSERT_NE(strict, nullptr);
  EXPECT_REFUSED(strict->flow->post(target, 1), contract_broken, gathered_by_core);
  Stream* lax = (*rig)->connect({.delivery = Delivery::demand});
  ASSERT_NE(lax, nullptr);
  ASSERT_OK(lax->flow->post(target, 1));
  ASSERT_OK(lax->flow->land(1));  // what is behind the last byte is seen by who asks for more
  lax->send(1000, true);
  ASSERT_TRUE((*rig)->until([&] { return lax->ended; }));
  EXPECT_EQ(lax->verdict[Placement::copied], 1000u);
}

}  // namespace
}  // namespace landfall::test
