// SPDX-License-Identifier: Apache-2.0
#include "landfall/memory/region.hpp"

#include "memory/region_core.hpp"

namespace landfall {
namespace {

using detail::ContextCore;
using detail::RegionCore;

landfall_memory_spec to_abi(const ContextCore& core, const RegionSpec& spec) {
  landfall_memory_spec abi{};
  abi.struct_size = sizeof abi;
  abi.flags = (spec.memfd ? std::uint32_t{LANDFALL_WANT_MEMFD} : 0u) |
              (spec.locked ? std::uint32_t{LANDFALL_WANT_LOCKED} : 0u) |
              (spec.host_view ? 0u : std::uint32_t{LANDFALL_WANT_NO_HOST_VIEW}) |
              (spec.populated ? std::uint32_t{LANDFALL_WANT_POPULATED} : 0u);
  abi.host = core.host();
  abi.size_bytes = spec.size_bytes;
  abi.page_bytes = spec.page_bytes;
  abi.address = reinterpret_cast<std::uintptr_t>(spec.borrow);
  abi.fd = spec.adopt;
  abi.numa_node = spec.numa_node;
  abi.device_id = spec.device;
  abi.device_name = spec.device_name.empty() ? nullptr : spec.device_name.c_str();
  return abi;
}

Result<const landfall_backend*> find_source(const ContextCore& core, const RegionSpec& spec,
                                            const char* op) {
  if (spec.adopt >= 0 && spec.borrow != nullptr)
    return Error{Errc::invalid_argument, op, ReasonCode::spec_not_understood}.with(
        "a Region adopts a descriptor or borrows a range, not both",
        "set only one of RegionSpec::adopt and RegionSpec::borrow");
  if (const auto* source = core.find(LANDFALL_KIND_MEMORY, spec.source); source != nullptr)
    return source;
  std::string known;
  for (const auto* source : core.of_kind(LANDFALL_KIND_MEMORY))
    known += (known.empty() ? "" : ", ") + std::string{source->name};
  return Error{Errc::not_found, op, ReasonCode::memory_source_unknown}.with(
      "no memory source \"" + spec.source.substr(0, 40) +
      "\" is registered; there are: " + (known.empty() ? "none" : known));
}

}  // namespace

Region::Region(std::shared_ptr<RegionCore> core) noexcept : core_{std::move(core)} {}
Region::Region(Region&&) noexcept = default;
Region& Region::operator=(Region&&) noexcept = default;
Region::~Region() = default;

Result<Region> Region::allocate(const Context& context, const RegionSpec& spec) {
  constexpr const char* kOp = "Region::allocate";
  const auto& core = context.core();
  LANDFALL_TRY(const landfall_backend* source, find_source(*core, spec, kOp));
  const landfall_memory_spec abi = to_abi(*core, spec);
  landfall_why why{};
  why.struct_size = sizeof why;
  landfall_region* handle = nullptr;
  landfall_memory memory{};
  memory.struct_size = sizeof memory;
  const auto code = RegionCore::ops(source)->allocate(&abi, &handle, &memory, &why);
  if (code != LANDFALL_ERRC_ok) return backend_error(kOp, code, why);
  LANDFALL_TRY(auto region, RegionCore::own(core, source, handle, memory, 0));
  if (spec.adopt >= 0) LANDFALL_CHECK(region->remember_adopted(spec.adopt));
  return Region{std::move(region)};
}

const Memory& Region::memory() const noexcept {
  static const Memory kNone;
  return core_ == nullptr ? kNone : core_->memory();
}

std::string_view Region::source() const noexcept {
  return core_ == nullptr ? std::string_view{} : core_->backend()->name;
}

Result<DmabufRange> Region::export_dmabuf(std::uint64_t offset_bytes,
                                          std::uint64_t length_bytes) const {
  if (core_ == nullptr)
    return Error{Errc::invalid_argument, "Region::export_dmabuf"}.with(
        "the Region is empty: a Group has taken it");
  return core_->export_dmabuf(offset_bytes, length_bytes);
}

Result<void> probe_memory(const Context& context, const RegionSpec& spec) {
  constexpr const char* kOp = "probe_memory";
  LANDFALL_TRY(const landfall_backend* source, find_source(*context.core(), spec, kOp));
  const landfall_memory_spec abi = to_abi(*context.core(), spec);
  landfall_why why{};
  why.struct_size = sizeof why;
  const auto code = RegionCore::ops(source)->probe(&abi, &why);
  if (code != LANDFALL_ERRC_ok) return backend_error(kOp, code, why);
  return {};
}

}  // namespace landfall
