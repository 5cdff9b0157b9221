// SPDX-License-Identifier: Apache-2.0
#include "own_sessions.hpp"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

namespace landfall::cli {
namespace {

constexpr std::string_view kVariable = "SSH_CONNECTION=";
constexpr int kAncestorsMax = 64;

std::string whole(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::string variable_of(pid_t process) {
  std::string environment = whole("/proc/" + std::to_string(process) + "/environ");
  environment.insert(environment.begin(), '\0');
  const std::size_t at = environment.find(std::string(1, '\0') + std::string{kVariable});
  if (at == environment.npos) return {};
  return environment.c_str() + at + 1 + kVariable.size();
}

pid_t parent_of(pid_t process) {
  const std::string stat = whole("/proc/" + std::to_string(process) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == stat.npos) return 0;
  std::istringstream rest{stat.substr(name_end + 1)};
  char state = 0;
  pid_t parent = 0;
  rest >> state >> parent;
  return rest ? parent : 0;
}

bool read_end(std::string address, unsigned port, sa_family_t& ret_family,
              nic::FlowKey::End& ret_end) {
  constexpr std::string_view kMapped = "::ffff:";
  if (address.starts_with(kMapped) && address.find('.') != address.npos)
    address.erase(0, kMapped.size());
  address.resize(std::min(address.find('%'), address.size()));
  ret_family = address.find(':') == address.npos ? AF_INET : AF_INET6;
  ret_end.port = static_cast<std::uint16_t>(port);
  return port != 0 && port <= 0xffff &&
         ::inet_pton(ret_family, address.c_str(), ret_end.address.data()) == 1;
}

}  // namespace

std::vector<nic::FlowKey> session_of(const std::string& ssh_connection) {
  std::istringstream in{ssh_connection};
  std::string remote, local;
  unsigned remote_port = 0, local_port = 0;
  nic::FlowKey key;
  key.any_remote = false;
  sa_family_t other = AF_UNSPEC;
  if (!(in >> remote >> remote_port >> local >> local_port) ||
      !read_end(remote, remote_port, other, key.remote) ||
      !read_end(local, local_port, key.family, key.local) || key.family != other)
    return {};
  return {key};
}

std::vector<nic::FlowKey> own_sessions() {
  pid_t process = ::getpid();
  for (int i = 0; i < kAncestorsMax && process > 1; ++i, process = parent_of(process)) {
    const std::string variable = variable_of(process);
    if (!variable.empty()) return session_of(variable);
  }
  return {};
}

}  // namespace landfall::cli
