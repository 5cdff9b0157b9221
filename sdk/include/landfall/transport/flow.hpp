// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "landfall/base/fd.hpp"
#include "landfall/memory/memory.hpp"
#include "landfall/transport/placement.hpp"

namespace landfall {

struct Decision;

/// A host name or numeric address, IPv4 or IPv6, and a port. "" and "::" as host: all addresses,
/// both families.
struct Address {
  std::string host;
  std::uint16_t port = 0;
};

/// streaming: bytes come as they arrive, in extents that landfall or the NIC picks.
/// demand: nothing is received but what land() and post() ask for: framed protocols, posted
/// receives.
enum class Delivery : std::uint8_t { streaming, demand };

struct FlowOptions {
  Delivery delivery = Delivery::streaming;
  std::optional<CopyContract> contract{};  // else the Group's
  std::uint64_t share_bytes = 0;  // charge that this flow may hold; 0: a fair share of what is free
  std::uint64_t stream_offset = 0;  // of the next byte: what the caller has read already
  bool refuse_queued = false;       // attach(): an error if bytes are queued already
  void* user = nullptr;
};

/// One connection.
///
/// Owner: its Receiver; the address is stable until the poll after the one that returned `closed`.
/// Threads: the Receiver's polling thread only.
class LANDFALL_API Flow {
 public:
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  std::uint64_t id() const noexcept;  // never reused within a Receiver, never 0
  void* user() const noexcept;
  void set_user(void* user) noexcept;
  Delivery delivery() const noexcept;
  Verdict verdict() const noexcept;
  /// Bytes of the stream that have come so far (stream offset of the next one).
  std::uint64_t received_bytes() const noexcept;
  /// Memory that its Buffers hold back now.
  std::uint64_t held_bytes() const noexcept;
  std::uint32_t buffers_out() const noexcept;
  /// Which transport carries it, and why not another: its Receiver's.
  const Decision& decision() const noexcept;
  Result<Address> peer() const;
  Result<Address> local() const;

  /// Streaming: no new bytes but those under way, until resume(). The sender stalls by flow
  /// control.
  void pause() noexcept;
  void resume() noexcept;

  /// Demand: at most the next `most_bytes` (> 0) come as Buffers, then a `landed` Completion.
  /// Errors: invalid_argument - LF1305, or 0 bytes; limit_reached - LF1306; closed - LF1327.
  Result<void> land(std::uint64_t most_bytes);
  /// Demand: the next `length` bytes end in the caller's memory, then a `posted` Completion with
  /// `tag`; fewer bytes only before the end of the stream. The memory must stay valid until then,
  /// or until `closed`. Several may be queued. One copy on `tcp`; where the transport picks the
  /// place a gather, counted as copied. Errors: as land(); not_supported - LF1112, a gather needs
  /// host views; contract_broken - LF1318, under require_direct where it would be a gather.
  Result<void> post(std::span<std::byte> into, std::uint64_t tag);
  Result<void> post(const Memory& into, std::uint64_t offset, std::uint64_t length,
                    std::uint64_t tag);

  /// The socket back, no byte lost; the Flow is gone then, without `closed`.
  /// Errors: busy - LF1308, Buffers out, or requests queued; not_supported - LF1207, no socket.
  Result<Fd> detach();
  /// Ends it: FIN, or RST. The socket stays open until the last extent is back; then comes
  /// `closed`. Completions that are under way may still come before it.
  void close(bool reset = false) noexcept;

 protected:
  Flow() = default;
  ~Flow() = default;
};

}  // namespace landfall
