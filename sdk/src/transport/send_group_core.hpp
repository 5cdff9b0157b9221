// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context_core.hpp"
#include "memory/region_core.hpp"
#include "nic/nic.hpp"
#include "transport/sender_core.hpp"

namespace landfall::detail {

std::string_view name(SendMethod method) noexcept;

/// A Region from which connections send, with its bindings.
///
/// Threads: any.
class SendGroupCore : public std::enable_shared_from_this<SendGroupCore> {
 public:
  static Result<std::shared_ptr<SendGroupCore>> open(std::shared_ptr<ContextCore> context,
                                                     const SendGroupOptions& options,
                                                     std::shared_ptr<RegionCore> region);
  SendGroupCore(std::shared_ptr<ContextCore> context, const SendGroupOptions& options,
                std::vector<SendMethod> methods, std::shared_ptr<RegionCore> region);

  Result<std::unique_ptr<SenderCore>> attach(Fd& fd, Decision& decision);

  const ContextCore& context() const noexcept { return *context_; }
  const Memory& memory() const noexcept { return region_->memory(); }
  const SendGroupOptions& options() const noexcept { return options_; }
  std::shared_ptr<RegionCore> take_region() noexcept { return std::move(region_); }

  /// Senders that are open.
  std::atomic<std::uint32_t> senders{0};

 private:
  struct Binding {
    nic::Bound bound;
    std::uint64_t offset_bytes = 0;  // of the Region in the dma-buf
  };

  /// `in_use`: SO_ZEROCOPY was set before. `only_memory`: nothing of the connection is tried.
  Result<void> try_method(SendMethod method, int fd, bool in_use, bool only_memory, SendWay& way);
  Result<void> try_devmem(int fd, SendWay& way);
  Result<void> try_zerocopy() const;
  static bool has_zerocopy(int fd) noexcept;
  int set_zerocopy(int fd, bool on) const noexcept;  // errno
  Result<std::uint32_t> interface_of(int fd) const;
  /// Binds the Region to the interface, when that is first asked for.
  Result<void> bind(std::uint32_t interface_index, SendWay& way);

  const std::shared_ptr<ContextCore> context_;
  const SendGroupOptions options_;
  const std::vector<SendMethod> methods_;  // in order of preference
  std::shared_ptr<RegionCore> region_;
  std::mutex mutex_;                           // guards bindings_
  std::map<std::uint32_t, Binding> bindings_;  // by interface
};

}  // namespace landfall::detail
