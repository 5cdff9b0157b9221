// SPDX-License-Identifier: Apache-2.0
// What recv, bench and send share: from the options to memory and what it is opened for.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "landfall/landfall.hpp"

namespace landfall::cli {

struct LandingOptions {
  RegionSpec region;
  GroupOptions group;
  std::vector<std::string> plugins;
};
/// Errors: invalid_argument, naming the option.
Result<LandingOptions> landing_options(const Arguments& arguments);

/// "3", "2,3" or "4-7": numbers of receive queues. Errors: invalid_argument.
Result<std::vector<std::uint32_t>> parse_queues(const std::string& text);

/// "a,b" -> a, b.
std::vector<std::string> split_list(const std::string& text);

/// A Context with the plug-ins that were asked for.
Result<Context> make_context(const std::vector<std::string>& plugins);

/// Can this source give memory here? One that only adopts what the application brings can.
struct SourceProbe {
  bool usable = false;
  std::vector<Reason> reasons;  // why not, or what must be brought
};
SourceProbe probe_source(const Context& context, const std::string& source);

/// "[::1]:5201", "host:80", ":80" -> Address. Errors: invalid_argument.
Result<Address> parse_address(const std::string& text);
/// "[::1]:5201".
std::string format_address(const Address& address);

}  // namespace landfall::cli
