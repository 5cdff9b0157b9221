// SPDX-License-Identifier: Apache-2.0
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "landfall/abi/authoring.hpp"
#include "landfall/uapi/ethtool.hpp"
#include "landfall/uapi/netdev.hpp"
#include "nic/claim.hpp"
#include "nic/decode.hpp"
#include "nic/ethtool_ioctl.hpp"
#include "nic/netlink.hpp"
#include "nic/nic.hpp"
#include "nic/refusals.hpp"
#include "nic/usable.hpp"

namespace landfall::nic {
namespace {

namespace ethtool = uapi::ethtool;
namespace netdev = uapi::netdev;

/// The name at this moment; "" when the interface has gone.
std::string name_of(std::uint32_t index) {
  char name[IF_NAMESIZE]{};
  return ::if_indextoname(index, name) == nullptr ? std::string{} : std::string{name};
}

Error no_such_interface(std::uint32_t index) {
  return Error{Errc::not_found, "read", ReasonCode::interface_unknown, Origin::os, ENODEV}.with(
      "there is no network interface number " + std::to_string(index));
}

class KernelNic final : public Nic {
 public:
  KernelNic(Fd rule_socket, const landfall_host* host)
      : rule_socket_{std::move(rule_socket)}, host_{host} {}

  Result<std::vector<InterfaceName>> interfaces() override;
  Result<NicState> read(std::uint32_t interface_index) override;
  Result<void> try_queue(std::uint32_t interface_index, std::uint32_t queue_id) override;
  Result<Fd> claim_queue(std::uint32_t interface_index, std::uint32_t queue_id) override;
  Result<Bound> bind_rx(const BindRequest& request) override;
  Result<Bound> bind_tx(const SendBindRequest& request) override;
  Result<std::unique_ptr<LinkWatch>> watch(std::uint32_t interface_index) override {
    return watch_link(interface_index, host_);
  }
  Result<RuleTable> rule_table(std::uint32_t interface_index) override;
  Result<std::vector<Rule>> rules(std::uint32_t interface_index) override;
  Result<std::optional<Rule>> rule_at(std::uint32_t interface_index,
                                      std::uint32_t location) override;
  Result<std::uint32_t> insert_rule(std::uint32_t interface_index, const Rule& rule) override;
  Result<void> remove_rule(std::uint32_t interface_index, std::uint32_t location) override;
  Result<void> set_channels(std::uint32_t interface_index, std::uint32_t receiving) override;
  Result<void> set_rings(std::uint32_t interface_index, const RingsRequest& request) override;
  Result<void> set_ntuple(std::uint32_t interface_index, bool on) override;
  Result<void> set_rss_table(std::uint32_t interface_index,
                             std::span<const std::uint32_t> table) override;
  Result<void> set_rss_key(std::uint32_t interface_index,
                           std::span<const std::uint8_t> key) override;
  Result<std::uint32_t> add_rss_context(std::uint32_t interface_index,
                                        std::span<const std::uint32_t> table) override;
  Result<void> remove_rss_context(std::uint32_t interface_index, std::uint32_t id) override;
  int rule_socket() const noexcept override { return rule_socket_.get(); }

 private:
  /// One ioctl on an interface, behind the fault seam: errno.
  template <class Call>
  int on_interface(const char* site, std::uint32_t index, Call&& call) const {
    if (const int injected = authoring::fault(host_, site)) return injected;
    IoctlInterface at;
    if (const int number = find_interface(rule_socket_.get(), index, at)) return number;
    return call(at);
  }
  Result<void> read_link(NicState& state);
  Result<void> read_settings(Netlink& netlink, NicState& state);
  Result<void> read_queues(Netlink& netlink, NicState& state);
  void read_by_ioctl(NicState& state) const;
  Result<void> has_device(std::uint32_t interface_index);
  ReasonCode find_cause(const BindRequest& request);
  /// A request of the ethtool family that changes something; `fill` adds to it.
  template <class Fill>
  Result<void> change(const char* what, std::uint32_t index, std::uint8_t command, Fill&& fill);
  Result<std::uint32_t> set_rss(const char* what, std::uint32_t index, const RssRequest& request);

  Fd rule_socket_;
  const landfall_host* host_;
};

using Decode = void (*)(Bytes, NicState&);

/// Asks and decodes each answer. EOPNOTSUPP, and ENODATA from older kernels: the driver does not
/// have it, which is an answer.
Result<void> fetch(Netlink& netlink, const char* what, nl_msg* request, Decode decode,
                   NicState& state) {
  const Answer answer = netlink.ask(request);
  if (answer.refusal.number == EOPNOTSUPP || answer.refusal.number == ENODATA) return {};
  if (answer.refusal.number == ENODEV) return no_such_interface(state.index);
  if (answer.refusal) return read_refused(what, answer.refusal, state.name);
  for (const AnswerBytes& message : answer.messages) decode(message, state);
  return {};
}

Error no_room(const char* what) {
  return os_error(what, ReasonCode::out_of_memory, ENOMEM);
}

/// A request of the ethtool family about one interface.
Message ethtool_request(const Family& family, std::uint8_t command, int flags,
                        std::uint32_t index) {
  Message message = generic_message(family, command, flags);
  nlattr* header = message ? nla_nest_start(message.get(), ethtool::kHeader) : nullptr;
  if (header == nullptr || nla_put_u32(message.get(), ethtool::kHeaderDevIndex, index) < 0)
    return {nullptr, nlmsg_free};
  nla_nest_end(message.get(), header);
  return message;
}

Message link_request(std::uint32_t index, int flags) {
  Message message{nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST | flags), nlmsg_free};
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  if (message && nlmsg_append(message.get(), &link, sizeof link, NLMSG_ALIGNTO) < 0)
    message.reset();
  return message;
}

Result<std::vector<InterfaceName>> KernelNic::interfaces() {
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_ROUTE, host_));
  const Message request = link_request(0, NLM_F_DUMP);
  if (!request) return no_room("RTM_GETLINK");
  const Answer answer = netlink.ask(request.get());
  if (answer.refusal) return read_refused("the list of interfaces", answer.refusal, "");
  std::vector<InterfaceName> result;
  for (const AnswerBytes& message : answer.messages) {
    NicState state;
    decode_link(message, state);
    if (state.index != 0) result.push_back({state.index, state.name});
  }
  std::ranges::sort(result, {}, &InterfaceName::index);
  return result;
}

Result<NicState> KernelNic::read(std::uint32_t interface_index) {
  NicState state;
  state.index = interface_index;
  LANDFALL_CHECK(read_link(state));
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_GENERIC, host_));
  LANDFALL_CHECK(read_settings(netlink, state));
  LANDFALL_CHECK(read_queues(netlink, state));
  read_by_ioctl(state);
  return state;
}

Result<void> KernelNic::read_link(NicState& state) {
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_ROUTE, host_));
  const Message request = link_request(state.index, 0);
  if (!request) return no_room("RTM_GETLINK");
  return fetch(netlink, "the link", request.get(), decode_link, state);
}

Result<void> KernelNic::read_settings(Netlink& netlink, NicState& state) {
  LANDFALL_TRY(const Family family, netlink.family(ethtool::kFamily));
  const struct {
    const char* what;
    std::uint8_t command;
    int flags;
    Decode decode;
  } parts[] = {{"the rings", ethtool::kRingsGet, 0, decode_rings},
               {"the channels", ethtool::kChannelsGet, 0, decode_channels},
               {"the features", ethtool::kFeaturesGet, 0, decode_features},
               {"the RSS tables", ethtool::kRssGet, NLM_F_DUMP, decode_rss}};
  for (const auto& part : parts) {
    if (!family.has(part.command)) continue;
    const Message request = ethtool_request(family, part.command, part.flags, state.index);
    if (!request) return no_room(part.what);
    LANDFALL_CHECK(fetch(netlink, part.what, request.get(), part.decode, state));
  }
  std::ranges::sort(state.rss, {}, &RssContext::id);
  return {};
}

Result<void> KernelNic::read_queues(Netlink& netlink, NicState& state) {
  LANDFALL_TRY(const Family family, netlink.family(netdev::kFamily));
  state.kernel_binds_rx = family.has(netdev::kBindRx);
  state.kernel_lends_queues = family.has(netdev::kQueueCreate);
  state.kernel_lists_queues = family.has(netdev::kQueueGet);
  if (state.kernel_lists_queues) {
    const Message request = generic_message(family, netdev::kQueueGet, NLM_F_DUMP);
    if (!request || nla_put_u32(request.get(), netdev::kQueueIfindex, state.index) < 0)
      return no_room("the queues");
    LANDFALL_CHECK(fetch(netlink, "the queues", request.get(), decode_queue, state));
    std::ranges::sort(state.queues, {}, &QueueState::id);
  }
  if (family.has(netdev::kPagePoolGet)) {
    const Message request = generic_message(family, netdev::kPagePoolGet, NLM_F_DUMP);
    if (!request) return no_room("the page pools");
    LANDFALL_CHECK(fetch(netlink, "the page pools", request.get(), decode_pool, state));
  }
  return {};
}

// What a driver does not answer stays unknown.
void KernelNic::read_by_ioctl(NicState& state) const {
  ethtool_drvinfo driver{};
  if (on_interface("ioctl(GDRVINFO)", state.index,
                   [&](const IoctlInterface& at) { return get_driver(at, driver); }) == 0)
    state.driver.assign(driver.driver, ::strnlen(driver.driver, sizeof driver.driver));
  RuleTable table;
  if (on_interface("ioctl(GRXCLSRLCNT)", state.index,
                   [&](const IoctlInterface& at) { return count_rules(at, table); }) == 0)
    state.rule_table = table;
}

Result<void> KernelNic::try_queue(std::uint32_t interface_index, std::uint32_t queue_id) {
  // No descriptor has this number. EBADF, from the look at the memory: all that comes before it
  // was in order.
  const std::uint32_t queues[] = {queue_id};
  const auto bound = bind_rx({interface_index, queues, -1, 0});
  if (bound || bound.error().native() == EBADF) return {};
  return bound.error();
}

Result<Fd> KernelNic::claim_queue(std::uint32_t interface_index, std::uint32_t queue_id) {
  if (const int number = authoring::fault(host_, "socket"))
    return os_error("socket(AF_UNIX)", ReasonCode::nofile_limit, number);
  return take_queue("", interface_index, queue_id);
}

// Linux 6.12 attaches the memory to the interface's device without a look whether there is one, and
// warns in its log (drivers/dma-buf/dma-buf.c, dma_buf_dynamic_attach).
Result<void> KernelNic::has_device(std::uint32_t interface_index) {
  NicState state;
  state.index = interface_index;
  LANDFALL_CHECK(read_link(state));
  if (!state.bus.empty()) return {};
  return bind_refused({EOPNOTSUPP, "", 0}, state.name, ReasonCode::no_memory_provider);
}

// Linux 6.12 refuses without a word what later kernels explain, and all of them do for a descriptor
// of another kind.
ReasonCode KernelNic::find_cause(const BindRequest& request) {
  struct statfs fs {};
  if (::fstatfs(request.dmabuf_fd, &fs) == 0 && fs.f_type != DMA_BUF_MAGIC)
    return ReasonCode::not_a_dmabuf;
  const auto state = read(request.interface_index);
  return state ? likely_cause(*state, request.queue_ids) : ReasonCode::none;
}

/// What bind-rx or bind-tx answered. The binding lives as long as the socket that it was asked by.
Result<Bound> bound_by(const Netlink& netlink, const Answer& answer) {
  const auto id =
      answer.messages.empty() ? std::nullopt : decode_dmabuf_id(answer.messages.front());
  if (!id) return bind_refused({EBADMSG, "the answer names no binding", 0}, "");
  LANDFALL_TRY(Fd lifeline, netlink.share_fd());
  return Bound{*id, std::move(lifeline)};
}

Result<Bound> KernelNic::bind_rx(const BindRequest& request) {
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_GENERIC, host_));
  LANDFALL_TRY(const Family family, netlink.family(netdev::kFamily));
  if (!family.has(netdev::kBindRx))
    return Error{Errc::not_supported, "bind-rx", ReasonCode::kernel_too_old}.with(
        "the running kernel cannot bind memory to receive queues; Linux 6.12 can");
  if (!family.has(netdev::kQueueCreate)) LANDFALL_CHECK(has_device(request.interface_index));
  const Message message = generic_message(family, netdev::kBindRx, 0);
  if (!message) return no_room("bind-rx");
  nl_msg* m = message.get();
  bool fits = nla_put_u32(m, netdev::kDmabufIfindex, request.interface_index) == 0 &&
              nla_put_u32(m, netdev::kDmabufFd, static_cast<std::uint32_t>(request.dmabuf_fd)) == 0;
  for (const std::uint32_t queue : request.queue_ids) {
    nlattr* nest = fits ? nla_nest_start(m, netdev::kDmabufQueues) : nullptr;
    fits = nest != nullptr && nla_put_u32(m, netdev::kQueueId, queue) == 0 &&
           nla_put_u32(m, netdev::kQueueType, netdev::kRx) == 0;
    if (fits) nla_nest_end(m, nest);
  }
  if (request.rx_page_bytes != 0)
    fits = fits && nla_put_u32(m, netdev::kDmabufRxPageSize, request.rx_page_bytes) == 0;
  if (!fits) return no_room("bind-rx");

  const Answer answer = netlink.ask(m);
  if (answer.refusal)
    return bind_refused(answer.refusal, name_of(request.interface_index),
                        unexplained(answer.refusal) ? find_cause(request) : ReasonCode::none);
  return bound_by(netlink, answer);
}

Result<Bound> KernelNic::bind_tx(const SendBindRequest& request) {
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_GENERIC, host_));
  LANDFALL_TRY(const Family family, netlink.family(netdev::kFamily));
  if (!family.has(netdev::kBindTx))
    return Error{Errc::not_supported, "bind-tx", ReasonCode::kernel_too_old}.with(
        "the running kernel cannot send from device memory; Linux 6.16 can");
  const Message message = generic_message(family, netdev::kBindTx, 0);
  const bool fits =
      message && nla_put_u32(message.get(), netdev::kDmabufIfindex, request.interface_index) == 0 &&
      nla_put_u32(message.get(), netdev::kDmabufFd,
                  static_cast<std::uint32_t>(request.dmabuf_fd)) == 0;
  if (!fits) return no_room("bind-tx");
  const Answer answer = netlink.ask(message.get());
  if (answer.refusal) return send_bind_refused(answer.refusal, name_of(request.interface_index));
  return bound_by(netlink, answer);
}

Result<RuleTable> KernelNic::rule_table(std::uint32_t interface_index) {
  RuleTable table;
  const int number = on_interface("ioctl(GRXCLSRLCNT)", interface_index,
                                  [&](const IoctlInterface& at) { return count_rules(at, table); });
  if (number != 0) return rule_refused(number, name_of(interface_index), true);
  return table;
}

Result<std::vector<Rule>> KernelNic::rules(std::uint32_t interface_index) {
  std::vector<ethtool_rxnfc> found;
  const int number = on_interface("ioctl(GRXCLSRLALL)", interface_index,
                                  [&](const IoctlInterface& at) { return list_rules(at, found); });
  if (number != 0) return rule_refused(number, name_of(interface_index), true);
  std::vector<Rule> result;
  for (const ethtool_rxnfc& rule : found) result.push_back({rule.fs, rule.rss_context});
  return result;
}

Result<std::optional<Rule>> KernelNic::rule_at(std::uint32_t interface_index,
                                               std::uint32_t location) {
  ethtool_rxnfc found{};
  const int number = on_interface("ioctl(GRXCLSRULE)", interface_index,
                                  [&](const auto& at) { return get_rule(at, location, found); });
  if (number == 0) return std::optional{Rule{found.fs, found.rss_context}};
  if (number == ENOENT || number == EINVAL) return std::optional<Rule>{};  // drivers differ
  return rule_refused(number, name_of(interface_index), true);
}

Result<std::uint32_t> KernelNic::insert_rule(std::uint32_t interface_index, const Rule& rule) {
  ethtool_rxnfc request{};
  request.fs = rule.spec;
  request.rss_context = rule.rss_context;
  const int number = on_interface("ioctl(SRXCLSRLINS)", interface_index,
                                  [&](const auto& at) { return nic::insert_rule(at, request); });
  if (number == 0) return request.fs.location;
  const auto state = read(interface_index);
  return rule_refused(number, name_of(interface_index), !state || state->ntuple.value_or(true));
}

Result<void> KernelNic::remove_rule(std::uint32_t interface_index, std::uint32_t location) {
  const int number = on_interface("ioctl(SRXCLSRLDEL)", interface_index,
                                  [&](const auto& at) { return nic::remove_rule(at, location); });
  if (number != 0) return rule_refused(number, name_of(interface_index), true);
  return {};
}

template <class Fill>
Result<void> KernelNic::change(const char* what, std::uint32_t index, std::uint8_t command,
                               Fill&& fill) {
  LANDFALL_TRY(Netlink netlink, Netlink::open(NETLINK_GENERIC, host_));
  LANDFALL_TRY(const Family family, netlink.family(ethtool::kFamily));
  if (!family.has(command)) return setting_refused(what, {EOPNOTSUPP, "", 0}, name_of(index));
  const Message request = ethtool_request(family, command, 0, index);
  if (!request || !fill(request.get())) return no_room(what);
  const Answer answer = netlink.ask(request.get());
  if (answer.refusal) return setting_refused(what, answer.refusal, name_of(index));
  return {};
}

Result<void> KernelNic::set_channels(std::uint32_t interface_index, std::uint32_t receiving) {
  LANDFALL_TRY(const NicState state, read(interface_index));
  const bool combined = !state.channels || state.channels->combined_max != 0;
  const auto attribute = combined ? ethtool::kChannelsCombinedCount : ethtool::kChannelsRxCount;
  return change("the channels", interface_index, ethtool::kChannelsSet,
                [&](nl_msg* m) { return nla_put_u32(m, attribute, receiving) == 0; });
}

Result<void> KernelNic::set_rings(std::uint32_t interface_index, const RingsRequest& request) {
  return change("the rings", interface_index, ethtool::kRingsSet, [&](nl_msg* m) {
    if (request.rx && nla_put_u32(m, ethtool::kRingsRx, *request.rx) != 0) return false;
    if (request.header_split != HeaderSplit::unknown &&
        nla_put_u8(m, ethtool::kRingsTcpDataSplit,
                   request.header_split == HeaderSplit::on ? ethtool::kSplitEnabled
                                                           : ethtool::kSplitDisabled) != 0)
      return false;
    return !request.hds_threshold_bytes ||
           nla_put_u32(m, ethtool::kRingsHdsThresh, *request.hds_threshold_bytes) == 0;
  });
}

Result<void> KernelNic::set_ntuple(std::uint32_t interface_index, bool on) {
  return change("n-tuple steering", interface_index, ethtool::kFeaturesSet, [&](nl_msg* m) {
    nlattr* wanted = nla_nest_start(m, ethtool::kFeaturesWanted);
    nlattr* bits = wanted == nullptr ? nullptr : nla_nest_start(m, ethtool::kBitsetBits);
    nlattr* bit = bits == nullptr ? nullptr : nla_nest_start(m, ethtool::kBitsetBit);
    if (bit == nullptr || nla_put_string(m, ethtool::kBitName, kNtupleFeature) != 0) return false;
    if (on && nla_put_flag(m, ethtool::kBitValue) != 0) return false;
    return nla_nest_end(m, bit) == 0 && nla_nest_end(m, bits) == 0 && nla_nest_end(m, wanted) == 0;
  });
}

Result<std::uint32_t> KernelNic::set_rss(const char* what, std::uint32_t index,
                                         const RssRequest& request) {
  std::uint32_t context = 0;
  const int number = on_interface("ioctl(SRSSH)", index, [&](const IoctlInterface& at) {
    return nic::set_rss(at, request, context);
  });
  if (number != 0) return setting_refused(what, {number, "", 0}, name_of(index));
  return context;
}

Result<void> KernelNic::set_rss_table(std::uint32_t interface_index,
                                      std::span<const std::uint32_t> table) {
  LANDFALL_TRY([[maybe_unused]] const auto context,
               set_rss("the RSS table", interface_index,
                       {.context = 0, .table = table, .reset = table.empty()}));
  return {};
}

Result<void> KernelNic::set_rss_key(std::uint32_t interface_index,
                                    std::span<const std::uint8_t> key) {
  LANDFALL_TRY([[maybe_unused]] const auto context,
               set_rss("the RSS key", interface_index, {.context = 0, .key = key}));
  return {};
}

Result<std::uint32_t> KernelNic::add_rss_context(std::uint32_t interface_index,
                                                 std::span<const std::uint32_t> table) {
  return set_rss("an RSS context", interface_index,
                 {.context = ETH_RXFH_CONTEXT_ALLOC, .table = table});
}

Result<void> KernelNic::remove_rss_context(std::uint32_t interface_index, std::uint32_t id) {
  LANDFALL_TRY([[maybe_unused]] const auto context,
               set_rss("an RSS context", interface_index, {.context = id, .reset = true}));
  return {};
}

}  // namespace

Result<std::unique_ptr<Nic>> open_kernel_nic(const landfall_host* host) {
  constexpr const char* kCall = "socket(AF_INET)";
  int fd = -1;
  const int failed = authoring::attempt(
      host, kCall, [&] { return fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); });
  if (failed != 0)
    return os_error(kCall, failed == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none, failed);
  return std::unique_ptr<Nic>{std::make_unique<KernelNic>(Fd{fd}, host)};
}

}  // namespace landfall::nic
