// SPDX-License-Identifier: Apache-2.0
#include "policy/access.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace landfall::policy {
namespace {

/// Asks getpwnam_r or getgrnam_r, with as much room as the answer needs.
template <class Entry, class Ask>
bool look_up(const std::string& name, Entry& entry, Ask&& ask) {
  constexpr std::size_t kRoomMax = 1u << 20;
  std::vector<char> room(1024);
  Entry* found = nullptr;
  int number = 0;
  while ((number = ask(name.c_str(), &entry, room.data(), room.size(), &found)) == ERANGE &&
         room.size() < kRoomMax)
    room.resize(2 * room.size());
  return number == 0 && found != nullptr;
}

/// nullopt: there is none of this name.
std::optional<uid_t> user_of(const std::string& name) {
  passwd entry{};
  if (!look_up(name, entry, ::getpwnam_r)) return std::nullopt;
  return entry.pw_uid;
}
std::optional<gid_t> group_of(const std::string& name) {
  group entry{};
  if (!look_up(name, entry, ::getgrnam_r)) return std::nullopt;
  return entry.gr_gid;
}

bool names(const Policy::Access& access, const Subject& subject) {
  if (!access.user.empty()) return user_of(access.user) == subject.user;
  const std::optional<gid_t> group = group_of(access.group);
  return group && std::ranges::find(subject.groups, *group) != subject.groups.end();
}

}  // namespace

Subject Subject::self() {
  Subject subject;
  subject.user = ::geteuid();
  const int count = ::getgroups(0, nullptr);
  if (count > 0) {
    subject.groups.resize(static_cast<std::size_t>(count));
    subject.groups.resize(
        static_cast<std::size_t>(std::max(::getgroups(count, subject.groups.data()), 0)));
  }
  subject.groups.push_back(::getegid());
  return subject;
}

Result<const Policy::Access*> find_access(const Policy& policy, std::string_view receiver,
                                          const Subject& subject) {
  for (const Policy::Access& access : policy.access)
    if (std::ranges::find(access.receivers, receiver) != access.receivers.end() &&
        names(access, subject))
      return &access;
  if (policy.access.empty() || subject.user == 0) return nullptr;
  return Error{Errc::permission_denied, "Group::open", ReasonCode::access_denied}.with(
      "`access` does not name user " + std::to_string(subject.user) +
      ", or one of its groups, for \"" + std::string{receiver} + "\"");
}

}  // namespace landfall::policy
