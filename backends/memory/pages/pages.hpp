// SPDX-License-Identifier: Apache-2.0
// What the memory sources that hand out the CPU's own pages have in common: memfds, their seals,
// shared mappings, NUMA nodes, locking, population. Linked into the library once; not a backend.
//
// Every outside call asks the fault seam first. Every function that answers landfall_errc fills
// Call::why where it refuses, and leaves nothing open then.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"

namespace landfall::pages {

/// Who asks: the fault seam, and where the reason goes.
struct Call {
  const landfall_host* host;
  landfall_why* why;

  int fault(const char* site) const noexcept { return authoring::fault(host, site); }
};

Call call_of(const landfall_memory_spec* given, landfall_why* why) noexcept;

/// A mapping of this process, unmapped when dropped, or a range that someone else unmaps.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, std::uint64_t size_bytes, bool owned) noexcept
      : address_{address}, size_bytes_{size_bytes}, owned_{owned} {}
  Mapping(Mapping&& other) noexcept
      : address_{std::exchange(other.address_, nullptr)},
        size_bytes_{other.size_bytes_},
        owned_{other.owned_} {}
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  void* address() const noexcept { return address_; }
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  explicit operator bool() const noexcept { return address_ != nullptr; }

 private:
  void* address_ = nullptr;
  std::uint64_t size_bytes_ = 0;
  bool owned_ = false;
};

/// Fields of a landfall_memory_spec that a source may take beyond host and size_bytes. The rest
/// must be left at its default: sources ignore no field.
enum Takes : std::uint32_t {
  kTakesMemfd = 1,
  kTakesLocked = 2,
  kTakesNoHostView = 4,
  kTakesPopulated = 8,
  kTakesPageBytes = 16,
  kTakesBorrow = 32,
  kTakesAdopt = 64,
  kTakesNumaNode = 128,
  kTakesDeviceName = 256
};
/// Copies what the caller's struct_size covers into *ret_spec, defaults beyond it, and refuses
/// fields that are not in `takes`. Errors: invalid_argument, not_supported - LF1120.
landfall_errc read_spec(const landfall_memory_spec* given, std::uint32_t takes,
                        landfall_memory_spec* ret_spec, landfall_why* reterr_why);

std::uint64_t system_page_bytes() noexcept;

/// Errors: invalid_argument - LF1101.
landfall_errc check_size(const Call& call, std::uint64_t size_bytes, std::uint64_t page_bytes);
/// May this process have memory of that node (-1: any)? Errors: LF1118; permission_denied - LF1006.
landfall_errc check_node(const Call& call, int node);
/// Would mlock(2) of so much more pass? Errors: limit_reached - LF1004.
landfall_errc check_locking(const Call& call, std::uint64_t size_bytes);
/// Before pages are faulted in: more than the host has free would wake the OOM killer instead of
/// failing. Errors: no_memory - LF1008.
landfall_errc check_available(const Call& call, std::uint64_t size_bytes);

/// The kernel's own choice; 0: it has no huge pages.
std::uint64_t default_huge_page_bytes();
/// Errors: not_supported - LF1104, with the sizes there are.
landfall_errc check_huge_size(const Call& call, std::uint64_t page_bytes);
/// Are so many huge pages free? Errors: as too_few_huge.
landfall_errc check_huge_free(const Call& call, const landfall_memory_spec& spec,
                              std::uint64_t page_bytes);
/// no_memory - LF1103, with how many are free and the command that makes enough of them.
landfall_errc too_few_huge(const Call& call, std::uint64_t page_bytes, std::int64_t need, int node);

/// A new memfd, sealed so that it can never change its size. `huge_page_bytes` 0: ordinary pages.
/// Errors: from memfd_create(2), ftruncate(2), fcntl(2); limit_reached - LF1005, LF1012.
landfall_errc make_memfd(const Call& call, std::uint64_t size_bytes, std::uint64_t huge_page_bytes,
                         Fd* ret_fd);

struct Memfd {
  Fd fd;  // a duplicate: the caller keeps his
  std::uint64_t size_bytes = 0;
  std::uint64_t page_bytes = 0;
};
/// Takes over an application's memfd after checking that it is one, that it can neither shrink
/// (a SIGBUS for whoever reads it) nor have its seals changed, and that it may be written.
/// Errors: invalid_argument - LF1109, LF1110, LF1117.
landfall_errc adopt_memfd(const Call& call, int fd, Memfd* ret_memfd);
/// How much of an adopted object is used: `declared` or, where that is 0, all of it.
/// Errors: invalid_argument - LF1111, LF1101.
landfall_errc used_size(const Call& call, std::uint64_t declared, std::uint64_t real,
                        std::uint64_t page_bytes, std::uint64_t* ret_size_bytes);

/// MAP_SHARED, readable and writable; `fd` -1: anonymous; `huge_page_bytes` 0: ordinary pages (only
/// for anonymous ones: a descriptor has its page size). Errors: no_memory - LF1008; from mmap(2).
landfall_errc map_shared(const Call& call, int fd, std::uint64_t size_bytes,
                         std::uint64_t huge_page_bytes, Mapping* ret_mapping);
/// MPOL_BIND to `node`; -1: nothing. Errors: as check_node.
landfall_errc bind_node(const Call& call, const Mapping& mapping, int node);
/// mlock(2): faults the pages in, too. Errors: limit_reached - LF1004.
landfall_errc lock(const Call& call, const Mapping& mapping);
/// Faults the pages in. Errors: no_memory - LF1008.
landfall_errc populate(const Call& call, const Mapping& mapping, std::uint64_t page_bytes);
/// The caller's range, checked: whole pages, mapped, readable and writable. `page_bytes` above the
/// system's: also that its pages have that size. Errors: invalid_argument - LF1102, LF1119.
landfall_errc borrow(const Call& call, std::uint64_t address, std::uint64_t size_bytes,
                     std::uint64_t page_bytes, Mapping* ret_mapping, bool* ret_shared);

/// What an allocation of pages is held by.
struct Backing {
  Fd memfd;      // -1: anonymous or borrowed
  Mapping view;  // empty: no host view
};
/// The one way from a checked spec to pages, for host, hugepage and udmabuf.
struct Recipe {
  std::uint64_t page_bytes = 0;
  bool huge = false;   // hugetlb pages of page_bytes
  bool memfd = false;  // even where the spec does not ask for one
};
/// Fills *ret_memory with everything but dma-buf flags. Errors: those of the functions above.
landfall_errc make_backing(const Call& call, const landfall_memory_spec& spec, const Recipe& recipe,
                           Backing* ret_backing, landfall_memory* ret_memory);
/// As much of make_backing as can be told without making anything.
landfall_errc check_backing(const Call& call, const landfall_memory_spec& spec,
                            const Recipe& recipe);

/// Of a source whose regions are pages and nothing more: what a spec means to it.
/// Errors: its own.
using Choose = landfall_errc (*)(const Call& call, const landfall_memory_spec& spec,
                                 Recipe* ret_recipe);
landfall_errc probe_pages(const landfall_memory_spec* given, Choose choose,
                          landfall_why* reterr_why) noexcept;
landfall_errc allocate_pages(const landfall_memory_spec* given, Choose choose,
                             landfall_region** ret_region, landfall_memory* ret_memory,
                             landfall_why* reterr_why) noexcept;
void release_pages(landfall_region* region) noexcept;
/// The table of such a source.
template <Choose choose>
constexpr landfall_memory_ops page_source() noexcept {
  landfall_memory_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = [](const landfall_memory_spec* given, landfall_why* reterr_why) {
    return probe_pages(given, choose, reterr_why);
  };
  ops.allocate = [](const landfall_memory_spec* given, landfall_region** ret_region,
                    landfall_memory* ret_memory, landfall_why* reterr_why) {
    return allocate_pages(given, choose, ret_region, ret_memory, reterr_why);
  };
  ops.release = release_pages;
  return ops;
}

/// A host view of a dma-buf; left empty where its exporter offers none, which is no error.
/// Errors: no_memory and others that are not the exporter's "no".
landfall_errc map_dmabuf(const Call& call, int fd, std::uint64_t size_bytes, Mapping* ret_mapping);
/// A region that is one dma-buf, exported as a whole.
struct Dmabuf {
  const landfall_host* host = nullptr;
  Fd fd;
  Mapping view;  // empty: no host view
};
/// Maps `fd` if a host view is wanted, and makes a region of it. Errors: as map_dmabuf.
landfall_errc make_dmabuf_region(const Call& call, const landfall_memory_spec& spec, Fd fd,
                                 landfall_region** ret_region, landfall_memory* ret_memory);
void release_dmabuf(landfall_region* region) noexcept;
/// Errors: as duplicate.
landfall_errc export_whole(landfall_region* region, std::uint64_t offset, std::uint64_t length,
                           std::int32_t* ret_fd, std::uint64_t* ret_offset,
                           landfall_why* reterr_why) noexcept;
/// A close-on-exec duplicate for whoever asked for an export. Errors: limit_reached - LF1005.
landfall_errc duplicate(const Call& call, int fd, std::int32_t* ret_fd);
/// Opens a device of /dev for reading and writing. Errors: not_supported - with the reason
/// `missing`, it is not there; permission_denied - LF1006.
landfall_errc open_device(const Call& call, const char* path, std::uint32_t missing, Fd* ret_fd);

/// The number in a file of /proc or /sys; -1: cannot be read.
std::int64_t read_number(const std::string& path);
/// A "Name:   123 kB" line of a /proc file, in bytes; -1: not there.
std::int64_t read_kb_line(const char* path, const char* name);

}  // namespace landfall::pages
