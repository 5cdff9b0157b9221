// SPDX-License-Identifier: Apache-2.0
// From a spec to pages.
#include <cinttypes>

#include "pages.hpp"

namespace landfall::pages {
namespace {

bool wants(const landfall_memory_spec& spec, std::uint32_t flag) {
  return (spec.flags & flag) != 0;
}

landfall_errc contradiction(const Call& call, const char* text) {
  return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                           LANDFALL_REASON_spec_not_understood, LANDFALL_ORIGIN_LANDFALL, 0, "%s",
                           text);
}

landfall_errc check_wishes(const Call& call, const landfall_memory_spec& spec, bool huge) {
  const bool no_view = wants(spec, LANDFALL_WANT_NO_HOST_VIEW);
  if (spec.address != 0 && (no_view || wants(spec, LANDFALL_WANT_MEMFD)))
    return contradiction(call, "borrowed memory has a host view and no memfd of landfall's");
  if (spec.address != 0 && wants(spec, LANDFALL_WANT_LOCKED) && !huge)
    return contradiction(call, "borrowed memory is locked by its owner: mlock(2) it before");
  if ((spec.address != 0 || spec.fd >= 0) && spec.numa_node >= 0)
    return contradiction(call, "the pages of borrowed or adopted memory are on their node already");
  if (no_view && wants(spec, LANDFALL_WANT_LOCKED) && !huge)
    return contradiction(call, "mlock(2) needs the host view: locked memory cannot be without one");
  return LANDFALL_ERRC_ok;
}

// The memfd or the borrowed range that the application brings, with what is used of it.
landfall_errc take_given(const Call& call, const landfall_memory_spec& spec, const Recipe& recipe,
                         Backing* backing, std::uint64_t* ret_size_bytes, bool* ret_shared) {
  if (spec.address != 0) {
    *ret_size_bytes = spec.size_bytes;
    return borrow(call, spec.address, spec.size_bytes, recipe.page_bytes, &backing->view,
                  ret_shared);
  }
  Memfd memfd;
  if (const auto code = adopt_memfd(call, spec.fd, &memfd); code != LANDFALL_ERRC_ok) return code;
  if (memfd.page_bytes != recipe.page_bytes)
    return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_spec_not_understood, LANDFALL_ORIGIN_LANDFALL, 0,
                             "the memfd has pages of %" PRIu64
                             " bytes, this source or spec wants "
                             "pages of %" PRIu64,
                             memfd.page_bytes, recipe.page_bytes);
  backing->memfd = std::move(memfd.fd);
  return used_size(call, spec.size_bytes, memfd.size_bytes, memfd.page_bytes, ret_size_bytes);
}

}  // namespace

landfall_errc check_backing(const Call& call, const landfall_memory_spec& spec,
                            const Recipe& recipe) {
  const bool given = spec.fd >= 0 || spec.address != 0;
  if (const auto code = check_wishes(call, spec, recipe.huge); code != LANDFALL_ERRC_ok)
    return code;
  if (recipe.huge)
    if (const auto code = check_huge_size(call, recipe.page_bytes); code != LANDFALL_ERRC_ok)
      return code;
  if (const auto code = check_node(call, spec.numa_node); code != LANDFALL_ERRC_ok) return code;
  std::uint64_t size_bytes = spec.size_bytes;
  if (given) {
    Backing backing;
    bool shared = false;
    const auto code = take_given(call, spec, recipe, &backing, &size_bytes, &shared);
    if (code != LANDFALL_ERRC_ok) return code;
  } else if (const auto code = check_size(call, size_bytes, recipe.page_bytes);
             code != LANDFALL_ERRC_ok) {
    return code;
  }
  if (recipe.huge)
    return given ? std::int32_t{LANDFALL_ERRC_ok} : check_huge_free(call, spec, recipe.page_bytes);
  if (wants(spec, LANDFALL_WANT_LOCKED))
    if (const auto code = check_locking(call, size_bytes); code != LANDFALL_ERRC_ok) return code;
  if (!given && wants(spec, LANDFALL_WANT_LOCKED | LANDFALL_WANT_POPULATED))
    return check_available(call, size_bytes);
  return LANDFALL_ERRC_ok;
}

namespace {

landfall_errc make(const Call& call, const landfall_memory_spec& spec, const Recipe& recipe,
                   Backing* ret_backing, landfall_memory* ret_memory) {
  Backing backing;
  std::uint64_t size_bytes = spec.size_bytes;
  bool shared = true;
  const bool no_view = wants(spec, LANDFALL_WANT_NO_HOST_VIEW);
  const std::uint64_t huge_page_bytes = recipe.huge ? recipe.page_bytes : 0;
  if (spec.fd >= 0 || spec.address != 0) {
    const auto code = take_given(call, spec, recipe, &backing, &size_bytes, &shared);
    if (code != LANDFALL_ERRC_ok) return code;
  } else if (recipe.memfd || no_view || wants(spec, LANDFALL_WANT_MEMFD)) {
    // Without a view only a descriptor can hold the pages.
    const auto code = make_memfd(call, size_bytes, huge_page_bytes, &backing.memfd);
    if (code != LANDFALL_ERRC_ok) return code;
  }
  // Huge pages are faulted in always: a reservation does not stop a cgroup's limit or a full node
  // from turning the first touch into SIGBUS.
  const bool now = recipe.huge || wants(spec, LANDFALL_WANT_POPULATED);
  if (!backing.view && (!no_view || now || spec.numa_node >= 0)) {
    const auto code =
        map_shared(call, backing.memfd.get(), size_bytes, huge_page_bytes, &backing.view);
    if (code != LANDFALL_ERRC_ok) return code;
  }
  if (backing.view) {
    if (const auto code = bind_node(call, backing.view, spec.numa_node); code != LANDFALL_ERRC_ok)
      return code;
    if (now)
      if (const auto code = populate(call, backing.view, recipe.page_bytes);
          code != LANDFALL_ERRC_ok)
        return code;
    if (wants(spec, LANDFALL_WANT_LOCKED) && !recipe.huge)
      if (const auto code = lock(call, backing.view); code != LANDFALL_ERRC_ok) return code;
  }
  if (no_view) backing.view = Mapping{};  // policy and pages stay with the memfd

  const std::uint32_t struct_size = ret_memory->struct_size;
  *ret_memory = landfall_memory{};
  ret_memory->struct_size = struct_size;
  if (backing.view) ret_memory->flags |= LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE;
  if (shared) ret_memory->flags |= LANDFALL_MEM_SHARED;
  if (recipe.huge || wants(spec, LANDFALL_WANT_LOCKED)) ret_memory->flags |= LANDFALL_MEM_LOCKED;
  if (spec.address != 0) ret_memory->flags |= LANDFALL_MEM_BORROWED;
  ret_memory->size_bytes = size_bytes;
  ret_memory->page_bytes = recipe.page_bytes;
  ret_memory->host = backing.view.address();
  ret_memory->device_kind = 1;  // DLPack: CPU
  ret_memory->numa_node = spec.numa_node;
  *ret_backing = std::move(backing);
  return LANDFALL_ERRC_ok;
}

}  // namespace

landfall_errc make_backing(const Call& call, const landfall_memory_spec& spec, const Recipe& recipe,
                           Backing* ret_backing, landfall_memory* ret_memory) {
  if (const auto code = check_backing(call, spec, recipe); code != LANDFALL_ERRC_ok) return code;
  const auto code = make(call, spec, recipe, ret_backing, ret_memory);
  if (code != LANDFALL_ERRC_no_memory || !recipe.huge || spec.fd >= 0 || spec.address != 0)
    return code;
  // Someone else was faster, or a cgroup or a node has fewer pages than the host.
  return too_few_huge(call, recipe.page_bytes,
                      static_cast<std::int64_t>(spec.size_bytes / recipe.page_bytes),
                      spec.numa_node);
}

}  // namespace landfall::pages
