// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <span>
#include <utility>

#include "landfall/abi/backend.h"
#include "landfall/landfall.h"
#include "models/devmem_model.hpp"

namespace landfall::test {

/// A context with the model of devmem TCP, and a group over 4 MiB of host memory.
class CApi : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(landfall_context_create(nullptr, &context_, &error_), LANDFALL_ERRC_ok);
    ASSERT_EQ(landfall_context_add(context_, &kDevmemModel, &error_), LANDFALL_ERRC_ok)
        << error_.text;
    landfall_region_options_t options = LANDFALL_REGION_OPTIONS_INIT;
    options.size_bytes = 4u << 20;
    ASSERT_EQ(landfall_region_allocate(context_, &options, &region_, &error_), LANDFALL_ERRC_ok)
        << error_.text;
  }
  void TearDown() override {
    landfall_decision_free(decision_);
    landfall_group_free(group_);
    landfall_region_free(region_);
    landfall_context_destroy(context_);
  }
  void open() {
    landfall_group_options_t options = LANDFALL_GROUP_OPTIONS_INIT;
    options.transports = "devmem-model";
    landfall_decision_free(std::exchange(decision_, nullptr));
    ASSERT_EQ(landfall_group_open(context_, &options, &region_, &group_, &decision_, &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
    receiver_ = landfall_group_receiver(group_, 0);
    ASSERT_NE(receiver_, nullptr);
  }
  /// A socket connected to a listener of the group.
  int connect() {
    std::uint16_t port = 0;
    EXPECT_EQ(landfall_group_listen(group_, "127.0.0.1", 0, nullptr, &port, &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return fd;
  }
  std::size_t wait(std::span<landfall_completion_t> into) {
    std::size_t count = 0;
    EXPECT_EQ(landfall_receiver_wait(receiver_, into.data(), into.size(), 10'000'000'000, &count,
                                     &error_),
              LANDFALL_ERRC_ok)
        << error_.text;
    return count;
  }

  /// The next buffer of a stream.
  landfall_buffer_t* next_buffer() {
    std::array<landfall_completion_t, 1> one{};
    for (int tries = 0; tries < 16; ++tries) {
      if (wait(one) == 1 && one[0].kind == LANDFALL_COMPLETION_DATA) return one[0].buffer;
    }
    ADD_FAILURE() << "no data";
    return nullptr;
  }

  landfall_error_t error_ = LANDFALL_ERROR_INIT;
  landfall_context_t* context_ = nullptr;
  landfall_region_t* region_ = nullptr;
  landfall_group_t* group_ = nullptr;
  landfall_decision_t* decision_ = nullptr;
  landfall_receiver_t* receiver_ = nullptr;
};

}  // namespace landfall::test
