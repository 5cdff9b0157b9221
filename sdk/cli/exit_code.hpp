// SPDX-License-Identifier: Apache-2.0
// What the exit status of `landfall` means: one table, which help and man page print.
#pragma once
#include <array>
#include <string_view>

#include "landfall/base/error.hpp"

namespace landfall::cli {

enum Exit : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitChanges = 2,
  kExitUsage = 64,
  kExitData = 65,
  kExitUnsupported = 69,
  kExitBusy = 75,
  kExitPermission = 77,
  kExitConfig = 78,
  kExitInterrupted = 130
};

struct ExitMeaning {
  Exit code;
  std::string_view meaning;
};
inline constexpr std::array<ExitMeaning, 10> kExitMeanings{{
    {kExitOk, "done; doctor: nothing fails"},
    {kExitFailure, "failure"},
    {kExitChanges, "plan: there is something to do"},
    {kExitUsage, "the command line is wrong"},
    {kExitData, "malformed input: a stream or policy breaks its format"},
    {kExitUnsupported, "this host, kernel or device cannot do it"},
    {kExitBusy, "busy or timed out: try again"},
    {kExitPermission, "permission denied"},
    {kExitConfig, "a configuration cannot be reverted"},
    {kExitInterrupted, "ended by Ctrl-C or SIGTERM"},
}};

/// The exit status that says what an Error says.
Exit exit_of(const Error& error) noexcept;

}  // namespace landfall::cli
