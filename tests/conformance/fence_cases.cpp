// SPDX-License-Identifier: Apache-2.0
// Buffers that go back when a device has done its work on them.
#include <thread>

#include "conformance/pattern.hpp"
#include "conformance/rig.hpp"
#include "models/device_memory.hpp"

namespace landfall::test {
namespace {

class Fences : public Transport {
 protected:
  /// Receives `bytes` more of the stream and keeps them.
  static bool receive(Rig& rig, Stream& stream, std::uint64_t bytes) {
    stream.keep();
    stream.send(bytes, false);
    return rig.until([&] { return stream.received == stream.sent_bytes; });
  }
  /// A Rig with one stream, 100,000 bytes of which are kept; its sender has ended.
  std::unique_ptr<Rig> rig_with_bytes_kept() {
    auto rig = Rig::open(GetParam());
    EXPECT_OK(rig);
    if (!rig) return nullptr;
    Stream* stream = (*rig)->connect();
    if (stream == nullptr) return nullptr;
    EXPECT_TRUE(receive(**rig, *stream, 100'000));
    EXPECT_TRUE(stream->sent());
    return std::move(*rig);
  }
  static void release(Stream& stream, const Fence& fence) {
    for (Held& held : stream.held) held.take().release_after(fence);
    stream.held.clear();
  }
};
LANDFALL_CONFORMANCE(Fences);

// Goal: what waits for the device is out, whoever else wants memory, and comes back when the device
// has passed.
TEST_P(Fences, BuffersWaitForTheDevice) {
  LANDFALL_NEEDS(fences);
  const auto rig = rig_with_bytes_kept();
  ASSERT_NE(rig, nullptr);
  Stream* stream = rig->streams[0].get();
  struct Piece {
    std::uint64_t stream_offset;
    std::span<const std::byte> bytes;
  };
  std::vector<Piece> pieces;
  for (const Held& held : stream->held) {
    const Buffer& buffer = held.buffer();
    pieces.push_back({buffer.stream_offset(),
                      bytes_of(buffer.memory().abi()).subspan(buffer.offset(), buffer.length())});
  }
  DeviceStream work;
  const auto fence = rig->group->fence(&work);
  ASSERT_OK(fence);
  release(*stream, *fence);
  Stream* other = rig->connect();
  ASSERT_NE(other, nullptr);
  other->send(8u << 20, true);
  ASSERT_TRUE(rig->until([&] { return other->ended; }));
  EXPECT_EQ(rig->receiver().buffers_out(), pieces.size());
  for (const Piece& piece : pieces)
    EXPECT_TRUE(matches_pattern(stream->seed, piece.stream_offset, piece.bytes));
  stream->flow->close();
  rig->quiet();
  EXPECT_FALSE(stream->closed);
  work.finish();
  EXPECT_TRUE(rig->until([&] { return stream->closed; }));
}

// Goal: a Receiver that sleeps is woken by the device, each time.
TEST_P(Fences, TheDeviceWakesASleeper) {
  LANDFALL_NEEDS(fences);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  for (int round = 0; round < 100; ++round) {
    Stream* stream = (*rig)->connect();
    ASSERT_NE(stream, nullptr);
    ASSERT_TRUE(receive(**rig, *stream, 1000));
    DeviceStream work;
    const auto fence = (*rig)->group->fence(&work);
    ASSERT_OK(fence);
    std::thread device{[&] {
      if (round % 2 == 0) release(*stream, *fence);
      work.finish(round % 4 == 0);
    }};
    if (round % 2 == 0) device.join();
    if (round % 2 != 0) release(*stream, *fence);
    stream->flow->close();
    EXPECT_TRUE((*rig)->until([&] { return stream->closed; })) << "round " << round;
    if (device.joinable()) device.join();
  }
}

// Goal: without a Receiver that looks, who closes it or releases after it waits for the device.
TEST_P(Fences, WithoutAReceiverTheCallerWaits) {
  LANDFALL_NEEDS(fences);
  const auto rig = rig_with_bytes_kept();
  ASSERT_NE(rig, nullptr);
  Stream* stream = rig->streams[0].get();
  DeviceStream work, more_work;
  const auto fence = rig->group->fence(&work);
  const auto second = rig->group->fence(&more_work);
  ASSERT_OK(fence);
  ASSERT_OK(second);
  Buffer last = stream->held.back().take();
  stream->held.pop_back();
  release(*stream, *fence);
  std::thread closer{[&] { rig->group.reset(); }};
  work.finish();
  closer.join();
  std::thread dropper{[&] { std::move(last).release_after(*second); }};
  more_work.finish();
  dropper.join();
}

// Goal: memory without streams says so.
TEST_P(Fences, AreRefusedWhereThereIsNoDevice) {
  if (GetParam().can(Cap::fences)) return;
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  EXPECT_REFUSED((*rig)->group->fence(nullptr), not_supported, no_device_streams);
}

}  // namespace
}  // namespace landfall::test
