// SPDX-License-Identifier: Apache-2.0
#include "place_thread.hpp"

#include <sched.h>

#include <charconv>
#include <fstream>

namespace landfall::cli {
namespace {

bool read_cpu(std::string_view text, unsigned& ret_cpu) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ret_cpu);
  return error == std::errc{} && end == text.data() + text.size() && ret_cpu < CPU_SETSIZE;
}

std::optional<std::vector<unsigned>> cpus_of_node(unsigned node) {
  std::ifstream file{"/sys/devices/system/node/node" + std::to_string(node) + "/cpulist"};
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return read_cpu_list(line);
}

}  // namespace

std::optional<std::vector<unsigned>> read_cpu_list(std::string_view text) {
  std::vector<unsigned> cpus;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view range = text.substr(0, comma);
    const std::size_t dash = std::min(range.find('-'), range.size());
    unsigned first = 0, last = 0;
    if (!read_cpu(range.substr(0, dash), first)) return std::nullopt;
    last = first;
    if (dash < range.size() && (!read_cpu(range.substr(dash + 1), last) || last < first))
      return std::nullopt;
    for (unsigned cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return cpus;
}

Result<void> place_thread(const Policy::Receiver& receiver) {
  const std::string place = "receivers." + receiver.name + ".";
  const auto wrong = [&](const std::string& what) {
    return Error{Errc::invalid_argument, "recv"}.with(place + what);
  };
  std::vector<unsigned> wanted{receiver.cpus.begin(), receiver.cpus.end()};
  if (receiver.numa_node) {
    const auto cpus = cpus_of_node(*receiver.numa_node);
    if (!cpus || cpus->empty())
      return wrong("numa_node: node " + std::to_string(*receiver.numa_node) +
                   " is not there, or has no processors");
    wanted = *cpus;
  }
  if (wanted.empty()) return {};
  cpu_set_t set, got;
  CPU_ZERO(&set);
  CPU_ZERO(&got);
  for (const unsigned cpu : wanted)
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  const bool placed = ::sched_setaffinity(0, sizeof set, &set) == 0 &&
                      ::sched_getaffinity(0, sizeof got, &got) == 0;
  // The kernel leaves those out that are not there, or not for this process.
  for (const unsigned cpu : wanted)
    if (!receiver.cpus.empty() && (!placed || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &got)))
      return wrong("cpus: processor " + std::to_string(cpu) +
                   " is not there, or not for this process");
  if (!placed) return wrong("numa_node: none of its processors is for this process");
  return {};
}

}  // namespace landfall::cli
