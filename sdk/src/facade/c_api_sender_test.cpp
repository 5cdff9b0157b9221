// SPDX-License-Identifier: Apache-2.0
// Goal: sending through C is sending through C++: bytes, verdict, errors, and who owns what.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "landfall_test/c_api.hpp"
#include "landfall_test/loopback.hpp"

namespace {

using landfall::test::tcp_pair;

class CSending : public landfall::test::CApi {
 protected:
  void SetUp() override {
    CApi::SetUp();
    landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
    ASSERT_EQ(landfall_region_memory(region_, &memory), LANDFALL_ERRC_ok);
    bytes_ = static_cast<char*>(memory.host);
    for (std::size_t i = 0; i < kSize; ++i) bytes_[i] = static_cast<char>(i * 31 % 251);
  }
  void TearDown() override {
    landfall_sender_free(sender_);
    landfall_send_group_free(senders_);
    CApi::TearDown();
  }
  void open_senders(const char* methods = nullptr,
                    std::uint32_t contract_kind = LANDFALL_CONTRACT_PREFER_DIRECT) {
    landfall_send_group_options_t options = LANDFALL_SEND_GROUP_OPTIONS_INIT;
    landfall_contract_t contract = LANDFALL_CONTRACT_INIT;
    contract.kind = contract_kind;
    options.methods = methods;
    options.ranges_max = 8;
    options.contract = &contract;
    ASSERT_EQ(landfall_send_group_open(context_, &options, &region_, &senders_, &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
    ASSERT_EQ(region_, nullptr);
  }

  static constexpr std::size_t kSize = 4u << 20;
  char* bytes_ = nullptr;
  landfall_send_group_t* senders_ = nullptr;
  landfall_sender_t* sender_ = nullptr;
};

TEST_F(CSending, SendsAStream) {
  open_senders("zerocopy,copy");
  auto [ours, theirs] = tcp_pair();
  int fd = ours.release();
  ASSERT_EQ(landfall_send_group_attach(senders_, &fd, &sender_, &decision_, &error_),
            LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_EQ(fd, -1);
  EXPECT_STREQ(landfall_decision_chosen(decision_), "zerocopy");
  ASSERT_EQ(landfall_sender_send_inline(sender_, "head", 4, &error_), LANDFALL_ERRC_ok);
  ASSERT_EQ(landfall_sender_send(sender_, 100, kSize - 100, 7, &error_), LANDFALL_ERRC_ok);
  ASSERT_EQ(landfall_sender_finish(sender_, &error_), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_send_group_close(&senders_, nullptr, &error_), LANDFALL_ERRC_busy);

  std::string got;
  std::vector<char> piece(1 << 16);
  std::size_t told = 0;
  bool ended = false;
  while (!ended || landfall_sender_ranges_out(sender_) != 0) {
    landfall_sent_t sent{};
    std::size_t count = 0;
    ASSERT_EQ(landfall_sender_poll(sender_, &sent, 1, &count, &error_), LANDFALL_ERRC_ok);
    if (count == 1) {
      EXPECT_EQ(sent.tag, 7u);
      EXPECT_EQ(sent.offset, 100u);
      EXPECT_EQ(sent.length, kSize - 100);
    }
    told += count;
    int sleep = 0;
    ASSERT_EQ(landfall_sender_arm(sender_, &sleep, &error_), LANDFALL_ERRC_ok);
    if (sleep == 0 && !ended && count == 0) continue;
    const ssize_t n = ended ? 0 : ::recv(theirs.get(), piece.data(), piece.size(), 0);
    ASSERT_GE(n, 0);
    ended = n == 0;
    got.append(piece.data(), static_cast<std::size_t>(n));
  }
  landfall_sent_t last{};
  std::size_t count = 0;
  ASSERT_EQ(landfall_sender_wait(sender_, &last, 1, -1, &count, &error_), LANDFALL_ERRC_ok);
  EXPECT_EQ(told + count, 1u);
  ASSERT_EQ(got.size(), kSize - 96);
  EXPECT_EQ(got.compare(0, 4, "head"), 0);
  EXPECT_EQ(std::memcmp(got.data() + 4, bytes_ + 100, kSize - 100), 0);
  landfall_verdict_t verdict = LANDFALL_VERDICT_INIT;
  ASSERT_EQ(landfall_sender_verdict(sender_, &verdict), LANDFALL_ERRC_ok);
  EXPECT_EQ(verdict.bytes[LANDFALL_PLACEMENT_COPIED], kSize - 100) << "loopback copies";
  EXPECT_EQ(landfall_sender_sent_bytes(sender_), kSize - 96);
  EXPECT_GE(landfall_sender_fd(sender_), 0);

  int back = -1;
  ASSERT_EQ(landfall_sender_detach(&sender_, &back, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(sender_, nullptr);
  EXPECT_NE(::fcntl(back, F_GETFD), -1);
  ::close(back);
  ASSERT_EQ(landfall_send_group_close(&senders_, &region_, &error_), LANDFALL_ERRC_ok);
  EXPECT_EQ(senders_, nullptr);
  EXPECT_NE(region_, nullptr);
}

TEST_F(CSending, RefusesByName) {
  landfall_send_group_options_t options = LANDFALL_SEND_GROUP_OPTIONS_INIT;
  options.methods = "post";
  EXPECT_EQ(landfall_send_group_open(context_, &options, &region_, &senders_, &error_),
            LANDFALL_ERRC_invalid_argument);
  EXPECT_NE(region_, nullptr) << "the region stays the caller's";
  options.struct_size = 4;
  EXPECT_EQ(landfall_send_group_open(context_, &options, &region_, &senders_, &error_),
            LANDFALL_ERRC_invalid_argument);
  open_senders("copy", LANDFALL_CONTRACT_REQUIRE_DIRECT);
  auto [ours, theirs] = tcp_pair();
  int fd = ours.get();
  EXPECT_EQ(landfall_send_group_attach(senders_, &fd, &sender_, &decision_, &error_),
            LANDFALL_ERRC_not_supported);
  EXPECT_EQ(fd, ours.get());
  EXPECT_EQ(error_.reason, LANDFALL_REASON_contract_needs_direct);
  EXPECT_NE(decision_, nullptr);
  EXPECT_EQ(landfall_send_group_attach(nullptr, &fd, &sender_, nullptr, &error_),
            LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(landfall_sender_send(nullptr, 0, 1, 0, &error_), LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(landfall_sender_finish(nullptr, nullptr), LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(landfall_sender_detach(&sender_, &fd, &error_), LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(landfall_sender_fd(nullptr), -1);
  EXPECT_EQ(landfall_sender_ranges_out(nullptr), 0u);
  landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
  EXPECT_EQ(landfall_send_group_memory(senders_, &memory), LANDFALL_ERRC_ok);
  EXPECT_EQ(memory.size_bytes, kSize);
}

TEST_F(CSending, CloseWaitsForTheReceiversEnd) {
  open_senders("copy");
  auto [ours, theirs] = tcp_pair();
  int fd = ours.release();
  ASSERT_EQ(landfall_send_group_attach(senders_, &fd, &sender_, nullptr, &error_), LANDFALL_ERRC_ok)
      << error_.text;
  ASSERT_EQ(landfall_sender_send(sender_, 0, 1000, 0, &error_), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_sender_close(sender_, 1'000'000, &error_), LANDFALL_ERRC_timed_out);
  EXPECT_STREQ(error_.op, "Sender::close");
  std::array<char, 1000> got{};
  EXPECT_EQ(::recv(theirs.get(), got.data(), got.size(), MSG_WAITALL), 1000);
  EXPECT_EQ(std::memcmp(got.data(), bytes_, got.size()), 0);
  EXPECT_EQ(::recv(theirs.get(), got.data(), 1, 0), 0) << "close finishes";
  theirs.reset();
  EXPECT_EQ(landfall_sender_close(sender_, -1, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(landfall_sender_send(sender_, 0, 1, 0, &error_), LANDFALL_ERRC_closed);
  EXPECT_EQ(landfall_sender_sent_bytes(sender_), 1000u) << "the handle stays";
}

TEST_F(CSending, RefusesToConnectByName) {
  constexpr landfall_errc kInvalid = LANDFALL_ERRC_invalid_argument;
  open_senders();
  std::uint16_t port = 0;
  EXPECT_EQ(landfall_send_group_connect(senders_, "127.0.0.1", 1, 0, &sender_, &decision_, &error_),
            kInvalid)
      << "no transports were named";
  EXPECT_EQ(landfall_send_group_listen(senders_, nullptr, 0, &port, &decision_, &error_), kInvalid);
  EXPECT_EQ(landfall_send_group_accept(senders_, 0, &sender_, &error_), kInvalid)
      << "nobody listens";
  EXPECT_EQ(decision_, nullptr);
  ASSERT_EQ(landfall_send_group_close(&senders_, &region_, &error_), LANDFALL_ERRC_ok);

  landfall_send_group_options_t options = LANDFALL_SEND_GROUP_OPTIONS_INIT;
  options.transports = "nonsense,devmem-model";
  ASSERT_EQ(landfall_send_group_open(context_, &options, &region_, &senders_, &error_),
            LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_EQ(landfall_send_group_connect(senders_, "127.0.0.1", 1, 0, &sender_, &decision_, &error_),
            LANDFALL_ERRC_not_supported);
  EXPECT_EQ(error_.reason, LANDFALL_REASON_transport_unknown);
  ASSERT_EQ(landfall_decision_candidates(decision_), 2u);
  landfall_decision_free(std::exchange(decision_, nullptr));
  EXPECT_EQ(landfall_send_group_listen(senders_, "127.0.0.1", 0, &port, &decision_, &error_),
            LANDFALL_ERRC_not_supported);
  ASSERT_EQ(landfall_decision_candidates(decision_), 2u);
  landfall_error_t reason = LANDFALL_ERROR_INIT;
  ASSERT_EQ(landfall_decision_reason(decision_, 1, 0, &reason), LANDFALL_ERRC_ok);
  EXPECT_EQ(reason.reason, LANDFALL_REASON_not_capable) << "it only receives";
  EXPECT_EQ(sender_, nullptr);
  EXPECT_EQ(port, 0);

  EXPECT_EQ(landfall_send_group_connect(nullptr, "", 1, 0, &sender_, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_send_group_connect(senders_, nullptr, 1, 0, &sender_, nullptr, nullptr),
            kInvalid);
  EXPECT_EQ(landfall_send_group_connect(senders_, "", 1, 0, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_send_group_listen(nullptr, "", 0, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_send_group_accept(nullptr, 0, &sender_, nullptr), kInvalid);
  EXPECT_EQ(landfall_send_group_accept(senders_, 0, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_sender_close(nullptr, 0, nullptr), kInvalid);
}

}  // namespace
