// SPDX-License-Identifier: Apache-2.0
#include "relay.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <utility>
#include <vector>

namespace landfall::test {
namespace {

using Clock = std::chrono::steady_clock;
using Packet = std::vector<std::uint8_t>;

constexpr std::size_t kPacketBytesMax = 65536;
/// As a router's queue: what comes while it is full is lost.
constexpr std::size_t kQueuePacketsMax = 1000;
/// A packet that is held back goes at the latest after this.
constexpr auto kHeldMost = std::chrono::milliseconds{20};

/// One direction.
struct Lane {
  int from, to;
  std::mt19937_64 random;
  struct Waiting {
    Clock::time_point due;
    Packet packet;
  };
  std::deque<Waiting> queue;   // by due time
  Packet held{};               // out of its turn
  std::uint32_t held_for = 0;  // packets that shall pass first
  Clock::time_point held_until{};

  bool happens(std::uint32_t per_thousand) { return random() % 1000 < per_thousand; }
};

/// Bytes of the IP header of a packet without options of IPv6.
std::size_t header_bytes(const Packet& packet) {
  return packet[0] >> 4 == 4 ? std::size_t{4} * (packet[0] & 15) : 40;
}

}  // namespace

Result<std::unique_ptr<TunRelay>> TunRelay::make(const Weather& weather) {
  LANDFALL_TRY(TunNamespace receiver, TunNamespace::make(1, weather.mtu));
  LANDFALL_TRY(TunNamespace sender, TunNamespace::make(2, weather.mtu));
  return std::unique_ptr<TunRelay>{new TunRelay{weather, std::move(receiver), std::move(sender)}};
}

TunRelay::TunRelay(const Weather& weather, TunNamespace receiver, TunNamespace sender)
    : weather_{weather},
      receiver_{std::move(receiver)},
      sender_{std::move(sender)},
      stop_{::eventfd(0, EFD_CLOEXEC)},
      thread_{[this] { run(); }} {}

TunRelay::~TunRelay() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

RelayCounts TunRelay::counts() const {
  return {passed_.load(), lost_.load(), duplicated_.load(), reordered_.load(), corrupted_.load()};
}

void TunRelay::run() {
  std::array<Lane, 2> lanes{
      Lane{receiver_.tun(), sender_.tun(), std::mt19937_64{weather_.seed}, {}},
      Lane{sender_.tun(), receiver_.tun(), std::mt19937_64{weather_.seed + 1}, {}}};
  Packet buffer(kPacketBytesMax);

  const auto put = [&](Lane& lane, Packet packet) {
    lane.queue.push_back({Clock::now() + weather_.delay, std::move(packet)});
  };
  const auto let_go = [&](Lane& lane) {
    if (!lane.held.empty()) put(lane, std::exchange(lane.held, {}));
  };
  const auto arrive = [&](Lane& lane, Packet packet) {
    if (lane.happens(weather_.loss) || lane.queue.size() >= kQueuePacketsMax) {
      ++lost_;
      return;
    }
    if (lane.happens(weather_.corrupt) && packet.size() > header_bytes(packet)) {
      const std::size_t begin = header_bytes(packet);
      packet[begin + lane.random() % (packet.size() - begin)] ^=
          static_cast<std::uint8_t>(1u << lane.random() % 8);
      ++corrupted_;
    }
    ++passed_;
    if (lane.happens(weather_.duplicate)) {
      ++duplicated_;
      put(lane, packet);
    }
    if (lane.held.empty() && lane.happens(weather_.reorder)) {
      ++reordered_;
      lane.held = std::move(packet);
      lane.held_for = static_cast<std::uint32_t>(1 + lane.random() % 8);
      lane.held_until = Clock::now() + kHeldMost;
      return;
    }
    put(lane, std::move(packet));
    if (!lane.held.empty() && --lane.held_for == 0) let_go(lane);
  };

  for (;;) {
    const Clock::time_point now = Clock::now();
    Clock::time_point next = now + std::chrono::seconds{1};
    for (Lane& lane : lanes) {
      if (!lane.held.empty() && lane.held_until <= now) let_go(lane);
      while (!lane.queue.empty() && lane.queue.front().due <= now) {
        const Packet& packet = lane.queue.front().packet;
        // What the device does not take is lost, as on a wire.
        if (::write(lane.to, packet.data(), packet.size()) < 0) ++lost_;
        lane.queue.pop_front();
      }
      if (!lane.queue.empty()) next = std::min(next, lane.queue.front().due);
      if (!lane.held.empty()) next = std::min(next, lane.held_until);
    }
    std::array<pollfd, 3> ready{pollfd{lanes[0].from, POLLIN, 0}, pollfd{lanes[1].from, POLLIN, 0},
                                pollfd{stop_.get(), POLLIN, 0}};
    const auto wait = std::chrono::duration_cast<std::chrono::nanoseconds>(next - now);
    const timespec timeout{wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
    ::ppoll(ready.data(), ready.size(), &timeout, nullptr);
    if (ready[2].revents != 0) return;
    for (Lane& lane : lanes) {
      for (int i = 0; i < 64; ++i) {
        const ssize_t got = ::read(lane.from, buffer.data(), buffer.size());
        if (got <= 0) break;
        arrive(lane, Packet(buffer.begin(), buffer.begin() + got));
      }
    }
  }
}

}  // namespace landfall::test
