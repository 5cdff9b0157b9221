// SPDX-License-Identifier: Apache-2.0
#include "transport/send_group_core.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "landfall/base/limits.hpp"
#include "transport/grant.hpp"
#include "transport/sockets.hpp"

namespace landfall::detail {
namespace {

constexpr SendMethod kAllMethods[] = {SendMethod::devmem, SendMethod::zerocopy, SendMethod::copy};

Result<std::vector<SendMethod>> read_methods(const std::vector<std::string>& names) {
  std::vector<SendMethod> methods;
  for (const std::string& text : names) {
    const auto found = std::ranges::find(kAllMethods, text, [](SendMethod m) { return name(m); });
    if (found == std::end(kAllMethods))
      return Error{Errc::invalid_argument, "SendGroup::open", ReasonCode::option_not_understood}
          .with("there is no sending method '" + text.substr(0, 40) + "'",
                "devmem, zerocopy or copy");
    methods.push_back(*found);
  }
  if (methods.empty()) methods.assign(std::begin(kAllMethods), std::end(kAllMethods));
  return methods;
}

/// A listed reason in the words of sending.
Reason reworded(ReasonCode code, const char* text) {
  Reason reason = reason_from(Error{Errc::not_supported, "", code});
  reason.text = text;
  return reason;
}

/// Edges of everything that a Sender waits for: notices and errors (EPOLLERR), room (EPOLLOUT).
Result<Fd> watch(const ContextCore& context, int socket) {
  const auto refused = [](const char* op, int number) {
    return os_error(op, number == EMFILE ? ReasonCode::nofile_limit : ReasonCode::event_fd_failed,
                    number);
  };
  if (const int number = context.fault("epoll_create1")) return refused("epoll_create1", number);
  Fd events{::epoll_create1(EPOLL_CLOEXEC)};
  if (!events) return refused("epoll_create1", errno);
  epoll_event event{.events = EPOLLOUT | EPOLLET, .data = {}};
  if (::epoll_ctl(events.get(), EPOLL_CTL_ADD, socket, &event) != 0)
    return refused("epoll_ctl", errno);
  return events;
}

}  // namespace

std::string_view name(SendMethod method) noexcept {
  switch (method) {
    case SendMethod::devmem:
      return "devmem";
    case SendMethod::zerocopy:
      return "zerocopy";
    case SendMethod::copy:
      return "copy";
  }
  return "unknown";
}

SendGroupCore::SendGroupCore(std::shared_ptr<ContextCore> context, const SendGroupOptions& options,
                             std::vector<SendMethod> methods, std::shared_ptr<RegionCore> region)
    : context_{std::move(context)},
      options_{options},
      methods_{std::move(methods)},
      region_{std::move(region)} {}

Result<std::shared_ptr<SendGroupCore>> SendGroupCore::open(std::shared_ptr<ContextCore> context,
                                                           const SendGroupOptions& options,
                                                           std::shared_ptr<RegionCore> region) {
  constexpr const char* kOp = "SendGroup::open";
  LANDFALL_TRY(std::vector<SendMethod> methods, read_methods(options.methods));
  if (options.ranges_max == 0 || options.ranges_max > kSendRangesMax)
    return Error{Errc::invalid_argument, kOp}.with("ranges_max is 1 to " +
                                                   std::to_string(kSendRangesMax));
  if (!region->memory().has_host_view() && !region->memory().exports_dmabuf())
    return Error{Errc::not_supported, kOp, ReasonCode::no_host_view}.with(
        "the memory has neither a host view nor a dma-buf to send from");
  return std::make_shared<SendGroupCore>(std::move(context), options, std::move(methods),
                                         std::move(region));
}

Result<std::unique_ptr<SocketSender>> SendGroupCore::attach(Fd& fd, Decision& decision) {
  constexpr const char* kOp = "SendGroup::attach";
  decision = {};
  LANDFALL_CHECK(check_sendable(*context_, fd.get(), kOp));
  SendWay way;
  const bool in_use = has_zerocopy(fd.get());
  std::optional<SendMethod> chosen;
  bool can_copy = false;
  for (const SendMethod method : methods_) {
    Decision::Candidate candidate{
        .transport = std::string{name(method)},
        .usable = true,
        .best = method == SendMethod::copy ? Placement::copied : Placement::direct,
        .reasons = {}};
    if (const auto works = try_method(method, fd.get(), in_use, chosen.has_value(), way); !works) {
      candidate.usable = false;
      candidate.reasons.push_back(reason_from(works.error()));
    } else if (chosen) {
      candidate.reasons.push_back(
          reworded(ReasonCode::better_was_usable, "a method that comes earlier works"));
    } else {
      chosen = method;
      if (method == SendMethod::copy)
        candidate.reasons.push_back(
            reworded(ReasonCode::copied_by_kernel, "the kernel copies every byte once"));
    }
    can_copy |= method == SendMethod::copy && candidate.usable;
    decision.candidates.push_back(std::move(candidate));
  }
  for (const SendMethod method : kAllMethods) {
    if (std::ranges::find(methods_, method) == methods_.end())
      decision.candidates.push_back(
          {std::string{name(method)},
           false,
           Placement::copied,
           {reworded(ReasonCode::not_asked_for, "the list of methods does not name it")}});
  }
  if (!in_use && chosen.value_or(SendMethod::copy) == SendMethod::copy)
    set_zerocopy(fd.get(), false);
  if (!chosen)
    return Error{Errc::not_supported, kOp, decision.candidates.front().reasons.front().code}.with(
        "the connection cannot send from this memory:\n" + decision.describe());
  way.method = *chosen;
  way.may_copy = can_copy;
  decision.chosen = name(*chosen);
  LANDFALL_TRY(Fd events, watch(*context_, fd.get()));
  auto sender =
      std::make_unique<SocketSender>(shared_from_this(), way, std::move(events), decision);
  sender->take(fd);
  return sender;
}

}  // namespace landfall::detail
