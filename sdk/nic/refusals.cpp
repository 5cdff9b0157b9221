// SPDX-License-Identifier: Apache-2.0
#include "nic/refusals.hpp"

#include <cerrno>
#include <cstring>
#include <string_view>

#include "landfall/base/reason.hpp"
#include "landfall/uapi/netdev.hpp"

namespace landfall::nic {
namespace {

/// One of the kernel's refusals of bind-rx and bind-tx. The texts are those of Linux 6.14 to 7.3:
/// net/core/netdev_rx_queue.c (netif_mp_open_rxq), net/core/devmem.c (net_devmem_bind_dmabuf),
/// net/core/netdev-genl.c. Older kernels say less, and some only their errno.
struct Row {
  int number;             // 0: any
  std::string_view text;  // contained in the kernel's words; "" also where it said nothing
  ReasonCode reason;
};
constexpr Row kBindRows[] = {
    {0, "tcp-data-split is disabled", ReasonCode::header_split_off},
    {0, "hds-thresh is not zero", ReasonCode::hds_threshold},
    {0, "XDP program attached", ReasonCode::xdp_attached},
    {0, "already memory provider bound", ReasonCode::queue_busy},
    {0, "in use by AF_XDP", ReasonCode::queue_busy},
    {0, "leased to a virtual netdev", ReasonCode::queue_leased},
    {0, "belongs to a virtual netdev", ReasonCode::no_memory_provider},
    {0, "index out of range", ReasonCode::queue_unknown},
    {0, "DMA device mismatch", ReasonCode::queues_of_two_devices},
    {0, "doesn't support DMA", ReasonCode::no_memory_provider},
    {0, "netmem TX", ReasonCode::no_netmem_tx},
    {0, "multiple of PAGE_SIZE", ReasonCode::dmabuf_not_aligned},
    {0, "does not support: rx_page_size", ReasonCode::page_size_refused},
    {0, "rx-page-size", ReasonCode::page_size_refused},
    {0, "not aligned to niov size", ReasonCode::dmabuf_not_aligned},
    {0, "Failed to bind dmabuf", ReasonCode::dmabuf_unreachable},
    {0, "Failed to map dmabuf", ReasonCode::dmabuf_unreachable},
    // What has no words, or words that say nothing of their own.
    {EPERM, "", ReasonCode::not_permitted},
    {EACCES, "", ReasonCode::not_permitted},
    {ENODEV, "", ReasonCode::interface_unknown},
    {ERANGE, "", ReasonCode::queue_unknown},
    {E2BIG, "", ReasonCode::page_size_refused},  // mp_dmabuf_devmem_init: another order
    {EOPNOTSUPP, "", ReasonCode::no_memory_provider},
    {ENODATA, "", ReasonCode::no_memory_provider},  // page_pool_check_memory_provider
    {EBADF, "", ReasonCode::not_a_dmabuf},
    {ENOMEM, "", ReasonCode::out_of_memory},
    {EBUSY, "", ReasonCode::queue_busy},
    {EEXIST, "", ReasonCode::queue_busy},
};

ReasonCode bind_reason(const Refusal& refusal) {
  // A queue's number too large: no words, but a pointer at it (netdev_nl_read_rxq_bitmap).
  if (refusal.number == EINVAL && refusal.attribute == uapi::netdev::kQueueId)
    return ReasonCode::queue_unknown;
  for (const Row& row : kBindRows)
    if ((row.number == 0 || row.number == refusal.number) &&
        refusal.text.find(row.text) != std::string::npos)
      return row.reason;
  return ReasonCode::none;
}

std::string listed_text(ReasonCode code) {
  const ReasonInfo* info = find_reason(code);
  return info == nullptr ? std::string{} : std::string{info->text};
}

/// What an errno means for the caller, where the reason does not say it better.
Errc errc_of(ReasonCode reason, int number) {
  switch (reason) {
    case ReasonCode::header_split_off:
    case ReasonCode::hds_threshold:
    case ReasonCode::no_memory_provider:
    case ReasonCode::no_netmem_tx:
    case ReasonCode::page_size_refused:
    case ReasonCode::queues_of_two_devices:
    case ReasonCode::dmabuf_unreachable:
    case ReasonCode::ntuple_off:
    case ReasonCode::rule_refused:
      return Errc::not_supported;
    case ReasonCode::xdp_attached:
    case ReasonCode::queue_busy:
    case ReasonCode::queue_leased:
    case ReasonCode::rule_conflict:
      return Errc::busy;
    case ReasonCode::queue_unknown:
    case ReasonCode::dmabuf_not_aligned:
    case ReasonCode::not_a_dmabuf:
      return Errc::invalid_argument;
    case ReasonCode::rules_full:
      return Errc::limit_reached;
    case ReasonCode::interface_unknown:
      return Errc::not_found;
    default:
      return errc_from_errno(number);
  }
}

Error explained(const char* op, ReasonCode reason, Origin origin, int number, std::string cause,
                const std::string& kernel_text, const std::string& interface) {
  if (!interface.empty()) cause = interface + ": " + cause;
  if (!kernel_text.empty()) cause += " (the kernel: " + kernel_text + ")";
  return Error{errc_of(reason, number), op, reason, origin, number}.with(
      cause, remedy_for(reason, interface));
}

}  // namespace

std::string remedy_for(ReasonCode code, const std::string& interface) {
  const ReasonInfo* info = find_reason(code);
  std::string remedy{info == nullptr ? std::string_view{} : info->remedy};
  constexpr std::string_view kPlace = "IFACE";
  for (std::size_t at = 0; !interface.empty() && (at = remedy.find(kPlace, at)) != remedy.npos;
       at += interface.size())
    remedy.replace(at, kPlace.size(), interface);
  return remedy;
}

bool unexplained(const Refusal& refusal) {
  // What Linux 7.3 says of a queue that is lent to another interface, because that has the device.
  if (refusal.text.find("doesn't support DMA") != std::string::npos) return true;
  return refusal.text.empty() && refusal.attribute == 0 &&
         (refusal.number == EINVAL || refusal.number == EOPNOTSUPP || refusal.number == ENODATA);
}

Error bind_refused(const Refusal& refusal, const std::string& interface, ReasonCode found) {
  const ReasonCode reason = found != ReasonCode::none ? found : bind_reason(refusal);
  std::string cause = listed_text(reason);
  if (reason == ReasonCode::none)
    cause = std::string{"memory could not be bound to the receive queue: "} +
            std::strerror(refusal.number);
  if (reason == ReasonCode::not_permitted)
    cause = "binding memory to a receive queue needs CAP_NET_ADMIN";
  if (reason == ReasonCode::queue_busy && refusal.text.find("AF_XDP") != std::string::npos)
    cause = "the receive queue is in use by AF_XDP";
  return explained("bind-rx", reason, Origin::netlink, refusal.number, std::move(cause),
                   refusal.text, interface);
}

Error send_bind_refused(const Refusal& refusal, const std::string& interface) {
  ReasonCode reason = bind_reason(refusal);
  // Both directions have these in common: "Device doesn't support DMA", and no words at all.
  if (reason == ReasonCode::no_memory_provider) reason = ReasonCode::no_netmem_tx;
  if (refusal.number == EINVAL && reason == ReasonCode::none && refusal.text.empty())
    reason = ReasonCode::not_a_dmabuf;
  std::string cause = listed_text(reason);
  if (reason == ReasonCode::none)
    cause = std::string{"the interface could not be made to send from the memory: "} +
            std::strerror(refusal.number);
  return explained("bind-tx", reason, Origin::netlink, refusal.number, std::move(cause),
                   refusal.text, interface);
}

Error rule_refused(int number, const std::string& interface, bool ntuple_on) {
  const bool forbidden = number == EPERM || number == EACCES;
  const ReasonCode reason = forbidden          ? ReasonCode::not_permitted
                            : number == ENODEV ? ReasonCode::interface_unknown
                            : !ntuple_on       ? ReasonCode::ntuple_off
                            : number == ENOSPC ? ReasonCode::rules_full
                            : number == ENOMEM ? ReasonCode::out_of_memory
                            : number == ENOENT ? ReasonCode::none
                                               : ReasonCode::rule_refused;
  std::string cause = listed_text(reason);
  if (forbidden) cause = "steering flows needs CAP_NET_ADMIN";
  if (reason == ReasonCode::none) cause = "there is no such rule";
  return explained("n-tuple rule", reason, Origin::os, number, std::move(cause), "", interface);
}

Error setting_refused(const char* what, const Refusal& refusal, const std::string& interface) {
  const bool forbidden = refusal.number == EPERM || refusal.number == EACCES;
  const ReasonCode reason = forbidden                  ? ReasonCode::not_permitted
                            : refusal.number == ENODEV ? ReasonCode::interface_unknown
                            : refusal.number == ENOMEM ? ReasonCode::out_of_memory
                                                       : ReasonCode::setting_refused;
  std::string cause = std::string{what} + " could not be set: " + std::strerror(refusal.number);
  if (forbidden) cause = "setting up a NIC needs CAP_NET_ADMIN";
  return explained("set", reason, Origin::netlink, refusal.number, std::move(cause), refusal.text,
                   interface);
}

Error read_refused(const char* what, const Refusal& refusal, const std::string& interface) {
  const bool gone = refusal.number == ENODEV;
  return explained("read", gone ? ReasonCode::interface_unknown : ReasonCode::nic_read_failed,
                   Origin::netlink, refusal.number,
                   std::string{what} + " could not be read: " + std::strerror(refusal.number),
                   refusal.text, interface);
}

}  // namespace landfall::nic
