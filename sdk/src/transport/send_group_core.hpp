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
#include "transport/message_sender.hpp"
#include "transport/socket_sender.hpp"

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

  Result<std::unique_ptr<SocketSender>> attach(Fd& fd, Decision& decision);
  // send_connect.cpp
  Result<std::unique_ptr<MessageSender>> connect(const Address& to,
                                                 std::chrono::nanoseconds timeout,
                                                 Decision& decision);
  Result<Address> listen(const Address& at, Decision& decision);
  Result<std::unique_ptr<MessageSender>> accept(std::chrono::nanoseconds timeout);
  /// No Sender is open.
  void close_domains() noexcept;

  const ContextCore& context() const noexcept { return *context_; }
  const Memory& memory() const noexcept { return region_->memory(); }
  const SendGroupOptions& options() const noexcept { return options_; }
  std::shared_ptr<RegionCore> take_region() noexcept { return std::move(region_); }

  /// Senders that are open.
  std::atomic<std::uint32_t> senders{0};
  /// Calls that may open one, under way.
  std::atomic<std::uint32_t> calls{0};

  class Call {
   public:
    explicit Call(SendGroupCore& core) noexcept : core_{core} {
      core_.calls.fetch_add(1, std::memory_order_relaxed);
    }
    ~Call() { core_.calls.fetch_sub(1, std::memory_order_release); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    SendGroupCore& core_;
  };

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

  /// The first of the transports that can send, opened when it is first asked for.
  Result<std::shared_ptr<SendDomain>> domain(Decision& decision);

  struct Listening {
    SendQueue queue;
    landfall_listener* listener = nullptr;
    std::mutex turn;  // to accept
    ~Listening();
  };

  const std::shared_ptr<ContextCore> context_;
  const SendGroupOptions options_;
  const std::vector<SendMethod> methods_;  // in order of preference
  std::shared_ptr<RegionCore> region_;
  std::mutex mutex_;                           // guards what follows
  std::map<std::uint32_t, Binding> bindings_;  // by interface
  std::shared_ptr<SendDomain> domain_;
  Decision domain_decision_;
  std::shared_ptr<Listening> listening_;
};

}  // namespace landfall::detail
