// SPDX-License-Identifier: Apache-2.0
#include "base/context_core.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/limits.hpp"

namespace landfall::detail {
namespace {

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

ContextCore::ContextCore(ContextOptions options) : options_{std::move(options)} {
  host_.struct_size = sizeof host_;
  host_.ctx = this;
  host_.event = [](void* ctx, const landfall_why* what) {
    try {
      static_cast<const ContextCore*>(ctx)->event(reason_from(*what));
    } catch (...) {  // no memory for the text: the event is lost, the caller goes on
    }
  };
  host_.now_ns = [](void* ctx) -> std::uint64_t {
    const auto& clock = static_cast<const ContextCore*>(ctx)->options_.now_ns;
    try {
      return clock ? clock() : monotonic_ns();
    } catch (...) {  // the application's clock threw: backends still need a time
      return monotonic_ns();
    }
  };
  if (!options_.fault) return;
  host_.fault = [](void* ctx, const char* site) -> std::int32_t {
    try {
      return static_cast<const ContextCore*>(ctx)->options_.fault(site);
    } catch (...) {  // a hook that throws asks for a failure
      return EIO;
    }
  };
}

void ContextCore::event(const Reason& reason) const noexcept {
  if (!options_.on_event) return;
  try {
    options_.on_event(reason);
  } catch (...) {  // no exception of the application's crosses a backend
  }
}

Result<void> ContextCore::add(std::span<const landfall_backend* const> descriptors, bool builtin,
                              const std::string& path) {
  const std::lock_guard lock{mutex_};
  std::vector<Backend> grown = backends_;
  for (const landfall_backend* descriptor : descriptors) {
    landfall_why why{};
    why.struct_size = sizeof why;
    if (const auto code = check_descriptor(descriptor, &why); code != LANDFALL_ERRC_ok)
      return backend_error("Context::add", code, why);
    const bool known = std::any_of(grown.begin(), grown.end(), [&](const Backend& other) {
      return other.descriptor->kind == descriptor->kind &&
             std::strcmp(other.descriptor->name, descriptor->name) == 0;
    });
    if (known)
      return Error{Errc::invalid_argument, "Context::add", ReasonCode::backend_exists}.with(
          std::string{"a backend of this kind named "} + descriptor->name +
          " is registered already");
    if (grown.size() == kBackendsMax)
      return Error{Errc::limit_reached, "Context::add"}.with(
          "a Context takes at most " + std::to_string(kBackendsMax) + " backends");
    grown.push_back({descriptor, builtin, path});
  }
  backends_ = std::move(grown);
  return {};
}

const landfall_backend* ContextCore::find(std::uint32_t kind, std::string_view name) const {
  const std::lock_guard lock{mutex_};
  for (const Backend& backend : backends_)
    if (backend.descriptor->kind == kind && backend.descriptor->name == name)
      return backend.descriptor;
  return nullptr;
}

std::vector<const landfall_backend*> ContextCore::of_kind(std::uint32_t kind) const {
  std::vector<const landfall_backend*> found;
  for (const Backend& backend : all())
    if (backend.descriptor->kind == kind) found.push_back(backend.descriptor);
  std::sort(found.begin(), found.end(), [&](const auto* a, const auto* b) {
    if (kind == LANDFALL_KIND_TRANSPORT && a->rank != b->rank) return a->rank < b->rank;
    return std::strcmp(a->name, b->name) < 0;
  });
  return found;
}

std::vector<Backend> ContextCore::all() const {
  const std::lock_guard lock{mutex_};
  return backends_;
}

}  // namespace landfall::detail
