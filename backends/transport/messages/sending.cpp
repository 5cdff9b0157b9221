// SPDX-License-Identifier: Apache-2.0
// A queue that sends: ranges are cut into messages that fit the receiver's slots, one for each
// credit.
#include <algorithm>
#include <optional>
#include <utility>

#include "messages/queue.hpp"

namespace landfall::messages {
namespace {

using namespace landfall::authoring;

constexpr std::uint32_t kSends = 128;  // messages of one flow under way
// Beside one for each message that grants credits: for the two that do not.
constexpr std::uint32_t kOtherReceives = 2;

struct Range {
  landfall_send what;
  std::uint64_t handed;  // bytes of it that are under way, or through
};

struct Outbound final : Flow {
  // A ring. Not set to anything, so that one which is hardly used takes hardly any memory.
  explicit Outbound(std::uint32_t most)
      : ranges_max{most}, ranges{std::make_unique_for_overwrite<Range[]>(most)} {}

  const std::uint32_t ranges_max;
  std::unique_ptr<Range[]> ranges;
  std::uint64_t first = 0;      // the oldest that is not through
  std::uint64_t unsent = 0;     // the oldest that is not handed over whole
  std::uint64_t next = 0;       // first <= unsent <= next
  std::uint32_t credits = 0;    // that are left
  std::uint32_t under_way = 0;  // messages
  bool finishing = false, end_sent = false, leaving = false;
  bool closed_there = false;  // the receiver has said so: nothing more goes

  Range& range(std::uint64_t number) noexcept { return ranges[number % ranges_max]; }
};

class SendingQueue final : public Queue {
 public:
  using Queue::Queue;
  landfall_errc open(landfall_why* why) override;
  void give_back(std::span<const landfall_return>) override {}
  void pause(Flow&, bool) override {}
  landfall_errc send(Flow& any, const landfall_send& what, landfall_why* why) override;
  landfall_errc finish(Flow& any) override;

 protected:
  Role other_role() const noexcept override { return Role::receiver; }
  std::unique_ptr<Flow> make_flow() override;
  bool greet(Flow& flow, Hello* ret_hello) override;
  void on_established(Flow& any) override;
  void on_message(Flow& any, const Event& event) override;
  void on_sent(Flow& any, const Event& event) override;
  void on_end(Flow&) override {}
  bool say_goodbye(Flow& any) override;
  bool holds_memory(const Flow&) const noexcept override { return false; }
  void work() override {}

 private:
  // Cookies of what ends no range.
  static constexpr std::uint64_t kNoRange = 1ull << 60, kEnd = kNoRange + 1;

  static Outbound& own(Flow& flow) noexcept { return static_cast<Outbound&>(flow); }
  static bool sends(const Outbound& flow) noexcept {
    return (!flow.ended || flow.leaving) && !flow.closed_there;
  }
  void end_when_through(Outbound& flow);
  void push(Outbound& flow);
  void give_up(Outbound& flow, int number);
  bool send_piece(Outbound& flow);
  bool say(Outbound& flow, Immediate what, std::uint64_t cookie);
  void tell_sent(Outbound& flow, std::uint64_t cookie);
  void answer_recall(Outbound& flow);
};

landfall_errc SendingQueue::open(landfall_why* why) {
  const FabricSpec wanted{.queue = spec_,
                          .sends_per_link = kSends,
                          .receives_per_link = kWindowMax + kOtherReceives,
                          .links = spec_.flows_max,
                          .keepalive_s = domain_.options.keepalive_s};
  return domain_.device->make(wanted, &fabric_, why);
}

std::unique_ptr<Flow> SendingQueue::make_flow() {
  return std::make_unique<Outbound>(spec_.extents_max);
}

bool SendingQueue::greet(Flow&, Hello* ret_hello) {
  *ret_hello = {.role = Role::sender};
  return true;
}

void SendingQueue::on_established(Flow& any) {
  Outbound& flow = own(any);
  // The fabric has posted two.
  if (const int number = fabric_->post_empty(*flow.link, flow.theirs.window))
    return fail(flow, number);
  flow.credits = flow.theirs.credits;
  push(flow);
}

landfall_errc SendingQueue::send(Flow& any, const landfall_send& what, landfall_why* why) {
  Outbound& flow = own(any);
  if (flow.ended || flow.finishing)
    return refuse(why, LANDFALL_ERRC_closed, LANDFALL_REASON_flow_ended);
  if (flow.next - flow.first == flow.ranges_max)
    return refuse(why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_ranges_limit);
  if (flow.first == flow.next) flow.first = flow.unsent = flow.next = 0;  // the same places again
  flow.range(flow.next++) = {.what = what, .handed = 0};
  push(flow);
  return LANDFALL_ERRC_ok;
}

landfall_errc SendingQueue::finish(Flow& any) {
  Outbound& flow = own(any);
  flow.finishing = true;
  push(flow);
  return LANDFALL_ERRC_ok;
}

void SendingQueue::push(Outbound& flow) {
  while (flow.established && sends(flow) && flow.credits != 0 && flow.under_way < kSends) {
    if (flow.unsent != flow.next) {
      if (!send_piece(flow)) return;
    } else if (flow.finishing && !flow.end_sent) {
      flow.end_sent = say(flow, {.kind = Immediate::Kind::end}, kEnd);
      return;
    } else {
      return;
    }
  }
}

bool SendingQueue::send_piece(Outbound& flow) {
  Range& range = flow.range(flow.unsent);
  const landfall_send& what = range.what;
  const auto length = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(what.length - range.handed, flow.theirs.slot_bytes));
  const bool last = range.handed + length == what.length;
  const Immediate immediate{.message_end = last && (what.flags & LANDFALL_SEND_MESSAGE_END) != 0,
                            .flow = flow.theirs.flow};
  const Outgoing message{.immediate = encode(immediate),
                         .memory = what.memory,
                         .length = length,
                         .offset = what.offset + range.handed,
                         .cookie = last ? flow.unsent : kNoRange};
  if (const int number = fabric_->send(*flow.link, message)) {
    give_up(flow, number);
    return false;
  }
  --flow.credits;
  ++flow.under_way;
  range.handed += length;
  if (last) ++flow.unsent;
  return true;
}

bool SendingQueue::say(Outbound& flow, Immediate what, std::uint64_t cookie) {
  what.flow = flow.theirs.flow;
  if (const int number = fabric_->send(*flow.link, {.immediate = encode(what), .cookie = cookie})) {
    give_up(flow, number);
    return false;
  }
  --flow.credits;
  ++flow.under_way;
  return true;
}

/// One credit pays for the answer, and one is kept.
void SendingQueue::answer_recall(Outbound& flow) {
  const bool busy = flow.unsent != flow.next || flow.finishing;
  if (busy || flow.credits <= 2 || flow.under_way == kSends) return;
  const std::uint32_t count = flow.credits - 2;
  if (say(flow, {.kind = Immediate::Kind::returned, .count = count}, kNoRange))
    flow.credits -= count;
}

void SendingQueue::on_message(Flow& any, const Event& event) {
  Outbound& flow = own(any);
  if (!sends(flow)) return;
  const std::optional<Immediate> said = decode_from_receiver(event.immediate, event.length);
  if (!said || flow.credits + said->count > flow.theirs.window) return give_up(flow, kBrokeRules);
  if (said->kind == Immediate::Kind::close) {
    if (flow.leaving) return give_up(flow, 0);
    flow.closed_there = true;
    return end_when_through(flow);
  }
  if (const int number = fabric_->post_empty(*flow.link, 1)) return give_up(flow, number);
  flow.credits += said->count;
  if (said->kind == Immediate::Kind::recall) return answer_recall(flow);
  push(flow);
}

void SendingQueue::on_sent(Flow& any, const Event& event) {
  Outbound& flow = own(any);
  --flow.under_way;
  if (event.number != 0) return give_up(flow, event.number);
  if (event.cookie != kNoRange) tell_sent(flow, event.cookie);
  push(flow);
  if (flow.leaving && flow.end_sent && flow.under_way == 0) hang_up(flow);
  if (flow.closed_there) end_when_through(flow);
}

/// The receiver may answer what it has got before its device has: only that says whether it has
/// all.
void SendingQueue::end_when_through(Outbound& flow) {
  if (flow.under_way == 0) end(flow, 0, LANDFALL_REASON_none);
}

void SendingQueue::tell_sent(Outbound& flow, std::uint64_t cookie) {
  landfall_record record = record_of(LANDFALL_SENT, &flow, flow.spec);
  if (cookie != kEnd) {
    const landfall_send& what = flow.range(cookie).what;
    flow.first = cookie + 1;
    record.token = what.token;
    record.offset = what.offset;
    record.length = static_cast<std::uint32_t>(std::min<std::uint64_t>(what.length, UINT32_MAX));
    const Placement placed = domain_.device->placement();
    record.code = placed.reason;
    record.placement = placed.how;
  }
  tell(record);
}

/// Also of a flow that was closed while bytes of it still go: nobody is told, but the link ends.
void SendingQueue::give_up(Outbound& flow, int number) {
  if (std::exchange(flow.leaving, false)) return hang_up(flow);
  fail(flow, number);
}

/// The end of the stream, which the flow was told to send, goes first.
bool SendingQueue::say_goodbye(Flow& any) {
  Outbound& flow = own(any);
  flow.leaving = flow.finishing && !flow.ended && !flow.closed_there &&
                 !(flow.end_sent && flow.under_way == 0);
  return flow.leaving;
}

}  // namespace

std::unique_ptr<Queue> make_sending(Domain& domain, const landfall_queue_spec& spec) {
  return std::make_unique<SendingQueue>(domain, spec);
}

}  // namespace landfall::messages
