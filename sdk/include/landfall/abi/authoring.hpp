// SPDX-License-Identifier: Apache-2.0
// For authors of backends in C++: header-only, needs nothing but this folder.
#pragma once
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>

#include "landfall/abi/backend.h"

namespace landfall::authoring {

/// A timeout of landfall_transport_ops::wait as epoll_wait(2) takes it: rounded up, UINT64_MAX for
/// ever.
constexpr int milliseconds_of(std::uint64_t timeout_ns) noexcept {
  constexpr std::uint64_t kNsPerMs = 1'000'000, kMostMs = 1u << 30;
  if (timeout_ns == UINT64_MAX) return -1;
  const std::uint64_t ms = timeout_ns / kNsPerMs + (timeout_ns % kNsPerMs != 0 ? 1 : 0);
  return static_cast<int>(ms < kMostMs ? ms : kMostMs);
}

/// What an errno value means for the caller; the core's errc_from_errno is this.
constexpr landfall_errc errc_of(int number) noexcept {
  switch (number) {
    case 0:
      return LANDFALL_ERRC_ok;
    case EINVAL:
    case EBADF:
    case EFAULT:
    case ENOTSOCK:
    case EDESTADDRREQ:
      return LANDFALL_ERRC_invalid_argument;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENODEV:
    case ENOTTY:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
      return LANDFALL_ERRC_not_supported;
    case EPERM:
    case EACCES:
      return LANDFALL_ERRC_permission_denied;
    case ENOMEM:
    case ENOBUFS:
      return LANDFALL_ERRC_no_memory;
    case EBUSY:
    case EADDRINUSE:
    case EEXIST:
    case EAGAIN:
      return LANDFALL_ERRC_busy;
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
      return LANDFALL_ERRC_limit_reached;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return LANDFALL_ERRC_flow_reset;
    case ETIMEDOUT:
    case ETIME:
      return LANDFALL_ERRC_timed_out;
    case ENXIO:
    case ENETDOWN:
      return LANDFALL_ERRC_device_lost;
    case ENOENT:
    case ESRCH:
      return LANDFALL_ERRC_not_found;
    default:
      return LANDFALL_ERRC_io;
  }
}

/// Fills *why (unless NULL) and answers `code`, so that `return refuse(...)` reads well. `native`
/// is of `origin`. `text` is printf's and may be "" for the listed text.
__attribute__((format(printf, 6, 7))) inline landfall_errc refuse(
    landfall_why* why, landfall_errc code, std::uint32_t reason, std::int32_t origin,
    std::int32_t native, const char* text, ...) noexcept {
  if (why == nullptr) return code;
  const std::uint32_t struct_size = why->struct_size;
  *why = landfall_why{};
  why->struct_size = struct_size;
  why->code = reason;
  why->origin = origin;
  why->native = native;
  va_list arguments;
  va_start(arguments, text);
  std::vsnprintf(why->text, sizeof why->text, text, arguments);
  va_end(arguments);
  return code;
}

/// Without particulars: the listed text of `reason` says it all.
inline landfall_errc refuse(landfall_why* why, landfall_errc code, std::uint32_t reason) noexcept {
  return refuse(why, code, reason, LANDFALL_ORIGIN_LANDFALL, 0, "%s", "");
}

/// Adds the one command that would help: `return fix(why, refuse(...), "sysctl vm.nr_hugepages=%u",
/// n)`.
__attribute__((format(printf, 3, 4))) inline landfall_errc fix(landfall_why* why,
                                                               landfall_errc code,
                                                               const char* command, ...) noexcept {
  if (why == nullptr) return code;
  va_list arguments;
  va_start(arguments, command);
  std::vsnprintf(why->fix, sizeof why->fix, command, arguments);
  va_end(arguments);
  return code;
}

/// A system call failed: errno in `number`.
inline landfall_errc refuse_os(landfall_why* why, const char* call, std::uint32_t reason,
                               int number) noexcept {
  return refuse(why, errc_of(number), reason, LANDFALL_ORIGIN_OS, number, "%s failed: errno %d",
                call, number);
}

/// Asks the fault seam: 0 - make the call; else behave as if it had failed with that errno.
inline int fault(const landfall_host* host, const char* site) noexcept {
  return host != nullptr && LANDFALL_HAS(host, landfall_host, fault) ? host->fault(host->ctx, site)
                                                                     : 0;
}

/// Makes an outside call, unless the fault seam lets it fail. 0, or errno where it answered < 0.
template <class Call>
int attempt(const landfall_host* host, const char* site, Call&& call) noexcept {
  if (const int injected = fault(host, site)) return injected;
  return call() < 0 ? errno : 0;
}

/// Runs `body` and turns an exception into an error: no exception crosses the ABI.
template <class Body>
landfall_errc guarded(landfall_why* why, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return refuse(why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory);
  } catch (const std::exception& e) {
    return refuse(why, LANDFALL_ERRC_io, LANDFALL_REASON_none, LANDFALL_ORIGIN_LANDFALL, 0, "%s",
                  e.what());
  } catch (...) {
    return refuse(why, LANDFALL_ERRC_io, LANDFALL_REASON_none, LANDFALL_ORIGIN_LANDFALL, 0,
                  "unknown exception");
  }
}

/// The descriptor of a transport, for the ABI that this header is of.
constexpr landfall_backend describe(const landfall_transport_ops* ops, std::uint32_t rank,
                                    const char* name, const char* version,
                                    const char* summary) noexcept {
  return {sizeof(landfall_backend),
          LANDFALL_ABI_MAJOR,
          LANDFALL_ABI_MINOR,
          LANDFALL_KIND_TRANSPORT,
          rank,
          name,
          version,
          summary,
          ops};
}
/// Of a memory source: these have no rank.
constexpr landfall_backend describe(const landfall_memory_ops* ops, const char* name,
                                    const char* version, const char* summary) noexcept {
  return {sizeof(landfall_backend),
          LANDFALL_ABI_MAJOR,
          LANDFALL_ABI_MINOR,
          LANDFALL_KIND_MEMORY,
          0,
          name,
          version,
          summary,
          ops};
}

}  // namespace landfall::authoring
