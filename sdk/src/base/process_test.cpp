// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace landfall::detail {
namespace {

/// Whether the child that `check` runs in, forked here, says yes.
template <typename Check>
bool holds_in_a_child(Check&& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Goal: what is remembered is right in the process, its child and its child's child, and is still
// right here after they were.
TEST(Process, IsNotItsParent) {
  EXPECT_EQ(this_process(), ::getpid());
  EXPECT_EQ(this_process(), ::getpid());
  const auto is_itself = [] {
    return this_process() == ::getpid() && this_process() == ::getpid();
  };
  EXPECT_TRUE(holds_in_a_child([&] { return is_itself() && holds_in_a_child(is_itself); }));
  EXPECT_EQ(this_process(), ::getpid());
}

}  // namespace
}  // namespace landfall::detail
