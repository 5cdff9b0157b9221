// SPDX-License-Identifier: Apache-2.0
// libfabric, opened when it is needed: a machine without it says so.
#pragma once
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>

#include <memory>
#include <utility>

#include "landfall/abi/authoring.hpp"

namespace landfall::ofi {

// What is called by name; the rest of libfabric is inline, over the provider's own tables.
#define LANDFALL_OFI_CALLS(call)                                                        \
  call(fi_dupinfo) call(fi_fabric) call(fi_freeinfo) call(fi_getinfo) call(fi_strerror) \
      call(fi_version)

struct Library {
#define LANDFALL_DECLARE(name) decltype(&(::name)) name = nullptr;
  LANDFALL_OFI_CALLS(LANDFALL_DECLARE)
#undef LANDFALL_DECLARE

  /// nullptr: it is not there, or too old; never closed. Errors: not_supported -
  /// rdma_library_missing.
  static const Library* open(const landfall_host* host, landfall_why* reterr_why) noexcept;
};

/// The one that open() has answered: whoever holds something of libfabric's may call it.
const Library& library() noexcept;

/// The interface that this is written to. The library keeps what it meant for programs that name
/// it: fi_getinfo(3).
inline constexpr std::uint32_t kApi = FI_VERSION(1, 17);
/// From here on memory can be registered as a dma-buf (FI_MR_DMABUF, NEWS.md of 1.20).
inline constexpr std::uint32_t kApiOfDmabufs = FI_VERSION(1, 20);

/// Makes an outside call, unless the fault seam lets it fail: libfabric answers -errno. 0, or the
/// errno; *ret_answer is what it answered where that is not negative.
template <class Call>
int attempt(const landfall_host* host, const char* site, Call&& call,
            ssize_t* ret_answer = nullptr) noexcept {
  if (const int injected = authoring::fault(host, site)) return injected;
  const ssize_t answer = call();
  if (answer < 0) return static_cast<int>(-answer);
  if (ret_answer != nullptr) *ret_answer = answer;
  return 0;
}

/// libfabric has numbers of its own from 256 on: fi_errno.h. What stands for a connection that is
/// no more differs from provider to provider. Receivers cut no message short by themselves, so a
/// message that was too long is the sender's doing.
constexpr int errno_of(int number) noexcept {
  switch (number) {
    case FI_ETRUNC:
      return EPROTO;
    case FI_ENOTCONN:
    case FI_ESHUTDOWN:
    case FI_ECANCELED:
    case EPIPE:
      return ECONNRESET;
    default:
      return number < 256 ? number : EIO;
  }
}

/// A call of libfabric's failed.
landfall_errc refuse_call(landfall_why* why, const char* call, int number,
                          std::uint32_t reason = LANDFALL_REASON_fabric_call_failed) noexcept;

// ---- what belongs to somebody

struct InfoFree {
  void operator()(fi_info* info) const noexcept { library().fi_freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, InfoFree>;
inline Info copy_of(const fi_info& info) noexcept {
  return Info{library().fi_dupinfo(&info)};
}

template <class Object>
struct FidClose {
  void operator()(Object* object) const noexcept { fi_close(&object->fid); }
};
template <class Object>
using Owned = std::unique_ptr<Object, FidClose<Object>>;

/// For `call(&out)`: the object that libfabric made.
template <class Object, class Call>
int make(const landfall_host* host, const char* site, Owned<Object>* ret_object,
         Call&& call) noexcept {
  Object* made = nullptr;
  const int number = attempt(host, site, [&] { return static_cast<ssize_t>(call(&made)); });
  if (number == 0) ret_object->reset(made);
  return number;
}

}  // namespace landfall::ofi
