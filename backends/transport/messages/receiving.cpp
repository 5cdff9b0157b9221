// SPDX-License-Identifier: Apache-2.0
// A queue that receives: slots of its slice of the region are posted as credits are given for them,
// so that no sender ever meets a receiver that is not ready.
#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <unordered_set>
#include <utility>

#include "messages/queue.hpp"

namespace landfall::messages {
namespace {

using namespace landfall::authoring;

constexpr std::uint32_t kFirstCredits = 2;  // of a new flow: one may be under way, one ready
// What everybody gets where there is plenty: a processor that copies keeps it in its cache, and for
// a NIC fewer grants are worth more.
constexpr std::uint64_t kPlentyCopied = 2u << 20, kPlentyDirect = 4u << 20;
constexpr std::uint32_t kControls = 6;  // messages to one sender under way
constexpr std::uint32_t kInTime = 16;   // grants in a row, after which half as many credits do too
// Every so many one asks whether they have arrived: each answer wakes the thread.
constexpr std::uint32_t kTold = kControls / 2;

struct Incoming final : Flow {
  std::uint32_t number = 0;   // in its messages
  std::uint32_t credits = 0;  // that the sender has
  std::uint32_t target = kFirstCredits;
  std::uint32_t in_time = 0;   // grants in a row that came as soon as half was used up
  std::uint32_t controls = 0;  // under way, as far as is known
  std::uint32_t quiet = 0;     // ... the newest of them, of which nothing will be heard
  std::uint32_t out = 0;       // extents
  bool numbered = false, paused = false, in_line = false, leaving = false;
};

class ReceivingQueue final : public Queue {
 public:
  using Queue::Queue;
  landfall_errc open(landfall_why* why) override;
  void give_back(std::span<const landfall_return> returns) override;
  void pause(Flow& any, bool on) override;
  landfall_errc send(Flow&, const landfall_send&, landfall_why*) override {
    return LANDFALL_ERRC_not_supported;
  }
  landfall_errc finish(Flow&) override { return LANDFALL_ERRC_not_supported; }

 protected:
  Role other_role() const noexcept override { return Role::sender; }
  std::unique_ptr<Flow> make_flow() override { return std::make_unique<Incoming>(); }
  bool has_room() const noexcept override { return numbers_.size() < flows_max_; }
  bool greet(Flow& any, Hello* ret_hello) override;
  void on_established(Flow& flow) override { line_up(own(flow)); }
  void on_message(Flow& any, const Event& event) override;
  void on_sent(Flow& any, const Event& event) override;
  void on_end(Flow& any) override;
  bool say_goodbye(Flow& any) override;
  bool holds_memory(const Flow& flow) const noexcept override {
    return static_cast<const Incoming&>(flow).out != 0;
  }
  void take_slots(std::span<const std::uint32_t> slots) override {
    free_.insert(free_.end(), slots.begin(), slots.end());
  }
  void work() override;
  bool wants_returns() const noexcept override { return !line_.empty() || !ungreeted_.empty(); }

 private:
  static Incoming& own(Flow& flow) noexcept { return static_cast<Incoming&>(flow); }
  std::uint32_t available() const noexcept {
    return static_cast<std::uint32_t>(free_.size()) + spare_;
  }
  bool wants_credits(const Incoming& flow) const noexcept {
    return flow.established && !flow.ended && !flow.closing && !flow.paused &&
           flow.controls < kControls && flow.credits <= flow.target / 2;
  }
  std::uint64_t gather_bytes() const noexcept;
  void line_up(Incoming& flow);
  /// Posts slots for so many credits; answers how many it is now.
  std::uint32_t post(Incoming& flow, std::uint32_t credits);
  int say(Incoming& flow, Immediate what);
  void adapt(Incoming& flow);
  void grant(Incoming& flow);
  void recall();
  void on_data(Incoming& flow, const Event& event, bool message_end);
  void on_unpaid(Incoming& flow, std::uint32_t slot);

  std::uint32_t slot_bytes_ = 0, slots_ = 0, window_ = 0;
  std::uint64_t plenty_bytes_ = kPlentyCopied;
  std::vector<std::uint32_t> free_;  // slots that are not posted: the newest is the next
  std::uint32_t spare_ = 0;          // posted, and nobody has a credit for them
  // Of flows. One that has ended comes again as late as it can: a fabric without connections may
  // still carry messages of it.
  std::unordered_set<std::uint32_t> numbers_;
  std::uint32_t next_number_ = 0, flows_max_ = 0;
  std::deque<Incoming*> line_;  // that want credits
  std::vector<Incoming*> flows_;
  Incoming* recalled_ = nullptr;  // one at a time
  bool starves_ = false;          // told
};

landfall_errc ReceivingQueue::open(landfall_why* why) {
  slot_bytes_ = slot_bytes_for(domain_.options, 0, spec_.slice_length);
  const std::uint64_t fit = spec_.slice_length / slot_bytes_;
  const auto slots = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({fit, spec_.extents_max, domain_.device->slots_max()}));
  if (slots < 2)
    return refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_region_too_small,
                  LANDFALL_ORIGIN_LANDFALL, 0, "%llu slots of %u bytes fit into the slice",
                  static_cast<unsigned long long>(fit), slot_bytes_);
  slots_ = slots;
  if (domain_.device->placement().how == LANDFALL_DIRECT) plenty_bytes_ = kPlentyDirect;
  window_ = std::min(domain_.options.window, std::max(slots / 4, kFirstCredits));
  // Each flow has a credit at least, and half of the slots are for those that are busy.
  flows_max_ = std::min({spec_.flows_max, slots / 2, kFlowNumbers});
  const FabricSpec wanted{.queue = spec_,
                          .slot_bytes = slot_bytes_,
                          .slots = slots,
                          .sends_per_link = kControls + 1,
                          .links = flows_max_,
                          .keepalive_s = domain_.options.keepalive_s,
                          .gather_bytes = gather_bytes()};
  if (const landfall_errc code = domain_.device->make(wanted, &fabric_, why)) return code;
  for (std::uint32_t i = slots; i > 0; --i) free_.push_back(i - 1);
  return LANDFALL_ERRC_ok;
}

/// A quarter of one sender's credits, so that none need stop.
std::uint64_t ReceivingQueue::gather_bytes() const noexcept {
  constexpr std::uint64_t kMost = 1u << 20;
  if (!domain_.options.gather) return 0;
  return std::min(std::uint64_t{window_} * slot_bytes_ / 4, kMost);
}

// ---- credits

std::uint32_t ReceivingQueue::post(Incoming& flow, std::uint32_t credits) {
  const std::uint32_t from_spare = std::min(spare_, credits);
  const std::uint32_t rest =
      std::min(credits - from_spare, static_cast<std::uint32_t>(free_.size()));
  if (rest != 0) {
    const auto slots = std::span{free_}.last(rest);
    if (const int number = fabric_->post(*flow.link, slots)) {
      fail(flow, number);
      return 0;
    }
    free_.resize(free_.size() - rest);
  }
  spare_ -= from_spare;
  return from_spare + rest;
}

bool ReceivingQueue::greet(Flow& any, Hello* ret_hello) {
  Incoming& flow = own(any);
  if (!flow.numbered) {
    if (!has_room()) return false;
    do {
      flow.number = next_number_;
      next_number_ = (next_number_ + 1) % kFlowNumbers;
    } while (!numbers_.insert(flow.number).second);
    flow.numbered = true;
    flows_.push_back(&flow);
  }
  flow.credits = post(flow, std::min(kFirstCredits, window_));
  if (flow.credits == 0) return false;
  *ret_hello = {.role = Role::receiver,
                .slot_bytes = slot_bytes_,
                .window = window_,
                .credits = flow.credits,
                .flow = flow.number};
  return true;
}

void ReceivingQueue::line_up(Incoming& flow) {
  if (flow.in_line || !wants_credits(flow)) return;
  flow.in_line = true;
  line_.push_back(&flow);
}

int ReceivingQueue::say(Incoming& flow, Immediate what) {
  const bool quiet = what.kind != Immediate::Kind::close && flow.quiet + 1 < kTold;
  const int number = fabric_->send(*flow.link, {.immediate = encode(what),
                                                .cookie = quiet ? 0 : flow.quiet + 1,  // so many
                                                .quiet = quiet});
  if (number != 0) return number;
  ++flow.controls;
  flow.quiet = quiet ? flow.quiet + 1 : 0;
  return 0;
}

/// Who has used up what it had gets twice as much, and everybody does where there is plenty: the
/// more at once, the fewer messages for it. Where grants come in time half as much does it, and
/// what the messages land in, one slot after the other, stays in the cache.
void ReceivingQueue::adapt(Incoming& flow) {
  const std::uint64_t bytes = std::uint64_t{flow.target} * slot_bytes_;
  const bool plenty = available() > slots_ / 2 && bytes < plenty_bytes_;
  const bool late = flow.credits < flow.target / 2;
  flow.in_time = late ? 0 : flow.in_time + 1;
  if (flow.credits == 0 || plenty) {
    flow.target = std::min(flow.target * 2, window_);
  } else if (flow.in_time >= kInTime && bytes >= 2 * plenty_bytes_ &&
             flow.target >= 2 * kFirstCredits) {
    flow.target /= 2;
    flow.in_time = 0;
  }
}

void ReceivingQueue::grant(Incoming& flow) {
  adapt(flow);
  if (flow.target <= flow.credits) return;
  const auto fair = static_cast<std::uint32_t>(available() / (line_.size() + 1));
  const std::uint32_t more = post(flow, std::min(flow.target - flow.credits, std::max(fair, 1u)));
  if (more == 0) return;
  flow.credits += more;
  if (const int number = say(flow, {.kind = Immediate::Kind::credits, .count = more}))
    fail(flow, number);
}

/// Idle senders keep what they do not need, until others do.
void ReceivingQueue::recall() {
  if (recalled_ != nullptr) return;
  Incoming* richest = nullptr;
  for (Incoming* flow : flows_)
    if (flow->established && !flow->ended && !flow->closing && flow->credits > 2 &&
        flow->controls < kControls && (richest == nullptr || flow->credits > richest->credits))
      richest = flow;
  if (richest == nullptr || say(*richest, {.kind = Immediate::Kind::recall}) != 0) return;
  recalled_ = richest;
}

void ReceivingQueue::work() {
  while (!ungreeted_.empty() && available() != 0) {
    Flow& flow = *ungreeted_.front();
    ungreeted_.pop_front();
    accept(flow);
  }
  while (!line_.empty() && available() != 0) {
    Incoming& flow = *line_.front();
    line_.pop_front();
    flow.in_line = false;
    if (wants_credits(flow)) grant(flow);
  }
  if (available() == 0 && wants_returns()) recall();
  // Slots may all be promised to senders that are idle, long before the slice is charged.
  const bool starves = available() == 0 && wants_returns() && recalled_ == nullptr;
  if (starves != std::exchange(starves_, starves)) {
    landfall_record record{};
    record.kind = starves ? LANDFALL_STARVED : LANDFALL_FED;
    tell(record);
  }
}

// ---- what comes

void ReceivingQueue::on_message(Flow& any, const Event& event) {
  Incoming& flow = own(any);
  if (recalled_ == &flow) recalled_ = nullptr;  // it is at work, or has answered
  const std::optional<Immediate> said = decode_from_sender(event.immediate, event.length);
  if (flow.credits == 0) return on_unpaid(flow, event.slot);
  const bool allowed = said && said->flow == flow.number && event.length <= slot_bytes_ &&
                       (said->kind != Immediate::Kind::returned || said->count < flow.credits);
  --flow.credits;
  if (!allowed || said->kind != Immediate::Kind::data) free_.push_back(event.slot);
  if (!allowed) return fail(flow, kBrokeRules);
  switch (said->kind) {
    case Immediate::Kind::data:
      on_data(flow, event, said->message_end);
      return line_up(flow);
    case Immediate::Kind::end:
      flow.link->at_end = true;
      return end(flow, 0, LANDFALL_REASON_none);
    case Immediate::Kind::returned:
      flow.credits -= said->count;
      flow.target = kFirstCredits;
      if (fabric_->shares_receives())
        spare_ += said->count;
      else
        fabric_->take_back(*flow.link, said->count);
      return line_up(flow);
  }
}

/// A message without a credit: of a flow that has ended and was still being sent to, or of a sender
/// that keeps no rules. It took the slot of somebody else's, who gets another one.
void ReceivingQueue::on_unpaid(Incoming& flow, std::uint32_t slot) {
  free_.push_back(slot);
  if (fabric_->shares_receives()) {
    if (spare_ != 0)
      --spare_;
    else if (fabric_->post(*flow.link, std::span{free_}.last(1)) == 0)
      free_.pop_back();
  }
  fail(flow, kBrokeRules);
}

void ReceivingQueue::on_data(Incoming& flow, const Event& event, bool message_end) {
  landfall_record record = record_of(LANDFALL_DATA, &flow, flow.spec);
  const Placement placed = domain_.device->placement();
  record.code = placed.reason;
  record.placement = placed.how;
  record.length = event.length;
  record.offset = spec_.slice_offset + std::uint64_t{event.slot} * slot_bytes_;
  record.token = event.slot;
  record.flags = message_end ? LANDFALL_RECORD_MESSAGE_END : 0;
  record.charge_bytes = slot_bytes_;
  flow.spec.stream_offset += event.length;
  ++flow.out;
  tell(record);
}

void ReceivingQueue::on_sent(Flow& any, const Event& event) {
  Incoming& flow = own(any);
  flow.controls -= static_cast<std::uint32_t>(event.cookie);
  if (event.number != 0) return fail(flow, event.number);
  if (flow.leaving && flow.controls == 0) return hang_up(flow);
  line_up(flow);
}

void ReceivingQueue::give_back(std::span<const landfall_return> returns) {
  for (const landfall_return& back : returns) {
    auto& flow = *reinterpret_cast<Incoming*>(back.flow);
    free_.push_back(static_cast<std::uint32_t>(back.token));
    --flow.out;
    if (flow.closing) finish_closing(flow);
  }
  if (!stopped_) work();
}

void ReceivingQueue::pause(Flow& any, bool on) {
  Incoming& flow = own(any);
  flow.paused = on;
  if (on) return;
  line_up(flow);
  work();
}

// ---- how flows end

void ReceivingQueue::on_end(Flow& any) {
  Incoming& flow = own(any);
  if (recalled_ == &flow) recalled_ = nullptr;
  if (flow.in_line) std::erase(line_, &flow);
  flow.in_line = false;
  if (!flow.numbered) return;
  std::erase(flows_, &flow);
  numbers_.erase(flow.number);
  flow.numbered = false;
  // Of receives that are shared, those that it had credits for are there for others; its own come
  // back when the link goes.
  if (flow.link != nullptr && fabric_->shares_receives()) spare_ += flow.credits;
  flow.credits = 0;
}

bool ReceivingQueue::say_goodbye(Flow& any) {
  Incoming& flow = own(any);
  flow.leaving = say(flow, {.kind = Immediate::Kind::close}) == 0;
  return flow.leaving;
}

}  // namespace

std::unique_ptr<Queue> make_receiving(Domain& domain, const landfall_queue_spec& spec) {
  return std::make_unique<ReceivingQueue>(domain, spec);
}

}  // namespace landfall::messages
