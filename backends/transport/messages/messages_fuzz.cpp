// SPDX-License-Identifier: Apache-2.0
// A peer that says anything, to a queue that receives and to one that sends: nothing is written
// outside a slot, no slot is lost, and whatever happens the flows can be closed.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <vector>

#include "messages/fake_fabric.hpp"

namespace landfall::messages::test {
namespace {

constexpr std::uint64_t kRegion = 64 * 1024;
constexpr std::uint32_t kSlot = 1024;
constexpr std::uint16_t kPort = 7;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Input {
  std::span<const std::uint8_t> left;
  std::uint32_t take(std::size_t bytes) {
    std::uint32_t value = 0;
    for (; bytes != 0 && !left.empty(); --bytes, left = left.subspan(1))
      value = value << 8 | left.front();
    return value;
  }
};

class Scene {
 public:
  Scene() : memory_(2 * kRegion) {
    domain_.device = std::make_unique<FakeDevice>(network_, memory_);
    domain_.options.slot_bytes = kSlot;
    landfall_queue_spec spec{};
    spec.struct_size = sizeof spec;
    spec.slice_length = kRegion;
    spec.extents_max = 256;
    spec.flows_max = 16;
    receiver_ = make_receiving(domain_, spec);
    spec.sends = 1;
    sender_ = make_sending(domain_, spec);
    stranger_ = make_sending(domain_, spec);
    for (auto* queue : {&receiver_, &sender_, &stranger_})
      require((*queue)->open(nullptr) == LANDFALL_ERRC_ok);
    landfall_listener* listener = nullptr;
    require(receiver_->listen(&kPort, sizeof kPort, &listener, nullptr, nullptr, nullptr) == 0);
  }

  void run(Input in) {
    while (!in.left.empty()) {
      switch (in.take(1) % 8) {
        case 0:
          connect();
          break;
        case 1:
          greet(in);
          break;
        case 2:
          if (Flow* flow = any(opened_, in)) to(*flow->link, in);
          break;
        case 3:
          if (Flow* flow = any(connected_, in)) to(*flow->link, in);
          break;
        case 4:
          if (Flow* flow = any(connected_, in)) {
            const landfall_send what{0, 1 + in.take(2), 0, 0, 0, 0};
            static_cast<void>(sender_->send(*flow, what, nullptr));
          }
          break;
        case 5:
          if (!out_.empty()) give_back();
          break;
        case 6:
          if (Flow* flow = any(opened_, in)) close(*receiver_, opened_, flow, in.take(1) % 2 != 0);
          break;
        case 7:
          if (Flow* flow = any(connected_, in)) sender_->finish(*flow);
          break;
      }
      poll();
    }
    while (!opened_.empty()) close(*receiver_, opened_, opened_.front(), true);
    while (!connected_.empty()) close(*sender_, connected_, connected_.front(), true);
    poll();
    while (!out_.empty()) give_back();
    poll();
    require(closed_ == begun_);
  }

 private:
  static Flow* any(std::vector<Flow*>& flows, Input& in) {
    return flows.empty() ? nullptr : flows[in.take(1) % flows.size()];
  }
  static FakeFabric& fabric(Queue& queue) { return static_cast<FakeFabric&>(queue.fabric()); }

  void connect() {
    if (connected_.size() == 8) return;
    landfall_flow_spec spec{};
    spec.flow_tag = 1;
    landfall_flow* flow = nullptr;
    if (sender_->connect(&kPort, sizeof kPort, spec, &flow, nullptr) != LANDFALL_ERRC_ok) return;
    connected_.push_back(authoring::own<Flow>(flow));
    ++begun_;
  }
  /// Somebody who says anything when it connects.
  void greet(Input& in) {
    std::array<std::byte, 40> said{};
    const auto valid = encode(Hello{.role = Role::sender});
    std::copy(valid.begin(), valid.end(), said.begin());
    const std::size_t at = in.take(1) % said.size();
    said[at] = static_cast<std::byte>(in.take(1));
    Link* link = nullptr;
    require(fabric(*stranger_).prepare(&kPort, sizeof kPort, &nobody_, &link, nullptr) == 0);
    fabric(*stranger_).connect(*link, std::span{said}.first(in.take(1) % (said.size() + 1)));
    poll();
    fabric(*stranger_).disconnect(*link);
    fabric(*stranger_).drop(*link, nullptr);
  }
  /// Anything arrives at this end of a connection.
  void to(Link& link, Input& in) {
    auto& here = static_cast<FakeLink&>(link);
    if (here.other == nullptr) return;
    const std::size_t length = in.take(1) % 4 == 0 ? in.take(2) % (2 * kSlot) : 0;
    here.other->fabric->deliver(*here.other, std::span{memory_}.first(length), in.take(4));
  }
  void give_back() {
    const landfall_return back = out_.back();
    out_.pop_back();
    held_.erase(back.token);
    receiver_->give_back({&back, 1});
  }
  static void close(Queue& queue, std::vector<Flow*>& flows, Flow* flow, bool reset) {
    std::erase(flows, flow);
    queue.close(*flow, reset);
  }
  void poll() {
    std::array<landfall_record, 8> records;
    for (int idle = 0; idle < 3; ++idle) {
      for (Queue* queue : {receiver_.get(), sender_.get()}) {
        for (std::uint32_t count = 1; count != 0;) {
          count = queue->poll(records);
          for (const landfall_record& record : std::span{records}.first(count)) on(*queue, record);
        }
      }
    }
  }
  void on(Queue& queue, const landfall_record& record) {
    if (record.kind == LANDFALL_CLOSED) ++closed_;
    if (&queue != receiver_.get()) return;
    if (record.kind == LANDFALL_OPENED) {
      Flow* flow = authoring::own<Flow>(record.flow);
      landfall_flow_spec spec{};
      spec.flow_tag = 1;
      ++begun_;
      if (queue.start(*flow, spec) == LANDFALL_ERRC_ok)
        opened_.push_back(flow);
      else
        queue.close(*flow, true);
    } else if (record.kind == LANDFALL_DATA) {
      require(record.offset % kSlot == 0 && record.length != 0 && record.length <= kSlot);
      require(record.offset + record.length <= kRegion);
      require(held_.insert(record.token).second);  // no slot is filled while it is out
      out_.push_back({record.flow, record.token, record.offset, record.length, 0, 0});
    }
  }

  FakeNetwork network_;
  std::vector<std::byte> memory_;
  Domain domain_;
  std::unique_ptr<Queue> receiver_, sender_, stranger_;
  std::vector<Flow*> opened_, connected_;
  std::vector<landfall_return> out_;
  std::set<std::uint64_t> held_;
  std::uint64_t begun_ = 0, closed_ = 0;
  int nobody_ = 0;
};

}  // namespace
}  // namespace landfall::messages::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  landfall::messages::test::Scene{}.run({{data, size}});
  return 0;
}
