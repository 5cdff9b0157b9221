// SPDX-License-Identifier: Apache-2.0
#include "ofi/library.hpp"

#include <dlfcn.h>

#include <mutex>

namespace landfall::ofi {
namespace {

using namespace authoring;

constexpr const char* kFile = "libfabric.so.1";

// Written once, by open(), before anybody can hold something of libfabric's.
Library g_library;
bool g_opened = false;
std::mutex g_mutex;

bool find_all(void* in, Library* ret_library) noexcept {
  bool all = true;
  // The newest version of each symbol, as all must be of one: they share structs.
#define LANDFALL_FIND(name)                                                      \
  ret_library->name = reinterpret_cast<decltype(&(::name))>(::dlsym(in, #name)); \
  all = all && ret_library->name != nullptr;
  LANDFALL_OFI_CALLS(LANDFALL_FIND)
#undef LANDFALL_FIND
  return all;
}

}  // namespace

const Library* Library::open(const landfall_host* host, landfall_why* reterr_why) noexcept {
  const auto missing = [&](const char* text) -> const Library* {
    refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_rdma_library_missing,
           LANDFALL_ORIGIN_LANDFALL, 0, "%s", text);
    return nullptr;
  };
  if (fault(host, "dlopen") != 0) return missing("dlopen of libfabric.so.1 failed");
  const std::lock_guard lock{g_mutex};
  if (g_opened) return &g_library;
  void* const opened = ::dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    const char* text = ::dlerror();
    return missing(text == nullptr ? kFile : text);
  }
  Library found;
  if (!find_all(opened, &found) || found.fi_version() < kApi) {
    ::dlclose(opened);
    return missing("libfabric.so.1 is older than 1.17");
  }
  g_library = found;
  g_opened = true;
  return &g_library;
}

const Library& library() noexcept {
  return g_library;
}

landfall_errc refuse_call(landfall_why* why, const char* call, int number,
                          std::uint32_t reason) noexcept {
  const char* text = g_opened ? g_library.fi_strerror(number) : "";
  return refuse(why, errc_of(errno_of(number)), reason, LANDFALL_ORIGIN_LIBFABRIC, number,
                "%s failed: %s (%d)", call, text, number);
}

}  // namespace landfall::ofi
