// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "landfall/abi/backend.h"
#include "landfall/abi/export.h"

namespace landfall {

/// What the caller can do about a failure. Append-only; the same numbers as landfall_errc.
enum class Errc : std::uint8_t {
#define LANDFALL_ERRC(number, name, text) name = number,
#include "landfall/abi/errc.def"
#undef LANDFALL_ERRC
};

/// Whose number Error::native() is.
enum class Origin : std::uint8_t {
  landfall,
  os,
  netlink,
  cuda,
  level_zero,
  verbs,
  libfabric,
  resolver
};

/// Why: a code of the reason list (abi/reasons.def), shown as LF<number>.
enum class ReasonCode : std::uint32_t {
  none = 0,
#define LANDFALL_REASON(number, name, text, remedy) name = number,
#include "landfall/abi/reasons.def"
#undef LANDFALL_REASON
};

/// "busy", "flow_reset", ...; "unknown" for a number that this version does not know.
LANDFALL_API std::string_view name(Errc code) noexcept;
LANDFALL_API std::string_view text(Errc code) noexcept;
/// "os", "netlink", ...
LANDFALL_API std::string_view name(Origin origin) noexcept;

/// A failure as a value: code (what to do), reason (why), where, and the number that the kernel or
/// library gave.
///
/// Cost: 24 bytes, no allocation, except in with(), which is for cold paths.
class [[nodiscard]] LANDFALL_API Error {
 public:
  /// `op` must be a string with static storage: the call that failed, "mmap", "Group::open".
  constexpr Error(Errc code, const char* op, ReasonCode reason = ReasonCode::none,
                  Origin origin = Origin::landfall, std::int32_t native = 0) noexcept
      : op_{op},
        native_{native},
        reason_{static_cast<std::uint16_t>(reason)},
        code_{code},
        origin_{origin} {}

  Errc code() const noexcept { return code_; }
  ReasonCode reason() const noexcept { return static_cast<ReasonCode>(reason_); }
  Origin origin() const noexcept { return origin_; }
  std::int32_t native() const noexcept { return native_; }
  const char* op() const noexcept { return op_; }

  /// The cause in one sentence: the particulars if known, else the reason list's text, else the
  /// code's.
  std::string_view cause() const noexcept;
  /// The one command or change that would help; "" when none is known.
  std::string_view remedy() const noexcept;
  /// "op: cause (ENOENT) [LF1105 no_udmabuf_device]; try: remedy"
  std::string describe() const;

  /// The same error with particulars. Copies are kept for the life of the process, at most
  /// kErrorDetailsMax of them; past that the particulars are dropped and the listed text stands.
  Error with(std::string_view cause, std::string_view remedy = {}) const;

 private:
  struct Detail;
  const char* op_;
  const Detail* detail_ = nullptr;
  std::int32_t native_;
  std::uint16_t reason_;
  Errc code_;
  Origin origin_;
};
static_assert(sizeof(Error) == 24);

/// What an errno value means for the caller: EACCES, EPERM -> permission_denied; ENOMEM ->
/// no_memory; ...
LANDFALL_API Errc errc_from_errno(int number) noexcept;
/// An Error of Origin::os from `number`, by default the present errno.
LANDFALL_API Error os_error(const char* op, ReasonCode reason = ReasonCode::none,
                            int number = errno) noexcept;
/// A backend's answer as an Error. `op` is static: the table entry that was called.
LANDFALL_API Error backend_error(const char* op, landfall_errc code, const landfall_why& why);

}  // namespace landfall
