// SPDX-License-Identifier: Apache-2.0
#include "landfall/transport/placement.hpp"

#include "landfall/transport/completion.hpp"

namespace landfall {

std::string_view name(Placement placement) noexcept {
  switch (placement) {
    case Placement::direct:
      return "direct";
    case Placement::linear:
      return "linear";
    case Placement::copied:
      return "copied";
    case Placement::unsure:
      return "unsure";
  }
  return "unknown";
}

std::string_view name(CopyContract::Kind kind) noexcept {
  switch (kind) {
    case CopyContract::Kind::require_direct:
      return "require_direct";
    case CopyContract::Kind::prefer_direct:
      return "prefer_direct";
    case CopyContract::Kind::allow_copy:
      return "allow_copy";
  }
  return "unknown";
}

std::string_view name(Completion::Kind kind) noexcept {
  switch (kind) {
    case Completion::Kind::none:
      return "none";
    case Completion::Kind::opened:
      return "opened";
    case Completion::Kind::data:
      return "data";
    case Completion::Kind::posted:
      return "posted";
    case Completion::Kind::landed:
      return "landed";
    case Completion::Kind::end_of_stream:
      return "end_of_stream";
    case Completion::Kind::failed:
      return "failed";
    case Completion::Kind::pressure:
      return "pressure";
    case Completion::Kind::relief:
      return "relief";
    case Completion::Kind::revoked:
      return "revoked";
    case Completion::Kind::closed:
      return "closed";
  }
  return "unknown";
}

void Verdict::add(Placement placement, std::uint64_t count, ReasonCode reason) noexcept {
  bytes[static_cast<std::size_t>(placement)] += count;
  if (reason == ReasonCode::none) return;
  for (Count& entry : reasons) {
    if (entry.reason == reason || entry.reason == ReasonCode::none) {
      entry.reason = reason;
      entry.bytes += count;
      return;
    }
  }
}

void Verdict::add(const Verdict& other) noexcept {
  for (std::size_t i = 0; i < kPlacements; ++i) bytes[i] += other.bytes[i];
  for (const Count& from : other.reasons) {
    if (from.reason == ReasonCode::none) break;
    for (Count& entry : reasons) {
      if (entry.reason != from.reason && entry.reason != ReasonCode::none) continue;
      entry.reason = from.reason;
      entry.bytes += from.bytes;
      break;
    }
  }
}

namespace {
/// More than `ppm` millionths of `whole`; the products pass 64 bits after some terabytes.
bool exceeds(std::uint64_t part, std::uint64_t whole, std::uint32_t ppm) noexcept {
  __extension__ using Wide = unsigned __int128;
  return Wide{part} * 1'000'000u > Wide{whole} * ppm;
}
}  // namespace

ReasonCode CopyContract::broken_by(const Verdict& since_mark) const noexcept {
  const std::uint64_t linear = since_mark[Placement::linear];
  const std::uint64_t copied = since_mark[Placement::copied] + since_mark[Placement::unsure];
  const std::uint64_t total = since_mark.total();
  switch (kind) {
    case Kind::allow_copy:
      return ReasonCode::none;
    case Kind::prefer_direct:
      return exceeds(linear + copied, total, max_copied_ppm) ? ReasonCode::contract_copied
                                                             : ReasonCode::none;
    case Kind::require_direct:
      if (copied != 0) return ReasonCode::contract_copied;
      return exceeds(linear, total, max_linear_ppm) ? ReasonCode::contract_linear
                                                    : ReasonCode::none;
  }
  return ReasonCode::none;
}

}  // namespace landfall
