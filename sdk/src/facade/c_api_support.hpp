// SPDX-License-Identifier: Apache-2.0
// What the files of the C API share: handles, sized structs, errors.
#pragma once
#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "landfall/landfall.h"
#include "landfall/landfall.hpp"
#include "transport/handles.hpp"

struct landfall_context_handle {
  landfall::Context context;
};
struct landfall_region_handle {
  landfall::Region region;
};
struct landfall_group_handle {
  landfall::Group group;
};
struct landfall_decision_handle {
  landfall::Decision decision;
  std::string description;
};

namespace landfall::c_api {

inline Receiver* from_c(landfall_receiver_t* r) noexcept {
  return reinterpret_cast<Receiver*>(r);
}
inline const Receiver* from_c(const landfall_receiver_t* r) noexcept {
  return reinterpret_cast<const Receiver*>(r);
}
inline Flow* from_c(landfall_flow_t* f) noexcept {
  return reinterpret_cast<Flow*>(f);
}
inline const Flow* from_c(const landfall_flow_t* f) noexcept {
  return reinterpret_cast<const Flow*>(f);
}
inline landfall_receiver_t* to_c(Receiver* r) noexcept {
  return reinterpret_cast<landfall_receiver_t*>(r);
}
inline landfall_flow_t* to_c(Flow* f) noexcept {
  return reinterpret_cast<landfall_flow_t*>(f);
}

/// "a,b,,c" -> {"a", "b", "c"}.
inline std::vector<std::string> split_list(const char* text) {
  std::vector<std::string> parts;
  std::string_view rest = text == nullptr ? std::string_view{} : std::string_view{text};
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (comma != 0) parts.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return parts;
}

inline landfall_decision_t* make_decision(Decision decision) {
  std::string description = decision.describe();
  return new landfall_decision_handle{std::move(decision), std::move(description)};
}

/// The caller's socket while it is offered: what was not taken goes back, also past an exception.
class Offered {
 public:
  explicit Offered(int* fd) noexcept : out_{fd}, fd_{*fd} {}
  Offered(const Offered&) = delete;
  Offered& operator=(const Offered&) = delete;
  ~Offered() { *out_ = fd_.release(); }
  Fd& get() const noexcept { return fd_; }

 private:
  int* out_;
  mutable Fd fd_;
};

/// What a call answers to a buffer's handle that was refused. A build with asserts stops here,
/// where the bug is; a forked child's handle is none.
inline Errc refused_handle() noexcept {
  const Errc code = detail::handle_refusal();
  assert(code == Errc::wrong_process && "a buffer's handle that was dropped before, or made up");
  return code;
}

/// Copies `from` into the caller's struct, as far as that reaches. False: NULL or too short.
template <class Struct>
bool write_sized(Struct* to, const Struct& from, std::size_t first_size = sizeof(Struct)) noexcept {
  if (to == nullptr) return false;
  std::uint32_t size = 0;
  std::memcpy(&size, to, sizeof size);
  if (size < first_size) return false;
  std::memcpy(to, &from, std::min<std::size_t>(size, sizeof(Struct)));
  std::memcpy(to, &size, sizeof size);
  return true;
}

/// Copies the caller's struct over the defaults in `to`; NULL leaves them. False: too short, or
/// longer with something set that this version does not know.
template <class Struct>
bool read_sized(const Struct* from, Struct& to, std::size_t first_size = sizeof(Struct)) noexcept {
  if (from == nullptr) return true;
  std::uint32_t size = 0;
  std::memcpy(&size, from, sizeof size);
  // No struct of ours will ever pass a page: such a size is memory that nobody filled.
  if (size < first_size || size > 4096) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  for (std::size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  std::memcpy(&to, from, std::min<std::size_t>(size, sizeof(Struct)));
  return true;
}

inline void copy_text(char* to, std::size_t capacity, std::string_view from) noexcept {
  const std::size_t length = std::min(from.size(), capacity - 1);
  if (length != 0) std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

/// An error as the caller's struct holds it; 8 bytes (struct_size and code) are enough to be told
/// something.
inline landfall_errc report(landfall_error_t* to, landfall_errc code, std::uint32_t reason,
                            std::int32_t origin, std::int32_t native, std::string_view op,
                            std::string_view text, std::string_view remedy) noexcept {
  if (to == nullptr) return code;
  landfall_error_t error = LANDFALL_ERROR_INIT;
  error.code = code;
  error.reason = reason;
  error.origin = origin;
  error.native = native;
  copy_text(error.op, sizeof error.op, op);
  copy_text(error.text, sizeof error.text, text);
  copy_text(error.remedy, sizeof error.remedy, remedy);
  write_sized(to, error, 2 * sizeof(std::uint32_t));
  return code;
}

inline landfall_errc report(landfall_error_t* to, const Error& error) noexcept {
  return report(to, static_cast<landfall_errc>(error.code()),
                static_cast<std::uint32_t>(error.reason()),
                static_cast<std::int32_t>(error.origin()), error.native(), error.op(),
                error.cause(), error.remedy());
}

/// The call itself is wrong.
inline landfall_errc misuse(landfall_error_t* to, const char* op, std::string_view text) noexcept {
  return report(to, LANDFALL_ERRC_invalid_argument, 0, LANDFALL_ORIGIN_LANDFALL, 0, op, text, {});
}

/// Runs `body`; no exception leaves the library.
template <class Body>
landfall_errc guarded(const char* op, landfall_error_t* to, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return report(to, Error{Errc::no_memory, op, ReasonCode::out_of_memory});
  } catch (const std::exception& e) {
    return report(to, LANDFALL_ERRC_io, 0, LANDFALL_ORIGIN_LANDFALL, 0, op, e.what(), {});
  } catch (...) {
    return report(to, LANDFALL_ERRC_io, 0, LANDFALL_ORIGIN_LANDFALL, 0, op, "unknown exception",
                  {});
  }
}

/// Closes what owns a Region; that goes back to whoever asks for it.
template <class Handle>
landfall_errc close_owner(const char* op, Handle** owner, landfall_region_t** ret_region,
                          landfall_error_t* reterr_error) noexcept {
  return guarded(op, reterr_error, [&]() -> landfall_errc {
    if (owner == nullptr || *owner == nullptr) return misuse(reterr_error, op, "NULL argument");
    auto region = (*owner)->group.close();
    if (!region) return report(reterr_error, region.error());
    delete std::exchange(*owner, nullptr);
    if (ret_region != nullptr) *ret_region = new landfall_region_handle{std::move(*region)};
    return LANDFALL_ERRC_ok;
  });
}

/// The contract of a struct; nullopt: malformed.
std::optional<CopyContract> read_contract(const landfall_contract_t* from) noexcept;
/// False: malformed.
bool read_flow_options(const landfall_flow_options_t* from, FlowOptions& to) noexcept;
/// A call that is about to make a flow: `complete` - no argument of its own is missing.
template <class Body>
landfall_errc with_options(const char* op, bool complete, const landfall_flow_options_t* options,
                           landfall_error_t* reterr_error, Body&& body) noexcept {
  return guarded(op, reterr_error, [&]() -> landfall_errc {
    FlowOptions flow_options;
    if (!complete) return misuse(reterr_error, op, "NULL argument");
    if (!read_flow_options(options, flow_options))
      return misuse(reterr_error, op, "malformed options");
    return body(flow_options);
  });
}

landfall_errc write_verdict(const Verdict& from, landfall_verdict_t* to) noexcept;
landfall_errc write_memory(const Memory& from, landfall_memory_info_t* to) noexcept;

}  // namespace landfall::c_api
