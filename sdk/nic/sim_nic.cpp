// SPDX-License-Identifier: Apache-2.0
#include "nic/sim_nic.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "landfall/uapi/netdev.hpp"
#include "nic/claim.hpp"
#include "nic/ethtool_ioctl.hpp"
#include "nic/refusals.hpp"
#include "nic/usable.hpp"

namespace landfall::nic {
namespace {

std::uint64_t inode_of(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 ? static_cast<std::uint64_t>(st.st_ino) : 0;
}

/// Readable, and gone, once the other end is closed.
class SimLinkWatch final : public LinkWatch {
 public:
  explicit SimLinkWatch(Fd fd) : fd_{std::move(fd)} {}
  int fd() const noexcept override { return fd_.get(); }
  bool gone() const noexcept override {
    pollfd at{fd_.get(), POLLIN, 0};
    return ::poll(&at, 1, 0) > 0;
  }

 private:
  Fd fd_;
};

Error no_interface(const char* what) {
  return read_refused(what, {ENODEV, "", 0}, "");
}

}  // namespace

SimInterface& SimNic::add(std::uint32_t index, const std::string& name, std::uint32_t queues) {
  SimInterface& added = interfaces_[index];
  NicState& state = added.state;
  state.index = index;
  state.name = name;
  state.driver = state.bus = "sim";
  state.mtu_bytes = 1500;
  state.up = state.carrier = true;
  state.channels = Channels{.combined = queues, .combined_max = 64};
  state.rings = Rings{.rx = 256,
                      .rx_max = 8192,
                      .header_split = HeaderSplit::on,
                      .hds_threshold_bytes = 0,
                      .hds_threshold_max_bytes = 255};
  state.ntuple = state.gro_hw = true;
  RssContext& rss = state.rss.emplace_back();
  for (std::uint32_t i = 0; i < 128; ++i) rss.table.push_back(i % std::max(1u, queues - 1));
  rss.key.assign(40, 0x6d);
  added.table_is_users = queues > 1;
  state.rule_table = RuleTable{.rules = 0, .size = 16, .picks_location = true};
  state.kernel_lists_queues = state.kernel_binds_rx = true;
  for (std::uint32_t id = 0; id < queues; ++id)
    state.queues.push_back({.id = id, .napi_id = 8193 + id});
  return added;
}

void SimNic::describe_memory(int dmabuf_fd, SimMemory memory) {
  memories_[inode_of(dmabuf_fd)] = memory;
}

const SimMemory& SimNic::memory_of(int dmabuf_fd) const {
  static const SimMemory kUsual;
  const auto known = memories_.find(inode_of(dmabuf_fd));
  return known == memories_.end() ? kUsual : known->second;
}

void SimNic::fail(std::uint32_t call, int number) {
  fail_at_ = calls_ + call;
  fail_number_ = number;
}

int SimNic::injected() {
  sweep();
  if (event_due_) std::exchange(event_, nullptr)();
  event_due_ = static_cast<bool>(event_);
  return calls_++ == fail_at_ ? fail_number_ : 0;
}

void SimNic::sweep() {
  std::erase_if(bindings_, [this](const Binding& binding) {
    pollfd other{binding.other_end.get(), 0, 0};
    if (::poll(&other, 1, 0) <= 0 || (other.revents & POLLHUP) == 0) return false;
    if (const auto found = interfaces_.find(binding.interface_index); found != interfaces_.end())
      for (QueueState& queue : found->second.state.queues)
        if (queue.dmabuf_id == binding.id) queue.dmabuf_id.reset();
    return true;
  });
}

std::size_t SimNic::bindings() {
  sweep();
  return bindings_.size();
}

Result<std::vector<InterfaceName>> SimNic::interfaces() {
  if (const int number = injected())
    return read_refused("the list of interfaces", {number, "", 0}, "");
  std::vector<InterfaceName> result;
  for (const auto& [index, interface] : interfaces_)
    result.push_back({index, interface.state.name});
  return result;
}

Result<NicState> SimNic::read(std::uint32_t interface_index) {
  if (const int number = injected()) return read_refused("the link", {number, "", 0}, "");
  const auto found = interfaces_.find(interface_index);
  if (found == interfaces_.end()) return no_interface("the link");
  NicState state = found->second.state;
  state.kernel_binds_rx = kernel_binds_rx;
  if (state.rule_table)
    state.rule_table->rules = static_cast<std::uint32_t>(found->second.rules.size());
  return state;
}

// net/core/netdev_rx_queue.c: netif_mp_open_rxq, __netif_mp_open_rxq.
SimNic::No SimNic::queue_refusal(const SimInterface& at, std::uint32_t queue_id,
                                 std::uint32_t page_bytes) const {
  const NicState& state = at.state;
  const QueueState& queue = state.queues[queue_id];
  if (!state.rings || state.rings->header_split != HeaderSplit::on)
    return {EINVAL, "tcp-data-split is disabled"};
  if (state.rings->hds_threshold_bytes.value_or(0) != 0) return {EINVAL, "hds-thresh is not zero"};
  if (state.xdp_attached)
    return {EEXIST, "unable to custom memory provider to device with XDP program attached"};
  if (page_bytes != 0 && !at.takes_page_sizes)
    return {EOPNOTSUPP, "device does not support: rx_page_size"};
  if (queue.dmabuf_id || queue.io_uring)
    return {EEXIST, "designated queue already memory provider bound"};
  if (queue.af_xdp) return {EBUSY, "designated queue already in use by AF_XDP"};
  if (page_bytes > at.page_bytes_max) return {E2BIG, ""};
  return {};
}

// net/core/devmem.c: net_devmem_bind_dmabuf.
SimNic::No SimNic::memory_refusal(int dmabuf_fd, std::uint32_t page_bytes) const {
  if (inode_of(dmabuf_fd) == 0) return {EBADF, ""};
  const SimMemory& memory = memory_of(dmabuf_fd);
  if (!memory.is_dmabuf) return {EINVAL, ""};
  if (!memory.attaches) return {EPERM, "Failed to bind dmabuf to device"};
  if (!memory.maps) return {ENOMEM, "Failed to map dmabuf attachment"};
  if (page_bytes > memory.piece_align_bytes)
    return {EINVAL, "dmabuf sg entry (addr=0x1000, len=4096) not aligned to niov size 65536"};
  return {};
}

// net/core/netdev-genl.c: netdev_nl_bind_rx_doit.
SimNic::No SimNic::bind_refusal(const BindRequest& request) {
  using uapi::netdev::kDmabufIfindex;
  using uapi::netdev::kQueueId;
  if (!privileged) return {EPERM, ""};
  if (request.rx_page_bytes != 0 && !std::has_single_bit(request.rx_page_bytes))
    return {EINVAL, "rx-page-size must be a power of 2"};
  const auto found = interfaces_.find(request.interface_index);
  if (found == interfaces_.end()) return {ENODEV, ""};
  const SimInterface& interface = found->second;
  if (!interface.restarts_queues) return {EOPNOTSUPP, "", kDmabufIfindex};
  bool first_function = false, second_function = false;
  for (const std::uint32_t id : request.queue_ids) {
    if (id >= interface.state.queues.size()) return {EINVAL, "", kQueueId};
    (id < interface.split_after ? first_function : second_function) = true;
  }
  if (first_function && second_function)
    return {EOPNOTSUPP, "DMA device mismatch between queue 1 and 0 (multi-PF device?)"};
  // A lent queue's device is the borrower's (netdev_queue_get_dma_dev).
  const bool lent = std::ranges::any_of(request.queue_ids, [&](std::uint32_t id) {
    return interface.state.queues[id].leased_to.has_value();
  });
  if (!interface.does_dma || lent) return {EOPNOTSUPP, "Device doesn't support DMA"};
  if (No no = memory_refusal(request.dmabuf_fd, request.rx_page_bytes); no.number != 0) return no;
  for (const std::uint32_t id : request.queue_ids)
    if (No no = queue_refusal(interface, id, request.rx_page_bytes); no.number != 0) return no;
  return {};
}

Result<Bound> SimNic::bind_rx(const BindRequest& request) {
  const auto found = interfaces_.find(request.interface_index);
  const std::string name = found == interfaces_.end() ? "" : found->second.state.name;
  if (const int number = injected()) return bind_refused({number, "", 0}, name);
  if (!kernel_binds_rx) return Error{Errc::not_supported, "bind-rx", ReasonCode::kernel_too_old};
  if (const No no = bind_refusal(request); no.number != 0) {
    const Refusal refusal{no.number, no.text, no.attribute};
    const bool asks = unexplained(refusal) && found != interfaces_.end();
    return bind_refused(
        refusal, name,
        asks ? likely_cause(found->second.state, request.queue_ids) : ReasonCode::none);
  }
  return bound(request.interface_index, request.queue_ids);
}

Result<Bound> SimNic::bound(std::uint32_t interface_index,
                            std::span<const std::uint32_t> queue_ids) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return bind_refused({errno, "", 0}, "");
  Bound bound{next_id_++, Fd{ends[0]}};
  bindings_.push_back(
      {bound.dmabuf_id, interface_index, {queue_ids.begin(), queue_ids.end()}, Fd{ends[1]}});
  for (const std::uint32_t id : queue_ids)
    at(interface_index).state.queues[id].dmabuf_id = bound.dmabuf_id;
  return bound;
}

// net/core/netdev-genl.c: netdev_nl_bind_tx_doit.
SimNic::No SimNic::send_refusal(const SendBindRequest& request) const {
  const auto found = interfaces_.find(request.interface_index);
  if (found == interfaces_.end()) return {ENODEV, ""};
  if (!found->second.sends_from_memory) return {EOPNOTSUPP, "Driver does not support netmem TX"};
  if (!found->second.does_dma) return {EOPNOTSUPP, "Device doesn't support DMA"};
  if (No no = memory_refusal(request.dmabuf_fd, 0); no.number != 0) return no;
  const SimMemory& memory = memory_of(request.dmabuf_fd);
  if (!memory.whole_pages) return {EINVAL, "TX dma-buf size must be a multiple of PAGE_SIZE"};
  if (memory.piece_align_bytes < 4096)
    return {EINVAL, "dmabuf sg entry (addr=0x1000, len=512) not aligned to niov size 4096"};
  return {};
}

Result<Bound> SimNic::bind_tx(const SendBindRequest& request) {
  const auto found = interfaces_.find(request.interface_index);
  const std::string name = found == interfaces_.end() ? "" : found->second.state.name;
  if (const int number = injected()) return send_bind_refused({number, "", 0}, name);
  if (!kernel_binds_tx) return Error{Errc::not_supported, "bind-tx", ReasonCode::kernel_too_old};
  if (const No no = send_refusal(request); no.number != 0)
    return send_bind_refused({no.number, no.text, no.attribute}, name);
  return bound(request.interface_index, {});
}

Result<void> SimNic::try_queue(std::uint32_t interface_index, std::uint32_t queue_id) {
  const std::uint32_t queues[] = {queue_id};
  const auto bound = bind_rx({interface_index, queues, -1, 0});
  if (bound || bound.error().native() == EBADF) return {};
  return bound.error();
}

Result<Fd> SimNic::claim_queue(std::uint32_t interface_index, std::uint32_t queue_id) {
  const auto which = reinterpret_cast<std::uintptr_t>(this);
  return take_queue(std::to_string(::getpid()) + "." + std::to_string(which) + "/", interface_index,
                    queue_id);
}

void SimNic::remove(std::uint32_t index) {
  interfaces_.erase(index);
  watched_.erase(index);
}

Result<std::unique_ptr<LinkWatch>> SimNic::watch(std::uint32_t interface_index) {
  if (const int number = injected()) return os_error("watch", ReasonCode::none, number);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return os_error("socketpair");
  watched_[interface_index].emplace_back(ends[1]);
  return std::unique_ptr<LinkWatch>{std::make_unique<SimLinkWatch>(Fd{ends[0]})};
}

Result<RuleTable> SimNic::rule_table(std::uint32_t interface_index) {
  LANDFALL_TRY(const NicState state, read(interface_index));
  if (!state.rule_table) return rule_refused(EOPNOTSUPP, state.name, true);
  return *state.rule_table;
}

Result<std::vector<Rule>> SimNic::rules(std::uint32_t interface_index) {
  if (const int number = injected()) return rule_refused(number, "", true);
  const auto found = interfaces_.find(interface_index);
  if (found == interfaces_.end()) return rule_refused(ENODEV, "", true);
  return found->second.rules;
}

Result<std::optional<Rule>> SimNic::rule_at(std::uint32_t interface_index, std::uint32_t location) {
  LANDFALL_TRY(const std::vector<Rule> all, rules(interface_index));
  for (const Rule& rule : all)
    if (rule.spec.location == location) return std::optional{rule};
  return std::optional<Rule>{};
}

Result<std::uint32_t> SimNic::insert_rule(std::uint32_t interface_index, const Rule& rule) {
  const auto found = interfaces_.find(interface_index);
  if (found == interfaces_.end()) return rule_refused(ENODEV, "", true);
  SimInterface& interface = found->second;
  const std::string& name = interface.state.name;
  const bool ntuple_on = interface.state.ntuple.value_or(true);
  if (const int number = injected()) return rule_refused(number, name, ntuple_on);
  if (!privileged) return rule_refused(EPERM, name, true);
  if (!ntuple_on || !interface.matches_tcp || !interface.state.rule_table)
    return rule_refused(EOPNOTSUPP, name, ntuple_on);
  const bool by_context = (rule.spec.flow_type & FLOW_RSS) != 0;
  if (!by_context && rule.spec.ring_cookie >= interface.state.queues.size())
    return rule_refused(EINVAL, name, true);
  if (by_context && std::ranges::find(interface.state.rss, rule.rss_context, &RssContext::id) ==
                        interface.state.rss.end())
    return rule_refused(EINVAL, name, true);

  const RuleTable& table = *interface.state.rule_table;
  const auto at = [&](std::uint32_t location) {
    return std::ranges::find_if(interface.rules,
                                [&](const Rule& r) { return r.spec.location == location; });
  };
  Rule placed = rule;
  const bool any = rule.spec.location == RX_CLS_LOC_ANY;
  if (any && !table.picks_location) return rule_refused(EINVAL, name, true);
  if (any) {
    placed.spec.location = 0;
    while (at(placed.spec.location) != interface.rules.end()) ++placed.spec.location;
    if (placed.spec.location >= table.size) return rule_refused(ENOSPC, name, true);
  }
  if (placed.spec.location >= table.size) return rule_refused(EINVAL, name, true);
  // What stands at a chosen place is replaced, as most drivers do.
  if (const auto old = at(placed.spec.location); old != interface.rules.end())
    interface.rules.erase(old);
  interface.rules.push_back(placed);
  return placed.spec.location;
}

Result<void> SimNic::remove_rule(std::uint32_t interface_index, std::uint32_t location) {
  const auto found = interfaces_.find(interface_index);
  if (found == interfaces_.end()) return rule_refused(ENODEV, "", true);
  const std::string& name = found->second.state.name;
  if (const int number = injected()) return rule_refused(number, name, true);
  if (!privileged) return rule_refused(EPERM, name, true);
  if (std::erase_if(found->second.rules,
                    [&](const Rule& r) { return r.spec.location == location; }) == 0)
    return rule_refused(ENOENT, name, true);
  return {};
}

}  // namespace landfall::nic
