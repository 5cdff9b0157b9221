// SPDX-License-Identifier: Apache-2.0
// A fabric in memory, for tests of what this folder does: it carries at once what real ones carry,
// counts what a real receiver would not have been ready for, and lets a test say what no landfall
// says.
#pragma once
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "messages/fabric.hpp"
#include "messages/queue.hpp"

namespace landfall::messages::test {

class FakeFabric;

struct FakeLink final : Link {
  FakeFabric* fabric = nullptr;
  FakeLink* other = nullptr;
  std::vector<std::byte> said{};
  std::deque<std::uint32_t> receives{};  // posted for it; kNoSlot: without memory
  bool adopted = false, open = false, ended = false;
};

/// What the fabrics of one test have in common.
struct FakeNetwork {
  std::map<std::uint16_t, FakeFabric*> listening{};
  std::uint64_t not_ready = 0;   // messages that found no receive
  bool sent_comes_late = false;  // until tell_sent(): what is sent arrives, and is not yet told
  bool shares_receives = true;
};

class FakeFabric final : public Fabric {
 public:
  FakeFabric(FakeNetwork& network, std::span<std::byte> region, const FabricSpec& spec)
      : network_{network}, region_{region}, spec_{spec} {}

  bool shares_receives() const noexcept override { return network_.shares_receives; }
  int post(Link& link, std::span<const std::uint32_t> slots) noexcept override {
    auto& receives = network_.shares_receives ? shared_ : of(link).receives;
    receives.insert(receives.end(), slots.begin(), slots.end());
    return 0;
  }
  void take_back(Link& any, std::uint32_t count) noexcept override {
    FakeLink& link = of(any);
    for (; count != 0; --count) {
      events_.push_back(
          {.kind = Event::Kind::unposted, .slot = link.receives.back(), .link = &link});
      link.receives.pop_back();
    }
  }
  int post_empty(Link& link, std::uint32_t count) noexcept override {
    of(link).receives.insert(of(link).receives.end(), count, kNoSlot);
    return 0;
  }
  int send(Link& any, const Outgoing& what) noexcept override {
    FakeLink& link = of(any);
    if (!link.open) return ENOTCONN;
    const auto* from =
        what.memory == 0 ? region_.data() : static_cast<std::byte*>(spec_.queue.spill->host);
    deliver(link, {from + what.offset, what.length}, what.immediate);
    ++(what.quiet ? quiet : told);
    if (what.quiet) return 0;
    (network_.sent_comes_late ? late_ : events_)
        .push_back({.kind = Event::Kind::sent, .link = &link, .cookie = what.cookie});
    return 0;
  }
  std::uint64_t quiet = 0, told = 0;  // that send() was asked for
  /// With this errno, 0: it went through.
  void tell_sent(int number) {
    for (Event& event : late_) {
      if (event.kind == Event::Kind::sent) event.number = number;
      events_.push_back(event);
    }
    late_.clear();
  }
  /// What `link` sends arrives, whatever it is.
  void deliver(FakeLink& link, std::span<const std::byte> bytes, std::uint32_t immediate) {
    if (link.other == nullptr || link.other->ended) return;
    FakeLink& to = *link.other;
    FakeFabric& there = *to.fabric;
    auto& receives =
        there.shares_receives() && there.spec_.slots != 0 ? there.shared_ : to.receives;
    if (receives.empty()) return static_cast<void>(++network_.not_ready);
    const std::uint32_t slot = receives.front();
    receives.pop_front();
    if (slot != kNoSlot)
      std::memcpy(&there.region_[there.spec_.queue.slice_offset +
                                 std::uint64_t{slot} * there.spec_.slot_bytes],
                  bytes.data(), std::min<std::size_t>(bytes.size(), there.spec_.slot_bytes));
    there.events_.push_back({.kind = Event::Kind::message,
                             .slot = slot,
                             .length = static_cast<std::uint32_t>(bytes.size()),
                             .immediate = immediate,
                             .link = &to});
  }
  void lose() { events_.push_back({.kind = Event::Kind::lost, .number = ENODEV}); }

  std::uint32_t poll(std::span<Event> out) noexcept override {
    std::uint32_t count = 0;
    for (; count < out.size() && !events_.empty(); ++count) {
      out[count] = events_.front();
      events_.pop_front();
    }
    return count;
  }
  bool arm() noexcept override { return events_.empty(); }
  int wait_fd() noexcept override { return -1; }

  landfall_errc listen(const void* address, std::uint32_t, std::unique_ptr<Place>* ret_place, void*,
                       std::uint32_t*, landfall_why*) override {
    network_.listening[*static_cast<const std::uint16_t*>(address)] = this;
    *ret_place = std::make_unique<Place>();
    return LANDFALL_ERRC_ok;
  }
  void close(Place&) noexcept override {}
  landfall_errc prepare(const void* address, std::uint32_t, void* owner, Link** ret_link,
                        landfall_why*) override {
    FakeLink& link = make(owner);
    to_[&link] = *static_cast<const std::uint16_t*>(address);
    *ret_link = &link;
    return LANDFALL_ERRC_ok;
  }
  int connect(Link& any, std::span<const std::byte> data) noexcept override {
    FakeLink& link = of(any);
    const auto listening = network_.listening.find(to_[&link]);
    if (spec_.slots == 0) post_empty(link, 2);
    if (listening == network_.listening.end()) {
      events_.push_back({.kind = Event::Kind::refused, .number = ECONNREFUSED, .link = &link});
      return 0;
    }
    FakeFabric& there = *listening->second;
    FakeLink& request = there.make(nullptr);
    request.said.assign(data.begin(), data.end());
    request.other = &link;
    link.other = &request;
    there.events_.push_back({.kind = Event::Kind::request, .link = &request, .data = request.said});
    return 0;
  }
  int adopt(Link& link, void* owner) override {
    link.owner = owner;
    of(link).adopted = true;
    if (spec_.slots == 0) post_empty(link, 2);
    return 0;
  }
  int accept(Link& any, std::span<const std::byte> data) noexcept override {
    FakeLink& link = of(any);
    FakeLink& other = *link.other;
    other.said.assign(data.begin(), data.end());
    link.open = other.open = true;
    events_.push_back({.kind = Event::Kind::established, .link = &link});
    other.fabric->events_.push_back(
        {.kind = Event::Kind::established, .link = &other, .data = other.said});
    return 0;
  }
  void refuse(Link& any, std::span<const std::byte> data) noexcept override {
    FakeLink& other = *of(any).other;
    other.said.assign(data.begin(), data.end());
    other.fabric->events_.push_back(
        {.kind = Event::Kind::refused, .number = ECONNREFUSED, .link = &other, .data = other.said});
    drop(any, nullptr);
  }
  void disconnect(Link& any) noexcept override {
    FakeLink& link = of(any);
    end(link);
    if (link.other != nullptr) link.other->fabric->end(*link.other);
  }
  void drop(Link& any, std::vector<std::uint32_t>* ret_slots) noexcept override {
    FakeLink& link = of(any);
    if (ret_slots != nullptr)
      for (const std::uint32_t slot : link.receives)
        if (slot != kNoSlot) ret_slots->push_back(slot);
    if (link.other != nullptr) link.other->other = nullptr;
    for (auto* events : {&events_, &late_})
      std::erase_if(*events, [&](const Event& event) { return event.link == &link; });
    links_.erase(&link);
  }
  std::size_t links() const noexcept { return links_.size(); }

 private:
  static FakeLink& of(Link& link) noexcept { return static_cast<FakeLink&>(link); }
  FakeLink& make(void* owner) {
    auto link = std::make_unique<FakeLink>();
    link->owner = owner;
    link->fabric = this;
    FakeLink& made = *link;
    links_.emplace(&made, std::move(link));
    return made;
  }
  void end(FakeLink& link) {
    if (std::exchange(link.ended, true)) return;
    link.open = false;
    if (link.adopted || link.owner != nullptr)
      (late_.empty() ? events_ : late_).push_back({.kind = Event::Kind::ended, .link = &link});
  }

  FakeNetwork& network_;
  const std::span<std::byte> region_;
  const FabricSpec spec_;
  std::deque<std::uint32_t> shared_{};
  std::deque<Event> events_{}, late_{};
  std::map<FakeLink*, std::uint16_t> to_{};
  std::map<FakeLink*, std::unique_ptr<FakeLink>> links_{};
};

struct FakeDevice final : Device {
  FakeDevice(FakeNetwork& on, std::span<std::byte> memory) : network{on}, region{memory} {}
  FakeNetwork& network;
  std::span<std::byte> region;
  landfall_errc make(const FabricSpec& spec, std::unique_ptr<Fabric>* ret_fabric,
                     landfall_why*) override {
    *ret_fabric = std::make_unique<FakeFabric>(network, region, spec);
    return LANDFALL_ERRC_ok;
  }
  std::uint32_t slots_max() const noexcept override { return 4096; }
};

}  // namespace landfall::messages::test
