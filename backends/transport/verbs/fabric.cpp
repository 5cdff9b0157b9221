// SPDX-License-Identifier: Apache-2.0
// What is posted and what completes. control.cpp has what rdma_cm says, wait.cpp how one sleeps.
#include "verbs/fabric.hpp"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace landfall::verbs {

using namespace landfall::authoring;
using messages::Event;

namespace {

// What a completion is of: its queue pair's number and this are all that an error leaves.
constexpr std::uint64_t kProbe = 1ull << 63;  // with kSend: nobody's
constexpr std::uint64_t kSend = 1ull << 62;   // with the cookie
constexpr std::uint64_t kQuiet = 1ull << 61;  // ... of which only a failure is heard
constexpr std::uint64_t kEmpty = 1ull << 61;  // a receive without memory; else its slot

constexpr std::uint32_t kLooksEvery = 64;  // polls, at what comes beside completions, unasked

/// What a failed completion says of the connection.
int number_of(ibv_wc_status status, bool was_sent) noexcept {
  switch (status) {
    case IBV_WC_SUCCESS:
      return 0;
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RNR_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
      return ETIMEDOUT;
    case IBV_WC_WR_FLUSH_ERR:
      return ECONNRESET;
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
      return EFAULT;
    case IBV_WC_LOC_QP_OP_ERR:
      // Soft-RoCE says it of memory that it may not use, and of a message that came and is too long
      // (copy_data, rxe_mr.c, Linux 7.3).
      return was_sent ? EFAULT : EPROTO;
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_REM_OP_ERR:
      return EPROTO;
    case IBV_WC_FATAL_ERR:
      return ENODEV;
    default:
      return EIO;
  }
}

}  // namespace

VerbsFabric::~VerbsFabric() {
  device_.adapter().remove(*this);
  if (srq_ != nullptr) library_.ibv_destroy_srq(srq_);
  if (cq_ != nullptr) library_.ibv_destroy_cq(cq_);
  if (channel_ != nullptr) library_.ibv_destroy_comp_channel(channel_);
  if (control_ != nullptr) library_.rdma_destroy_event_channel(control_);
  device_.unregister(spill_);
  for (const int fd : {epoll_, wake_, timer_})
    if (fd >= 0) ::close(fd);
}

// ---- open

landfall_errc VerbsFabric::open(landfall_why* why) {
  if (const auto code = make_queues(why)) return code;
  if (const auto code = make_epoll(why)) return code;
  device_.adapter().add(*this);
  gathering_.open(device_.host(), spec_.gather_bytes, spec_.gather_bytes != 0);
  return LANDFALL_ERRC_ok;
}

landfall_errc VerbsFabric::make_queues(landfall_why* why) {
  const landfall_host* host = device_.host();
  if (const int number = attempt(host, "rdma_create_event_channel", [&] {
        control_ = library_.rdma_create_event_channel();
        return control_ == nullptr ? -1 : 0;
      }))
    return refuse_call(why, "rdma_create_event_channel", number);
  if (const int number = attempt(host, "ibv_create_comp_channel", [&] {
        channel_ = library_.ibv_create_comp_channel(device_.context());
        return channel_ == nullptr ? -1 : 0;
      }))
    return refuse_call(why, "ibv_create_comp_channel", number);
  // It can never overrun: a place for whatever may be posted.
  places_ = spec_.slots +
            std::uint64_t{spec_.links} * (spec_.sends_per_link + kProbes + spec_.receives_per_link);
  constexpr int kTooFew = 16;  // for tests of what comes of one that overruns all the same
  const bool too_small = fault(host, "completion_queue_places") != 0;
  if (places_ > static_cast<std::uint64_t>(device_.attributes().max_cqe))
    return authoring::refuse(
        why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_fabric_call_failed, LANDFALL_ORIGIN_VERBS,
        0, "the device's completion queues have %d places, and %llu are wanted",
        device_.attributes().max_cqe, static_cast<unsigned long long>(places_));
  if (const int number = attempt(host, "ibv_create_cq", [&] {
        cq_ = library_.ibv_create_cq(device_.context(),
                                     too_small ? kTooFew : static_cast<int>(places_), nullptr,
                                     channel_, 0);
        return cq_ == nullptr ? -1 : 0;
      }))
    return refuse_call(why, "ibv_create_cq", number);
  if (spec_.slots == 0) return LANDFALL_ERRC_ok;
  posted_.resize(spec_.slots);
  if (const int number = create_srq()) return refuse_call(why, "ibv_create_srq", number);
  return LANDFALL_ERRC_ok;
}

int VerbsFabric::create_srq() noexcept {
  ibv_srq_init_attr wanted{};
  wanted.attr.max_wr = spec_.slots;
  wanted.attr.max_sge = 1;
  return attempt(device_.host(), "ibv_create_srq", [&] {
    srq_ = library_.ibv_create_srq(device_.pd(), &wanted);
    return srq_ == nullptr ? -1 : 0;
  });
}

// ---- what is posted

std::uint64_t VerbsFabric::address_of(std::uint16_t memory) const noexcept {
  return memory == 0 ? device_.region().base : spill_.base;
}

/// A wrong one where the seam wants a fault.
std::uint32_t VerbsFabric::key_of(const Registered& memory, const char* site) const noexcept {
  return fault(device_.host(), site) == 0 ? memory.mr->lkey : ~memory.mr->lkey;
}

int VerbsFabric::post(messages::Link&, std::span<const std::uint32_t> slots) noexcept {
  if (const int injected = fault(device_.host(), "ibv_post_srq_recv")) return injected;
  return post_slots(slots, key_of(device_.region(), "key of a slot"));
}

int VerbsFabric::post_slots(std::span<const std::uint32_t> slots, std::uint32_t key) noexcept {
  std::array<ibv_sge, kBatch> pieces;
  std::array<ibv_recv_wr, kBatch> requests;
  while (!slots.empty()) {
    const std::size_t count = std::min(slots.size(), kBatch);
    for (std::size_t i = 0; i < count; ++i) {
      pieces[i] = {.addr = address_of(0) + spec_.queue.slice_offset +
                           std::uint64_t{slots[i]} * spec_.slot_bytes,
                   .length = spec_.slot_bytes,
                   .lkey = key};
      posted_[slots[i]] = true;
      requests[i] = {.wr_id = slots[i],
                     .next = i + 1 < count ? &requests[i + 1] : nullptr,
                     .sg_list = &pieces[i],
                     .num_sge = 1};
    }
    ibv_recv_wr* bad = nullptr;
    if (const int number = ibv_post_srq_recv(srq_, requests.data(), &bad)) {
      on_lost(number);  // how many of them it took is not worth knowing
      return number;
    }
    slots = slots.subspan(count);
  }
  return 0;
}

int VerbsFabric::post_empty(messages::Link& any, std::uint32_t count) noexcept {
  auto& link = static_cast<VerbsLink&>(any);
  if (const int injected = fault(device_.host(), "ibv_post_recv")) return injected;
  for (; count != 0; --count) {
    ibv_recv_wr request{};
    request.wr_id = kEmpty;
    ibv_recv_wr* bad = nullptr;
    if (const int number = ibv_post_recv(link.id->qp, &request, &bad)) return number;
  }
  return 0;
}

/// With the first that is sent from it: pinned it takes memory, and most senders never use it.
int VerbsFabric::register_spill() noexcept {
  const landfall_memory& spill = *spec_.queue.spill;
  landfall_why why{};
  why.struct_size = sizeof why;
  const auto code = device_.register_host(spill.host, spill.size_bytes, &spill_, &why);
  return code == LANDFALL_ERRC_ok ? 0 : why.native == 0 ? ENOMEM : why.native;
}

int VerbsFabric::send(messages::Link& any, const messages::Outgoing& what) noexcept {
  auto& link = static_cast<VerbsLink&>(any);
  if (link.state != VerbsLink::State::open)
    return link.end_number != 0 ? link.end_number : ECONNRESET;
  if (const int injected = fault(device_.host(), "ibv_post_send")) return injected;
  if (what.memory != 0 && spill_.mr == nullptr) {
    if (const int number = register_spill()) return number;
  }
  ibv_sge piece{.addr = address_of(what.memory) + what.offset,
                .length = what.length,
                .lkey = key_of(what.memory == 0 ? device_.region() : spill_, "key of a message")};
  ibv_send_wr request{};
  request.wr_id = kSend | (what.quiet ? kQuiet : what.cookie);
  request.opcode = IBV_WR_SEND_WITH_IMM;
  request.send_flags = what.quiet ? 0u : unsigned{IBV_SEND_SIGNALED};
  request.imm_data = htonl(what.immediate);
  request.sg_list = &piece;
  request.num_sge = what.length == 0 ? 0 : 1;
  ibv_send_wr* bad = nullptr;
  if (const int number = ibv_post_send(link.id->qp, &request, &bad)) return number;
  if (!what.quiet) ++link.sends;
  return 0;
}

/// A connection that nothing goes by does not tell that the other side has gone. A write of
/// nothing, which its device answers without its process, does: of none the key is looked at
/// (check_rkey, rxe_resp.c, Linux 7.3; InfiniBand specification, C9-88), and rdma_cm allows writes
/// to all queue pairs that it makes (cm_init_qp_init_attr).
void VerbsFabric::probe() noexcept {
  std::uint64_t times = 0;
  [[maybe_unused]] const ssize_t got = ::read(timer_, &times, sizeof times);
  if (links_.empty()) return set_timer(0);
  for (const auto& [qp_number, link] : links_) {
    // What is under way tells by itself.
    if (link->state != VerbsLink::State::open || link->sends != 0) continue;
    ibv_send_wr request{};
    request.wr_id = kSend | kProbe;
    request.opcode = IBV_WR_RDMA_WRITE;
    request.send_flags = IBV_SEND_SIGNALED;
    ibv_send_wr* bad = nullptr;
    if (const int number = ibv_post_send(link->id->qp, &request, &bad))
      ended(*link, number);
    else
      ++link->sends;
  }
}

// ---- what completes

std::uint32_t VerbsFabric::take_told(std::span<Event> out) noexcept {
  std::uint32_t count = 0;
  for (; count < out.size() && !told_.empty(); ++count) {
    out[count] = told_.front();
    told_.pop_front();
  }
  return count;
}

std::uint32_t VerbsFabric::poll(std::span<Event> out) noexcept {
  const std::size_t known = ending_.size();
  std::uint32_t count = take_told(out);
  count += take_completions(out.subspan(count));
  const bool was_empty = count < out.size();
  // Completions go first; but not for ever. Who slept in wait() knows what else there is.
  const bool is_turn = ++polls_ % kLooksEvery == 0;
  if (is_turn || (count == 0 && !std::exchange(looked_, false))) look(0);
  if (was_empty || is_turn) take_ready();
  if (any_stopped_.load(std::memory_order_acquire)) take_stopped();
  std::size_t ripe = 0;
  while (ripe < known && (was_empty || ending_[ripe].due <= completed_))
    tell(ending_[ripe++].event);
  ending_.erase(ending_.begin(), ending_.begin() + static_cast<std::ptrdiff_t>(ripe));
  if (const int number = lost_.load(std::memory_order_acquire); number != 0 && !lost_told_) {
    lost_told_ = true;
    tell({.kind = Event::Kind::lost, .number = number});
  }
  return count + take_told(out.subspan(count));
}

std::uint32_t VerbsFabric::take_completions(std::span<Event> out) noexcept {
  std::uint32_t count = 0;
  while (count < out.size()) {
    int most = 0;
    std::uint32_t got = std::exchange(peeked_, 0);
    if (got == 0) {
      if (const int injected = fault(device_.host(), "ibv_poll_cq")) {
        on_lost(injected);
        return count;
      }
      most = static_cast<int>(std::min(out.size() - count, kBatch));
      const int answer = ibv_poll_cq(cq_, most, completions_.data());
      if (answer < 0) on_lost(EIO);
      if (answer <= 0) return count;
      got = static_cast<std::uint32_t>(answer);
    }
    completed_ += got;
    for (std::uint32_t i = 0; i < got; ++i)
      if (translate(completions_[i], &out[count])) ++count;
    if (static_cast<int>(got) < most) return count;  // it was empty
  }
  return count;
}

bool VerbsFabric::translate(const ibv_wc& completion, Event* ret_event) noexcept {
  const auto found = links_.find(completion.qp_num);
  VerbsLink* const link = found == links_.end() ? nullptr : found->second;
  const bool worked = completion.status == IBV_WC_SUCCESS;
  const bool flushed = completion.status == IBV_WC_WR_FLUSH_ERR;
  if ((completion.wr_id & kSend) != 0) {
    if (link == nullptr) return false;
    const bool quiet = (completion.wr_id & kQuiet) != 0;
    if (!quiet) --link->sends;
    int number = number_of(completion.status, true);
    // Flushed before anything failed: soft-RoCE does not say what did (rxe_requester, Linux 7.3).
    if (!worked && link->state == VerbsLink::State::open)
      ended(*link, flushed ? unless_lost(ECONNABORTED) : number);
    else if (link->stopped)
      stopped(*link);
    if (quiet) return false;
    if (link->state == VerbsLink::State::ending && link->sends == 0) tell_end(*link);
    if ((completion.wr_id & kProbe) != 0) return false;
    if (flushed && link->end_number != 0) number = link->end_number;
    *ret_event = {.kind = Event::Kind::sent,
                  .number = number,
                  .link = link,
                  .cookie = completion.wr_id & ~kSend};
    return true;
  }
  const bool has_slot = (completion.wr_id & kEmpty) == 0;
  const auto slot = static_cast<std::uint32_t>(completion.wr_id);
  if (has_slot) posted_[slot] = false;
  if (!worked || link == nullptr || (completion.wc_flags & IBV_WC_WITH_IMM) == 0) {
    // Nobody's, or nothing: its slot is there for another one.
    if (has_slot) post_slots({&slot, 1}, device_.region().mr->lkey);
    if (link == nullptr) return false;
    if (flushed)
      stopped(*link);
    else
      ended(*link, worked ? EPROTO : number_of(completion.status, false));
    return false;
  }
  last_length_ = completion.byte_len;
  gathering_.told(last_length_);
  *ret_event = {.kind = Event::Kind::message,
                .slot = has_slot ? slot : messages::kNoSlot,
                .length = completion.byte_len,
                .immediate = ntohl(completion.imm_data),
                .link = link};
  return true;
}

/// No queue pair is left, so that nothing completes any more.
void VerbsFabric::renew_srq() noexcept {
  may_have_lost_ = false;
  peeked_ = 0;
  while (ibv_poll_cq(cq_, static_cast<int>(kBatch), completions_.data()) > 0) {
    // Nobody's. The slots of these are posted again with those that were lost.
  }
  if (const int number = library_.ibv_destroy_srq(srq_)) return on_lost(number);
  srq_ = nullptr;
  if (const int number = create_srq()) return on_lost(number);
  for (std::uint32_t slot = 0; slot < posted_.size(); ++slot)
    if (posted_[slot]) post_slots({&slot, 1}, device_.region().mr->lkey);
}

void VerbsFabric::on_lost(int number) noexcept {
  lost_.store(number, std::memory_order_release);
  wake();
}

void VerbsFabric::on_stopped(void* context) noexcept {
  try {
    const std::lock_guard lock{stopped_mutex_};
    stopped_.push_back(static_cast<VerbsLink*>(context));
  } catch (...) {
    return on_lost(ENOMEM);
  }
  any_stopped_.store(true, std::memory_order_release);
  wake();
}

}  // namespace landfall::verbs
