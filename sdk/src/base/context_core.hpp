// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/base/context.hpp"

namespace landfall::detail {

/// One registered backend. The descriptor lives as long as the process.
struct Backend {
  const landfall_backend* descriptor;
  bool builtin;
  std::string path;
};

/// What a Context is made of; shared by every Region and Group, so that those may outlive it.
class ContextCore {
 public:
  explicit ContextCore(ContextOptions options);
  ContextCore(const ContextCore&) = delete;
  ContextCore& operator=(const ContextCore&) = delete;

  /// Handed to every backend call that opens something; lives as long as this.
  const landfall_host* host() const noexcept { return &host_; }
  /// 0: make the call; else pretend that it failed with this errno.
  int fault(const char* site) const noexcept {
    return host_.fault == nullptr ? 0 : host_.fault(host_.ctx, site);
  }
  std::uint64_t now_ns() const noexcept { return host_.now_ns(host_.ctx); }
  void event(const Reason& reason) const noexcept;

  /// Checks the descriptors against the rules of abi/backend.h and registers all of them or none.
  Result<void> add(std::span<const landfall_backend* const> descriptors, bool builtin,
                   const std::string& path);

  /// nullptr: none of that kind (LANDFALL_KIND_*) and name.
  const landfall_backend* find(std::uint32_t kind, std::string_view name) const;
  /// All of one kind: memory sources by name, transports by rank.
  std::vector<const landfall_backend*> of_kind(std::uint32_t kind) const;
  std::vector<Backend> all() const;

 private:
  ContextOptions options_;
  landfall_host host_{};
  mutable std::mutex mutex_;  // guards backends_
  std::vector<Backend> backends_;
};

/// Does this descriptor keep the rules of abi/backend.h? Takes no lock and keeps nothing: also runs
/// in the forked child that tries a plug-in.
landfall_errc check_descriptor(const landfall_backend* descriptor, landfall_why* reterr_why);

/// The written list of backends that are part of the library: sdk/src/facade/builtin_backends.cpp.
std::span<const landfall_backend* const> builtin_backends() noexcept;

}  // namespace landfall::detail
