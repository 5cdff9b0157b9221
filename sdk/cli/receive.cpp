// SPDX-License-Identifier: Apache-2.0
#include "receive.hpp"

#include <poll.h>
#include <time.h>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "incoming.hpp"

namespace landfall::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kProgressEvery{200};

double thread_cpu() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

class Loop {
 public:
  Loop(Group& group, Destination& destination, const ReceiveOptions& options)
      : group_{group}, destination_{destination}, options_{options} {}

  ReceiveOutcome run();

 private:
  /// What one Receiver has now.
  Result<std::size_t> take_from(Receiver& receiver);
  void take(Completion& completion);
  void take_data(Completion& completion);
  void take_end(Flow& flow);
  void fail(Flow& flow, const Error& error);
  void note_error(const Error& error);
  void ended(Incoming& incoming, bool whole);
  void show_progress(bool always);
  /// Sleeps until there is work. False: stop.
  bool sleep();
  /// True once stop_fd is readable; asks without waiting.
  bool stop_asked();
  bool transfer_is_over();
  bool looks_on();

  Group& group_;
  Destination& destination_;
  const ReceiveOptions& options_;
  std::map<Flow*, std::unique_ptr<Incoming>> streams_;
  std::map<std::uint64_t, std::uint32_t> transfers_;  // transfer id -> streams still to come
  std::uint64_t raw_done_ = 0;
  bool framed_done_ = false;
  bool revoked_ = false;  // nothing more will come
  std::optional<Clock::time_point> began_, ended_;
  Clock::time_point last_shown_{};
  bool idle_shown_ = false;                      // with no stream open
  std::optional<Clock::time_point> idle_since_;  // with busy_poll
  std::uint64_t batches_ = 0;
  double cpu_before_ = 0;
  std::array<Completion, 64> batch_;
  std::vector<pollfd> sleeping_on_;  // of each Receiver, then stop_fd
  ReceiveOutcome outcome_;
};

void Loop::note_error(const Error& error) {
  if (!outcome_.first_error) outcome_.first_error = error;
  if (options_.on_stream_error) options_.on_stream_error(error);
}

/// A stream is over; the Flow lives until `closed`.
void Loop::ended(Incoming& incoming, bool whole) {
  Progress& p = outcome_.progress;
  --p.streams_open;
  p.files += incoming.files();
  p.data_bytes += incoming.parser().data_bytes();
  ended_ = Clock::now();
  if (!whole) {
    ++p.streams_failed;
    return;
  }
  if (const auto& head = incoming.head()) {
    auto& left = transfers_.try_emplace(head->transfer_id, head->stream_count).first->second;
    if (--left == 0) {
      framed_done_ = true;
      transfers_.erase(head->transfer_id);
    }
  } else {
    ++raw_done_;
  }
}

void Loop::fail(Flow& flow, const Error& error) {
  const auto it = streams_.find(&flow);
  if (it == streams_.end()) return;
  it->second->discard();
  ended(*it->second, false);
  streams_.erase(it);
  note_error(error);
  flow.close(true);  // RST: the sender learns that it was not taken
  stop_asked();      // then that may be why
}

void Loop::take_end(Flow& flow) {
  const auto it = streams_.find(&flow);
  if (it == streams_.end()) return;
  if (const auto finished = it->second->finish(); !finished) return fail(flow, finished.error());
  ended(*it->second, true);
  streams_.erase(it);
  flow.close();
}

void Loop::take_data(Completion& completion) {
  const auto it = streams_.find(completion.flow);
  if (it == streams_.end()) return;  // failed before: its Buffers just go back
  Incoming& incoming = *it->second;
  const bool had_head = incoming.head().has_value();
  const std::uint64_t length = completion.buffer.length();
  const auto bytes = completion.buffer.host_bytes();
  const auto fed = bytes ? incoming.feed(*bytes) : Result<void>{bytes.error()};
  completion.buffer.reset();
  incoming.bytes_seen += length;
  outcome_.progress.bytes += length;
  if (!had_head && incoming.head()) outcome_.progress.total_bytes += incoming.head()->total_bytes;
  if (!fed) fail(*completion.flow, fed.error());
}

void Loop::take(Completion& completion) {
  switch (completion.kind) {
    case Completion::Kind::opened:
      streams_[completion.flow] = std::make_unique<Incoming>(destination_);
      ++outcome_.progress.streams;
      ++outcome_.progress.streams_open;
      if (!began_) began_ = Clock::now();
      break;
    case Completion::Kind::data:
      take_data(completion);
      break;
    case Completion::Kind::end_of_stream:
      take_end(*completion.flow);
      break;
    case Completion::Kind::failed:
      if (completion.flow != nullptr)
        fail(*completion.flow, completion.error);
      else
        note_error(completion.error);
      break;
    case Completion::Kind::revoked:
      note_error(Error{Errc::revoked, "recv", ReasonCode::binding_revoked});
      revoked_ = true;
      break;
    default:
      break;
  }
}

void Loop::show_progress(bool always) {
  const auto now = Clock::now();
  if (!options_.on_progress || !began_ || (!always && now - last_shown_ < kProgressEvery)) return;
  last_shown_ = now;
  outcome_.progress.seconds = std::chrono::duration<double>(now - *began_).count();
  options_.on_progress(outcome_.progress);
}

bool Loop::sleep() {
  sleeping_on_.clear();
  for (std::size_t i = 0; i < group_.size(); ++i) {
    const auto armed = group_[i].arm();
    if (!armed) {
      note_error(armed.error());
      return false;
    }
    if (!*armed) return true;
    sleeping_on_.push_back({group_[i].wait_fd(), POLLIN, 0});
  }
  sleeping_on_.push_back({options_.stop_fd, POLLIN, 0});
  // Progress moves only with data; without a reader of it nothing needs a timer.
  const int timeout =
      options_.on_progress && !streams_.empty() ? static_cast<int>(kProgressEvery.count()) : -1;
  ::poll(sleeping_on_.data(), sleeping_on_.size(), timeout);
  outcome_.stopped = (sleeping_on_.back().revents & POLLIN) != 0;
  return !outcome_.stopped;
}

bool Loop::stop_asked() {
  pollfd fd{options_.stop_fd, POLLIN, 0};
  outcome_.stopped = ::poll(&fd, 1, 0) == 1;
  return outcome_.stopped;
}

/// Nothing has come. Is it to be asked for again at once?
bool Loop::looks_on() {
  if (options_.busy_poll.count() == 0) return false;
  const Clock::time_point now = Clock::now();
  if (!idle_since_) idle_since_ = now;
  if (now - *idle_since_ < options_.busy_poll) return true;
  idle_since_.reset();  // and once more after the sleep
  return false;
}

bool Loop::transfer_is_over() {
  if (!options_.once || !streams_.empty()) return false;
  for (std::size_t i = 0; i < group_.size(); ++i)
    if (group_[i].flows() != 0) return false;
  return framed_done_ || raw_done_ >= options_.raw_streams || outcome_.progress.streams_failed != 0;
}

Result<std::size_t> Loop::take_from(Receiver& receiver) {
  const auto charge = [this](double& account) {
    const double now = thread_cpu();
    account += now - std::exchange(cpu_before_, now);
  };
  LANDFALL_TRY(const std::size_t count, receiver.poll(batch_));
  charge(outcome_.progress.cpu_receiving);
  if (count == 0) return count;
  for (std::size_t i = 0; i < count; ++i) take(batch_[i]);
  charge(outcome_.progress.cpu_storing);
  return count;
}

ReceiveOutcome Loop::run() {
  cpu_before_ = thread_cpu();
  Progress& p = outcome_.progress;
  for (bool go_on = true; go_on && !outcome_.stopped;) {
    std::size_t count = 0;
    for (std::size_t i = 0; go_on && i < group_.size(); ++i) {
      const auto taken = take_from(group_[i]);
      if (taken) {
        count += *taken;
      } else {
        note_error(taken.error());
        go_on = false;
      }
    }
    if (!go_on || revoked_) break;
    if (count == 0) {
      if (transfer_is_over()) break;
      // The last word on what is over; then nothing changes until there is more.
      if (streams_.empty() && !idle_shown_) show_progress(true);
      idle_shown_ = streams_.empty();
      if (looks_on()) continue;
      go_on = sleep();
    } else {
      idle_since_.reset();
      idle_shown_ = false;
      // A sender that never pauses does not keep the user's Ctrl-C waiting.
      if (++batches_ % 64 == 0 && stop_asked()) break;
    }
    show_progress(false);
  }
  // What is not complete leaves nothing behind.
  streams_.clear();
  if (began_)
    p.seconds = std::chrono::duration<double>(ended_.value_or(Clock::now()) - *began_).count();
  return outcome_;
}

}  // namespace

ReceiveOutcome receive(Group& group, Destination& destination, const ReceiveOptions& options) {
  return Loop{group, destination, options}.run();
}

}  // namespace landfall::cli
