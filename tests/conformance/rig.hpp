// SPDX-License-Identifier: Apache-2.0
// A Group of one Subject with streams in it, and everything that must hold for each Completion.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "conformance/held.hpp"
#include "conformance/peer.hpp"
#include "conformance/subject.hpp"
#include "models/devmem_model.hpp"

namespace landfall::test {

/// One flow under test: its sender, and what has been received so far.
class Stream {
 public:
  Stream(std::uint64_t with_seed, std::unique_ptr<Peer> sender)
      : seed{with_seed}, peer{std::move(sender)} {}
  ~Stream();

  /// Sends the next `bytes` of the stream on a thread, in segments of random size.
  void send(std::uint64_t bytes, bool finish, std::size_t segment_most = 64 * 1024);
  /// Waits for that thread. False: the connection ended under it.
  bool sent();
  /// ... all that send() was asked for so far.
  std::uint64_t sent_bytes = 0;

  const std::uint64_t seed;
  std::unique_ptr<Peer> peer;
  Flow* flow = nullptr;  // null before `opened` and after `closed`
  std::uint64_t next_offset = 0;
  Verdict seen{};     // of the Buffers, as they came
  Verdict verdict{};  // of the Flow, as it ended
  std::uint64_t received = 0, landed = 0, pressures = 0, reliefs = 0;
  bool opened = false, ended = false, failed = false, closed = false;
  Error error{Errc::ok, ""};

  /// What becomes of a Buffer. Empty: it is dropped at once.
  std::function<void(Held)> consume{};
  /// Convenience: keep them in `held`.
  void keep() {
    consume = [this](Held one) { held.push_back(std::move(one)); };
  }
  std::vector<Held> held{};
  std::function<void(const Completion&)> on_posted{};
  std::function<void()> on_end{};

 private:
  std::thread sender_;
  std::atomic<bool> sent_ok_{true};
};

struct RigOptions {
  std::uint64_t region_bytes = 4u << 20;
  std::uint32_t queues = 1;
  std::uint32_t slot_bytes = 0;
  std::uint32_t buffers_max = 4096;
  std::uint32_t flows_max = 256;
  CopyContract contract{.kind = CopyContract::Kind::allow_copy};
  std::vector<std::string> options{};  // beside the Subject's
  std::function<int(std::string_view)> fault{};
};

class Rig {
 public:
  static Result<std::unique_ptr<Rig>> open(const Subject& subject, RigOptions options = {});
  ~Rig();

  Receiver& receiver(std::size_t index = 0) { return (*group)[index]; }

  /// A connection with a sender at its other end; `opened` has come where there is one. nullptr,
  /// and a test failure, if that does not work.
  Stream* connect(FlowOptions options = {}, std::size_t at = 0);
  /// A stream whose flow will be told by its FlowOptions::user: this.
  Stream& add_stream(std::unique_ptr<Peer> peer);

  /// How it waits for what comes: on wait_fd, in wait() (of one Receiver), or between two polls.
  enum class Pace : std::uint8_t { sleeps, waits, polls_now_and_then };
  Pace pace = Pace::sleeps;

  /// Polls every Receiver once; false: nothing happened.
  bool step();
  /// Steps until `done`, sleeping on the Receivers' wait_fds. False: ten seconds passed (in the
  /// lab 30) without a Completion, or a poll failed.
  bool until(const std::function<bool()>& done);
  /// Steps until nothing has happened for a while.
  void quiet(std::chrono::milliseconds for_so_long = std::chrono::milliseconds{40});
  /// Closes a stream's flow and waits for `closed`.
  bool close(Stream& stream, bool reset = false);

  const Subject subject;
  std::optional<Context> context;
  std::optional<Group> group;
  std::vector<std::unique_ptr<Stream>> streams;
  std::shared_ptr<Extents> extents = std::make_shared<Extents>();
  std::uint64_t pressures = 0, reliefs = 0, revocations = 0, orphan_failures = 0;
  std::uint64_t polls = 0;
  std::optional<Error> poll_error;

 private:
  explicit Rig(const Subject& of) : subject{of} {}
  void on(Completion& completion);
  void on_data(Stream& stream, Completion& completion);
  void sleep(std::chrono::nanoseconds at_most);

  std::vector<Completion> batch_{64};
  std::uint64_t next_seed_ = 1;
};

/// The base of all cases: the transport can be opened here (or says why not, as listed), and the
/// core has done it no wrong, as far as a model can tell.
class Transport : public testing::TestWithParam<Subject> {
 protected:
  void SetUp() override;
  void TearDown() override;

 private:
  const DevmemFaults before_ = devmem_faults();
};

template <class T>
testing::AssertionResult is_ok(const char* text, const Result<T>& result) {
  if (result) return testing::AssertionSuccess();
  return testing::AssertionFailure() << text << ": " << result.error().describe();
}

/// A subject's label as GoogleTest allows it in a name.
std::string name_of(const Subject& subject);

/// Marks the running test as skipped for a listed reason; main.cpp fails a run with other skips.
void note_listed_skip();

}  // namespace landfall::test

/// Runs a suite of cases on every transport.
#define LANDFALL_CONFORMANCE(suite)                                \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(suite);            \
  INSTANTIATE_TEST_SUITE_P(, suite, testing::ValuesIn(subjects()), \
                           [](const auto& subject_info) { return name_of(subject_info.param); })
#define LANDFALL_NEEDS(capability)                                             \
  do {                                                                         \
    if (!GetParam().can(Cap::capability)) {                                    \
      ::landfall::test::note_listed_skip();                                    \
      GTEST_SKIP() << GetParam().label << " is not expected to: " #capability; \
    }                                                                          \
  } while (false)
#define ASSERT_OK(result) ASSERT_PRED_FORMAT1(::landfall::test::is_ok, result)
#define EXPECT_OK(result) EXPECT_PRED_FORMAT1(::landfall::test::is_ok, result)
/// A refusal by code and reason.
#define EXPECT_REFUSED(result, errc, why)                                                 \
  do {                                                                                    \
    const auto& refused_ = (result);                                                      \
    ASSERT_FALSE(refused_.has_value());                                                   \
    EXPECT_EQ(refused_.error().code(), Errc::errc);                                       \
    EXPECT_EQ(refused_.error().reason(), ReasonCode::why) << refused_.error().describe(); \
  } while (false)
