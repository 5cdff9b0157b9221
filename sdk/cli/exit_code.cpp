// SPDX-License-Identifier: Apache-2.0
#include "exit_code.hpp"

namespace landfall::cli {

Exit exit_of(const Error& error) noexcept {
  const auto reason = static_cast<std::uint32_t>(error.reason());
  if (error.reason() == ReasonCode::policy_support_missing) return kExitUnsupported;
  if (reason >= 1500 && reason < 1600) return kExitData;
  switch (error.reason()) {
    case ReasonCode::setting_refused:
    case ReasonCode::queues_missing:
      return error.code() == Errc::permission_denied ? kExitPermission : kExitUnsupported;
    case ReasonCode::journal_damaged:
    case ReasonCode::undo_incomplete:
      return kExitConfig;
    case ReasonCode::access_limit:
      return kExitPermission;
    case ReasonCode::setup_rolled_back:
      return kExitBusy;
    case ReasonCode::memory_source_unknown:
    case ReasonCode::transport_unknown:
    case ReasonCode::option_not_understood:
    case ReasonCode::interface_unknown:
      return kExitUsage;
    default:
      break;
  }
  switch (error.code()) {
    case Errc::ok:
      return kExitOk;
    case Errc::invalid_argument:
      return kExitUsage;
    case Errc::not_supported:
    case Errc::no_memory:
    case Errc::limit_reached:
    case Errc::contract_broken:
    case Errc::device_lost:
      return kExitUnsupported;
    case Errc::permission_denied:
      return kExitPermission;
    case Errc::busy:
    case Errc::timed_out:
      return kExitBusy;
    default:
      return kExitFailure;
  }
}

}  // namespace landfall::cli
