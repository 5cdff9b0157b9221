// SPDX-License-Identifier: Apache-2.0
// Goal: who is named gets the limits beside the name; nobody else gets anything, but root.
#include "policy/access.hpp"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

namespace landfall::policy {
namespace {

Policy policy_of(std::vector<Policy::Access> access) {
  Policy policy;
  policy.access = std::move(access);
  return policy;
}
Policy::Access of_user(const std::string& user, std::uint32_t flows) {
  return {.user = user, .receivers = {"ingest"}, .max_flows = flows};
}
Policy::Access of_group(const std::string& group, std::uint32_t flows) {
  return {.group = group, .receivers = {"ingest", "other"}, .max_flows = flows};
}

TEST(Access, WithoutItAllMayAll) {
  const auto found = find_access(policy_of({}), "ingest", {.user = 1000});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, nullptr);
}

/// Of users and groups that every Linux has, under numbers of its own.
uid_t user(const char* name) {
  const passwd* entry = ::getpwnam(name);
  EXPECT_NE(entry, nullptr) << name;
  return entry == nullptr ? 0 : entry->pw_uid;
}
gid_t group(const char* name) {
  const ::group* entry = ::getgrnam(name);
  EXPECT_NE(entry, nullptr) << name;
  return entry == nullptr ? 0 : entry->gr_gid;
}

TEST(Access, TheFirstEntryThatNamesTheCallerCounts) {
  const Policy policy = policy_of(
      {of_user("daemon", 1), of_group("users", 2), of_user("bin", 3), of_user("root", 4)});
  const auto flows = [&](const Subject& subject, const char* receiver = "ingest") {
    const auto found = find_access(policy, receiver, subject);
    return found && *found != nullptr ? static_cast<int>(*(*found)->max_flows) : -1;
  };
  const uid_t daemon = user("daemon"), bin = user("bin");
  const gid_t users = group("users"), sys = group("sys");
  EXPECT_EQ(flows({.user = daemon, .groups = {users}}), 1);
  EXPECT_EQ(flows({.user = bin, .groups = {sys, users}}), 2);
  EXPECT_EQ(flows({.user = bin, .groups = {sys}}), 3);
  EXPECT_EQ(flows({.user = 0}), 4);
  EXPECT_EQ(flows({.user = daemon, .groups = {users}}, "other"), 2);
}

TEST(Access, NobodyElseIsLetInButRoot) {
  const Policy policy =
      policy_of({of_user("no-such-user", 1), of_group("no-such-group", 1), of_user("daemon", 1)});
  const auto refused =
      find_access(policy, "ingest", {.user = user("bin"), .groups = {group("users")}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), ReasonCode::access_denied);
  EXPECT_FALSE(find_access(policy, "other", {.user = user("daemon")})) << "for another receiver";
  const auto root = find_access(policy, "ingest", {.user = 0});
  ASSERT_TRUE(root);
  EXPECT_EQ(*root, nullptr);
}

TEST(Access, OneselfHasAUserAndGroups) {
  const Subject self = Subject::self();
  EXPECT_EQ(self.user, ::geteuid());
  EXPECT_TRUE(std::ranges::find(self.groups, ::getegid()) != self.groups.end());
}

}  // namespace
}  // namespace landfall::policy
