// SPDX-License-Identifier: Apache-2.0
// Sending by a transport that makes its own connections.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/region_core.hpp"
#include "transport/sender_core.hpp"
#include "transport/sockets.hpp"

namespace landfall::detail {

/// A Region, as one transport sends from it.
class SendDomain {
 public:
  static Result<std::shared_ptr<SendDomain>> open(const ContextCore& context,
                                                  const landfall_backend& backend,
                                                  const SendGroupOptions& options,
                                                  const std::shared_ptr<RegionCore>& region,
                                                  Decision::Candidate& ret_candidate);
  ~SendDomain();
  SendDomain(const SendDomain&) = delete;
  SendDomain& operator=(const SendDomain&) = delete;

  const landfall_transport_ops& ops() const noexcept { return *ops_; }
  landfall_domain* handle() const noexcept { return domain_; }

 private:
  SendDomain(const landfall_transport_ops& ops, std::shared_ptr<RegionCore> region) noexcept
      : ops_{&ops}, region_{std::move(region)} {}

  const landfall_transport_ops* ops_;
  const std::shared_ptr<RegionCore> region_;
  landfall_domain* domain_ = nullptr;
};

/// A queue of the transport's for sending, with the memory for inline bytes.
struct SendQueue {
  std::shared_ptr<SendDomain> domain;
  std::shared_ptr<RegionCore> spill;
  landfall_queue* queue = nullptr;

  static Result<SendQueue> open(std::shared_ptr<SendDomain> domain, RegionCore& region,
                                std::uint32_t ranges_max, std::uint32_t flows_max);
  SendQueue() = default;
  SendQueue(SendQueue&& other) noexcept;
  SendQueue& operator=(SendQueue&& other) noexcept;
  ~SendQueue();

  const landfall_transport_ops& ops() const noexcept { return domain->ops(); }
  /// Sleeps until the queue has records or `left` has passed.
  void sleep(std::chrono::nanoseconds left) const noexcept;
};

class MessageSender final : public SenderCore {
 public:
  MessageSender(std::shared_ptr<SendGroupCore> group, SendQueue queue, Decision decision);
  ~MessageSender() override;

  /// Waits until the connection stands. Errors: flow_reset, timed_out.
  Result<void> connect(const SocketAddress& to, std::chrono::steady_clock::time_point deadline);
  /// One that a listener got.
  Result<void> start(landfall_flow* flow);

  Result<void> send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag) override;
  Result<void> send_inline(std::span<const std::byte> bytes) override;
  Result<void> finish() override;
  Result<std::size_t> poll(std::span<Sent> out) override;
  Result<std::size_t> wait(std::span<Sent> out, std::chrono::nanoseconds timeout) override;
  Result<bool> arm() override;
  Result<Fd> detach() override;
  Result<void> wait_for_end(std::chrono::nanoseconds timeout) override;

  int wait_fd() const noexcept override { return queue_.ops().wait_fd(queue_.queue); }
  std::uint32_t ranges_out() const noexcept override { return out_; }
  std::uint64_t sent_bytes() const noexcept override { return handed_; }
  const Verdict& verdict() const noexcept override { return verdict_; }
  const Decision& decision() const noexcept override { return decision_; }

 private:
  struct Range {
    std::uint64_t tag, offset, length;
    bool is_inline;
  };

  Result<void> check() const noexcept;
  Result<void> hand_over(const Range& range, std::uint16_t memory, std::uint32_t flags);
  Result<void> take_records(std::span<Sent> out, std::size_t* ret_count);
  void on_record(const landfall_record& record, std::span<Sent> out, std::size_t* ret_count);
  Error fail(const Error& error) noexcept;

  const std::shared_ptr<SendGroupCore> group_;
  SendQueue queue_;
  landfall_flow* flow_ = nullptr;
  const Decision decision_;
  const int owner_pid_;
  Range& place(std::uint64_t number) noexcept { return ranges_[number % ranges_max_]; }

  // A ring. Not set to anything, so that one which is hardly used takes hardly any memory.
  const std::uint32_t ranges_max_;
  const std::unique_ptr<Range[]> ranges_;
  std::uint64_t first_ = 0, next_ = 0;
  std::vector<Sent> through_;                        // that found no room in the caller's span
  std::uint64_t inline_begin_ = 0, inline_end_ = 0;  // of the spill, a ring
  std::uint32_t out_ = 0;
  std::uint64_t handed_ = 0;
  bool established_ = false, finishing_ = false, ended_ = false;
  Verdict verdict_;
  std::optional<Error> broken_;
};

}  // namespace landfall::detail
