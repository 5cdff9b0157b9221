// SPDX-License-Identifier: Apache-2.0
#include "landing.hpp"

#include <algorithm>
#include <charconv>

#include "landfall/base/limits.hpp"

namespace landfall::cli {
namespace {

Error wrong(const std::string& what) {
  return Error{Errc::invalid_argument, ""}.with(what);
}

}  // namespace

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (comma != at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

Result<LandingOptions> landing_options(const Arguments& arguments) {
  LandingOptions options;
  options.region.source = arguments.value("memory");
  const auto size = parse_bytes(arguments.value("size"));
  if (!size || *size == 0)
    return wrong("--size takes bytes such as 64MiB, not '" + arguments.value("size") + "'");
  options.region.size_bytes = *size;

  GroupOptions& group = options.group;
  group.interface = arguments.value("interface");
  if (arguments.has("queues")) {
    if (group.interface.empty())
      return wrong("--queues are those of an interface: --interface NAME");
    LANDFALL_TRY(group.queue_ids, parse_queues(arguments.value("queues")));
    group.queues = static_cast<std::uint32_t>(group.queue_ids.size());
  }
  group.transports = split_list(arguments.value("transport"));
  group.also = split_list(arguments.value("also"));
  for (const auto kind : {CopyContract::Kind::require_direct, CopyContract::Kind::prefer_direct,
                          CopyContract::Kind::allow_copy}) {
    std::string word{name(kind)};
    for (char& c : word) c = c == '_' ? '-' : c;
    if (word == arguments.value("contract")) group.contract.kind = kind;
  }
  if (const std::string engine = arguments.value("engine"); !engine.empty())
    group.options.push_back("tcp.engine=" + engine);
  for (const std::string& option : arguments.all("option")) group.options.push_back(option);
  options.plugins = arguments.all("plugin");
  return options;
}

Result<std::vector<std::uint32_t>> parse_queues(const std::string& text) {
  const auto refuse = [&text] {
    return wrong("--queues takes numbers such as 3, 2,3 or 4-7, each once, not '" + text + "'");
  };
  std::vector<std::uint32_t> queues;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&at, end](std::uint32_t& value) {
    const auto [after, error] = std::from_chars(at, end, value);
    const bool read = error == std::errc{} && value <= UINT16_MAX;
    at = after;
    return read;
  };
  for (;;) {
    std::uint32_t first = 0;
    if (!number(first)) return refuse();
    std::uint32_t last = first;
    if (at != end && *at == '-' && (++at, !number(last))) return refuse();
    if (last < first || last - first >= kQueuesMax) return refuse();
    for (; first <= last; ++first) {
      if (std::ranges::find(queues, first) != queues.end()) return refuse();
      queues.push_back(first);
    }
    if (at == end) break;
    if (*at++ != ',') return refuse();
  }
  if (queues.size() > kQueuesMax) return refuse();
  return queues;
}

Result<Context> make_context(const std::vector<std::string>& plugins) {
  LANDFALL_TRY(Context context, Context::create());
  for (const std::string& path : plugins) LANDFALL_CHECK(context.load(path));
  return context;
}

SourceProbe probe_source(const Context& context, const std::string& source) {
  RegionSpec spec;
  spec.source = source;
  spec.size_bytes = 2_MiB;  // the least that every source can give
  const auto probed = probe_memory(context, spec);
  if (probed) return {true, {}};
  return {probed.error().reason() == ReasonCode::not_a_dmabuf, {reason_from(probed.error())}};
}

Result<Address> parse_address(const std::string& text) {
  Address address;
  std::string_view port;
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string::npos || text.size() <= end + 1 || text[end + 1] != ':')
      return wrong("'" + text + "' is no address: write [ADDR]:PORT");
    address.host = text.substr(1, end - 1);
    port = std::string_view{text}.substr(end + 2);
  } else if (colon == std::string::npos) {
    return wrong("'" + text + "' is no address: write ADDR:PORT");
  } else {
    address.host = text.substr(0, colon);
    if (address.host.find(':') != std::string::npos)
      return wrong("'" + text + "' is ambiguous: write an IPv6 address as [ADDR]:PORT");
    port = std::string_view{text}.substr(colon + 1);
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc{} || port.empty() || end != port.data() + port.size())
    return wrong("'" + std::string{port} + "' is no port: 0 to 65535");
  return address;
}

std::string format_address(const Address& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  const std::string host = address.host.empty() ? "::" : address.host;
  return (is_v6 || address.host.empty() ? "[" + host + "]" : host) + ":" +
         std::to_string(address.port);
}

}  // namespace landfall::cli
