// SPDX-License-Identifier: Apache-2.0
// The C API but for groups and receivers: texts, contexts, memory, and what the other files share.
#include <string>

#include "facade/c_api_support.hpp"

namespace landfall::c_api {

static_assert(LANDFALL_PLACEMENT_DIRECT == static_cast<int>(Placement::direct));
static_assert(LANDFALL_PLACEMENT_LINEAR == static_cast<int>(Placement::linear));
static_assert(LANDFALL_PLACEMENT_COPIED == static_cast<int>(Placement::copied));
static_assert(LANDFALL_PLACEMENT_UNSURE == static_cast<int>(Placement::unsure));
static_assert(LANDFALL_CONTRACT_ALLOW_COPY == static_cast<int>(CopyContract::Kind::allow_copy));
static_assert(LANDFALL_COMPLETION_CLOSED == static_cast<int>(Completion::Kind::closed));
static_assert(LANDFALL_DELIVERY_DEMAND == static_cast<int>(Delivery::demand));
static_assert(sizeof(landfall_completion_t) == 80);

std::optional<CopyContract> read_contract(const landfall_contract_t* from) noexcept {
  landfall_contract_t c = LANDFALL_CONTRACT_INIT;
  if (!read_sized(from, c) || c.kind > LANDFALL_CONTRACT_ALLOW_COPY) return std::nullopt;
  CopyContract contract;
  contract.kind = static_cast<CopyContract::Kind>(c.kind);
  contract.max_linear_ppm = c.max_linear_ppm;
  contract.max_copied_ppm = c.max_copied_ppm;
  contract.grace_bytes = c.grace_bytes;
  return contract;
}

bool read_flow_options(const landfall_flow_options_t* from, FlowOptions& to) noexcept {
  landfall_flow_options_t f = LANDFALL_FLOW_OPTIONS_INIT;
  if (!read_sized(from, f) || f.delivery > LANDFALL_DELIVERY_DEMAND) return false;
  to.delivery = static_cast<Delivery>(f.delivery);
  if (f.contract != nullptr) {
    to.contract = read_contract(f.contract);
    if (!to.contract) return false;
  }
  to.share_bytes = f.share_bytes;
  to.stream_offset = f.stream_offset;
  to.refuse_queued = f.refuse_queued != 0;
  to.user = f.user;
  return true;
}

landfall_errc write_verdict(const Verdict& from, landfall_verdict_t* to) noexcept {
  landfall_verdict_t v = LANDFALL_VERDICT_INIT;
  for (std::size_t i = 0; i < from.bytes.size(); ++i) v.bytes[i] = from.bytes[i];
  for (std::size_t i = 0; i < from.reasons.size(); ++i) {
    v.reasons[i].code = static_cast<std::uint32_t>(from.reasons[i].reason);
    v.reasons[i].bytes = from.reasons[i].bytes;
  }
  return write_sized(to, v) ? LANDFALL_ERRC_ok : LANDFALL_ERRC_invalid_argument;
}

landfall_errc write_memory(const Memory& from, landfall_memory_info_t* to) noexcept {
  landfall_memory_info_t m = LANDFALL_MEMORY_INFO_INIT;
  m.id = from.id();
  const auto flag = [&m](bool set, std::uint32_t bit) { m.flags |= set ? bit : 0; };
  flag(from.has_host_view(), LANDFALL_MEMORY_HOST_VIEW);
  flag(from.writable(), LANDFALL_MEMORY_WRITABLE);
  flag(from.on_device(), LANDFALL_MEMORY_ON_DEVICE);
  flag(from.locked(), LANDFALL_MEMORY_LOCKED);
  flag(from.exports_dmabuf(), LANDFALL_MEMORY_EXPORTS_DMABUF);
  m.numa_node = from.numa_node();
  m.size_bytes = from.size_bytes();
  m.page_bytes = from.page_bytes();
  m.host = from.abi().host;
  m.device_address = from.device_address();
  m.device_kind = from.device_kind();
  m.device_id = from.device_id();
  return write_sized(to, m) ? LANDFALL_ERRC_ok : LANDFALL_ERRC_invalid_argument;
}

namespace {

landfall_errc write_reason(const ReasonInfo* info, landfall_reason_t* to) noexcept {
  if (info == nullptr) return LANDFALL_ERRC_not_found;
  landfall_reason_t r = LANDFALL_REASON_INIT;
  r.code = static_cast<std::uint32_t>(info->code);
  // The list is made of string literals: each view is followed by its NUL.
  r.name = info->name.data();
  r.text = info->text.data();
  r.remedy = info->remedy.data();
  return write_sized(to, r) ? LANDFALL_ERRC_ok : LANDFALL_ERRC_invalid_argument;
}

constexpr std::uint32_t kRegionFlags = LANDFALL_REGION_MEMFD | LANDFALL_REGION_LOCKED |
                                       LANDFALL_REGION_POPULATED | LANDFALL_REGION_NO_HOST_VIEW |
                                       LANDFALL_REGION_ADOPT;

}  // namespace
}  // namespace landfall::c_api

using namespace landfall;
using namespace landfall::c_api;

extern "C" {

const char* landfall_version(void) noexcept {
  return LANDFALL_VERSION;
}

const char* landfall_errc_name(landfall_errc code) noexcept {
  if (code < 0 || code > 255) return "unknown";
  return name(static_cast<Errc>(code)).data();
}

const char* landfall_errc_text(landfall_errc code) noexcept {
  if (code < 0 || code > 255) return "";
  return text(static_cast<Errc>(code)).data();
}

const char* landfall_placement_name(std::uint32_t placement) noexcept {
  return placement < kPlacements ? name(static_cast<Placement>(placement)).data() : "unknown";
}

landfall_errc landfall_reason_lookup(std::uint32_t code, landfall_reason_t* ret_reason) noexcept {
  return write_reason(find_reason(static_cast<ReasonCode>(code)), ret_reason);
}

landfall_errc landfall_reason_by_name(const char* code_or_name,
                                      landfall_reason_t* ret_reason) noexcept {
  if (code_or_name == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_reason(find_reason(std::string_view{code_or_name}), ret_reason);
}

landfall_errc landfall_context_create(const landfall_context_options_t* options,
                                      landfall_context_t** ret_context,
                                      landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_context_create";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    landfall_context_options_t o = LANDFALL_CONTEXT_OPTIONS_INIT;
    if (ret_context == nullptr) return misuse(reterr_error, kOp, "ret_context is NULL");
    if (!read_sized(options, o)) return misuse(reterr_error, kOp, "options: wrong struct_size");
    ContextOptions context_options;
    context_options.builtin_backends = o.no_builtin_backends == 0;
    if (o.on_event != nullptr) {
      context_options.on_event = [sink = o.on_event, user = o.user](const Reason& reason) {
        sink(user, static_cast<std::uint32_t>(reason.code), reason.native, reason.text.c_str());
      };
    }
    auto context = Context::create(std::move(context_options));
    if (!context) return report(reterr_error, context.error());
    *ret_context = new landfall_context_handle{std::move(*context)};
    return LANDFALL_ERRC_ok;
  });
}

void landfall_context_destroy(landfall_context_t* context) noexcept {
  delete context;
}

landfall_errc landfall_context_load(landfall_context_t* context, const char* path,
                                    landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_context_load";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (context == nullptr || path == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    const auto loaded = context->context.load(path);
    return loaded ? LANDFALL_ERRC_ok : report(reterr_error, loaded.error());
  });
}

landfall_errc landfall_context_add(landfall_context_t* context, const landfall_backend* backend,
                                   landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_context_add";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (context == nullptr || backend == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    const auto added = context->context.add(backend);
    return added ? LANDFALL_ERRC_ok : report(reterr_error, added.error());
  });
}

landfall_errc landfall_region_allocate(const landfall_context_t* context,
                                       const landfall_region_options_t* options,
                                       landfall_region_t** ret_region,
                                       landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_region_allocate";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    landfall_region_options_t o = LANDFALL_REGION_OPTIONS_INIT;
    if (context == nullptr || options == nullptr || ret_region == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    if (!read_sized(options, o)) return misuse(reterr_error, kOp, "options: wrong struct_size");
    if ((o.flags & ~kRegionFlags) != 0) return misuse(reterr_error, kOp, "unknown flags");
    RegionSpec spec;
    if (o.source != nullptr) spec.source = o.source;
    if (o.device_name != nullptr) spec.device_name = o.device_name;
    spec.size_bytes = o.size_bytes;
    spec.page_bytes = o.page_bytes;
    spec.numa_node = o.numa_node;
    spec.device = o.device;
    spec.memfd = (o.flags & LANDFALL_REGION_MEMFD) != 0;
    spec.locked = (o.flags & LANDFALL_REGION_LOCKED) != 0;
    spec.populated = (o.flags & LANDFALL_REGION_POPULATED) != 0;
    spec.host_view = (o.flags & LANDFALL_REGION_NO_HOST_VIEW) == 0;
    if ((o.flags & LANDFALL_REGION_ADOPT) != 0) spec.adopt = o.adopt_fd;
    spec.borrow = o.borrow;
    auto region = Region::allocate(context->context, spec);
    if (!region) return report(reterr_error, region.error());
    *ret_region = new landfall_region_handle{std::move(*region)};
    return LANDFALL_ERRC_ok;
  });
}

void landfall_region_free(landfall_region_t* region) noexcept {
  delete region;
}

landfall_errc landfall_region_memory(const landfall_region_t* region,
                                     landfall_memory_info_t* ret_memory) noexcept {
  if (region == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_memory(region->region.memory(), ret_memory);
}

landfall_errc landfall_region_export_dmabuf(const landfall_region_t* region, std::uint64_t offset,
                                            std::uint64_t length, std::int32_t* ret_fd,
                                            std::uint64_t* ret_offset,
                                            landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_region_export_dmabuf";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (region == nullptr || ret_fd == nullptr || ret_offset == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    auto range = region->region.export_dmabuf(offset, length);
    if (!range) return report(reterr_error, range.error());
    *ret_fd = range->fd.release();
    *ret_offset = range->offset_bytes;
    return LANDFALL_ERRC_ok;
  });
}

}  // extern "C"
