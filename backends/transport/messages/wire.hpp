// SPDX-License-Identifier: Apache-2.0
// What two landfalls say to each other over a fabric that delivers messages. sdk/docs/wire.md has
// it byte by byte; this is the only code that knows it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace landfall::messages {

// ---- when a connection is made

inline constexpr std::size_t kHelloBytes = 32;
inline constexpr std::uint8_t kWireVersion = 1;
inline constexpr std::uint32_t kSlotBytesMin = 256, kSlotBytesMax = 16u << 20;
/// Credits that one sender may have. As many receives it must have posted for messages that grant
/// some, as each grants one at least; and the number fits into Immediate.
inline constexpr std::uint32_t kWindowMax = 511;
inline constexpr std::uint32_t kFlowNumbers = 1u << 20;

enum class Role : std::uint8_t { refusal = 0, sender = 1, receiver = 2 };
enum class Refusal : std::uint16_t {
  none = 0,
  version = 1,    // the other side speaks another version
  malformed = 2,  // what it said breaks the format
  role = 3,       // both send, or both receive
  flows = 4       // the receiver takes no more flows
};

/// What each side says once.
struct Hello {
  Role role = Role::refusal;
  Refusal refusal = Refusal::none;  // Role::refusal
  // Role::receiver
  std::uint32_t slot_bytes = 0;  // the longest message
  std::uint32_t window = 0;      // credits that the sender may have at a time
  std::uint32_t credits = 0;     // that it has now
  std::uint32_t flow = 0;        // how it names the flow in each message
};

std::array<std::byte, kHelloBytes> encode(const Hello& hello) noexcept;
/// `bytes` may be longer: fabrics pad what is said at a connection. Refusal::none: *ret_hello is
/// valid, and of the role `expected` or a refusal.
Refusal decode(std::span<const std::byte> bytes, Role expected, Hello* ret_hello) noexcept;

// ---- with each message

/// The 32 bits that a fabric carries beside a message. Sender to receiver: a message takes a slot
/// of the receiver's, and so a credit, whatever it says. Receiver to sender: no bytes.
struct Immediate {
  enum class Kind : std::uint8_t {
    // of the sender
    data = 0,
    end = 1,       // of the stream: no bytes
    returned = 2,  // `count` credits that it does not use: no bytes
    // of the receiver
    credits = 0,  // `count` more
    close = 1,    // it has ended the connection in order
    recall = 2    // give back what you do not use
  };
  Kind kind = Kind::data;
  bool message_end = false;  // data
  std::uint32_t count = 0;   // 1 to kWindowMax
  std::uint32_t flow = 0;    // of the sender's: what the receiver's Hello named
};

std::uint32_t encode(const Immediate& immediate) noexcept;
/// Nothing where it breaks the format.
std::optional<Immediate> decode_from_sender(std::uint32_t bits, std::uint32_t length) noexcept;
std::optional<Immediate> decode_from_receiver(std::uint32_t bits, std::uint32_t length) noexcept;
/// The flow that a message of the sender's names.
std::uint32_t flow_of(std::uint32_t bits) noexcept;

// ---- where the fabric has no connections: a TCP connection stands for one

/// Messages of one flow may come in another order than they were sent in. What takes part in the
/// stream, data and end, has its place in it modulo kOrders where else there is no count.
inline constexpr std::uint32_t kOrders = 512;
bool has_order(std::uint32_t bits) noexcept;
std::uint32_t order_of(std::uint32_t bits) noexcept;
std::uint32_t with_order(std::uint32_t bits, std::uint32_t order) noexcept;

/// What each side says first: who it is, and the address of the endpoint that receives.
inline constexpr std::size_t kContactBytes = kHelloBytes + 4, kNameBytesMax = 256;
/// `hello`: kHelloBytes of encode(). Behind it the name: a receiver's; a sender has none.
std::array<std::byte, kContactBytes> encode_contact(std::span<const std::byte> hello,
                                                    std::size_t name_bytes) noexcept;
/// How long it is with its name; 0: it breaks the format. `bytes`: kContactBytes.
std::size_t contact_bytes(std::span<const std::byte> bytes) noexcept;

/// Then the receiver says words, each an Immediate of its own or this one: the end of the stream
/// has come, and all that was before it. The sender says nothing.
inline constexpr std::uint32_t kEndHasCome = 3u << 30;
inline constexpr std::size_t kWordBytes = 4;
std::array<std::byte, kWordBytes> encode_word(std::uint32_t bits) noexcept;
std::uint32_t decode_word(std::span<const std::byte, kWordBytes> bytes) noexcept;

}  // namespace landfall::messages
