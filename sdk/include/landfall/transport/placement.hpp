// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "landfall/base/error.hpp"

namespace landfall {

/// How the bytes of one Buffer came to where they are; of a Sender: `direct` ones were sent from
/// where they lie, `copied` ones by a CPU copy.
enum class Placement : std::uint8_t {
  direct = LANDFALL_DIRECT,  // placed by NIC or kernel, no CPU copy
  linear = LANDFALL_LINEAR,  // part of a direct flow that the NIC could not split: one CPU copy
                             // into the spill
  copied = LANDFALL_COPIED,  // one CPU copy
  unsure = LANDFALL_UNSURE   // nobody says: the kernel counts copies and marks none (zcrx), or a
                             // provider of libfabric's copies some (ofi); held to be copied
};
inline constexpr std::size_t kPlacements = 4;
LANDFALL_API std::string_view name(Placement placement) noexcept;

/// Bytes per placement, and the reasons for those that were not direct.
struct LANDFALL_API Verdict {
  struct Count {
    ReasonCode reason = ReasonCode::none;
    std::uint64_t bytes = 0;
  };
  std::array<std::uint64_t, kPlacements> bytes{};  // by Placement
  std::array<Count, 4> reasons{};  // by the order of their first appearance; rest none

  std::uint64_t total() const noexcept { return bytes[0] + bytes[1] + bytes[2] + bytes[3]; }
  std::uint64_t operator[](Placement p) const noexcept {
    return bytes[static_cast<std::size_t>(p)];
  }
  void add(Placement placement, std::uint64_t count, ReasonCode reason) noexcept;
  void add(const Verdict& other) noexcept;
};

/// How much copying a flow tolerates. Checked when a Group opens, and over each flow's bytes after
/// its mark (steering in place, bytes queued before attach drained) once more than grace_bytes have
/// come.
struct LANDFALL_API CopyContract {
  enum class Kind : std::uint8_t { require_direct, prefer_direct, allow_copy };
  Kind kind = Kind::prefer_direct;
  std::uint32_t max_linear_ppm =
      10'000;  // require_direct: linear bytes per million that are allowed
  std::uint32_t max_copied_ppm = 1'000'000;  // prefer_direct: linear + copied + unsure per million
  std::uint64_t grace_bytes = 64 * 1024;

  /// none: the verdict keeps the contract; else contract_linear or contract_copied. `since_mark`:
  /// bytes after the mark.
  ReasonCode broken_by(const Verdict& since_mark) const noexcept;
};
LANDFALL_API std::string_view name(CopyContract::Kind kind) noexcept;

}  // namespace landfall
