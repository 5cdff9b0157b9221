// SPDX-License-Identifier: Apache-2.0
#include "transport/message_sender.hpp"

#include <net/if.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/deadline.hpp"
#include "base/process.hpp"
#include "landfall/base/limits.hpp"
#include "transport/group_core.hpp"
#include "transport/send_group_core.hpp"

namespace landfall::detail {

using Clock = std::chrono::steady_clock;

namespace {

constexpr std::uint64_t kFlowTag = 1;

Error of_record(const landfall_record& record) {
  const auto code = errc_from_errno(record.native);
  return Error{code == Errc::ok ? Errc::flow_reset : code, "Sender",
               static_cast<ReasonCode>(record.code),
               record.native == 0 ? Origin::landfall : Origin::os, record.native};
}

}  // namespace

// ---- the domain

Result<std::shared_ptr<SendDomain>> SendDomain::open(const ContextCore& context,
                                                     const landfall_backend& backend,
                                                     const SendGroupOptions& options,
                                                     const std::shared_ptr<RegionCore>& region,
                                                     Decision::Candidate& ret_candidate) {
  constexpr auto kOp = "SendGroup::connect";
  const Memory& memory = region->memory();
  GroupOptions like;
  like.options = options.options;
  Probed probed = probe(context, backend, options.interface, &like, &memory);
  ret_candidate = probed.candidate;
  const auto refused = [&](const Error& error) {
    ret_candidate.usable = false;
    ret_candidate.reasons.push_back(reason_from(error));
    return error;
  };
  const auto& ops = *static_cast<const landfall_transport_ops*>(backend.ops);
  if (!probed.candidate.usable) {
    const Reason& why = probed.candidate.reasons.front();
    return Error{Errc::not_supported, kOp, why.code}.with(why.text, why.fix);
  }
  if ((probed.needs.flags & LANDFALL_CAN_SEND) == 0)
    return refused(Error{Errc::not_supported, kOp, ReasonCode::not_capable});
  const std::string own_options = options_for(options.options, backend.name);
  landfall_domain_spec spec{};
  spec.struct_size = sizeof spec;
  spec.host = context.host();
  spec.interface_index =
      options.interface.empty() ? 0 : ::if_nametoindex(options.interface.c_str());
  spec.region = &memory.abi();
  spec.queue_count = 1;
  spec.dmabuf_fd = -1;
  spec.grant_fd = -1;
  spec.options = own_options.c_str();
  Fd dmabuf;
  if ((probed.needs.flags & LANDFALL_NEED_DMABUF) != 0) {
    LANDFALL_TRY(DmabufRange whole, region->export_dmabuf(0, memory.size_bytes()));
    dmabuf = std::move(whole.fd);
    spec.dmabuf_fd = dmabuf.get();
    spec.dmabuf_offset = whole.offset_bytes;
  }
  std::shared_ptr<SendDomain> domain{new SendDomain{ops, region}};
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code = ops.domain_open(&spec, &domain->domain_, &why);
      code != LANDFALL_ERRC_ok) {
    domain->domain_ = nullptr;
    return refused(backend_error("transport domain_open", code, why));
  }
  return domain;
}

SendDomain::~SendDomain() {
  if (domain_ != nullptr) ops_->domain_close(domain_);
}

// ---- the queue

Result<SendQueue> SendQueue::open(std::shared_ptr<SendDomain> domain, RegionCore& region,
                                  std::uint32_t ranges_max, std::uint32_t flows_max) {
  SendQueue made;
  made.domain = std::move(domain);
  LANDFALL_TRY(made.spill, region.make_spill(kSendInlineBytesMax));
  landfall_queue_spec spec{};
  spec.struct_size = sizeof spec;
  spec.slice_length = region.memory().size_bytes();
  spec.spill = &made.spill->memory().abi();
  spec.slice_dmabuf_fd = -1;
  spec.extents_max = ranges_max;
  spec.flows_max = flows_max;
  spec.sends = 1;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code =
          made.ops().queue_open(made.domain->handle(), &spec, &made.queue, &why);
      code != LANDFALL_ERRC_ok) {
    made.queue = nullptr;
    return backend_error("transport queue_open", code, why);
  }
  return made;
}

SendQueue::SendQueue(SendQueue&& other) noexcept
    : domain{std::move(other.domain)},
      spill{std::move(other.spill)},
      queue{std::exchange(other.queue, nullptr)} {}

SendQueue& SendQueue::operator=(SendQueue&& other) noexcept {
  std::swap(domain, other.domain);
  std::swap(spill, other.spill);
  std::swap(queue, other.queue);
  return *this;
}

SendQueue::~SendQueue() {
  if (queue == nullptr) return;
  ops().queue_stop(queue);
  ops().queue_close(queue);
}

void SendQueue::sleep(std::chrono::nanoseconds left) const noexcept {
  std::uint32_t armed = 0;
  if (ops().arm(queue, &armed) != LANDFALL_ERRC_ok || (armed & LANDFALL_ARM_READY) != 0) return;
  left = std::clamp(left, std::chrono::nanoseconds{0},
                    std::chrono::nanoseconds{std::chrono::hours{1}});
  if (LANDFALL_HAS(&ops(), landfall_transport_ops, wait)) {
    std::int32_t none = 0;
    if (ops().wait(queue, -1, static_cast<std::uint64_t>(left.count()), &none) == LANDFALL_ERRC_ok)
      return;
  }
  pollfd fd{ops().wait_fd(queue), POLLIN, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left);
  ::poll(&fd, 1, static_cast<int>(ms.count()));
}

// ---- the sender

MessageSender::MessageSender(std::shared_ptr<SendGroupCore> group, SendQueue queue,
                             Decision decision)
    : group_{std::move(group)},
      queue_{std::move(queue)},
      decision_{std::move(decision)},
      owner_pid_{this_process()},
      ranges_max_{group_->options().ranges_max},
      ranges_{std::make_unique_for_overwrite<Range[]>(ranges_max_)} {
  through_.reserve(ranges_max_);
  group_->senders.fetch_add(1, std::memory_order_relaxed);
}

MessageSender::~MessageSender() {
  if (!check()) {  // a forked child: all of it is the parent's
    queue_.queue = nullptr;
    return;
  }
  const bool whole = out_ == 0 && !broken_;
  if (flow_ != nullptr && !ended_) queue_.ops().flow_close(queue_.queue, flow_, whole ? 0 : 1);
  queue_ = SendQueue{};
  group_->senders.fetch_sub(1, std::memory_order_release);
}

Result<void> MessageSender::check() const noexcept {
  if (this_process() == owner_pid_) return {};
  return Error{Errc::wrong_process, "Sender", ReasonCode::forked_child};
}

Error MessageSender::fail(const Error& error) noexcept {
  if (!broken_) broken_ = error;
  return *broken_;
}

Result<void> MessageSender::connect(const SocketAddress& to, Clock::time_point deadline) {
  landfall_flow_spec spec{};
  spec.struct_size = sizeof spec;
  spec.flow_tag = kFlowTag;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code =
          queue_.ops().connect(queue_.queue, to.get(), to.length, &spec, &flow_, &why);
      code != LANDFALL_ERRC_ok) {
    flow_ = nullptr;
    return backend_error("transport connect", code, why);
  }
  std::size_t none = 0;
  while (!established_) {
    LANDFALL_CHECK(take_records({}, &none));
    const auto left = deadline - Clock::now();
    if (!established_ && left <= Clock::duration::zero())
      return fail(Error{Errc::timed_out, "connect", ReasonCode::peer_unreachable});
    if (!established_) queue_.sleep(left);
  }
  return {};
}

Result<void> MessageSender::start(landfall_flow* flow) {
  landfall_flow_spec spec{};
  spec.struct_size = sizeof spec;
  spec.flow_tag = kFlowTag;
  if (const landfall_errc code = queue_.ops().flow_start(queue_.queue, flow, &spec);
      code != LANDFALL_ERRC_ok)
    return Error{static_cast<Errc>(code), "transport flow_start"};
  flow_ = flow;
  established_ = true;
  return {};
}

Result<void> MessageSender::hand_over(const Range& range, std::uint16_t memory,
                                      std::uint32_t flags) {
  constexpr auto kOp = "Sender::send";
  if (broken_) return *broken_;
  if (finishing_) return Error{Errc::closed, kOp, ReasonCode::stream_finished};
  if (next_ - first_ == ranges_max_)
    return Error{Errc::limit_reached, kOp, ReasonCode::ranges_limit};
  if (next_ == first_) next_ = first_ = 0;  // the same places again
  landfall_send what{};
  what.offset = range.offset;
  what.length = range.length;
  what.token = next_;
  what.memory = memory;
  what.flags = flags;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code = queue_.ops().send(queue_.queue, flow_, &what, &why);
      code != LANDFALL_ERRC_ok) {
    // What ended the flow is told by its record.
    std::size_t none = 0;
    if (code == LANDFALL_ERRC_closed) LANDFALL_CHECK(take_records({}, &none));
    return backend_error(kOp, code, why);
  }
  place(next_++) = range;
  handed_ += range.length;
  ++out_;
  return {};
}

Result<void> MessageSender::send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag) {
  LANDFALL_CHECK(check());
  const std::uint64_t size = group_->memory().size_bytes();
  if (length == 0 || offset > size || length > size - offset)
    return Error{Errc::invalid_argument, "Sender::send", ReasonCode::range_outside};
  return hand_over({.tag = tag, .offset = offset, .length = length}, 0, LANDFALL_SEND_MESSAGE_END);
}

Result<void> MessageSender::send_inline(std::span<const std::byte> bytes) {
  constexpr auto kOp = "Sender::send_inline";
  LANDFALL_CHECK(check());
  const Memory& spill = queue_.spill->memory();
  const std::uint64_t room = spill.size_bytes() - (inline_end_ - inline_begin_);
  if (bytes.empty()) return {};
  const std::uint64_t at = inline_end_ % spill.size_bytes();
  const std::uint64_t first = std::min<std::uint64_t>(bytes.size(), spill.size_bytes() - at);
  const std::uint64_t pieces = first == bytes.size() ? 1 : 2;
  if (bytes.size() > room || next_ - first_ + pieces > ranges_max_)
    return Error{Errc::limit_reached, kOp, ReasonCode::ranges_limit};
  LANDFALL_TRY(const std::span<std::byte> memory, spill.host_bytes());
  std::memcpy(&memory[at], bytes.data(), first);
  std::memcpy(memory.data(), &bytes[0] + first, bytes.size() - first);
  LANDFALL_CHECK(hand_over({.offset = at, .length = first, .is_inline = true}, 1, 0));
  inline_end_ += first;
  if (pieces == 1) return {};
  const std::uint64_t rest = bytes.size() - first;
  LANDFALL_CHECK(hand_over({.offset = 0, .length = rest, .is_inline = true}, 1, 0));
  inline_end_ += rest;
  return {};
}

Result<void> MessageSender::finish() {
  LANDFALL_CHECK(check());
  if (broken_) return *broken_;
  if (std::exchange(finishing_, true)) return {};
  if (const landfall_errc code = queue_.ops().finish(queue_.queue, flow_); code != LANDFALL_ERRC_ok)
    return Error{static_cast<Errc>(code), "Sender::finish"};
  ++out_;
  return {};
}

void MessageSender::on_record(const landfall_record& record, std::span<Sent> out,
                              std::size_t* ret_count) {
  switch (record.kind) {
    case LANDFALL_OPENED:
      established_ = true;
      return;
    case LANDFALL_SENT: {
      if (record.length == 0) {
        --out_;  // the end
        return;
      }
      const Range& range = place(record.token);
      first_ = record.token + 1;
      --out_;
      if (range.is_inline) {
        inline_begin_ += range.length;
        return;
      }
      verdict_.add(Placement::direct, range.length, ReasonCode::none);
      const Sent sent{range.tag, range.offset, range.length, Placement::direct};
      if (*ret_count < out.size())
        out[(*ret_count)++] = sent;
      else
        through_.push_back(sent);
      return;
    }
    case LANDFALL_END_OF_STREAM:
      ended_ = true;
      if (finishing_ && out_ == 0) return;
      static_cast<void>(fail(Error{Errc::flow_reset, "Sender", ReasonCode::peer_reset}));
      return;
    case LANDFALL_FAILED:
      static_cast<void>(fail(of_record(record)));
      return;
    default:
      return;
  }
}

Result<void> MessageSender::take_records(std::span<Sent> out, std::size_t* ret_count) {
  std::array<landfall_record, 64> records;
  std::uint32_t count = 0;
  do {
    const std::size_t kept = std::min(through_.size(), out.size() - *ret_count);
    std::copy_n(through_.begin(), kept, out.begin() + static_cast<std::ptrdiff_t>(*ret_count));
    through_.erase(through_.begin(), through_.begin() + static_cast<std::ptrdiff_t>(kept));
    *ret_count += kept;
    if (!out.empty() && *ret_count == out.size()) return {};
    if (const landfall_errc code =
            queue_.ops().poll(queue_.queue, records.data(), records.size(), &count);
        code != LANDFALL_ERRC_ok)
      return fail(Error{static_cast<Errc>(code), "transport poll"});
    for (std::uint32_t i = 0; i < count; ++i) on_record(records[i], out, ret_count);
  } while (count == records.size());
  if (broken_ && *ret_count == 0) return *broken_;
  return {};
}

Result<std::size_t> MessageSender::poll(std::span<Sent> out) {
  LANDFALL_CHECK(check());
  std::size_t count = 0;
  LANDFALL_CHECK(take_records(out, &count));
  return count;
}

Result<std::size_t> MessageSender::wait(std::span<Sent> out, std::chrono::nanoseconds timeout) {
  const auto deadline = deadline_after(timeout);
  for (;;) {
    LANDFALL_TRY(const std::size_t count, poll(out));
    const auto left = deadline - Clock::now();
    if (count != 0 || out_ == 0 || left <= left.zero()) return count;
    queue_.sleep(left);
  }
}

Result<bool> MessageSender::arm() {
  LANDFALL_CHECK(check());
  if (!through_.empty() || broken_) return false;
  std::uint32_t armed = 0;
  if (const landfall_errc code = queue_.ops().arm(queue_.queue, &armed); code != LANDFALL_ERRC_ok)
    return Error{static_cast<Errc>(code), "transport arm"};
  return (armed & LANDFALL_ARM_READY) == 0;
}

Result<Fd> MessageSender::detach() {
  return Error{Errc::not_supported, "Sender::detach", ReasonCode::not_capable};
}

Result<void> MessageSender::wait_for_end(std::chrono::nanoseconds timeout) {
  LANDFALL_CHECK(check());
  const auto deadline = deadline_after(timeout);
  std::size_t none = 0;
  for (;;) {
    LANDFALL_CHECK(take_records({}, &none));
    if (broken_) return *broken_;
    if (ended_) return {};
    const auto left = deadline - Clock::now();
    if (left <= left.zero()) return Error{Errc::timed_out, "Sender::close"};
    queue_.sleep(left);
  }
}

}  // namespace landfall::detail
