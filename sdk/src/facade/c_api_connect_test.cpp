// SPDX-License-Identifier: Apache-2.0
// Goal: over a transport's own connections, sending and receiving through C is what it is through
// C++: who connects, who accepts, and beside which transport. Over libfabric's tcp provider.
#include <dlfcn.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <future>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "landfall_test/c_api.hpp"

#ifndef LANDFALL_OFI_PLUGIN
#define LANDFALL_OFI_PLUGIN ""
#endif

namespace {

constexpr std::int64_t kPatienceNs = 20'000'000'000;

struct Stream {
  std::string bytes, transport;
  std::uint32_t failed = 0;  // a reason
};

/// The polling thread of a Receiver with one flow: connects it if there is a port, reads it to its
/// end, and closes it.
Stream read_stream(landfall_receiver_t* receiver, std::uint16_t connect_to = 0) {
  Stream stream;
  landfall_error_t error = LANDFALL_ERROR_INIT;
  if (connect_to != 0) {
    EXPECT_EQ(
        landfall_receiver_connect(receiver, "127.0.0.1", connect_to, nullptr, nullptr, &error),
        LANDFALL_ERRC_ok)
        << error.text;
  }
  std::array<landfall_completion_t, 16> batch{};
  for (std::size_t count = 1; count != 0;) {
    EXPECT_EQ(landfall_receiver_wait(receiver, batch.data(), batch.size(), kPatienceNs,
                                     &(count = 0), &error),
              LANDFALL_ERRC_ok)
        << error.text;
    for (const landfall_completion_t& one : std::span{batch}.first(count)) {
      if (one.kind == LANDFALL_COMPLETION_DATA) {
        stream.bytes.append(static_cast<const char*>(landfall_buffer_data(one.buffer)),
                            landfall_buffer_length(one.buffer));
        landfall_buffer_drop(one.buffer);
      } else if (one.kind == LANDFALL_COMPLETION_END_OF_STREAM) {
        landfall_decision_t* decision = nullptr;
        EXPECT_EQ(landfall_flow_decision(one.flow, &decision), LANDFALL_ERRC_ok);
        stream.transport = landfall_decision_chosen(decision);
        landfall_decision_free(decision);
        landfall_flow_close(one.flow, 0);
      } else if (one.kind == LANDFALL_COMPLETION_FAILED) {
        stream.failed = one.error_reason;
      } else if (one.kind == LANDFALL_COMPLETION_CLOSED) {
        return stream;
      }
    }
  }
  ADD_FAILURE() << "the flow was not closed in time";
  return stream;
}

class CConnecting : public landfall::test::CApi {
 protected:
  void SetUp() override {
    if (*LANDFALL_OFI_PLUGIN == '\0')
      GTEST_SKIP() << "built without libfabric 1.17 or later (Debian: libfabric-dev)";
    static const void* const library = ::dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) GTEST_SKIP() << "libfabric.so.1 is not installed (Debian: libfabric1)";
    CApi::SetUp();
    ASSERT_EQ(landfall_context_load(context_, LANDFALL_OFI_PLUGIN, &error_), LANDFALL_ERRC_ok)
        << error_.text;
    landfall_region_options_t options = LANDFALL_REGION_OPTIONS_INIT;
    options.size_bytes = kSize;
    ASSERT_EQ(landfall_region_allocate(context_, &options, &source_, &error_), LANDFALL_ERRC_ok);
    landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
    ASSERT_EQ(landfall_region_memory(source_, &memory), LANDFALL_ERRC_ok);
    bytes_ = static_cast<char*>(memory.host);
    for (std::size_t i = 0; i < kSize; ++i) bytes_[i] = static_cast<char>(i * 31 % 251);
    open_senders("ofi.provider=tcp");
  }
  void TearDown() override {
    landfall_sender_free(sender_);
    landfall_send_group_free(senders_);
    landfall_region_free(source_);
    CApi::TearDown();
  }
  void open_senders(const char* transport_options) {
    landfall_send_group_options_t options = LANDFALL_SEND_GROUP_OPTIONS_INIT;
    options.transports = "ofi";
    options.options = transport_options;
    ASSERT_EQ(landfall_send_group_open(context_, &options, &source_, &senders_, &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
  }
  void open_receivers(const char* transports, const char* also) {
    landfall_group_options_t options = LANDFALL_GROUP_OPTIONS_INIT;
    options.transports = transports;
    options.also = also;
    options.options = "ofi.provider=tcp";
    ASSERT_EQ(landfall_group_open(context_, &options, &region_, &group_, nullptr, &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
  }
  std::uint16_t listen() {
    std::uint16_t port = 0;
    EXPECT_EQ(landfall_group_listen(group_, "127.0.0.1", 0, nullptr, &port, &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
    return port;
  }

  static constexpr std::size_t kSize = 1u << 20;
  char* bytes_ = nullptr;
  landfall_region_t* source_ = nullptr;
  landfall_send_group_t* senders_ = nullptr;
  landfall_sender_t* sender_ = nullptr;
};

TEST_F(CConnecting, ConnectsToAReceiver) {
  open_receivers("ofi", nullptr);
  const std::uint16_t port = listen();
  auto reading = std::async(std::launch::async, read_stream, landfall_group_receiver(group_, 0), 0);
  ASSERT_EQ(
      landfall_send_group_connect(senders_, "127.0.0.1", port, -1, &sender_, &decision_, &error_),
      LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_STREQ(landfall_decision_chosen(decision_), "ofi");
  ASSERT_EQ(landfall_sender_send_inline(sender_, "head", 4, &error_), LANDFALL_ERRC_ok);
  ASSERT_EQ(landfall_sender_send(sender_, 100, kSize - 100, 7, &error_), LANDFALL_ERRC_ok);
  landfall_sent_t sent{};
  std::size_t count = 0;
  ASSERT_EQ(landfall_sender_wait(sender_, &sent, 1, kPatienceNs, &count, &error_), LANDFALL_ERRC_ok)
      << error_.text;
  ASSERT_EQ(count, 1u);
  EXPECT_EQ(sent.tag, 7u);
  EXPECT_EQ(sent.offset, 100u);
  EXPECT_EQ(sent.length, kSize - 100);
  int fd = -1;
  EXPECT_EQ(landfall_sender_detach(&sender_, &fd, &error_), LANDFALL_ERRC_not_supported);
  ASSERT_NE(sender_, nullptr);
  EXPECT_EQ(landfall_sender_close(sender_, INT64_MAX, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(landfall_sender_ranges_out(sender_), 0u);

  const Stream stream = reading.get();
  EXPECT_EQ(stream.failed, 0u);
  EXPECT_EQ(stream.transport, "ofi");
  ASSERT_EQ(stream.bytes.size(), kSize - 96);
  EXPECT_EQ(stream.bytes.compare(0, 4, "head"), 0);
  EXPECT_EQ(std::memcmp(stream.bytes.data() + 4, bytes_ + 100, kSize - 100), 0);

  EXPECT_EQ(landfall_send_group_close(&senders_, &source_, &error_), LANDFALL_ERRC_busy)
      << "a closed sender's handle stays";
  landfall_sender_free(std::exchange(sender_, nullptr));
  EXPECT_EQ(landfall_send_group_close(&senders_, &source_, &error_), LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_NE(source_, nullptr);
}

TEST_F(CConnecting, AcceptsAReceiverBesideTheChosenTransport) {
  open_receivers("tcp", "ofi");
  ASSERT_EQ(landfall_group_decision(group_, &decision_), LANDFALL_ERRC_ok);
  EXPECT_STREQ(landfall_decision_chosen(decision_), "tcp");
  ASSERT_EQ(landfall_group_receivers(group_), 2u) << landfall_decision_describe(decision_);
  landfall_decision_free(std::exchange(decision_, nullptr));

  std::uint16_t port = 0;
  ASSERT_EQ(landfall_send_group_listen(senders_, "127.0.0.1", 0, &port, &decision_, &error_),
            LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_STREQ(landfall_decision_chosen(decision_), "ofi");
  EXPECT_NE(port, 0);
  EXPECT_EQ(landfall_send_group_accept(senders_, 1'000'000, &sender_, &error_),
            LANDFALL_ERRC_timed_out);
  EXPECT_EQ(sender_, nullptr);

  auto reading =
      std::async(std::launch::async, read_stream, landfall_group_receiver(group_, 1), port);
  ASSERT_EQ(landfall_send_group_accept(senders_, kPatienceNs, &sender_, &error_), LANDFALL_ERRC_ok)
      << error_.text;
  ASSERT_EQ(landfall_sender_send(sender_, 0, kSize, 0, &error_), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_sender_close(sender_, kPatienceNs, &error_), LANDFALL_ERRC_ok) << error_.text;
  const Stream stream = reading.get();
  EXPECT_EQ(stream.failed, 0u);
  EXPECT_EQ(stream.transport, "ofi");
  ASSERT_EQ(stream.bytes.size(), kSize);
  EXPECT_EQ(std::memcmp(stream.bytes.data(), bytes_, kSize), 0);
}

// Goal: while one thread waits for a receiver that connects, another connects to a receiver, and
// cannot close the group.
TEST_F(CConnecting, AcceptsBesideOthersThatConnect) {
  open_receivers("ofi", nullptr);
  std::uint16_t port = 0;
  ASSERT_EQ(landfall_send_group_listen(senders_, "127.0.0.1", 0, &port, nullptr, &error_),
            LANDFALL_ERRC_ok)
      << error_.text;
  landfall_sender_t* accepted = nullptr;
  auto accepting = std::async(std::launch::async, [&] {
    landfall_error_t error = LANDFALL_ERROR_INIT;
    return landfall_send_group_accept(senders_, INT64_MAX, &accepted, &error);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds{20});

  landfall_receiver_t* receiver = landfall_group_receiver(group_, 0);
  auto reading = std::async(std::launch::async, read_stream, receiver, 0);
  ASSERT_EQ(landfall_send_group_connect(senders_, "127.0.0.1", listen(), kPatienceNs, &sender_,
                                        nullptr, &error_),
            LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_EQ(landfall_sender_close(sender_, -1, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(reading.get().failed, 0u);
  landfall_sender_free(std::exchange(sender_, nullptr));
  EXPECT_EQ(landfall_send_group_close(&senders_, &source_, &error_), LANDFALL_ERRC_busy)
      << "somebody accepts";
  EXPECT_EQ(error_.reason, LANDFALL_REASON_senders_open);

  reading = std::async(std::launch::async, read_stream, receiver, port);
  EXPECT_EQ(accepting.get(), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_sender_close(accepted, kPatienceNs, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(reading.get().failed, 0u);
  landfall_sender_free(accepted);
}

// Goal: a connection that nobody takes is an error by name, and the outputs are left alone.
TEST_F(CConnecting, SaysThatNobodyListens) {
  open_receivers("ofi", nullptr);
  const std::uint16_t port = listen();
  ASSERT_EQ(landfall_group_close(&group_, &region_, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(landfall_send_group_connect(senders_, "127.0.0.1", port, kPatienceNs, &sender_,
                                        &decision_, &error_),
            LANDFALL_ERRC_flow_reset);
  EXPECT_EQ(error_.reason, LANDFALL_REASON_peer_unreachable) << error_.text;
  EXPECT_EQ(sender_, nullptr);
  EXPECT_EQ(decision_, nullptr);
}

// Goal: options reach their transport, and what it says to them reaches the decision.
TEST_F(CConnecting, OptionsReachTheTransport) {
  ASSERT_EQ(landfall_send_group_close(&senders_, &source_, &error_), LANDFALL_ERRC_ok);
  open_senders("ofi.provider=nonsense");
  EXPECT_EQ(landfall_send_group_listen(senders_, "", 0, nullptr, &decision_, &error_),
            LANDFALL_ERRC_not_supported);
  EXPECT_EQ(error_.reason, LANDFALL_REASON_no_rdma_device);
  landfall_error_t reason = LANDFALL_ERROR_INIT;
  ASSERT_EQ(landfall_decision_reason(decision_, 0, 0, &reason), LANDFALL_ERRC_ok);
  EXPECT_NE(std::strstr(reason.text, "nonsense"), nullptr) << reason.text;
}

}  // namespace
