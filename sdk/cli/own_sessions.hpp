// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "nic/flow_key.hpp"

namespace landfall::cli {

/// The connection of sshd's variable SSH_CONNECTION, "192.0.2.9 51000 192.0.2.7 22", as this host's
/// NIC sees it; empty where the text is none.
std::vector<nic::FlowKey> session_of(const std::string& ssh_connection);

/// The SSH connection by which this process was started, if it was: also where sudo or su has taken
/// the variable away, as it stands in the environment of one of the processes above.
std::vector<nic::FlowKey> own_sessions();

}  // namespace landfall::cli
