// SPDX-License-Identifier: Apache-2.0
// The C API: receivers, flows and buffers.
#include <array>
#include <chrono>
#include <functional>

#include "facade/c_api_support.hpp"

using namespace landfall;
using namespace landfall::c_api;

namespace {

// Completions of one C call: they stand on the stack, and 64 of them keep it below 8 KiB.
constexpr std::size_t kScratch = 64;

void write_completion(Completion& from, landfall_completion_t& to) noexcept {
  to = landfall_completion_t{};
  to.kind = static_cast<std::uint32_t>(from.kind);
  to.reason = static_cast<std::uint32_t>(from.reason);
  to.flow = to_c(from.flow);
  to.buffer = static_cast<landfall_buffer_t*>(std::move(from.buffer).into_handle());
  to.tag = from.tag;
  to.bytes = from.bytes;
  to.error = static_cast<landfall_errc>(from.error.code());
  to.error_reason = static_cast<std::uint32_t>(from.error.reason());
  to.error_native = from.error.native();
  to.error_origin = static_cast<std::int32_t>(from.error.origin());
}

template <class Take>
landfall_errc take_completions(const char* op, landfall_receiver_t* receiver,
                               landfall_completion_t* completions, std::size_t capacity,
                               std::size_t* ret_count, landfall_error_t* reterr_error,
                               Take&& take) noexcept {
  return guarded(op, reterr_error, [&]() -> landfall_errc {
    if (receiver == nullptr || ret_count == nullptr || (completions == nullptr && capacity != 0))
      return misuse(reterr_error, op, "NULL argument");
    std::array<Completion, kScratch> scratch;
    const auto count =
        take(*from_c(receiver), std::span{scratch}.first(std::min(capacity, kScratch)));
    if (!count) return report(reterr_error, count.error());
    for (std::size_t i = 0; i < *count; ++i) write_completion(scratch[i], completions[i]);
    *ret_count = *count;
    return LANDFALL_ERRC_ok;
  });
}

/// A view of the caller's Buffer, empty if the handle is refused: never owns it, so never drops it.
class Lent {
 public:
  explicit Lent(const landfall_buffer_t* buffer) noexcept
      : found_{buffer}, buffer_{detail::Slot::lease(found_.slot())} {
    if (buffer != nullptr && !buffer_) code_ = refused_handle();
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  ~Lent() { detail::Slot::release(std::move(buffer_)); }
  explicit operator bool() const noexcept { return static_cast<bool>(buffer_); }
  const Buffer& operator*() const noexcept { return buffer_; }
  const Buffer* operator->() const noexcept { return &buffer_; }
  landfall_errc code() const noexcept { return static_cast<landfall_errc>(code_); }

 private:
  Errc code_ = Errc::invalid_argument;  // of NULL, too
  detail::FoundHandle found_;
  Buffer buffer_;
};

/// What `get` says of the Buffer; a refused handle has zero of everything.
template <class Value>
Value ask(const landfall_buffer_t* buffer, Value (Buffer::*get)() const noexcept) noexcept {
  const Lent lent{buffer};
  return lent ? std::invoke(get, *lent) : Value{};
}

}  // namespace

extern "C" {

landfall_errc landfall_receiver_poll(landfall_receiver_t* receiver,
                                     landfall_completion_t* completions, std::size_t capacity,
                                     std::size_t* ret_count,
                                     landfall_error_t* reterr_error) noexcept {
  return take_completions(
      "landfall_receiver_poll", receiver, completions, capacity, ret_count, reterr_error,
      [](Receiver& from, std::span<Completion> into) { return from.poll(into); });
}

landfall_errc landfall_receiver_wait(landfall_receiver_t* receiver,
                                     landfall_completion_t* completions, std::size_t capacity,
                                     std::int64_t timeout_ns, std::size_t* ret_count,
                                     landfall_error_t* reterr_error) noexcept {
  return take_completions("landfall_receiver_wait", receiver, completions, capacity, ret_count,
                          reterr_error, [timeout_ns](Receiver& from, std::span<Completion> into) {
                            return from.wait(into, std::chrono::nanoseconds{timeout_ns});
                          });
}

int landfall_receiver_fd(const landfall_receiver_t* receiver) noexcept {
  return receiver == nullptr ? -1 : from_c(receiver)->wait_fd();
}

landfall_errc landfall_receiver_arm(landfall_receiver_t* receiver, int* ret_sleep,
                                    landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_receiver_arm";
  if (receiver == nullptr || ret_sleep == nullptr)
    return misuse(reterr_error, kOp, "NULL argument");
  const auto sleep = from_c(receiver)->arm();
  if (!sleep) return report(reterr_error, sleep.error());
  *ret_sleep = *sleep ? 1 : 0;
  return LANDFALL_ERRC_ok;
}

landfall_errc landfall_receiver_attach(landfall_receiver_t* receiver, int* fd,
                                       const landfall_flow_options_t* options,
                                       landfall_flow_t** ret_flow,
                                       landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_receiver_attach";
  const bool complete = receiver != nullptr && fd != nullptr;
  return with_options(kOp, complete, options, reterr_error,
                      [&](const FlowOptions& flow_options) -> landfall_errc {
                        const Offered socket{fd};
                        const auto flow = from_c(receiver)->attach(socket.get(), flow_options);
                        if (!flow) return report(reterr_error, flow.error());
                        if (ret_flow != nullptr) *ret_flow = to_c(*flow);
                        return LANDFALL_ERRC_ok;
                      });
}

landfall_errc landfall_receiver_connect(landfall_receiver_t* receiver, const char* host,
                                        std::uint16_t port, const landfall_flow_options_t* options,
                                        landfall_flow_t** ret_flow,
                                        landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_receiver_connect";
  const bool complete = receiver != nullptr && host != nullptr;
  return with_options(
      kOp, complete, options, reterr_error, [&](const FlowOptions& flow_options) -> landfall_errc {
        const auto flow = from_c(receiver)->connect(Address{host, port}, flow_options);
        if (!flow) return report(reterr_error, flow.error());
        if (ret_flow != nullptr) *ret_flow = to_c(*flow);
        return LANDFALL_ERRC_ok;
      });
}

landfall_errc landfall_receiver_hand_over(landfall_receiver_t* receiver, int* fd,
                                          const landfall_flow_options_t* options,
                                          landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_receiver_hand_over";
  const bool complete = receiver != nullptr && fd != nullptr;
  return with_options(kOp, complete, options, reterr_error,
                      [&](const FlowOptions& flow_options) -> landfall_errc {
                        const Offered socket{fd};
                        const auto taken = from_c(receiver)->hand_over(socket.get(), flow_options);
                        return taken ? LANDFALL_ERRC_ok : report(reterr_error, taken.error());
                      });
}

landfall_errc landfall_receiver_verdict(const landfall_receiver_t* receiver,
                                        landfall_verdict_t* ret_verdict) noexcept {
  if (receiver == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_verdict(from_c(receiver)->verdict(), ret_verdict);
}

std::uint32_t landfall_receiver_buffers_out(const landfall_receiver_t* receiver) noexcept {
  return receiver == nullptr ? 0 : from_c(receiver)->buffers_out();
}

std::uint32_t landfall_receiver_flows(const landfall_receiver_t* receiver) noexcept {
  return receiver == nullptr ? 0 : from_c(receiver)->flows();
}

std::uint64_t landfall_receiver_held_bytes(const landfall_receiver_t* receiver) noexcept {
  return receiver == nullptr ? 0 : from_c(receiver)->held_bytes();
}

std::uint64_t landfall_flow_id(const landfall_flow_t* flow) noexcept {
  return flow == nullptr ? 0 : from_c(flow)->id();
}

void* landfall_flow_user(const landfall_flow_t* flow) noexcept {
  return flow == nullptr ? nullptr : from_c(flow)->user();
}

void landfall_flow_set_user(landfall_flow_t* flow, void* user) noexcept {
  if (flow != nullptr) from_c(flow)->set_user(user);
}

landfall_errc landfall_flow_verdict(const landfall_flow_t* flow,
                                    landfall_verdict_t* ret_verdict) noexcept {
  if (flow == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_verdict(from_c(flow)->verdict(), ret_verdict);
}

landfall_errc landfall_flow_decision(const landfall_flow_t* flow,
                                     landfall_decision_t** ret_decision) noexcept {
  return guarded("landfall_flow_decision", nullptr, [&]() -> landfall_errc {
    if (flow == nullptr || ret_decision == nullptr) return LANDFALL_ERRC_invalid_argument;
    *ret_decision = make_decision(from_c(flow)->decision());
    return LANDFALL_ERRC_ok;
  });
}

std::uint64_t landfall_flow_received_bytes(const landfall_flow_t* flow) noexcept {
  return flow == nullptr ? 0 : from_c(flow)->received_bytes();
}

std::uint64_t landfall_flow_held_bytes(const landfall_flow_t* flow) noexcept {
  return flow == nullptr ? 0 : from_c(flow)->held_bytes();
}

landfall_errc landfall_flow_peer(const landfall_flow_t* flow, char* ret_text, std::size_t capacity,
                                 std::uint16_t* ret_port, landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_flow_peer";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (flow == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    const auto peer = from_c(flow)->peer();
    if (!peer) return report(reterr_error, peer.error());
    if (ret_text != nullptr && capacity != 0) copy_text(ret_text, capacity, peer->host);
    if (ret_port != nullptr) *ret_port = peer->port;
    return LANDFALL_ERRC_ok;
  });
}

void landfall_flow_pause(landfall_flow_t* flow) noexcept {
  if (flow != nullptr) from_c(flow)->pause();
}

void landfall_flow_resume(landfall_flow_t* flow) noexcept {
  if (flow != nullptr) from_c(flow)->resume();
}

landfall_errc landfall_flow_land(landfall_flow_t* flow, std::uint64_t most_bytes,
                                 landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_flow_land";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (flow == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    const auto done = from_c(flow)->land(most_bytes);
    return done ? LANDFALL_ERRC_ok : report(reterr_error, done.error());
  });
}

landfall_errc landfall_flow_post(landfall_flow_t* flow, void* into, std::uint64_t length,
                                 std::uint64_t tag, landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_flow_post";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (flow == nullptr || into == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    const auto done = from_c(flow)->post(std::span{static_cast<std::byte*>(into), length}, tag);
    return done ? LANDFALL_ERRC_ok : report(reterr_error, done.error());
  });
}

landfall_errc landfall_flow_detach(landfall_flow_t* flow, int* ret_fd,
                                   landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_flow_detach";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (flow == nullptr || ret_fd == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    auto fd = from_c(flow)->detach();
    if (!fd) return report(reterr_error, fd.error());
    *ret_fd = fd->release();
    return LANDFALL_ERRC_ok;
  });
}

void landfall_flow_close(landfall_flow_t* flow, int reset) noexcept {
  if (flow != nullptr) from_c(flow)->close(reset != 0);
}

landfall_errc landfall_buffer_drop(landfall_buffer_t* buffer) noexcept {
  if (buffer == nullptr || Buffer::from_handle(buffer)) return LANDFALL_ERRC_ok;
  return static_cast<landfall_errc>(refused_handle());
}

std::uint64_t landfall_buffers_refused(void) noexcept {
  return detail::handles_refused();
}

void* landfall_buffer_data(const landfall_buffer_t* buffer) noexcept {
  const Lent lent{buffer};
  if (!lent) return nullptr;
  const auto bytes = lent->host_bytes();
  return bytes ? bytes->data() : nullptr;
}

std::uint32_t landfall_buffer_length(const landfall_buffer_t* buffer) noexcept {
  return ask(buffer, &Buffer::length);
}

std::uint64_t landfall_buffer_offset(const landfall_buffer_t* buffer) noexcept {
  return ask(buffer, &Buffer::offset);
}

std::uint64_t landfall_buffer_stream_offset(const landfall_buffer_t* buffer) noexcept {
  return ask(buffer, &Buffer::stream_offset);
}

std::uint64_t landfall_buffer_flow_id(const landfall_buffer_t* buffer) noexcept {
  return ask(buffer, &Buffer::flow_id);
}

std::uint32_t landfall_buffer_charge(const landfall_buffer_t* buffer) noexcept {
  return ask(buffer, &Buffer::charge_bytes);
}

std::uint32_t landfall_buffer_placement(const landfall_buffer_t* buffer) noexcept {
  const Lent lent{buffer};
  return static_cast<std::uint32_t>(lent ? lent->placement() : Placement::unsure);
}

int landfall_buffer_ends_message(const landfall_buffer_t* buffer) noexcept {
  return ask(buffer, &Buffer::ends_message) ? 1 : 0;
}

landfall_errc landfall_buffer_memory(const landfall_buffer_t* buffer,
                                     landfall_memory_info_t* ret_memory) noexcept {
  const Lent lent{buffer};
  if (!lent) return lent.code();
  return write_memory(lent->memory(), ret_memory);
}

}  // extern "C"
