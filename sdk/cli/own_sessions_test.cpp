// SPDX-License-Identifier: Apache-2.0
// Goal: the connection that must not be cut off is read from what sshd says of it, also where
// another program has taken the variable away.
#include "own_sessions.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace landfall::cli {
namespace {

std::string only(const std::vector<nic::FlowKey>& keys) {
  return keys.size() == 1 ? keys[0].describe() : std::to_string(keys.size()) + " keys";
}

TEST(OwnSessions, WhatSshdSays) {
  EXPECT_EQ(only(session_of("192.0.2.9 51000 192.0.2.7 22")),
            "tcp 192.0.2.7:22 from 192.0.2.9:51000");
  EXPECT_EQ(only(session_of("2001:db8::9 51000 2001:db8::7 2222")),
            "tcp [2001:db8::7]:2222 from [2001:db8::9]:51000");
  EXPECT_EQ(only(session_of("fe80::9%eth0 51000 fe80::7%eth0 22")),
            "tcp [fe80::7]:22 from [fe80::9]:51000");
  EXPECT_EQ(only(session_of("::ffff:192.0.2.9 51000 ::ffff:192.0.2.7 22")),
            "tcp 192.0.2.7:22 from 192.0.2.9:51000");
  for (const char* wrong :
       {"", "192.0.2.9", "192.0.2.9 51000 192.0.2.7", "192.0.2.9 0 192.0.2.7 22",
        "192.0.2.9 51000 2001:db8::7 22", "a 1 b 2", "192.0.2.9 70000 192.0.2.7 22"})
    EXPECT_TRUE(session_of(wrong).empty()) << wrong;
}

// /proc/PID/environ is what a process was started with: so it takes an exec to see.
TEST(OwnSessions, OfAProcessAbove) {
  const std::string self = "/proc/" + std::to_string(::getpid()) + "/exe";
  char program[4096]{};
  ASSERT_GT(::readlink(self.c_str(), program, sizeof program - 1), 0);
  const std::string command =
      std::string{"SSH_CONNECTION='192.0.2.9 51000 192.0.2.7 22' sh -c "} +
      "'env -u SSH_CONNECTION " + program +
      " --gtest_also_run_disabled_tests --gtest_filter=OwnSessions.DISABLED_Child; exit $?'";
  const int status = ::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 0);
}
TEST(OwnSessions, DISABLED_Child) {  // run by the test before it
  ASSERT_EQ(::getenv("SSH_CONNECTION"), nullptr);
  EXPECT_EQ(only(own_sessions()), "tcp 192.0.2.7:22 from 192.0.2.9:51000");
}

}  // namespace
}  // namespace landfall::cli
