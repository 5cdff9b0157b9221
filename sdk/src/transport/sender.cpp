// SPDX-License-Identifier: Apache-2.0
// The public classes of sending: each call passes on to its core.
#include "landfall/transport/sender.hpp"

#include <utility>

#include "transport/guarded.hpp"
#include "transport/send_group_core.hpp"

namespace landfall {

using detail::guarded;
using detail::RegionCore;
using detail::SendGroupCore;

namespace {

Error gone(const char* op) {
  return Error{Errc::closed, op}.with("the Sender was moved from or detached");
}

}  // namespace

// ---- Sender

Sender::Sender(std::unique_ptr<detail::SenderCore> core) noexcept : core_{std::move(core)} {}
Sender::Sender(Sender&&) noexcept = default;
Sender& Sender::operator=(Sender&&) noexcept = default;
Sender::~Sender() = default;

Result<void> Sender::send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag) {
  constexpr const char* kOp = "Sender::send";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&] { return core_->send(offset, length, tag); });
}

Result<void> Sender::send_inline(std::span<const std::byte> bytes) {
  constexpr const char* kOp = "Sender::send_inline";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&] { return core_->send_inline(bytes); });
}

Result<void> Sender::finish() {
  constexpr const char* kOp = "Sender::finish";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&] { return core_->finish(); });
}

Result<std::size_t> Sender::poll(std::span<Sent> out) noexcept {
  constexpr const char* kOp = "Sender::poll";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&] { return core_->poll(out); });
}

Result<std::size_t> Sender::wait(std::span<Sent> out, std::chrono::nanoseconds timeout) noexcept {
  constexpr const char* kOp = "Sender::wait";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&] { return core_->wait(out, timeout); });
}

int Sender::wait_fd() const noexcept {
  return core_ ? core_->wait_fd() : -1;
}

Result<bool> Sender::arm() noexcept {
  constexpr const char* kOp = "Sender::arm";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&] { return core_->arm(); });
}

Result<void> Sender::close(std::chrono::nanoseconds timeout) {
  constexpr const char* kOp = "Sender::close";
  if (!core_) return gone(kOp);
  return guarded(kOp, [&]() -> Result<void> {
    LANDFALL_CHECK(core_->finish());
    return core_->wait_for_end(timeout);
  });
}

Result<Fd> Sender::detach() {
  constexpr const char* kOp = "Sender::detach";
  if (!core_) return gone(kOp);
  LANDFALL_TRY(Fd socket, guarded(kOp, [&] { return core_->detach(); }));
  core_.reset();
  return socket;
}

std::uint32_t Sender::ranges_out() const noexcept {
  return core_ ? core_->ranges_out() : 0;
}
std::uint64_t Sender::sent_bytes() const noexcept {
  return core_ ? core_->sent_bytes() : 0;
}
Verdict Sender::verdict() const noexcept {
  return core_ ? core_->verdict() : Verdict{};
}
const Decision& Sender::decision() const noexcept {
  static const Decision kNone;
  return core_ ? core_->decision() : kNone;
}

// ---- SendGroup

SendGroup::SendGroup(std::shared_ptr<SendGroupCore> core) noexcept : core_{std::move(core)} {}
SendGroup::SendGroup(SendGroup&&) noexcept = default;
SendGroup& SendGroup::operator=(SendGroup&&) noexcept = default;
SendGroup::~SendGroup() = default;

Result<SendGroup> SendGroup::open(const Context& context, const SendGroupOptions& options,
                                  Region& region) {
  constexpr const char* kOp = "SendGroup::open";
  return guarded(kOp, [&]() -> Result<SendGroup> {
    if (!region) return Error{Errc::invalid_argument, kOp, ReasonCode::region_in_use};
    LANDFALL_TRY(auto core,
                 SendGroupCore::open(context.core(), options, RegionCore::share(region)));
    RegionCore::take(region);
    return SendGroup{std::move(core)};
  });
}

const Memory& SendGroup::memory() const noexcept {
  return core_->memory();
}

Result<Sender> SendGroup::attach(Fd& fd, Decision* decision) {
  return guarded("SendGroup::attach", [&]() -> Result<Sender> {
    const SendGroupCore::Call call{*core_};
    Decision own;
    LANDFALL_TRY(auto core, core_->attach(fd, decision != nullptr ? *decision : own));
    return Sender{std::move(core)};
  });
}

Result<Sender> SendGroup::connect(const Address& to, std::chrono::nanoseconds timeout,
                                  Decision* decision) {
  return guarded("SendGroup::connect", [&]() -> Result<Sender> {
    const SendGroupCore::Call call{*core_};
    Decision own;
    LANDFALL_TRY(auto core, core_->connect(to, timeout, decision != nullptr ? *decision : own));
    return Sender{std::move(core)};
  });
}

Result<Address> SendGroup::listen(const Address& at, Decision* decision) {
  return guarded("SendGroup::listen", [&]() -> Result<Address> {
    const SendGroupCore::Call call{*core_};
    Decision own;
    return core_->listen(at, decision != nullptr ? *decision : own);
  });
}

Result<Sender> SendGroup::accept(std::chrono::nanoseconds timeout) {
  return guarded("SendGroup::accept", [&]() -> Result<Sender> {
    const SendGroupCore::Call call{*core_};
    LANDFALL_TRY(auto core, core_->accept(timeout));
    return Sender{std::move(core)};
  });
}

Result<Region> SendGroup::close() {
  constexpr const char* kOp = "SendGroup::close";
  // In this order: a call that is over has counted its Sender.
  if (core_->calls.load(std::memory_order_acquire) != 0)
    return Error{Errc::busy, kOp, ReasonCode::senders_open}.with(
        "another thread is about to open a Sender");
  if (const std::uint32_t open = core_->senders.load(std::memory_order_acquire); open != 0)
    return Error{Errc::busy, kOp, ReasonCode::senders_open}.with(std::to_string(open) +
                                                                 " Senders are open");
  core_->close_domains();
  std::shared_ptr<RegionCore> region = core_->take_region();
  core_.reset();
  return RegionCore::wrap(std::move(region));
}

}  // namespace landfall
