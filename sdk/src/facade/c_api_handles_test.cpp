// SPDX-License-Identifier: Apache-2.0
// What the C API answers to handles of buffers that are not out.
#include <unistd.h>

#include <thread>
#include <utility>

#include "landfall_test/c_api.hpp"
#include "landfall_test/child.hpp"

namespace {

using landfall::test::CApi;

/// Every call of a buffer but drop.
void expect_refused(landfall_buffer_t* buffer, landfall_errc code) {
  landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
  EXPECT_EQ(landfall_buffer_memory(buffer, &memory), code);
  EXPECT_EQ(landfall_buffer_data(buffer), nullptr);
  EXPECT_EQ(landfall_buffer_length(buffer), 0u);
  EXPECT_EQ(landfall_buffer_offset(buffer), 0u);
  EXPECT_EQ(landfall_buffer_stream_offset(buffer), 0u);
  EXPECT_EQ(landfall_buffer_flow_id(buffer), 0u);
  EXPECT_EQ(landfall_buffer_charge(buffer), 0u);
  EXPECT_EQ(landfall_buffer_placement(buffer), std::uint32_t{LANDFALL_PLACEMENT_UNSURE});
  EXPECT_EQ(landfall_buffer_ends_message(buffer), 0);
}

#ifdef NDEBUG

// Goal: a buffer counts as dropped once, however often and wherever its handle is dropped, and the
// next buffer of the same extent is left alone, also after the group is gone.
TEST_F(CApi, RefusesAHandleThatWasDropped) {
  open();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "a", 1, 0), 1);
  landfall_buffer_t* first = next_buffer();
  ASSERT_EQ(landfall_buffer_length(first), 1u);
  EXPECT_EQ(landfall_buffer_drop(first), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_buffer_drop(first), LANDFALL_ERRC_invalid_argument);
  expect_refused(first, LANDFALL_ERRC_invalid_argument);

  ASSERT_EQ(::send(fd, "b", 1, 0), 1);
  landfall_buffer_t* second = next_buffer();
  EXPECT_EQ(landfall_receiver_buffers_out(receiver_), 1u);
  std::thread{[&] {
    EXPECT_EQ(landfall_buffer_drop(first), LANDFALL_ERRC_invalid_argument) << "stale";
  }}.join();
  EXPECT_EQ(*static_cast<const char*>(landfall_buffer_data(second)), 'b');

  landfall_group_free(std::exchange(group_, nullptr));
  EXPECT_EQ(landfall_buffer_drop(first), LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(landfall_buffer_drop(second), LANDFALL_ERRC_ok) << "now the memory goes";
  EXPECT_EQ(landfall_buffer_drop(second), LANDFALL_ERRC_invalid_argument);
  expect_refused(second, LANDFALL_ERRC_invalid_argument);
  ::close(fd);
}

// Goal: a handle that never was one is refused.
TEST_F(CApi, RefusesAForgedHandle) {
  open();
  const auto forged = [](std::uintptr_t value) {
    return reinterpret_cast<landfall_buffer_t*>(value);
  };
  for (const std::uintptr_t value :
       {std::uintptr_t{1}, std::uintptr_t{64}, ~std::uintptr_t{0}, std::uintptr_t{1} << 48,
        reinterpret_cast<std::uintptr_t>(this), reinterpret_cast<std::uintptr_t>(receiver_)}) {
    EXPECT_EQ(landfall_buffer_drop(forged(value)), LANDFALL_ERRC_invalid_argument) << value;
    expect_refused(forged(value), LANDFALL_ERRC_invalid_argument);
  }
}

// Goal: each refusal counts once, and nothing else does.
TEST_F(CApi, CountsWhatItRefuses) {
  open();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "a", 1, 0), 1);
  landfall_buffer_t* buffer = next_buffer();
  const std::uint64_t before = landfall_buffers_refused();
  EXPECT_EQ(landfall_buffer_length(buffer), 1u);
  EXPECT_EQ(landfall_buffer_length(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_drop(nullptr), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_buffers_refused(), before);
  std::thread other{[&] { landfall_buffer_drop(buffer); }};
  landfall_buffer_drop(buffer);
  other.join();
  EXPECT_EQ(landfall_buffers_refused(), before + 1) << "of two drops at once";
  landfall_buffer_length(buffer);
  landfall_buffer_drop(reinterpret_cast<landfall_buffer_t*>(std::uintptr_t{64}));
  EXPECT_EQ(landfall_buffers_refused(), before + 3);
  ::close(fd);
}

#else

// Goal: a build with asserts stops at the call that has the stale or forged handle.
TEST_F(CApi, StopsAtAHandleThatIsRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a forked child's handles are another matter
  open();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "a", 1, 0), 1);
  landfall_buffer_t* const stale = next_buffer();
  auto* const forged = reinterpret_cast<landfall_buffer_t*>(std::uintptr_t{64});
  EXPECT_EQ(landfall_buffer_length(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_drop(stale), LANDFALL_ERRC_ok);
  for (landfall_buffer_t* buffer : {stale, forged}) {
    EXPECT_DEATH(landfall_buffer_drop(buffer), "dropped before, or made up");
    EXPECT_DEATH(landfall_buffer_data(buffer), "dropped before, or made up");
    EXPECT_DEATH(landfall_buffer_length(buffer), "dropped before, or made up");
  }
  ::close(fd);
}

#endif

// Goal: memory without streams of device work says so, and the buffers stay the caller's.
TEST_F(CApi, DropsAfterDeviceWorkOnlyWhereThereIsADevice) {
  open();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "a", 1, 0), 1);
  landfall_buffer_t* buffer = next_buffer();
  landfall_error_t error = LANDFALL_ERROR_INIT;
  EXPECT_EQ(landfall_group_drop_after(group_, nullptr, &buffer, 1, &error),
            LANDFALL_ERRC_not_supported);
  EXPECT_EQ(error.reason, std::uint32_t{LANDFALL_REASON_no_device_streams});
  EXPECT_EQ(landfall_buffer_length(buffer), 1u);
  EXPECT_EQ(landfall_buffer_drop(buffer), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_group_drop_after(nullptr, nullptr, &buffer, 1, &error),
            LANDFALL_ERRC_invalid_argument);
  ::close(fd);
}

// Goal: a forked child is told that the buffer is its parent's, who keeps it.
TEST_F(CApi, AForkedChildIsRefused) {
  open();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "a", 1, 0), 1);
  landfall_buffer_t* buffer = next_buffer();
  EXPECT_TRUE(landfall::test::holds_in_child([&] {
    expect_refused(buffer, LANDFALL_ERRC_wrong_process);
    EXPECT_EQ(landfall_buffer_drop(buffer), LANDFALL_ERRC_wrong_process);
    return !HasFailure();
  }));
  EXPECT_EQ(*static_cast<const char*>(landfall_buffer_data(buffer)), 'a');
  EXPECT_EQ(landfall_buffer_drop(buffer), LANDFALL_ERRC_ok);
  ::close(fd);
}

}  // namespace
