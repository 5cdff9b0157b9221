// SPDX-License-Identifier: Apache-2.0
#include "verbs/library.hpp"

#include <dlfcn.h>

#include <mutex>
#include <string>

namespace landfall::verbs {
namespace {

struct Opened {
  Library library;
  std::string missing;  // "": all is there
};

template <class Call>
void find(void* in, const char* name, Call* ret_call, std::string& missing) {
  void* symbol = in == nullptr ? nullptr : ::dlsym(in, name);
  if (symbol == nullptr && missing.empty()) missing = std::string{name} + " is not in the library";
  *ret_call = reinterpret_cast<Call>(symbol);
}

Opened open_both() {
  Opened opened;
  const auto load = [&](const char* file) {
    void* const library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr && opened.missing.empty()) {
      const char* text = ::dlerror();
      opened.missing = text == nullptr ? file : text;
    }
    return library;
  };
  void* const verbs = load("libibverbs.so.1");
  void* const cm = load("librdmacm.so.1");
#define LANDFALL_FIND_VERBS(name) find(verbs, #name, &opened.library.name, opened.missing);
#define LANDFALL_FIND_CM(name) find(cm, #name, &opened.library.name, opened.missing);
  LANDFALL_VERBS_CALLS(LANDFALL_FIND_VERBS)
  LANDFALL_RDMACM_CALLS(LANDFALL_FIND_CM)
#undef LANDFALL_FIND_CM
#undef LANDFALL_FIND_VERBS
  return opened;
}

}  // namespace

const Library* Library::open(landfall_why* reterr_why) noexcept {
  try {
    static const Opened* const opened = new Opened{open_both()};  // stays: no static is destroyed
    if (opened->missing.empty()) return &opened->library;
    authoring::refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_rdma_library_missing,
                      LANDFALL_ORIGIN_LANDFALL, 0, "%s", opened->missing.c_str());
  } catch (...) {
    authoring::refuse(reterr_why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory);
  }
  return nullptr;
}

}  // namespace landfall::verbs
