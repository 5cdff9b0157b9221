// SPDX-License-Identifier: Apache-2.0
// Goal: whatever a plug-in calls its descriptor, it is registered or refused with words, and
// nothing past any struct_size is read; so are the options that a transport is given.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/context_core.hpp"
#include "bytes.hpp"

namespace {

using namespace landfall;
using fuzz::Bytes;
using fuzz::require;

void nothing() {}

/// A block of exactly as many bytes as it says in front that it has: reading past it is an error
/// that the sanitizer sees.
template <class Table>
std::vector<std::uint64_t> table(Bytes& in) {
  const std::uint8_t how = in.u8();
  std::uint32_t says = sizeof(Table);
  if (how % 4 == 1) says = static_cast<std::uint32_t>(in.u16() % sizeof(Table));
  if (how % 4 == 2) says = static_cast<std::uint32_t>(sizeof(Table) + how);
  std::vector<std::uint64_t> words((std::max<std::uint32_t>(says, 8) + 7) / 8);
  for (std::size_t i = 1; i < words.size(); ++i)
    words[i] = in.u8() % 8 == 0 ? 0 : reinterpret_cast<std::uint64_t>(&nothing);
  std::memcpy(words.data(), &says, sizeof says);
  return words;
}

const char* text(Bytes& in, std::string& holder) {
  const std::uint8_t how = in.u8();
  if (how == 255) return nullptr;
  holder = in.text(how);
  return holder.c_str();
}

void register_it(Bytes& in) {
  detail::ContextCore core{{}};
  std::string name, version, summary;
  const std::uint8_t kind = in.u8();
  const auto ops =
      kind % 2 == 0 ? table<landfall_memory_ops>(in) : table<landfall_transport_ops>(in);
  landfall_backend backend{};
  backend.struct_size = in.u8() % 4 == 0 ? in.u32() : sizeof backend;
  backend.abi_major = in.u8() % 8 == 0 ? in.u16() : LANDFALL_ABI_MAJOR;
  backend.abi_minor = in.u16();
  backend.kind = kind < 200 ? 1 + kind % 2 : in.u32();
  backend.rank = in.u32();
  backend.name = text(in, name);
  backend.version = text(in, version);
  backend.summary = text(in, summary);
  backend.ops = in.u8() == 0 ? nullptr : ops.data();
  // As long as it says, if that is shorter.
  const std::size_t bytes = std::min<std::size_t>(backend.struct_size, sizeof backend);
  const std::unique_ptr<std::uint64_t[]> block{
      new std::uint64_t[std::max<std::size_t>(bytes, 8) / 8 + 1]};
  std::memcpy(block.get(), &backend, std::max<std::size_t>(bytes, 8));
  const auto* given = reinterpret_cast<const landfall_backend*>(block.get());
  const landfall_backend* const list[] = {given};
  const auto added = core.add(list, false, "");
  if (!added) {
    require(!added.error().cause().empty());
    require(core.all().empty());
    return;
  }
  require(core.find(given->kind, given->name) == given);
}

void read_options(Bytes& in) {
  const std::string options = "engine=recv\n" + std::string{in.text(4096)};
  for (const landfall_backend* backend : detail::builtin_backends()) {
    if (backend->kind != LANDFALL_KIND_TRANSPORT) continue;
    landfall_domain_spec spec{};
    spec.struct_size = sizeof spec;
    spec.queue_count = 1;
    spec.flows_max = 16;
    spec.dmabuf_fd = -1;
    spec.options = options.c_str();
    landfall_needs needs{};
    needs.struct_size = sizeof needs;
    landfall_why why{};
    why.struct_size = sizeof why;
    const auto* ops = static_cast<const landfall_transport_ops*>(backend->ops);
    if (ops->probe(&spec, &needs, &why) != LANDFALL_ERRC_ok) {
      require(std::memchr(why.text, '\0', sizeof why.text) != nullptr);
      require(why.code != 0);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes in{data, size};
  if (in.u8() % 2 == 0) {
    register_it(in);
  } else {
    read_options(in);
  }
  return 0;
}
