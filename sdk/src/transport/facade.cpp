// SPDX-License-Identifier: Apache-2.0
// The public classes: each call passes on to its core.
#include <utility>

#include "transport/fence_core.hpp"
#include "transport/group_core.hpp"
#include "transport/guarded.hpp"
#include "transport/queue_core.hpp"

namespace landfall {

using detail::GroupCore;
using detail::guarded;
using detail::impl;

// ---- Buffer
// --------------------------------------------------------------------------------------

const Memory& Buffer::memory() const& noexcept {
  return detail::SlotChunk::of(slot_)->core->memory(slot_->memory);
}
std::uint64_t Buffer::offset() const noexcept {
  return slot_->offset;
}
std::uint32_t Buffer::length() const noexcept {
  return slot_->length;
}
std::uint64_t Buffer::stream_offset() const noexcept {
  return slot_->stream_offset;
}
std::uint64_t Buffer::flow_id() const noexcept {
  return slot_->flow->id;
}
std::uint32_t Buffer::charge_bytes() const noexcept {
  return slot_->charge;
}
Placement Buffer::placement() const noexcept {
  return static_cast<Placement>(slot_->placement & 3);
}
bool Buffer::ends_message() const noexcept {
  return (slot_->flags & detail::kSlotEndsMessage) != 0;
}

Result<std::span<std::byte>> Buffer::host_bytes() const& noexcept {
  if (detail::SlotChunk::of(slot_)->core == nullptr) {
    return Error{Errc::wrong_process, "Buffer::host_bytes", ReasonCode::forked_child};
  }
  auto* host = static_cast<std::byte*>(memory().abi().host);
  if (host == nullptr) {
    return Error{Errc::not_supported, "Buffer::host_bytes", ReasonCode::no_host_view};
  }
  return std::span{host + slot_->offset, slot_->length};
}

// ---- Flow
// ----------------------------------------------------------------------------------------

std::uint64_t Flow::id() const noexcept {
  return impl(*this).id;
}
void* Flow::user() const noexcept {
  return impl(*this).user;
}
void Flow::set_user(void* user) noexcept {
  impl(*this).user = user;
}
Delivery Flow::delivery() const noexcept {
  return impl(*this).delivery;
}
Verdict Flow::verdict() const noexcept {
  return impl(*this).verdict;
}
std::uint64_t Flow::received_bytes() const noexcept {
  return impl(*this).next_offset;
}
std::uint64_t Flow::held_bytes() const noexcept {
  return impl(*this).held;
}
std::uint32_t Flow::buffers_out() const noexcept {
  return impl(*this).out;
}

const Decision& Flow::decision() const noexcept {
  return impl(*this).queue->service().decision;
}
Result<Address> Flow::peer() const {
  const int fd = impl(*this).socket_number;
  if (fd < 0) return Error{Errc::not_supported, "Flow::peer", ReasonCode::not_capable};
  return detail::peer_address(fd);
}

Result<Address> Flow::local() const {
  const int fd = impl(*this).socket_number;
  if (fd < 0) return Error{Errc::not_supported, "Flow::local", ReasonCode::not_capable};
  return detail::local_address(fd);
}

void Flow::pause() noexcept {
  if (!impl(*this).paused_by_user) impl(*this).queue->pause(impl(*this), true);
}
void Flow::resume() noexcept {
  impl(*this).queue->resume(impl(*this), true);
}

Result<void> Flow::land(std::uint64_t most_bytes) {
  return guarded("Flow::land", [&] { return impl(*this).queue->land(impl(*this), most_bytes); });
}

Result<void> Flow::post(std::span<std::byte> into, std::uint64_t tag) {
  landfall_memory memory{};
  memory.struct_size = sizeof memory;
  memory.flags = LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE;
  memory.host = into.data();
  memory.size_bytes = into.size();
  memory.numa_node = -1;
  return guarded("Flow::post",
                 [&] { return impl(*this).queue->post(impl(*this), memory, 0, into.size(), tag); });
}

Result<void> Flow::post(const Memory& into, std::uint64_t offset, std::uint64_t length,
                        std::uint64_t tag) {
  return guarded("Flow::post", [&] {
    return impl(*this).queue->post(impl(*this), into.abi(), offset, length, tag);
  });
}

Result<Fd> Flow::detach() {
  return guarded("Flow::detach", [&] { return impl(*this).queue->detach(impl(*this)); });
}
void Flow::close(bool reset) noexcept {
  impl(*this).queue->close(impl(*this), reset);
}

// ---- Receiver
// ------------------------------------------------------------------------------------

Result<std::size_t> Receiver::poll(std::span<Completion> out) noexcept {
  return core_->poll(out);
}
Result<std::size_t> Receiver::wait(std::span<Completion> out,
                                   std::chrono::nanoseconds timeout) noexcept {
  return core_->wait(out, timeout);
}
int Receiver::wait_fd() const noexcept {
  return core_->wait_fd();
}
Result<bool> Receiver::arm() noexcept {
  return core_->arm();
}
Result<Flow*> Receiver::attach(Fd& fd, const FlowOptions& options) {
  return guarded("Receiver::attach", [&] { return core_->attach(fd, options); });
}
Result<Flow*> Receiver::connect(const Address& to, const FlowOptions& options) {
  return guarded("Receiver::connect", [&] { return core_->connect(to, options); });
}
Result<void> Receiver::hand_over(Fd& fd, const FlowOptions& options) {
  return guarded("Receiver::hand_over", [&] { return core_->hand_over(fd, options); });
}
std::uint32_t Receiver::buffers_out() const noexcept {
  return core_->buffers_out();
}
std::uint32_t Receiver::flows() const noexcept {
  return core_->flows();
}
std::uint64_t Receiver::held_bytes() const noexcept {
  return core_->held_bytes();
}
Result<std::vector<Holder>> Receiver::holders() const {
  return guarded("Receiver::holders", [&] { return core_->holders(); });
}
std::uint64_t Receiver::slice_bytes() const noexcept {
  return core_->slice_bytes();
}
Verdict Receiver::verdict() const noexcept {
  return core_->verdict();
}

// ---- Group
// ---------------------------------------------------------------------------------------

Group::Group(std::shared_ptr<GroupCore> core) noexcept : core_{std::move(core)} {}
Group::Group(Group&&) noexcept = default;
Group& Group::operator=(Group&&) noexcept = default;
Group::~Group() = default;

Result<Group> Group::open(const Context& context, const GroupOptions& options, Region& region,
                          Decision* decision) {
  return guarded("Group::open", [&]() -> Result<Group> {
    Decision own;
    Decision& listed = decision != nullptr ? *decision : own;
    if (!region) return Error{Errc::invalid_argument, "Group::open", ReasonCode::region_in_use};
    LANDFALL_TRY(
        std::shared_ptr<GroupCore> core,
        GroupCore::open(context.core(), options, detail::RegionCore::share(region), listed));
    detail::RegionCore::take(region);
    return Group{std::move(core)};
  });
}

std::size_t Group::size() const noexcept {
  return core_->size();
}
Receiver& Group::operator[](std::size_t index) noexcept {
  return core_->receiver(index);
}
const Memory& Group::memory() const noexcept {
  return core_->region().memory();
}
const Decision& Group::decision() const noexcept {
  return core_->decision();
}
Verdict Group::verdict() const noexcept {
  return core_->verdict();
}
Result<Address> Group::listen(const Address& at, const FlowOptions& options) {
  return guarded("Group::listen", [&] { return core_->listen(at, options); });
}

Result<Fence> Group::fence(void* native_stream) const {
  return detail::FenceCore::record(core_->shared_region(), native_stream);
}

Result<Region> Group::close() {
  LANDFALL_TRY(const std::uint32_t out, core_->close());
  if (out != 0) {
    return Error{Errc::busy, "Group::close", ReasonCode::buffers_out}.with(
        std::to_string(out) + " Buffers are still out");
  }
  std::shared_ptr<detail::RegionCore> region = core_->take_region();
  core_.reset();
  return detail::RegionCore::wrap(std::move(region));
}

}  // namespace landfall
