// SPDX-License-Identifier: Apache-2.0
#include "landfall_test/c_api.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "landfall/landfall.h"

extern "C" std::size_t landfall_c_sizes(std::size_t* sizes, std::size_t capacity);

namespace {

using landfall::test::CApi;

// Goal: C and C++ see structs of the same size.
TEST(CApiLayout, IsTheSameInCAndCpp) {
  std::array<std::size_t, 16> sizes{};
  const std::array<std::size_t, 13> here{sizeof(landfall_error_t),
                                         sizeof(landfall_reason_t),
                                         sizeof(landfall_context_options_t),
                                         sizeof(landfall_region_options_t),
                                         sizeof(landfall_memory_info_t),
                                         sizeof(landfall_verdict_t),
                                         sizeof(landfall_contract_t),
                                         sizeof(landfall_group_options_t),
                                         sizeof(landfall_flow_options_t),
                                         sizeof(landfall_candidate_t),
                                         sizeof(landfall_completion_t),
                                         sizeof(landfall_send_group_options_t),
                                         sizeof(landfall_sent_t)};
  ASSERT_EQ(landfall_c_sizes(sizes.data(), sizes.size()), here.size());
  for (std::size_t i = 0; i < here.size(); ++i) EXPECT_EQ(sizes[i], here[i]) << i;
}

// Goal: bytes come whole and in order through C, with their placement, and `closed` is last.
TEST_F(CApi, ReceivesAStream) {
  open();
  EXPECT_STREQ(landfall_decision_chosen(decision_), "devmem-model");
  const int fd = connect();
  std::string sent(300'000, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 % 251);
  std::thread sender{[&] {
    for (std::size_t at = 0; at < sent.size();) {
      const ssize_t n = ::send(fd, &sent[at], sent.size() - at, 0);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
    ::shutdown(fd, SHUT_WR);
  }};
  std::string got;
  std::array<landfall_completion_t, 16> batch{};
  landfall_verdict_t verdict = LANDFALL_VERDICT_INIT;
  int tag = 0;
  for (bool closed = false; !closed;) {
    const std::size_t count = wait(batch);
    ASSERT_GT(count, 0u);
    for (const auto& c : std::span{batch}.first(count)) {
      if (c.kind == LANDFALL_COMPLETION_OPENED) {
        landfall_flow_set_user(c.flow, &tag);
        EXPECT_NE(landfall_flow_id(c.flow), 0u);
        std::array<char, 46> text{};
        std::uint16_t port = 0;
        EXPECT_EQ(landfall_flow_peer(c.flow, text.data(), text.size(), &port, &error_),
                  LANDFALL_ERRC_ok);
        EXPECT_STREQ(text.data(), "127.0.0.1");
        EXPECT_NE(port, 0);
      } else if (c.kind == LANDFALL_COMPLETION_DATA) {
        EXPECT_EQ(landfall_flow_user(c.flow), &tag);
        EXPECT_EQ(landfall_buffer_stream_offset(c.buffer), got.size());
        EXPECT_GE(landfall_buffer_charge(c.buffer), 1u);
        landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
        ASSERT_EQ(landfall_buffer_memory(c.buffer, &memory), LANDFALL_ERRC_ok);
        EXPECT_EQ(landfall_buffer_data(c.buffer),
                  static_cast<char*>(memory.host) + landfall_buffer_offset(c.buffer));
        got.append(static_cast<const char*>(landfall_buffer_data(c.buffer)),
                   landfall_buffer_length(c.buffer));
        landfall_buffer_drop(c.buffer);
      } else if (c.kind == LANDFALL_COMPLETION_END_OF_STREAM) {
        EXPECT_EQ(landfall_flow_verdict(c.flow, &verdict), LANDFALL_ERRC_ok);
        landfall_flow_close(c.flow, 0);
      } else if (c.kind == LANDFALL_COMPLETION_CLOSED) {
        closed = true;
      }
    }
  }
  sender.join();
  ::close(fd);
  EXPECT_TRUE(got == sent);
  EXPECT_EQ(verdict.bytes[0] + verdict.bytes[1] + verdict.bytes[2] + verdict.bytes[3], sent.size());
  EXPECT_GT(verdict.bytes[LANDFALL_PLACEMENT_DIRECT], 0u);
}

// Goal: buffers are dropped on another thread, also after receiver, group and context are gone.
TEST_F(CApi, DropsBuffersOnAnotherThreadAfterTheEnd) {
  open();
  const int fd = connect();
  const std::string sent(100'000, 'x');
  ASSERT_EQ(::send(fd, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
  ::shutdown(fd, SHUT_WR);
  std::vector<landfall_buffer_t*> kept;
  std::array<landfall_completion_t, 16> batch{};
  std::size_t bytes = 0;
  while (bytes < sent.size()) {
    const std::size_t count = wait(batch);
    ASSERT_GT(count, 0u);
    for (const auto& c : std::span{batch}.first(count)) {
      if (c.kind != LANDFALL_COMPLETION_DATA) continue;
      kept.push_back(c.buffer);
      bytes += landfall_buffer_length(c.buffer);
    }
  }
  EXPECT_EQ(landfall_group_close(&group_, nullptr, &error_), LANDFALL_ERRC_busy);
  EXPECT_EQ(error_.reason, static_cast<std::uint32_t>(LANDFALL_REASON_buffers_out));
  EXPECT_NE(group_, nullptr);
  landfall_group_free(std::exchange(group_, nullptr));
  landfall_context_destroy(std::exchange(context_, nullptr));
  std::thread{[&] {
    for (landfall_buffer_t* buffer : kept) {
      EXPECT_EQ(*static_cast<const char*>(landfall_buffer_data(buffer)), 'x');
      landfall_buffer_drop(buffer);
    }
  }}.join();
  ::close(fd);
}

// Goal: close gives the region back, which can be used again.
TEST_F(CApi, CloseGivesTheRegionBack) {
  open();
  EXPECT_EQ(region_, nullptr);
  ASSERT_EQ(landfall_group_close(&group_, &region_, &error_), LANDFALL_ERRC_ok) << error_.text;
  EXPECT_EQ(group_, nullptr);
  ASSERT_NE(region_, nullptr);
  open();
}

// Goal: where no transport fits, the region stays the caller's and the decision says why.
TEST_F(CApi, ADecisionExplainsARefusal) {
  landfall_group_options_t options = LANDFALL_GROUP_OPTIONS_INIT;
  options.transports = "devmem-model";
  options.options = "devmem-model.unsteered=1";
  landfall_contract_t contract = LANDFALL_CONTRACT_INIT;
  contract.kind = LANDFALL_CONTRACT_REQUIRE_DIRECT;
  options.contract = &contract;
  EXPECT_EQ(landfall_group_open(context_, &options, &region_, &group_, &decision_, &error_),
            LANDFALL_ERRC_not_supported);
  EXPECT_NE(region_, nullptr);
  EXPECT_EQ(group_, nullptr);
  ASSERT_NE(decision_, nullptr);
  EXPECT_STREQ(landfall_decision_chosen(decision_), "");
  EXPECT_STRNE(landfall_decision_describe(decision_), "");
  bool explained = false;
  for (std::size_t i = 0; i < landfall_decision_candidates(decision_); ++i) {
    landfall_candidate_t candidate = LANDFALL_CANDIDATE_INIT;
    ASSERT_EQ(landfall_decision_candidate(decision_, i, &candidate), LANDFALL_ERRC_ok);
    if (std::strcmp(candidate.transport, "devmem-model") != 0) continue;
    for (std::uint32_t k = 0; k < candidate.reason_count; ++k) {
      landfall_error_t reason = LANDFALL_ERROR_INIT;
      ASSERT_EQ(landfall_decision_reason(decision_, i, k, &reason), LANDFALL_ERRC_ok);
      EXPECT_STRNE(reason.text, "");
      explained |= reason.reason == LANDFALL_REASON_contract_needs_direct;
    }
  }
  EXPECT_TRUE(explained);
}

// Goal: the receiver's fd fits any event loop, and land, post and detach answer as documented.
TEST_F(CApi, ArmsAndRefusesDemandOnStreamingFlows) {
  open();
  int sleep = -1;
  ASSERT_EQ(landfall_receiver_arm(receiver_, &sleep, &error_), LANDFALL_ERRC_ok);
  EXPECT_GE(landfall_receiver_fd(receiver_), 0);
  int fd = connect();
  std::array<landfall_completion_t, 4> batch{};
  ASSERT_EQ(wait(batch), 1u);
  landfall_flow_t* flow = batch[0].flow;
  char byte = 0;
  EXPECT_EQ(landfall_flow_land(flow, 1, &error_), LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(error_.reason, static_cast<std::uint32_t>(LANDFALL_REASON_flow_is_streaming));
  EXPECT_EQ(landfall_flow_post(flow, &byte, 1, 0, &error_), LANDFALL_ERRC_invalid_argument);
  landfall_flow_pause(flow);
  landfall_flow_resume(flow);
  int detached = -1;
  ASSERT_EQ(landfall_flow_detach(flow, &detached, &error_), LANDFALL_ERRC_ok) << error_.text;
  ASSERT_GE(detached, 0);
  // The socket that came back can be attached again.
  landfall_flow_options_t options = LANDFALL_FLOW_OPTIONS_INIT;
  options.user = &byte;
  ASSERT_EQ(landfall_receiver_attach(receiver_, &detached, &options, &flow, &error_),
            LANDFALL_ERRC_ok)
      << error_.text;
  EXPECT_EQ(detached, -1);
  EXPECT_EQ(landfall_flow_user(flow), &byte);
  EXPECT_EQ(landfall_receiver_flows(receiver_), 1u);
  ::close(fd);
}

// Goal: a descriptor that is no connected TCP socket stays the caller's.
TEST_F(CApi, ARefusedDescriptorStaysTheCallers) {
  open();
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  int fd = pipe[0];
  EXPECT_EQ(landfall_receiver_attach(receiver_, &fd, nullptr, nullptr, &error_),
            LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(error_.reason, static_cast<std::uint32_t>(LANDFALL_REASON_not_a_tcp_socket));
  EXPECT_EQ(fd, pipe[0]);
  EXPECT_EQ(::close(pipe[0]), 0);
  EXPECT_EQ(::close(pipe[1]), 0);
}

// Goal: a wrong struct_size is refused, not read past; unknown fields that are zero are let pass.
TEST_F(CApi, ChecksStructSizes) {
  landfall_region_options_t options = LANDFALL_REGION_OPTIONS_INIT;
  options.size_bytes = 4096;
  landfall_region_t* region = nullptr;
  for (const std::uint32_t size :
       {0u, 4u, 8u, static_cast<std::uint32_t>(sizeof options) - 1, 1u << 20, ~0u}) {
    options.struct_size = size;
    EXPECT_EQ(landfall_region_allocate(context_, &options, &region, &error_),
              LANDFALL_ERRC_invalid_argument)
        << size;
  }
  struct Newer {
    landfall_region_options_t known;
    std::uint64_t unknown;
  } newer{LANDFALL_REGION_OPTIONS_INIT, 0};
  newer.known.struct_size = sizeof newer;
  newer.known.size_bytes = 4096;
  EXPECT_EQ(landfall_region_allocate(context_, &newer.known, &region, &error_), LANDFALL_ERRC_ok);
  landfall_region_free(std::exchange(region, nullptr));
  newer.unknown = 1;
  EXPECT_EQ(landfall_region_allocate(context_, &newer.known, &region, &error_),
            LANDFALL_ERRC_invalid_argument);

  landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
  memory.struct_size = 8;
  EXPECT_EQ(landfall_region_memory(region_, &memory), LANDFALL_ERRC_invalid_argument);
  // A caller with the first fields of the error only is told those.
  std::array<unsigned char, sizeof(landfall_error_t)> small{};
  small.fill(0xee);
  const std::uint32_t size = 8;
  std::memcpy(small.data(), &size, sizeof size);
  EXPECT_EQ(landfall_context_load(context_, "/nonexistent",
                                  reinterpret_cast<landfall_error_t*>(small.data())),
            LANDFALL_ERRC_not_found);
  landfall_errc code = 0;
  std::memcpy(&code, &small[4], sizeof code);
  EXPECT_EQ(code, LANDFALL_ERRC_not_found);
  EXPECT_EQ(small[8], 0xee);
}

// Goal: NULL everywhere is an answer, never a crash.
TEST(CApiMisuse, NullIsAnswered) {
  constexpr landfall_errc kInvalid = LANDFALL_ERRC_invalid_argument;
  EXPECT_EQ(landfall_context_create(nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_context_load(nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_context_add(nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_region_allocate(nullptr, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_region_memory(nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_region_export_dmabuf(nullptr, 0, 0, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_group_open(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_group_close(nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_group_listen(nullptr, nullptr, 0, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_group_receivers(nullptr), 0u);
  EXPECT_EQ(landfall_group_receiver(nullptr, 0), nullptr);
  EXPECT_EQ(landfall_group_memory(nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_group_verdict(nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_group_decision(nullptr, nullptr), kInvalid);
  EXPECT_STREQ(landfall_decision_chosen(nullptr), "");
  EXPECT_STREQ(landfall_decision_describe(nullptr), "");
  EXPECT_EQ(landfall_decision_candidates(nullptr), 0u);
  EXPECT_EQ(landfall_decision_candidate(nullptr, 0, nullptr), kInvalid);
  EXPECT_EQ(landfall_decision_reason(nullptr, 0, 0, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_poll(nullptr, nullptr, 0, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_wait(nullptr, nullptr, 0, 0, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_fd(nullptr), -1);
  EXPECT_EQ(landfall_receiver_arm(nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_attach(nullptr, nullptr, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_connect(nullptr, nullptr, 0, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_hand_over(nullptr, nullptr, nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_verdict(nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_receiver_buffers_out(nullptr), 0u);
  EXPECT_EQ(landfall_receiver_flows(nullptr), 0u);
  EXPECT_EQ(landfall_receiver_held_bytes(nullptr), 0u);
  EXPECT_EQ(landfall_flow_id(nullptr), 0u);
  EXPECT_EQ(landfall_flow_user(nullptr), nullptr);
  landfall_flow_set_user(nullptr, nullptr);
  EXPECT_EQ(landfall_flow_verdict(nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_flow_decision(nullptr, nullptr), kInvalid);
  EXPECT_EQ(landfall_flow_received_bytes(nullptr), 0u);
  EXPECT_EQ(landfall_flow_held_bytes(nullptr), 0u);
  EXPECT_EQ(landfall_flow_peer(nullptr, nullptr, 0, nullptr, nullptr), kInvalid);
  landfall_flow_pause(nullptr);
  landfall_flow_resume(nullptr);
  EXPECT_EQ(landfall_flow_land(nullptr, 1, nullptr), kInvalid);
  EXPECT_EQ(landfall_flow_post(nullptr, nullptr, 1, 0, nullptr), kInvalid);
  EXPECT_EQ(landfall_flow_detach(nullptr, nullptr, nullptr), kInvalid);
  landfall_flow_close(nullptr, 0);
  EXPECT_EQ(landfall_buffer_drop(nullptr), LANDFALL_ERRC_ok);
  EXPECT_EQ(landfall_buffer_data(nullptr), nullptr);
  EXPECT_EQ(landfall_buffer_length(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_offset(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_stream_offset(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_flow_id(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_charge(nullptr), 0u);
  EXPECT_EQ(landfall_buffer_ends_message(nullptr), 0);
  EXPECT_EQ(landfall_buffer_memory(nullptr, nullptr), kInvalid);
  landfall_decision_free(nullptr);
  landfall_group_free(nullptr);
  landfall_region_free(nullptr);
  landfall_context_destroy(nullptr);
  EXPECT_EQ(landfall_reason_lookup(0, nullptr), LANDFALL_ERRC_not_found);
  EXPECT_EQ(landfall_reason_by_name(nullptr, nullptr), kInvalid);
}

// Goal: texts and reasons are found from C.
TEST(CApiTexts, AreFound) {
  EXPECT_STREQ(landfall_version(), "0.1.0");
  EXPECT_STREQ(landfall_errc_name(LANDFALL_ERRC_busy), "busy");
  EXPECT_STREQ(landfall_errc_name(-1), "unknown");
  EXPECT_STREQ(landfall_errc_name(1 << 20), "unknown");
  EXPECT_STREQ(landfall_placement_name(LANDFALL_PLACEMENT_COPIED), "copied");
  EXPECT_STREQ(landfall_placement_name(9), "unknown");
  landfall_reason_t reason = LANDFALL_REASON_INIT;
  ASSERT_EQ(landfall_reason_by_name("LF1103", &reason), LANDFALL_ERRC_ok);
  EXPECT_STREQ(reason.name, "no_hugepages");
  EXPECT_EQ(reason.code, 1103u);
  EXPECT_EQ(landfall_reason_lookup(99, &reason), LANDFALL_ERRC_not_found);
}

}  // namespace
