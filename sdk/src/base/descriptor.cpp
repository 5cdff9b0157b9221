// SPDX-License-Identifier: Apache-2.0
// The rules of abi/backend.h for descriptors, as checks.
#include <cstring>
#include <string_view>

#include "base/context_core.hpp"
#include "landfall/abi/authoring.hpp"

namespace landfall::detail {
namespace {

constexpr std::size_t kNameBytesMax = 31;
constexpr std::size_t kTextBytesMax = 200;  // version and summary: one line of a terminal or two

landfall_errc malformed(landfall_why* why, const char* subject, const char* what) {
  return authoring::refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_plugin_malformed,
                           LANDFALL_ORIGIN_LANDFALL, 0, "%s: %s", subject, what);
}

bool good_name(const char* name) {
  const std::size_t length = ::strnlen(name, kNameBytesMax + 1);
  if (length == 0 || length > kNameBytesMax) return false;
  const std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return std::string_view{name, length}.find_first_not_of(allowed) == std::string_view::npos;
}

bool good_line(const char* text) {
  if (text == nullptr || ::strnlen(text, kTextBytesMax + 1) > kTextBytesMax) return false;
  for (const char* c = text; *c != '\0'; ++c)
    if (static_cast<unsigned char>(*c) < 0x20) return false;
  return true;
}

// nullptr: nothing is missing.
const char* missing_op(const landfall_memory_ops* ops) {
#define LANDFALL_MUST(op) \
  if (!LANDFALL_HAS(ops, landfall_memory_ops, op)) return "the operation " #op " is missing"
  LANDFALL_MUST(probe);
  LANDFALL_MUST(allocate);
  LANDFALL_MUST(release);
  if (!LANDFALL_HAS(ops, landfall_memory_ops, fence_record)) return nullptr;
  LANDFALL_MUST(fence_done);
  LANDFALL_MUST(fence_arm);
  LANDFALL_MUST(fence_drop);
#undef LANDFALL_MUST
  return nullptr;
}

const char* missing_op(const landfall_transport_ops* ops) {
#define LANDFALL_OP(op) LANDFALL_HAS(ops, landfall_transport_ops, op)
#define LANDFALL_MUST(op) \
  if (!LANDFALL_OP(op)) return "the operation " #op " is missing"
  LANDFALL_MUST(probe);
  LANDFALL_MUST(domain_open);
  LANDFALL_MUST(domain_close);
  LANDFALL_MUST(queue_open);
  LANDFALL_MUST(queue_stop);
  LANDFALL_MUST(queue_close);
  LANDFALL_MUST(poll);
  LANDFALL_MUST(give_back);
  LANDFALL_MUST(arm);
  LANDFALL_MUST(wait_fd);
  LANDFALL_MUST(flow_close);
  LANDFALL_MUST(flow_pause);
#undef LANDFALL_MUST
  const bool connects = LANDFALL_OP(listen) || LANDFALL_OP(connect);
  if (!LANDFALL_OP(attach) && !connects) return "neither attach nor listen nor connect is there";
  if (LANDFALL_OP(listen) && !LANDFALL_OP(listener_close)) return "listen without listener_close";
  if (connects && !LANDFALL_OP(flow_start)) return "listen or connect without flow_start";
#undef LANDFALL_OP
  return nullptr;
}

}  // namespace

landfall_errc check_descriptor(const landfall_backend* descriptor, landfall_why* reterr_why) {
  if (descriptor == nullptr) return malformed(reterr_why, "descriptor", "it is NULL");
  // struct_size and the version are where every ABI has them; the rest is read only if it fits.
  if (descriptor->struct_size < offsetof(landfall_backend, kind))
    return malformed(reterr_why, "descriptor", "struct_size is too small");
  if (descriptor->abi_major != LANDFALL_ABI_MAJOR)
    return authoring::refuse(reterr_why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_plugin_abi_mismatch, LANDFALL_ORIGIN_LANDFALL, 0,
                             "built for ABI %u, this landfall speaks %u",
                             unsigned{descriptor->abi_major}, LANDFALL_ABI_MAJOR);
  if (descriptor->struct_size < sizeof(landfall_backend))
    return malformed(reterr_why, "descriptor", "struct_size is too small");
  if (descriptor->name == nullptr || !good_name(descriptor->name))
    return malformed(reterr_why, "descriptor", "the name is not [a-z0-9-]{1,31}");
  if (!good_line(descriptor->version) || !good_line(descriptor->summary))
    return malformed(reterr_why, descriptor->name, "version or summary is not one line of text");
  if (descriptor->kind != LANDFALL_KIND_MEMORY && descriptor->kind != LANDFALL_KIND_TRANSPORT)
    return malformed(reterr_why, descriptor->name, "the kind is not known");
  if (descriptor->ops == nullptr)
    return malformed(reterr_why, descriptor->name, "there is no operation table");
  const char* missing =
      descriptor->kind == LANDFALL_KIND_MEMORY
          ? missing_op(static_cast<const landfall_memory_ops*>(descriptor->ops))
          : missing_op(static_cast<const landfall_transport_ops*>(descriptor->ops));
  return missing == nullptr ? LANDFALL_ERRC_ok : malformed(reterr_why, descriptor->name, missing);
}

}  // namespace landfall::detail
