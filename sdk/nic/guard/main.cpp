// SPDX-License-Identifier: Apache-2.0
// landfall-nic-guard: outlives a process that has n-tuple rules in a NIC and takes them out when it
// ends, however it ends. The kernel ties bindings to a descriptor, but rules to nothing.
//
// Started by Steering, never by hand. A rule is only removed if what stands there still is what was
// put there.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <map>
#include <vector>

#include "nic/ethtool_ioctl.hpp"
#include "nic/guard/protocol.hpp"

namespace landfall::nic {
namespace {

// A driver that is busy is asked again, for five seconds.
constexpr int kAttempts = 50;
constexpr timespec kPause{0, 100'000'000};

using Rules = std::map<std::uint32_t, GuardMessage>;

bool ours(const GuardMessage& kept, const ethtool_rx_flow_spec& found) {
  return same_match(kept.spec, found) && kept.spec.ring_cookie == found.ring_cookie;
}

/// errno; 0: it is not there any more.
int remove(const GuardMessage& kept) {
  IoctlInterface at;
  if (find_interface(kGuardRuleSocket, kept.interface_index, at) != 0) return 0;
  std::vector<ethtool_rxnfc> rules;
  if (const int number = list_rules(at, rules)) return number;
  for (const ethtool_rxnfc& rule : rules) {
    const bool here =
        kept.spec.location == RX_CLS_LOC_ANY || kept.spec.location == rule.fs.location;
    if (!here || !ours(kept, rule.fs)) continue;
    if (const int number = remove_rule(at, rule.fs.location); number != 0 && number != ENOENT)
      return number;
  }
  return 0;
}

void remove_all(const Rules& rules) {
  for (const auto& [id, kept] : rules)
    for (int i = 0; i < kAttempts && remove(kept) != 0; ++i) ::nanosleep(&kPause, nullptr);
}

void take(Rules& rules, const GuardMessage& message) {
  if (message.kind == GuardMessage::keep) rules[message.id] = message;
  if (message.kind == GuardMessage::drop) rules.erase(message.id);
}

/// All messages that are there. False: no more will come.
bool take_messages(Rules& rules) {
  for (;;) {
    GuardMessage message;
    const ssize_t got = ::recv(kGuardControl, &message, sizeof message, MSG_DONTWAIT);
    if (got == static_cast<ssize_t>(sizeof message)) {
      take(rules, message);
    } else if (got < 0 && errno == EAGAIN) {
      return true;
    } else if (got <= 0 && errno != EINTR) {
      return false;
    }
  }
}

Rules watch() {
  Rules rules;
  // A forked child of the process may hold the socket open; the pidfd knows of the process itself.
  pollfd both[] = {{kGuardControl, POLLIN, 0}, {kGuardProcess, POLLIN, 0}};
  for (;;) {
    if (::poll(both, 2, -1) < 0 && errno != EINTR) return rules;
    const bool ended = (both[1].revents & (POLLIN | POLLERR | POLLNVAL)) != 0;
    if (!take_messages(rules) || ended) return rules;
  }
}

}  // namespace
}  // namespace landfall::nic

int main() {
  using namespace landfall::nic;
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(kGuardControl, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
    return 64;  // started by hand
  // Not a child that the process would have to wait for.
  const pid_t child = ::fork();
  if (child != 0) return child < 0 ? 1 : 0;
  // Whoever ends the process's whole group or service ends the process first and this by it.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) std::signal(signal, SIG_IGN);
  if (::chdir("/") != 0) return 1;
  remove_all(watch());
  return 0;
}
