// SPDX-License-Identifier: Apache-2.0
#include "messages/queue.hpp"

#include <algorithm>
#include <utility>

namespace landfall::messages {

using namespace landfall::authoring;

Flow& Domain::keep(std::unique_ptr<Flow> flow) {
  const std::lock_guard lock{mutex};
  Flow& kept = *flow;
  flows.emplace(&kept, std::move(flow));
  return kept;
}

void Domain::forget(Flow& flow) noexcept {
  const std::lock_guard lock{mutex};
  flows.erase(&flow);
}

std::uint32_t reason_of(int number) noexcept {
  switch (number) {
    case kBrokeRules:
      return LANDFALL_REASON_peer_broke_wire;
    case ENODEV:
    case ENXIO:
      return LANDFALL_REASON_rdma_device_lost;
    case EOVERFLOW:
      return LANDFALL_REASON_completion_queue_overrun;
    case EFAULT:
      return LANDFALL_REASON_memory_key_refused;
    case ECONNABORTED:
      return LANDFALL_REASON_connection_stopped;
    case ECONNREFUSED:
      return LANDFALL_REASON_peer_unreachable;
    default:
      return reason_of_end(number);
  }
}

namespace {

std::uint32_t reason_of(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::version:
      return LANDFALL_REASON_wire_version;
    case Refusal::flows:
      return LANDFALL_REASON_peer_takes_no_more;
    case Refusal::role:
      return LANDFALL_REASON_both_same_role;
    case Refusal::none:
    case Refusal::malformed:
      break;
  }
  return LANDFALL_REASON_peer_broke_wire;
}

}  // namespace

Queue::~Queue() {
  if (fabric_ == nullptr) return;
  std::vector<Flow*> mine;
  {
    const std::lock_guard lock{domain_.mutex};
    for (const auto& [flow, kept] : domain_.flows)
      if (flow->queue == this) mine.push_back(flow);
    std::erase_if(domain_.listeners, [this](const auto& one) { return one->reports_to == this; });
  }
  std::vector<std::uint32_t> slots;
  for (Flow* flow : mine) {
    if (flow->link != nullptr) fabric_->drop(*std::exchange(flow->link, nullptr), &slots);
    domain_.forget(*flow);
  }
}

// ---- poll

std::uint32_t Queue::poll(std::span<landfall_record> records) {
  out_ = records;
  count_ = 0;
  for (; count_ < records.size() && !pending_.empty(); pending_.pop_front())
    records[count_++] = pending_.front();
  while (count_ < records.size()) {
    const std::size_t want = std::min(records.size() - count_, events_.size());
    const std::uint32_t got = fabric_->poll(std::span{events_}.first(want));
    for (const Event& event : std::span{events_}.first(got)) on(event);
    if (got < want) break;
  }
  work();
  out_ = {};
  return count_;
}

void Queue::tell(const landfall_record& record) {
  if (pending_.empty() && count_ < out_.size())
    out_[count_++] = record;
  else
    pending_.push_back(record);
}

std::uint32_t Queue::arm() {
  if (!pending_.empty() || !fabric_->arm()) return LANDFALL_ARM_READY;
  return wants_returns() ? LANDFALL_ARM_WANTS_RETURNS : 0;
}

void Queue::on(const Event& event) {
  if (event.kind == Event::Kind::request) return on_request(event);
  if (event.kind == Event::Kind::lost) return on_lost(event.number);
  auto& flow = *static_cast<Flow*>(event.link->owner);
  switch (event.kind) {
    case Event::Kind::message:
      return on_message(flow, event);
    case Event::Kind::unposted:
      return take_slots({&event.slot, 1});
    case Event::Kind::sent:
      return on_sent(flow, event);
    case Event::Kind::established:
      return on_agreed(flow, event);
    case Event::Kind::refused:
      return on_refused(flow, event);
    case Event::Kind::ended:
      flow.link_ended = true;
      fail(flow, event.number == 0 ? ECONNRESET : event.number);
      return finish_closing(flow);
    default:
      return;
  }
}

void Queue::on_lost(int number) {
  lost_ = true;
  std::vector<Flow*> mine;
  {
    const std::lock_guard lock{domain_.mutex};
    for (const auto& [flow, kept] : domain_.flows)
      if (flow->queue == this && flow->started) mine.push_back(flow);
  }
  for (Flow* flow : mine) {
    flow->link_ended = true;
    fail(*flow, number);
    finish_closing(*flow);
  }
}

// ---- how flows begin

landfall_errc Queue::listen(const void* address, std::uint32_t length,
                            landfall_listener** ret_listener, void* ret_address,
                            std::uint32_t* ret_length, landfall_why* why) {
  auto listener = std::make_unique<Listener>();
  listener->reports_to = this;
  if (const landfall_errc code =
          fabric_->listen(address, length, &listener->place, ret_address, ret_length, why))
    return code;
  const std::lock_guard lock{domain_.mutex};
  *ret_listener = handle_of<landfall_listener>(listener.get());
  domain_.listeners.push_back(std::move(listener));
  return LANDFALL_ERRC_ok;
}

void Queue::forget(Listener& listener) noexcept {
  const std::lock_guard lock{domain_.mutex};
  std::erase_if(domain_.listeners, [&](const auto& one) { return one.get() == &listener; });
}

void Queue::on_request(const Event& event) {
  Hello theirs;
  Refusal refusal = decode(event.data, other_role(), &theirs);
  if (refusal == Refusal::none && theirs.role == Role::refusal) refusal = Refusal::malformed;
  if (refusal == Refusal::none && !has_room()) refusal = Refusal::flows;
  if (refusal != Refusal::none || stopped_)
    return fabric_->refuse(*event.link, encode(Hello{.refusal = refusal}));
  Flow& flow = domain_.keep(make_flow());
  flow.queue = this;
  flow.link = event.link;
  flow.link->owner = &flow;
  flow.requested = true;
  flow.theirs = theirs;
  tell(record_of(LANDFALL_OPENED, &flow, landfall_flow_spec{}));
}

landfall_errc Queue::start(Flow& flow, const landfall_flow_spec& spec) {
  flow.spec = spec;
  if (lost_) return LANDFALL_ERRC_device_lost;
  if (const int number = fabric_->adopt(*flow.link, &flow)) return errc_of(number);
  flow.queue = this;
  flow.started = true;
  accept(flow);
  return LANDFALL_ERRC_ok;
}

void Queue::accept(Flow& flow) {
  Hello hello;
  if (!greet(flow, &hello)) {
    if (!flow.ended) ungreeted_.push_back(&flow);
    return;
  }
  if (const int number = fabric_->accept(*flow.link, encode(hello))) fail(flow, number);
}

landfall_errc Queue::connect(const void* address, std::uint32_t length,
                             const landfall_flow_spec& spec, landfall_flow** ret_flow,
                             landfall_why* why) {
  const auto no_room = [&] {
    return refuse(why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_region_too_small,
                  LANDFALL_ORIGIN_LANDFALL, 0, "no slot of the Region is free for another flow");
  };
  if (lost_) return refuse(why, LANDFALL_ERRC_device_lost, LANDFALL_REASON_rdma_device_lost);
  if (!has_room()) return no_room();
  Flow& flow = domain_.keep(make_flow());
  flow.queue = this;
  flow.spec = spec;
  flow.started = true;
  landfall_errc code = fabric_->prepare(address, length, &flow, &flow.link, why);
  if (code == LANDFALL_ERRC_ok) {
    Hello hello;
    if (!greet(flow, &hello)) {
      code = no_room();
    } else if (const int number = fabric_->connect(*flow.link, encode(hello))) {
      code = refuse_os(why, "connect", reason_of(number), number);
    }
  }
  if (code == LANDFALL_ERRC_ok) {
    *ret_flow = handle_of<landfall_flow>(&flow);
    return code;
  }
  flow.ended = true;
  on_end(flow);
  std::vector<std::uint32_t> slots;
  if (flow.link != nullptr) fabric_->drop(*std::exchange(flow.link, nullptr), &slots);
  take_slots(slots);
  domain_.forget(flow);
  return code;
}

void Queue::on_agreed(Flow& flow, const Event& event) {
  if (flow.ended) return;
  if (!flow.requested) {
    Refusal refusal = decode(event.data, other_role(), &flow.theirs);
    if (refusal == Refusal::none && flow.theirs.role == Role::refusal) refusal = Refusal::malformed;
    if (refusal != Refusal::none) return fail(flow, kBrokeRules, reason_of(refusal));
    tell(record_of(LANDFALL_OPENED, &flow, flow.spec));
  }
  flow.established = true;
  on_established(flow);
}

void Queue::on_refused(Flow& flow, const Event& event) {
  flow.link_ended = true;
  Hello theirs;
  const bool said = !event.data.empty() &&
                    decode(event.data, other_role(), &theirs) == Refusal::none &&
                    theirs.role == Role::refusal;
  const int number = event.number == 0 ? ECONNREFUSED : event.number;
  fail(flow, number, said ? reason_of(theirs.refusal) : reason_of(number));
  finish_closing(flow);
}

// ---- how they end

void Queue::end(Flow& flow, int number, std::uint32_t code) {
  if (flow.ended) return;
  flow.ended = true;
  std::erase(ungreeted_, &flow);
  if (!flow.closing) {
    landfall_record record =
        record_of(number == 0 ? LANDFALL_END_OF_STREAM : LANDFALL_FAILED, &flow, flow.spec);
    record.native = number;
    record.code = code;
    tell(record);
  }
  on_end(flow);
}

void Queue::fail(Flow& flow, int number, std::uint32_t code) {
  const bool told = flow.ended;
  end(flow, number, code == LANDFALL_REASON_none ? reason_of(number) : code);
  if (!told) hang_up(flow);
}

void Queue::hang_up(Flow& flow) {
  if (flow.link != nullptr && !flow.link_ended) fabric_->disconnect(*flow.link);
}

void Queue::close(Flow& flow, bool reset) {
  flow.closing = true;
  const bool in_order = !reset && flow.established && !flow.link_ended && say_goodbye(flow);
  end(flow, ECONNRESET, LANDFALL_REASON_none);
  if (flow.link != nullptr && !flow.started) {
    fabric_->refuse(*std::exchange(flow.link, nullptr), encode(Hello{}));
  } else if (!in_order) {
    hang_up(flow);
  }
  finish_closing(flow);
}

void Queue::finish_closing(Flow& flow) {
  if (!flow.closing || holds_memory(flow) || stopped_) return;
  if (flow.link != nullptr) {
    if (!flow.link_ended) return;
    std::vector<std::uint32_t> slots;
    fabric_->drop(*std::exchange(flow.link, nullptr), &slots);
    take_slots(slots);
  }
  tell(record_of(LANDFALL_CLOSED, &flow, flow.spec));
  domain_.forget(flow);
}

}  // namespace landfall::messages
