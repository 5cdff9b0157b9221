// SPDX-License-Identifier: Apache-2.0
// Goal: whatever a transport reports, no Buffer points outside its Memory, no extent goes back
// twice, `closed` is a flow's last completion, and nothing crashes.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/context_core.hpp"
#include "hostile_transport.hpp"
#include "landfall/landfall.hpp"

namespace {

using namespace landfall;
using fuzz::Bytes;
using fuzz::require;

constexpr std::uint64_t kRegionBytes = 16 * 4096;

/// An application that uses a Group in every way, as the input says.
class Application {
 public:
  explicit Application(Bytes& input) : in_{input} {}

  void run() {
    if (!open(in_.u8())) return;
    for (int steps = 0; steps < 200 && !in_.empty() && group_; ++steps) step();
    held_.clear();
    if (group_ && in_.u8() % 2 == 0) poll(8);
    group_.reset();
    late_.clear();
    require(fuzz::hostile().bad_returns == 0);
  }

 private:
  bool open(std::uint8_t how) {
    // Without the other transports, whose probes take far longer than everything here.
    ContextOptions context_options;
    context_options.builtin_backends = false;
    auto context = Context::create(std::move(context_options));
    require(context.has_value());
    for (const landfall_backend* source : detail::builtin_backends())
      if (source->name == std::string_view{"host"}) require(context->add(source).has_value());
    const landfall_backend& backend = (how & 1) != 0 ? fuzz::kHostileNative : fuzz::kHostilePlain;
    require(context->add(&backend).has_value());
    auto region = Region::allocate(*context, {.size_bytes = kRegionBytes});
    require(region.has_value());
    GroupOptions options;
    options.transports = {backend.name};
    options.buffers_max = (how & 2) != 0 ? 4 : 64;
    options.flows_max = 8;
    options.contract.kind = static_cast<CopyContract::Kind>((how >> 2) % 3);
    options.contract.grace_bytes = 4096;
    options.contract.max_copied_ppm = (how & 64) != 0 ? 1000 : 1'000'000;
    auto group = Group::open(*context, options, *region);
    require(group.has_value());
    group_.emplace(std::move(*group));
    if ((how & 128) != 0) require(group_->listen({"127.0.0.1", 1}).has_value());
    return true;
  }

  Flow* flow() {
    const std::uint8_t which = in_.u8();
    if (flows_.empty()) return nullptr;
    auto it = flows_.begin();
    std::advance(it, which % flows_.size());
    return it->second;
  }

  void poll(std::size_t capacity) {
    std::vector<Completion> out(capacity);
    const auto count = (*group_)[0].poll(out);
    for (const std::uint64_t id : closed_) flows_.erase(id);
    closed_.clear();
    if (!count) return;
    require(*count <= capacity);
    for (Completion& completion : std::span{out}.first(*count)) take(completion);
  }

  void take(Completion& completion) {
    if (completion.flow == nullptr) return;
    const std::uint64_t id = completion.flow->id();
    if (completion.kind == Completion::Kind::opened) flows_[id] = completion.flow;
    require(ended_.count(id) == 0);
    if (completion.kind == Completion::Kind::closed) {
      ended_[id] = true;
      closed_.push_back(id);
    }
    if (completion.kind != Completion::Kind::data) return;
    look(completion.buffer);
    if (in_.u8() % 2 == 0) held_.push_back(std::move(completion.buffer));
  }

  static void look(const Buffer& buffer) {
    const Memory& memory = buffer.memory();
    require(buffer.length() > 0);
    require(buffer.offset() <= memory.size_bytes());
    require(buffer.length() <= memory.size_bytes() - buffer.offset());
    require(buffer.flow_id() != 0);
    const auto bytes = buffer.host_bytes();
    require(bytes.has_value());
    sink_ = bytes->front();
    sink_ = bytes->back();
  }

  void step() {
    switch (in_.u8() % 12) {
      case 0:
      case 1: {
        FlowOptions options;
        const std::uint8_t how = in_.u8();
        options.delivery = (how & 1) != 0 ? Delivery::demand : Delivery::streaming;
        options.share_bytes = (how & 2) != 0 ? 4096 : 0;
        const auto made = (*group_)[0].connect({"127.0.0.1", 1}, options);
        if (made) flows_[(*made)->id()] = *made;
        return;
      }
      case 2:
        if (Flow* one = flow()) one->close(in_.u8() % 2 == 0);
        return;
      case 3:
        if (Flow* one = flow()) (void)one->land(in_.u16()).has_value();
        return;
      case 4:
        if (Flow* one = flow()) {
          // Must stay until posted or closed: as long as this.
          posts_.push_back(std::make_unique<std::array<std::byte, 512>>());
          (void)one->post(std::span{*posts_.back()}.first(in_.u16() % 512), 1).has_value();
        }
        return;
      case 5:
        if (Flow* one = flow()) one->pause();
        return;
      case 6:
        if (Flow* one = flow()) one->resume();
        return;
      case 7:
        (void)(*group_)[0].arm().has_value();
        return;
      case 8:
        if (!held_.empty()) {
          look(held_.front());
          held_.erase(held_.begin());
        }
        return;
      case 9:
        if (in_.u8() != 0) return;
        // The end, with Buffers that outlive it.
        late_ = std::move(held_);
        held_.clear();
        group_.reset();
        for (const Buffer& buffer : late_) look(buffer);
        return;
      default:
        poll(in_.u8() % 20);
    }
  }

  Bytes& in_;
  std::vector<std::unique_ptr<std::array<std::byte, 512>>> posts_;
  std::optional<Group> group_;
  std::map<std::uint64_t, Flow*> flows_;
  std::map<std::uint64_t, bool> ended_;
  std::vector<std::uint64_t> closed_;
  std::vector<Buffer> held_, late_;
  inline static volatile std::byte sink_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input{data, size};
  landfall::fuzz::hostile() = {};
  landfall::fuzz::hostile().input = &input;
  Application{input}.run();
  return 0;
}
