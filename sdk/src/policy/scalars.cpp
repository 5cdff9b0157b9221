// SPDX-License-Identifier: Apache-2.0
#include "policy/scalars.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "landfall/base/units.hpp"

namespace landfall::policy {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_small(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_small(c) || (c >= 'A' && c <= 'Z');
}

/// Digits at the begin of `text`, without needless zeros, at most `most`; takes them from it.
std::optional<std::uint64_t> take_digits(std::string_view& text, std::size_t most) {
  std::size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  if (count == 0 || count > most || (count > 1 && text[0] == '0')) return std::nullopt;
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + count, value);
  text.remove_prefix(count);
  return value;
}

template <class Rest>
bool is_word(std::string_view text, std::size_t most, bool (*first)(char), Rest rest) {
  return !text.empty() && text.size() <= most && first(text[0]) &&
         std::all_of(text.begin() + 1, text.end(), rest);
}

}  // namespace

std::optional<std::uint64_t> read_integer(std::string_view text) noexcept {
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  if (text.empty() || (base == 10 && text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value, base);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> read_size(std::string_view text) noexcept {
  const auto count = take_digits(text, 6);
  if (!count || *count == 0) return std::nullopt;
  if (text == "KiB") return *count * 1_KiB;
  if (text == "MiB") return *count * 1_MiB;
  if (text == "GiB") return *count * 1_GiB;
  if (text == "TiB") return *count * 1024_GiB;
  return std::nullopt;
}

std::optional<std::chrono::microseconds> read_duration(std::string_view text) noexcept {
  const auto count = take_digits(text, 6);
  if (!count || *count == 0) return std::nullopt;
  const auto units = static_cast<std::int64_t>(*count);
  if (text == "us") return std::chrono::microseconds{units};
  if (text == "ms") return std::chrono::milliseconds{units};
  if (text == "s") return std::chrono::seconds{units};
  return std::nullopt;
}

std::optional<std::uint32_t> read_share(std::string_view text) noexcept {
  const auto percent = take_digits(text, 3);
  if (!percent) return std::nullopt;
  std::uint64_t millionths = *percent * 10'000;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    std::uint64_t worth = 1000;
    std::size_t digits = 0;
    for (; !text.empty() && is_digit(text[0]) && digits < 4; ++digits) {
      millionths += static_cast<std::uint64_t>(text[0] - '0') * worth;
      worth /= 10;
      text.remove_prefix(1);
    }
    if (digits == 0) return std::nullopt;
  }
  if (text != "%" || millionths > 1'000'000) return std::nullopt;
  return static_cast<std::uint32_t>(millionths);
}

std::optional<Policy::Prefix> read_prefix(std::string_view text) noexcept {
  Policy::Prefix prefix;
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string_view address = text.substr(0, slash);
  prefix.is_ipv6 = address.find(':') != std::string_view::npos;
  const std::uint32_t most = prefix.is_ipv6 ? 128 : 32;
  char copy[INET6_ADDRSTRLEN];
  // Of IPv6 not the form that ends as IPv4 does: one way to write an address is enough.
  if (address.size() >= sizeof copy ||
      (prefix.is_ipv6 && address.find('.') != std::string_view::npos))
    return std::nullopt;
  std::memcpy(copy, address.data(), address.size());
  copy[address.size()] = 0;
  if (::inet_pton(prefix.is_ipv6 ? AF_INET6 : AF_INET, copy, prefix.address.data()) != 1)
    return std::nullopt;
  std::uint64_t bits = most;
  if (slash < text.size()) {
    std::string_view digits = text.substr(slash + 1);
    const auto count = take_digits(digits, 3);
    if (!count || !digits.empty() || *count > most) return std::nullopt;
    bits = *count;
  }
  prefix.bits = static_cast<std::uint8_t>(bits);
  return prefix;
}

std::optional<Policy::Ports> read_port_range(std::string_view text) noexcept {
  const auto first = take_digits(text, 5);
  if (!first || !text.starts_with('-')) return std::nullopt;
  text.remove_prefix(1);
  const auto last = take_digits(text, 5);
  if (!last || !text.empty() || *first == 0 || *last == 0 || *first > 65535 || *last > 65535)
    return std::nullopt;
  return Policy::Ports{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

bool is_name(std::string_view text) noexcept {
  return is_word(text, 63, is_small,
                 [](char c) { return is_small(c) || is_digit(c) || c == '-' || c == '_'; });
}

bool is_interface(std::string_view text) noexcept {
  const auto first = [](char c) { return is_letter(c) || is_digit(c); };
  return is_word(text, 15, first, [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '@' || c == '-';
  });
}

bool is_account(std::string_view text) noexcept {
  return is_word(
      text, 32, [](char c) { return is_small(c) || c == '_'; },
      [](char c) { return is_small(c) || is_digit(c) || c == '-' || c == '_'; });
}

bool is_heap(std::string_view text) noexcept {
  const auto first = [](char c) { return is_letter(c) || is_digit(c); };
  return is_word(text, 63, first, [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == ',' || c == '-';
  });
}

}  // namespace landfall::policy
