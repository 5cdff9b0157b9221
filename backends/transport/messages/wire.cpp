// SPDX-License-Identifier: Apache-2.0
#include "messages/wire.hpp"

#include <cstring>

namespace landfall::messages {
namespace {

constexpr std::array<std::byte, 4> kMagic{std::byte{'L'}, std::byte{'F'}, std::byte{'R'},
                                          std::byte{'X'}};

// Where each field of a Hello begins.
constexpr std::size_t kVersionAt = 4, kRoleAt = 5, kRefusalAt = 6, kSlotAt = 8, kWindowAt = 12,
                      kCreditsAt = 16, kFlowAt = 20;

template <std::size_t kBytes>
void put(std::span<std::byte> out, std::size_t at, std::uint32_t value) noexcept {
  for (std::size_t i = 0; i < kBytes; ++i)
    out[at + i] = static_cast<std::byte>(value >> (8 * (kBytes - 1 - i)));
}

template <std::size_t kBytes>
std::uint32_t get(std::span<const std::byte> in, std::size_t at) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < kBytes; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(in[at + i]);
  return value;
}

bool in_range(const Hello& hello) noexcept {
  if (hello.role == Role::receiver)
    return hello.slot_bytes >= kSlotBytesMin && hello.slot_bytes <= kSlotBytesMax &&
           hello.window >= 1 && hello.window <= kWindowMax && hello.credits >= 1 &&
           hello.credits <= hello.window && hello.flow < kFlowNumbers &&
           hello.refusal == Refusal::none;
  return hello.slot_bytes == 0 && hello.window == 0 && hello.credits == 0 && hello.flow == 0;
}

// An Immediate: kind 2 bits, message_end 1, count 9, flow 20.
constexpr unsigned kKindShift = 30, kEndShift = 29, kCountShift = 20;
static_assert(kWindowMax < 1u << (kEndShift - kCountShift));
static_assert(kFlowNumbers == 1u << kCountShift);
static_assert(kOrders == 1u << (kEndShift - kCountShift) && kOrders > kWindowMax);

std::optional<Immediate> split(std::uint32_t bits) noexcept {
  const std::uint32_t kind = bits >> kKindShift;
  if (kind > 2) return std::nullopt;
  return Immediate{.kind = static_cast<Immediate::Kind>(kind),
                   .message_end = (bits >> kEndShift & 1u) != 0,
                   .count = bits >> kCountShift & kWindowMax,
                   .flow = bits & (kFlowNumbers - 1)};
}

}  // namespace

std::array<std::byte, kHelloBytes> encode(const Hello& hello) noexcept {
  std::array<std::byte, kHelloBytes> out{};
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  put<1>(out, kVersionAt, kWireVersion);
  put<1>(out, kRoleAt, static_cast<std::uint32_t>(hello.role));
  put<2>(out, kRefusalAt, static_cast<std::uint32_t>(hello.refusal));
  put<4>(out, kSlotAt, hello.slot_bytes);
  put<4>(out, kWindowAt, hello.window);
  put<4>(out, kCreditsAt, hello.credits);
  put<4>(out, kFlowAt, hello.flow);
  return out;
}

Refusal decode(std::span<const std::byte> bytes, Role expected, Hello* ret_hello) noexcept {
  if (bytes.size() < kHelloBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return Refusal::malformed;
  if (get<1>(bytes, kVersionAt) != kWireVersion) return Refusal::version;
  const std::uint32_t role = get<1>(bytes, kRoleAt);
  if (role > static_cast<std::uint32_t>(Role::receiver)) return Refusal::malformed;
  Hello hello{.role = static_cast<Role>(role),
              .refusal = static_cast<Refusal>(get<2>(bytes, kRefusalAt)),
              .slot_bytes = get<4>(bytes, kSlotAt),
              .window = get<4>(bytes, kWindowAt),
              .credits = get<4>(bytes, kCreditsAt),
              .flow = get<4>(bytes, kFlowAt)};
  if (!in_range(hello)) return Refusal::malformed;
  if (hello.role != expected && hello.role != Role::refusal) return Refusal::role;
  *ret_hello = hello;
  return Refusal::none;
}

std::uint32_t encode(const Immediate& immediate) noexcept {
  return static_cast<std::uint32_t>(immediate.kind) << kKindShift |
         (immediate.message_end ? 1u << kEndShift : 0u) | immediate.count << kCountShift |
         immediate.flow;
}

std::optional<Immediate> decode_from_sender(std::uint32_t bits, std::uint32_t length) noexcept {
  const std::optional<Immediate> said = split(bits);
  if (!said) return std::nullopt;
  const bool is_data = said->kind == Immediate::Kind::data;
  const bool is_returned = said->kind == Immediate::Kind::returned;
  const bool fits = is_data == (length != 0) && is_returned == (said->count != 0) &&
                    (is_data || !said->message_end);
  return fits ? said : std::nullopt;
}

std::optional<Immediate> decode_from_receiver(std::uint32_t bits, std::uint32_t length) noexcept {
  const std::optional<Immediate> said = split(bits);
  if (!said) return std::nullopt;
  const bool grants = said->kind == Immediate::Kind::credits;
  const bool fits =
      length == 0 && !said->message_end && said->flow == 0 && grants == (said->count != 0);
  return fits ? said : std::nullopt;
}

std::uint32_t flow_of(std::uint32_t bits) noexcept {
  return bits & (kFlowNumbers - 1);
}

bool has_order(std::uint32_t bits) noexcept {
  const std::uint32_t kind = bits >> kKindShift;
  return kind == static_cast<std::uint32_t>(Immediate::Kind::data) ||
         kind == static_cast<std::uint32_t>(Immediate::Kind::end);
}

std::uint32_t order_of(std::uint32_t bits) noexcept {
  return bits >> kCountShift & (kOrders - 1);
}

std::uint32_t with_order(std::uint32_t bits, std::uint32_t order) noexcept {
  return (bits & ~((kOrders - 1) << kCountShift)) | (order % kOrders) << kCountShift;
}

std::array<std::byte, kContactBytes> encode_contact(std::span<const std::byte> hello,
                                                    std::size_t name_bytes) noexcept {
  std::array<std::byte, kContactBytes> out{};
  std::memcpy(out.data(), hello.data(), kHelloBytes);
  put<2>(out, kHelloBytes, static_cast<std::uint32_t>(name_bytes));
  return out;
}

std::size_t contact_bytes(std::span<const std::byte> bytes) noexcept {
  const std::size_t name_bytes = get<2>(bytes, kHelloBytes);
  return name_bytes <= kNameBytesMax && get<2>(bytes, kHelloBytes + 2) == 0
             ? kContactBytes + name_bytes
             : 0;
}

std::array<std::byte, kWordBytes> encode_word(std::uint32_t bits) noexcept {
  std::array<std::byte, kWordBytes> out{};
  put<kWordBytes>(out, 0, bits);
  return out;
}

std::uint32_t decode_word(std::span<const std::byte, kWordBytes> bytes) noexcept {
  return get<kWordBytes>(bytes, 0);
}

}  // namespace landfall::messages
