// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "landfall_test/child.hpp"

namespace landfall::detail {
namespace {

// Goal: what is remembered is right in the process, its child and its child's child, and is still
// right here after they were.
TEST(Process, IsNotItsParent) {
  EXPECT_EQ(this_process(), ::getpid());
  EXPECT_EQ(this_process(), ::getpid());
  const auto is_itself = [] {
    return this_process() == ::getpid() && this_process() == ::getpid();
  };
  EXPECT_TRUE(test::holds_in_child([&] { return is_itself() && test::holds_in_child(is_itself); }));
  EXPECT_FALSE(test::holds_in_child([&] { return !is_itself(); }));
  EXPECT_EQ(this_process(), ::getpid());
}

}  // namespace
}  // namespace landfall::detail
