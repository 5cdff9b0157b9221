// SPDX-License-Identifier: Apache-2.0
// Senders over connections that a transport makes.
#include <array>
#include <chrono>
#include <utility>

#include "base/deadline.hpp"
#include "transport/send_group_core.hpp"

namespace landfall::detail {

using Clock = std::chrono::steady_clock;

SendGroupCore::Listening::~Listening() {
  if (listener != nullptr) queue.ops().listener_close(listener);
}

void SendGroupCore::close_domains() noexcept {
  listening_.reset();
  domain_.reset();
}

Result<std::shared_ptr<SendDomain>> SendGroupCore::domain(Decision& decision) {
  constexpr auto kOp = "SendGroup::connect";
  const std::lock_guard lock{mutex_};
  if (domain_ == nullptr) {
    domain_decision_ = {};
    for (const std::string& name : options_.transports) {
      Decision::Candidate candidate;
      candidate.transport = name;
      if (domain_ != nullptr) {
        candidate.reasons.push_back(
            reason_from(Error{Errc::not_supported, "", ReasonCode::better_was_usable}));
      } else if (const auto* backend = context_->find(LANDFALL_KIND_TRANSPORT, name)) {
        auto opened = SendDomain::open(*context_, *backend, options_, region_, candidate);
        if (opened) {
          domain_ = std::move(*opened);
          domain_decision_.chosen = name;
        }
      } else {
        candidate.reasons.push_back(
            reason_from(Error{Errc::not_supported, "", ReasonCode::transport_unknown}));
      }
      domain_decision_.candidates.push_back(std::move(candidate));
    }
  }
  decision = domain_decision_;
  if (domain_ != nullptr) return domain_;
  if (options_.transports.empty())
    return Error{Errc::invalid_argument, kOp}.with("SendGroupOptions::transports names none");
  const auto& reasons = decision.candidates.front().reasons;
  return Error{Errc::not_supported, kOp, reasons.empty() ? ReasonCode::none : reasons.front().code}
      .with("no transport can send from this memory:\n" + decision.describe());
}

Result<std::unique_ptr<MessageSender>> SendGroupCore::connect(const Address& to,
                                                              std::chrono::nanoseconds timeout,
                                                              Decision& decision) {
  const auto deadline = deadline_after(timeout);
  LANDFALL_TRY(const std::shared_ptr<SendDomain> sends, domain(decision));
  LANDFALL_TRY(const std::vector<SocketAddress> addresses, resolve(*context_, to, false));
  Error last{Errc::not_found, "SendGroup::connect", ReasonCode::address_not_found};
  for (const SocketAddress& address : addresses) {
    LANDFALL_TRY(SendQueue queue, SendQueue::open(sends, *region_, options_.ranges_max, 1));
    auto sender = std::make_unique<MessageSender>(shared_from_this(), std::move(queue), decision);
    const Result<void> connected = sender->connect(address, deadline);
    if (connected) return sender;
    last = connected.error();
  }
  return last;
}

Result<Address> SendGroupCore::listen(const Address& at, Decision& decision) {
  constexpr auto kOp = "SendGroup::listen";
  constexpr std::uint32_t kWaiting = 16;  // connections that nobody has accepted
  LANDFALL_TRY(const std::shared_ptr<SendDomain> sends, domain(decision));
  LANDFALL_TRY(const std::vector<SocketAddress> addresses, resolve(*context_, at, true));
  auto listening = std::make_shared<Listening>();
  LANDFALL_TRY(listening->queue, SendQueue::open(sends, *region_, 1, kWaiting));
  SocketAddress bound;
  std::uint32_t length = sizeof bound.storage;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code = sends->ops().listen(
          sends->handle(), listening->queue.queue, addresses[0].get(), addresses[0].length,
          &listening->listener, &bound.storage, &length, &why);
      code != LANDFALL_ERRC_ok) {
    listening->listener = nullptr;
    return backend_error(kOp, code, why);
  }
  bound.length = length;
  const std::lock_guard lock{mutex_};
  listening_ = std::move(listening);
  return to_address(bound);
}

Result<std::unique_ptr<MessageSender>> SendGroupCore::accept(std::chrono::nanoseconds timeout) {
  constexpr auto kOp = "SendGroup::accept";
  const auto deadline = deadline_after(timeout);
  std::shared_ptr<Listening> listening;
  Decision decision;
  {
    const std::lock_guard lock{mutex_};
    listening = listening_;
    decision = domain_decision_;
  }
  if (listening == nullptr) return Error{Errc::invalid_argument, kOp}.with("listen() first");
  const std::lock_guard turn{listening->turn};
  const SendQueue& waiting = listening->queue;
  for (;;) {
    landfall_record record{};
    std::uint32_t count = 0;
    if (const landfall_errc code = waiting.ops().poll(waiting.queue, &record, 1, &count);
        code != LANDFALL_ERRC_ok)
      return Error{static_cast<Errc>(code), "transport poll"};
    if (count == 1 && record.kind == LANDFALL_OPENED) {
      LANDFALL_TRY(SendQueue queue,
                   SendQueue::open(waiting.domain, *region_, options_.ranges_max, 1));
      auto sender = std::make_unique<MessageSender>(shared_from_this(), std::move(queue), decision);
      LANDFALL_CHECK(sender->start(record.flow));
      return sender;
    }
    const auto left = deadline - Clock::now();
    if (left <= left.zero()) return Error{Errc::timed_out, kOp};
    if (count == 0) waiting.sleep(left);
  }
}

}  // namespace landfall::detail
