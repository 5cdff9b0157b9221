// SPDX-License-Identifier: Apache-2.0
// What the tests of sending share: Regions with known bytes, connections over loopback, and who
// reads at their other ends.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "landfall/transport/sender.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/fault_plan.hpp"
#include "landfall_test/loopback.hpp"
#include "models/device_memory.hpp"

namespace landfall::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline std::byte pattern_at(std::uint64_t at) {
  return static_cast<std::byte>((at * 0x9E3779B97F4A7C15ull) >> 56);
}
inline void fill(const Memory& memory) {
  const auto bytes = bytes_of(memory.abi());
  for (std::uint64_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern_at(i);
}

/// Reads a connection to its end, on a thread of its own.
class Peer {
 public:
  explicit Peer(Fd socket) : socket_{std::move(socket)}, thread_{[this] { read(); }} {}
  /// All that came; `ret_number`: how it ended, 0 or errno.
  std::vector<std::byte> take(int* ret_number = nullptr) {
    thread_.join();
    if (ret_number != nullptr) *ret_number = number_;
    return std::move(bytes_);
  }
  /// Returns when `size` bytes have come.
  void await(std::uint64_t size) const {
    while (received_.load() < size) std::this_thread::yield();
  }

 private:
  void read() {
    std::vector<std::byte> piece(1 << 16);
    for (;;) {
      const ssize_t n = ::recv(socket_.get(), piece.data(), piece.size(), 0);
      if (n <= 0) {
        number_ = n == 0 ? 0 : errno;
        return;
      }
      bytes_.insert(bytes_.end(), piece.begin(), piece.begin() + n);
      received_ += static_cast<std::uint64_t>(n);
    }
  }
  Fd socket_;
  std::vector<std::byte> bytes_;
  std::atomic<std::uint64_t> received_{0};
  int number_ = 0;
  std::thread thread_;
};

class SendingTest : public ::testing::Test {
 public:
  SendingTest() { EXPECT_TRUE(context_->add(&kDeviceMemory)); }
  ~SendingTest() override {
    context_.reset();
    EXPECT_EQ(fds_.leaked(), 0);
  }

 protected:
  Region allocate(std::uint64_t size_bytes, const std::string& source = "host") {
    auto region = Region::allocate(*context_, {.source = source, .size_bytes = size_bytes});
    EXPECT_TRUE(region) << region.error().describe();
    fill(region->memory());
    return std::move(*region);
  }
  SendGroup open(Region region, const SendGroupOptions& options = {}) {
    auto group = SendGroup::open(*context_, options, region);
    EXPECT_TRUE(group) << group.error().describe();
    return std::move(*group);
  }
  Sender attach(SendGroup& group, Fd& socket) {
    Decision decision;
    auto sender = group.attach(socket, &decision);
    EXPECT_TRUE(sender) << decision.describe();
    return std::move(*sender);
  }
  /// Waits until nothing is out; the ranges in the order in which they were told.
  static std::vector<Sent> drain(Sender& sender) {
    std::vector<Sent> all;
    std::vector<Sent> some(7);
    for (;;) {
      const auto count = sender.wait(some, seconds{30});
      EXPECT_TRUE(count) << count.error().describe();
      if (!count || *count == 0) break;
      all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(*count));
    }
    EXPECT_EQ(sender.ranges_out(), 0u);
    return all;
  }
  static void expect_pattern(const std::vector<std::byte>& bytes, std::uint64_t size) {
    ASSERT_EQ(bytes.size(), size);
    for (std::uint64_t i = 0; i < size; ++i) ASSERT_EQ(bytes[i], pattern_at(i)) << "at " << i;
  }

  FdCensus fds_;
  FaultPlan plan_;
  std::optional<Context> context_ = std::move(*Context::create({.fault = plan_.hook()}));
};

}  // namespace landfall::test
