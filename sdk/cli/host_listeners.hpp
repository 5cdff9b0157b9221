// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "policy/plan.hpp"

namespace landfall::cli {

/// The sockets of this network namespace that take packets from anybody: those that listen, and
/// UDP's that are not connected. Without those of loopback, which no NIC reaches.
///
/// From /proc/net/{tcp,tcp6,udp,udp6} (proc_pid_net(5)); `root` is put before, for tests. An IPv6
/// socket that is bound to no address is taken to serve IPv4 as well, which /proc does not tell.
std::vector<policy::Listener> host_listeners(const std::string& root = "");

}  // namespace landfall::cli
