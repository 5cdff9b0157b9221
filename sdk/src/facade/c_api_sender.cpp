// SPDX-License-Identifier: Apache-2.0
// The C API: sending.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <utility>

#include "facade/c_api_support.hpp"

using namespace landfall;
using namespace landfall::c_api;

struct landfall_send_group_handle {
  SendGroup group;
};
struct landfall_sender_handle {
  Sender sender;
};
static_assert(sizeof(landfall_sent_t) == 48);

namespace {

// Of one C call, on the stack.
constexpr std::size_t kScratch = 64;

/// Calls `call` on the Sender; what it answers is in the caller's error.
template <class Call>
landfall_errc on_sender(const char* op, landfall_sender_t* sender, landfall_error_t* reterr_error,
                        Call&& call) noexcept {
  return guarded(op, reterr_error, [&]() -> landfall_errc {
    if (sender == nullptr) return misuse(reterr_error, op, "NULL argument");
    const Result<void> done = call(sender->sender);
    return done ? LANDFALL_ERRC_ok : report(reterr_error, done.error());
  });
}

template <class Take>
landfall_errc take_sent(const char* op, landfall_sender_t* sender, landfall_sent_t* sent,
                        std::size_t capacity, std::size_t* ret_count,
                        landfall_error_t* reterr_error, Take&& take) noexcept {
  return guarded(op, reterr_error, [&]() -> landfall_errc {
    if (sender == nullptr || ret_count == nullptr || (sent == nullptr && capacity != 0))
      return misuse(reterr_error, op, "NULL argument");
    std::array<Sent, kScratch> scratch;
    const auto count = take(sender->sender, std::span{scratch}.first(std::min(capacity, kScratch)));
    if (!count) return report(reterr_error, count.error());
    for (std::size_t i = 0; i < *count; ++i)
      sent[i] = {scratch[i].tag,
                 scratch[i].offset,
                 scratch[i].length,
                 static_cast<std::uint32_t>(scratch[i].placement),
                 {}};
    *ret_count = *count;
    return LANDFALL_ERRC_ok;
  });
}

/// What a call answers. Its Decision goes to whoever asks for it, on success and where nothing
/// could be chosen: what fails later is retried, and a caller's loop would lose one each time.
landfall_errc tell(const Error* error, Decision decision, landfall_decision_t** ret_decision,
                   landfall_error_t* reterr_error) {
  const bool told = error == nullptr || decision.chosen.empty();
  if (ret_decision != nullptr && told && !decision.candidates.empty())
    *ret_decision = make_decision(std::move(decision));
  return error == nullptr ? LANDFALL_ERRC_ok : report(reterr_error, *error);
}

landfall_errc give_sender(Result<Sender> sender, Decision decision, landfall_sender_t** ret_sender,
                          landfall_decision_t** ret_decision, landfall_error_t* reterr_error) {
  if (!sender) return tell(&sender.error(), std::move(decision), ret_decision, reterr_error);
  std::unique_ptr<landfall_sender_handle> made{new landfall_sender_handle{std::move(*sender)}};
  const landfall_errc told = tell(nullptr, std::move(decision), ret_decision, reterr_error);
  *ret_sender = made.release();
  return told;
}

}  // namespace

extern "C" {

landfall_errc landfall_send_group_open(const landfall_context_t* context,
                                       const landfall_send_group_options_t* options,
                                       landfall_region_t** region,
                                       landfall_send_group_t** ret_group,
                                       landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_send_group_open";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    landfall_send_group_options_t o = LANDFALL_SEND_GROUP_OPTIONS_INIT;
    if (context == nullptr || region == nullptr || *region == nullptr || ret_group == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    if (!read_sized(options, o)) return misuse(reterr_error, kOp, "options: wrong struct_size");
    SendGroupOptions g;
    if (o.interface_name != nullptr) g.interface = o.interface_name;
    g.methods = split_list(o.methods);
    g.transports = split_list(o.transports);
    g.options = split_list(o.options);
    if (o.ranges_max != 0) g.ranges_max = o.ranges_max;
    if (o.contract != nullptr) {
      const auto contract = read_contract(o.contract);
      if (!contract) return misuse(reterr_error, kOp, "malformed contract");
      g.contract = *contract;
    }
    auto group = SendGroup::open(context->context, g, (*region)->region);
    if (!group) return report(reterr_error, group.error());
    *ret_group = new landfall_send_group_handle{std::move(*group)};
    landfall_region_free(std::exchange(*region, nullptr));
    return LANDFALL_ERRC_ok;
  });
}

landfall_errc landfall_send_group_close(landfall_send_group_t** group,
                                        landfall_region_t** ret_region,
                                        landfall_error_t* reterr_error) noexcept {
  return close_owner("landfall_send_group_close", group, ret_region, reterr_error);
}

void landfall_send_group_free(landfall_send_group_t* group) noexcept {
  delete group;
}

landfall_errc landfall_send_group_memory(const landfall_send_group_t* group,
                                         landfall_memory_info_t* ret_memory) noexcept {
  if (group == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_memory(group->group.memory(), ret_memory);
}

landfall_errc landfall_send_group_attach(landfall_send_group_t* group, int* fd,
                                         landfall_sender_t** ret_sender,
                                         landfall_decision_t** ret_decision,
                                         landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_send_group_attach";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (group == nullptr || fd == nullptr || ret_sender == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    const Offered offered{fd};
    Decision decision;
    auto sender = group->group.attach(offered.get(), &decision);
    return give_sender(std::move(sender), std::move(decision), ret_sender, ret_decision,
                       reterr_error);
  });
}

landfall_errc landfall_send_group_connect(landfall_send_group_t* group, const char* host,
                                          std::uint16_t port, std::int64_t timeout_ns,
                                          landfall_sender_t** ret_sender,
                                          landfall_decision_t** ret_decision,
                                          landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_send_group_connect";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (group == nullptr || host == nullptr || ret_sender == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    Decision decision;
    auto sender =
        group->group.connect(Address{host, port}, std::chrono::nanoseconds{timeout_ns}, &decision);
    return give_sender(std::move(sender), std::move(decision), ret_sender, ret_decision,
                       reterr_error);
  });
}

landfall_errc landfall_send_group_listen(landfall_send_group_t* group, const char* host,
                                         std::uint16_t port, std::uint16_t* ret_port,
                                         landfall_decision_t** ret_decision,
                                         landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_send_group_listen";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (group == nullptr) return misuse(reterr_error, kOp, "NULL argument");
    Decision decision;
    const auto at = group->group.listen(Address{host == nullptr ? "" : host, port}, &decision);
    const landfall_errc told =
        tell(at ? nullptr : &at.error(), std::move(decision), ret_decision, reterr_error);
    if (at && ret_port != nullptr) *ret_port = at->port;
    return told;
  });
}

landfall_errc landfall_send_group_accept(landfall_send_group_t* group, std::int64_t timeout_ns,
                                         landfall_sender_t** ret_sender,
                                         landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_send_group_accept";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (group == nullptr || ret_sender == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    return give_sender(group->group.accept(std::chrono::nanoseconds{timeout_ns}), {}, ret_sender,
                       nullptr, reterr_error);
  });
}

landfall_errc landfall_sender_send(landfall_sender_t* sender, std::uint64_t offset,
                                   std::uint64_t length, std::uint64_t tag,
                                   landfall_error_t* reterr_error) noexcept {
  return on_sender("landfall_sender_send", sender, reterr_error,
                   [&](Sender& s) { return s.send(offset, length, tag); });
}

landfall_errc landfall_sender_send_inline(landfall_sender_t* sender, const void* bytes,
                                          std::size_t length,
                                          landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_sender_send_inline";
  if (bytes == nullptr && length != 0) return misuse(reterr_error, kOp, "NULL argument");
  return on_sender(kOp, sender, reterr_error, [&](Sender& s) {
    return s.send_inline({static_cast<const std::byte*>(bytes), length});
  });
}

landfall_errc landfall_sender_finish(landfall_sender_t* sender,
                                     landfall_error_t* reterr_error) noexcept {
  return on_sender("landfall_sender_finish", sender, reterr_error,
                   [](Sender& s) { return s.finish(); });
}

landfall_errc landfall_sender_poll(landfall_sender_t* sender, landfall_sent_t* sent,
                                   std::size_t capacity, std::size_t* ret_count,
                                   landfall_error_t* reterr_error) noexcept {
  return take_sent("landfall_sender_poll", sender, sent, capacity, ret_count, reterr_error,
                   [](Sender& s, std::span<Sent> out) { return s.poll(out); });
}

landfall_errc landfall_sender_wait(landfall_sender_t* sender, landfall_sent_t* sent,
                                   std::size_t capacity, std::int64_t timeout_ns,
                                   std::size_t* ret_count,
                                   landfall_error_t* reterr_error) noexcept {
  return take_sent("landfall_sender_wait", sender, sent, capacity, ret_count, reterr_error,
                   [&](Sender& s, std::span<Sent> out) {
                     return s.wait(out, std::chrono::nanoseconds{timeout_ns});
                   });
}

int landfall_sender_fd(const landfall_sender_t* sender) noexcept {
  return sender == nullptr ? -1 : sender->sender.wait_fd();
}

landfall_errc landfall_sender_arm(landfall_sender_t* sender, int* ret_sleep,
                                  landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_sender_arm";
  if (ret_sleep == nullptr) return misuse(reterr_error, kOp, "NULL argument");
  return on_sender(kOp, sender, reterr_error, [&](Sender& s) -> Result<void> {
    LANDFALL_TRY(const bool sleep, s.arm());
    *ret_sleep = sleep ? 1 : 0;
    return {};
  });
}

std::uint32_t landfall_sender_ranges_out(const landfall_sender_t* sender) noexcept {
  return sender == nullptr ? 0 : sender->sender.ranges_out();
}

std::uint64_t landfall_sender_sent_bytes(const landfall_sender_t* sender) noexcept {
  return sender == nullptr ? 0 : sender->sender.sent_bytes();
}

landfall_errc landfall_sender_verdict(const landfall_sender_t* sender,
                                      landfall_verdict_t* ret_verdict) noexcept {
  if (sender == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_verdict(sender->sender.verdict(), ret_verdict);
}

landfall_errc landfall_sender_close(landfall_sender_t* sender, std::int64_t timeout_ns,
                                    landfall_error_t* reterr_error) noexcept {
  return on_sender("landfall_sender_close", sender, reterr_error,
                   [&](Sender& s) { return s.close(std::chrono::nanoseconds{timeout_ns}); });
}

landfall_errc landfall_sender_detach(landfall_sender_t** sender, int* ret_fd,
                                     landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_sender_detach";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (sender == nullptr || *sender == nullptr || ret_fd == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    auto socket = (*sender)->sender.detach();
    if (!socket) return report(reterr_error, socket.error());
    delete std::exchange(*sender, nullptr);
    *ret_fd = socket->release();
    return LANDFALL_ERRC_ok;
  });
}

void landfall_sender_free(landfall_sender_t* sender) noexcept {
  delete sender;
}

}  // extern "C"
