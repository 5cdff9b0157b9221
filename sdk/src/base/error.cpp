// SPDX-License-Identifier: Apache-2.0
#include "landfall/base/error.hpp"

#include <cstring>
#include <mutex>
#include <new>
#include <set>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/limits.hpp"
#include "landfall/base/reason.hpp"

namespace landfall {
namespace {

struct CodeText {
  std::string_view name, text;
};
constexpr CodeText kCodes[] = {
#define LANDFALL_ERRC(number, name, text) {#name, text},
#include "landfall/abi/errc.def"
#undef LANDFALL_ERRC
};
static_assert(std::size(kCodes) == LANDFALL_ERRC_end_, "errc.def has a gap: numbers are indexes");

constexpr std::string_view kOrigins[] = {"landfall",   "os",    "netlink",   "cuda",
                                         "level_zero", "verbs", "libfabric", "resolver"};
static_assert(std::size(kOrigins) == std::size_t{LANDFALL_ORIGIN_RESOLVER} + 1);

// As much as a landfall_why holds, so that what a backend said is kept whole.
constexpr std::size_t kDetailBytesMax = 255;

}  // namespace

struct Error::Detail {
  std::string cause, remedy;
  auto operator<=>(const Detail&) const = default;
};

std::string_view name(Errc code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kCodes) ? kCodes[index].name : "unknown";
}

std::string_view text(Errc code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kCodes) ? kCodes[index].text
                                   : "an error that this version does not know";
}

std::string_view name(Origin origin) noexcept {
  const auto index = static_cast<std::size_t>(origin);
  return index < std::size(kOrigins) ? kOrigins[index] : "unknown";
}

std::string_view Error::cause() const noexcept {
  if (detail_ != nullptr && !detail_->cause.empty()) return detail_->cause;
  const ReasonInfo* info = find_reason(reason());
  return info != nullptr ? info->text : text(code_);
}

std::string_view Error::remedy() const noexcept {
  if (detail_ != nullptr && !detail_->remedy.empty()) return detail_->remedy;
  const ReasonInfo* info = find_reason(reason());
  return info != nullptr ? info->remedy : std::string_view{};
}

std::string Error::describe() const {
  std::string out{op_ == nullptr ? "" : op_};
  if (!out.empty()) out += ": ";
  out += cause();
  if (native_ != 0) {
    const bool is_errno = origin_ == Origin::os || origin_ == Origin::netlink;
    const char* symbol = is_errno ? ::strerrorname_np(native_) : nullptr;
    out += symbol != nullptr
               ? std::string{" ("} + symbol + ")"
               : " (" + std::string{name(origin_)} + " " + std::to_string(native_) + ")";
  }
  if (const ReasonInfo* info = find_reason(reason()); info != nullptr)
    out += " [" + reason_id(reason()) + " " + std::string{info->name} + "]";
  if (!remedy().empty()) out += "; try: " + std::string{remedy()};
  return out;
}

Error Error::with(std::string_view cause, std::string_view remedy) const {
  // Reachable for ever through the static reference, so that no Error dangles at exit.
  static std::mutex& mutex = *new std::mutex;
  static std::set<Detail>& details = *new std::set<Detail>;
  Error error = *this;
  Detail detail{std::string{cause.substr(0, kDetailBytesMax)},
                std::string{remedy.substr(0, kDetailBytesMax)}};
  const std::lock_guard lock{mutex};
  if (details.size() < kErrorDetailsMax) {
    error.detail_ = &*details.insert(std::move(detail)).first;
  } else {
    const auto known = details.find(detail);
    error.detail_ = known == details.end() ? nullptr : &*known;
  }
  return error;
}

Errc errc_from_errno(int number) noexcept {
  return static_cast<Errc>(authoring::errc_of(number));
}

Error os_error(const char* op, ReasonCode reason, int number) noexcept {
  return Error{errc_from_errno(number), op, reason, Origin::os, number};
}

Error backend_error(const char* op, landfall_errc code, const landfall_why& why) {
  // A backend that fails with "ok" or with a number of its own still has failed.
  const bool known = code > LANDFALL_ERRC_ok && code < LANDFALL_ERRC_end_;
  const bool origin_known = why.origin >= 0 && why.origin <= LANDFALL_ORIGIN_RESOLVER;
  const bool listed = find_reason(static_cast<ReasonCode>(why.code)) != nullptr;
  const Error error{known ? static_cast<Errc>(code) : Errc::io, op,
                    listed ? static_cast<ReasonCode>(why.code) : ReasonCode::none,
                    origin_known ? static_cast<Origin>(why.origin) : Origin::landfall, why.native};
  std::string particulars{why.text, ::strnlen(why.text, sizeof why.text)};
  const std::string_view fix{why.fix, ::strnlen(why.fix, sizeof why.fix)};
  if (!listed && why.code != 0)
    particulars = "code " + std::to_string(why.code) + " of the backend: " + particulars;
  return particulars.empty() && fix.empty() ? error : error.with(particulars, fix);
}

}  // namespace landfall
