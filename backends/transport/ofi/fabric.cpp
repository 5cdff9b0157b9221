// SPDX-License-Identifier: Apache-2.0
#include "ofi/fabric.hpp"

#include <sys/epoll.h>

#include <algorithm>

namespace landfall::ofi {

using namespace authoring;
using messages::Link;
using messages::Outgoing;

namespace {

constexpr std::uint32_t kCompletionsAtOnce = 32;
// After so many in a row nobody is taken to sleep soon.
constexpr std::uint32_t kPollsAwake = 64;

}  // namespace

landfall_errc OfiFabric::open_completions(std::uint64_t room, landfall_why* why) {
  if (spec_.queue.spill != nullptr)
    if (const auto code = device_.register_memory(*spec_.queue.spill, -1, 0, &spill_, why))
      return code;
  landfall_memory memory{};
  memory.host = nothing_.data();
  memory.size_bytes = nothing_.size();
  if (const auto code = device_.register_memory(memory, -1, 0, &room_for_nothing_, why))
    return code;
  fi_cq_attr attributes{};
  attributes.size = std::min<std::uint64_t>(room, device_.completions_max());
  attributes.format = FI_CQ_FORMAT_DATA;
  attributes.wait_obj = FI_WAIT_FD;
  if (const int number = ofi::make<fid_cq>(host_, "fi_cq_open", &completions_, [&](fid_cq** out) {
        return fi_cq_open(&device_.domain(), &attributes, out, nullptr);
      }))
    return refuse_call(why, "fi_cq_open", number);
  int fd = -1;
  int number = authoring::attempt(host_, "epoll_create1",
                                  [&] { return fd = ::epoll_create1(EPOLL_CLOEXEC); });
  epoll_.reset(fd);
  if (number == 0) number = watch(completions_->fid);
  return number == 0 ? LANDFALL_ERRC_ok
                     : refuse_os(why, "epoll of libfabric's queues",
                                 LANDFALL_REASON_event_fd_failed, number);
}

int OfiFabric::set_epoll(fid& object, int operation, std::uint32_t events) noexcept {
  int fd = -1;
  if (const int number = ofi::attempt(host_, "fi_control", [&] {
        return static_cast<ssize_t>(fi_control(&object, FI_GETWAIT, &fd));
      }))
    return number;
  epoll_event event{events, {}};
  return authoring::attempt(host_, "epoll_ctl",
                            [&] { return ::epoll_ctl(epoll_.get(), operation, fd, &event); });
}

int OfiFabric::watch(fid& object) noexcept {
  return set_epoll(object, EPOLL_CTL_ADD, EPOLLIN);
}

/// Nobody looks at it any more, so it wakes nobody.
void OfiFabric::unwatch(fid& object) noexcept {
  static_cast<void>(set_epoll(object, EPOLL_CTL_DEL, 0));
}

/// Where nobody sleeps, each packet that arrives would climb the epolls of libfabric and of all
/// above it for nothing, at the sender's expense where that is on this host: 1.6 % of a stream by
/// `tcp`.
bool OfiFabric::set_wakes(bool on) noexcept {
  if (set_epoll(completions_->fid, EPOLL_CTL_MOD, on ? EPOLLIN : 0u) != 0) return false;
  wakes_ = on;
  return true;
}

bool OfiFabric::begin_arm() noexcept {
  polls_ = 0;
  return wakes_ || lost_ != 0 || set_wakes(true);
}

// ---- what is under way

Operation& OfiFabric::take(messages::Link* link) {
  if (free_.empty()) free_.push_back(&operations_.emplace_back());
  Operation& operation = *free_.back();
  free_.pop_back();
  operation.link = link;
  return operation;
}

void OfiFabric::put(Operation& operation) noexcept {
  operation.link = nullptr;
  free_.push_back(&operation);
}

int OfiFabric::post_receive(fid_ep& endpoint, Operation& operation, std::uint32_t slot) noexcept {
  operation.slot = slot;
  operation.order = receives_++;
  operation.sends = operation.taken_back = false;
  std::byte* to = nothing_.data();
  std::size_t length = 1;
  void* descriptor = room_for_nothing_.descriptor();
  if (slot != messages::kNoSlot) {
    const Registered& region = device_.region();
    to = region.base + spec_.queue.slice_offset + std::uint64_t{slot} * spec_.slot_bytes;
    length = spec_.slot_bytes;
    descriptor = region.descriptor();
  }
  const int number = ofi::attempt(host_, "fi_recv", [&] {
    return fi_recv(&endpoint, to, length, descriptor, FI_ADDR_UNSPEC, &operation.room);
  });
  if (number != 0) put(operation);
  return number;
}

int OfiFabric::post_send(fid_ep& endpoint, fi_addr_t to, Operation& operation, const Outgoing& what,
                         std::uint64_t flags) noexcept {
  operation.cookie = what.cookie;
  operation.sends = true;
  operation.done = operation.ends = false;
  operation.number = 0;
  // A message without bytes has a piece as well: `verbs` sends what is short from a copy, and
  // writes where that is into the first piece's place (vrb_send_iov of 1.17).
  const Registered& memory = what.length == 0   ? room_for_nothing_
                             : what.memory == 0 ? device_.region()
                                                : spill_;
  iovec piece{memory.base + (what.length == 0 ? 0 : what.offset), what.length};
  void* descriptor = memory.descriptor();
  fi_msg message{};
  message.msg_iov = &piece;
  message.desc = &descriptor;
  message.iov_count = 1;
  message.addr = to;
  message.context = &operation.room;
  message.data = what.immediate;
  const int number = ofi::attempt(host_, "fi_sendmsg", [&] {
    return fi_sendmsg(&endpoint, &message, flags | FI_REMOTE_CQ_DATA | FI_COMPLETION);
  });
  if (number != 0) put(operation);
  return number;
}

int OfiFabric::send(Link& base, const Outgoing& what) noexcept {
  auto& link = static_cast<OfiLink&>(base);
  const int number = link.waiting.empty() ? try_send(link, what) : EAGAIN;
  if (number != EAGAIN) return errno_of(number);
  if (link.waiting.empty()) waiting_.push_back(&link);
  link.waiting.push_back(what);
  return 0;
}

void OfiFabric::retry_sends() {
  std::erase_if(waiting_, [this](OfiLink* link) {
    int number = 0;
    const auto refused =
        std::find_if(link->waiting.begin(), link->waiting.end(),
                     [&](const Outgoing& what) { return (number = try_send(*link, what)) != 0; });
    link->waiting.erase(link->waiting.begin(), refused);
    if (number == EAGAIN) return false;
    link->waiting.clear();
    if (number != 0) end(*link, errno_of(number));
    return true;
  });
}

void OfiFabric::forget_sends(OfiLink& link) noexcept {
  if (link.waiting.empty()) return;
  link.waiting.clear();
  std::erase(waiting_, &link);
}

// ---- what has completed

bool OfiFabric::read_completions(std::uint32_t most) {
  std::array<fi_cq_data_entry, kCompletionsAtOnce> entries;
  ssize_t count = 0;
  const int number = ofi::attempt(
      host_, "fi_cq_read",
      [&] {
        return fi_cq_read(completions_.get(), entries.data(), std::min(most, kCompletionsAtOnce));
      },
      &count);
  if (number == EAGAIN) return false;
  if (number == FI_EAVAIL)
    read_failure();
  else if (number != 0 && number != EINTR)
    lose(number);
  for (const fi_cq_data_entry& entry : std::span{entries}.first(static_cast<std::size_t>(count)))
    on_completion(*reinterpret_cast<Operation*>(entry.op_context), entry);
  return lost_ == 0;
}

void OfiFabric::read_failure() {
  fi_cq_err_entry entry{};
  const int number = ofi::attempt(host_, "fi_cq_readerr",
                                  [&] { return fi_cq_readerr(completions_.get(), &entry, 0); });
  if (number == EAGAIN) return;
  if (number != 0) return lose(number);
  if (entry.op_context != nullptr) on_failure(*static_cast<Operation*>(entry.op_context), entry);
}

std::uint32_t OfiFabric::immediate_of(const fi_cq_data_entry& entry) noexcept {
  const bool said = (entry.flags & FI_REMOTE_CQ_DATA) != 0 && entry.data <= UINT32_MAX;
  return said ? static_cast<std::uint32_t>(entry.data) : kNoImmediate;
}

// ---- poll

void OfiFabric::begin_poll(std::span<Event> out) noexcept {
  out_ = out;
  count_ = 0;
  if (wakes_ && ++polls_ == kPollsAwake && lost_ == 0) set_wakes(false);
  for (; count_ < out.size() && !pending_.empty(); pending_.pop_front())
    out[count_++] = pending_.front();
}

void OfiFabric::tell(const Event& event) {
  if (pending_.empty() && count_ < out_.size())
    out_[count_++] = event;
  else
    pending_.push_back(event);
}

void OfiFabric::lose(int number) noexcept {
  if (lost_ == 0) lost_ = errno_of(number);
}

}  // namespace landfall::ofi
