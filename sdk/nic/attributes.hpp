// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

namespace landfall::nic {

/// The attributes of one level of a message, by type; of a repeated one the last. Values are read
/// with their length checked, so that any bytes may stand there. Valid as long as the message.
class Attributes {
 public:
  /// Of a message that has a fixed header of `header_bytes` behind the netlink header. Empty where
  /// it is shorter than that.
  static Attributes of(std::span<const std::byte> message, std::size_t header_bytes) {
    Attributes result;
    const std::size_t skip = NLMSG_HDRLEN + NLMSG_ALIGN(header_bytes);
    if (message.size() > skip)
      result.parse(
          {reinterpret_cast<const std::uint8_t*>(message.data()) + skip, message.size() - skip});
    return result;
  }
  static Attributes of_generic(std::span<const std::byte> message) {
    return of(message, GENL_HDRLEN);
  }

  bool has(std::size_t type) const { return at(type) != nullptr; }
  Attributes nested(std::size_t type) const {
    const nlattr* a = at(type);
    return a == nullptr ? Attributes{} : within(a);
  }

  template <class T>
  std::optional<T> value(std::size_t type) const {
    static_assert(std::is_integral_v<T>);
    const auto bytes = binary(type);
    if (bytes.size() < sizeof(T)) return std::nullopt;
    T result{};
    std::memcpy(&result, bytes.data(), sizeof result);
    return result;
  }
  std::optional<std::uint32_t> u32(std::size_t type) const { return value<std::uint32_t>(type); }
  /// The kernel's "uint": 32 or 64 bits, as large as the number needs.
  std::optional<std::uint64_t> uint(std::size_t type) const {
    if (const auto wide = value<std::uint64_t>(type)) return wide;
    return value<std::uint32_t>(type);
  }
  std::string text(std::size_t type) const {
    const auto bytes = binary(type);
    if (bytes.empty()) return {};
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    return std::string{begin, ::strnlen(begin, bytes.size())};
  }
  std::span<const std::uint8_t> binary(std::size_t type) const {
    const nlattr* a = at(type);
    return a == nullptr ? std::span<const std::uint8_t>{} : payload(a);
  }

  /// Calls visit(const Attributes&) for each item of a list: what is nested in what is nested in
  /// `type`, whatever the items' own types are.
  template <class Visit>
  void each_item(std::size_t type, Visit&& visit) const {
    each(binary(type), [&](std::size_t, const nlattr* a) { visit(within(a)); });
  }

 private:
  // Above what the families here have (RTM_NEWLINK: 68 in Linux 7.3).
  static constexpr std::size_t kTypes = 96;

  static std::span<const std::uint8_t> payload(const nlattr* a) {
    return {reinterpret_cast<const std::uint8_t*>(a) + NLA_HDRLEN,
            static_cast<std::size_t>(a->nla_len) - NLA_HDRLEN};
  }
  static Attributes within(const nlattr* a) {
    Attributes result;
    result.parse(payload(a));
    return result;
  }

  // nla_ok() and nla_next() count down an int; this cannot leave its span, and needs no libnl.
  template <class Visit>
  static void each(std::span<const std::uint8_t> bytes, Visit&& visit) {
    while (bytes.size() >= NLA_HDRLEN) {
      const auto* a = reinterpret_cast<const nlattr*>(bytes.data());
      if (a->nla_len < NLA_HDRLEN || a->nla_len > bytes.size()) return;
      visit(static_cast<std::size_t>(a->nla_type & NLA_TYPE_MASK), a);
      bytes = bytes.subspan(std::min<std::size_t>(NLA_ALIGN(a->nla_len), bytes.size()));
    }
  }

  const nlattr* at(std::size_t type) const { return type < kTypes ? table_[type] : nullptr; }
  void parse(std::span<const std::uint8_t> bytes) {
    each(bytes, [this](std::size_t type, const nlattr* a) {
      if (type < kTypes) table_[type] = a;
    });
  }
  std::array<const nlattr*, kTypes> table_{};
};

}  // namespace landfall::nic
