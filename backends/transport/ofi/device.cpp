// SPDX-License-Identifier: Apache-2.0
#include "ofi/device.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "messages/wire.hpp"
#include "ofi/msg_fabric.hpp"
#include "ofi/rdm_fabric.hpp"

namespace landfall::ofi {
namespace {

using namespace authoring;

// Headers before 1.20 do not know dma-bufs, libraries may (fi_mr(3) of 1.20).
#ifndef FI_MR_DMABUF
#define FI_MR_DMABUF (1ULL << 40)
struct fi_mr_dmabuf {
  int fd;
  std::uint64_t offset;
  std::size_t len;
  void* base_addr;
};
#endif

constexpr std::int32_t kCuda = 2;  // landfall_memory.device_kind

/// What a queue asks of one endpoint at most (messages/sending.cpp). `verbs` gives an endpoint no
/// more than the domain was opened with (vrb_open_ep, prov/verbs of 1.17), 384 if nothing is said.
constexpr Wanted kMost{.sends = 128, .receives = messages::kWindowMax + 2};

/// Of this host's addresses those that the provider was asked for may be bound to.
bool same_address(const sockaddr* left, const void* right) noexcept {
  const auto* other = static_cast<const sockaddr*>(right);
  if (left == nullptr || other == nullptr || left->sa_family != other->sa_family) return false;
  const auto equal = [&](const auto* a, const auto* b) {
    return std::memcmp(a, b, sizeof *a) == 0;
  };
  if (left->sa_family == AF_INET)
    return equal(&reinterpret_cast<const sockaddr_in*>(left)->sin_addr,
                 &reinterpret_cast<const sockaddr_in*>(other)->sin_addr);
  if (left->sa_family == AF_INET6)
    return equal(&reinterpret_cast<const sockaddr_in6*>(left)->sin6_addr,
                 &reinterpret_cast<const sockaddr_in6*>(other)->sin6_addr);
  return false;
}

/// Is the address that this domain sends from one of the interface's?
bool is_of_interface(const fi_info& info, const char* name) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return false;
  bool found = false;
  for (const ifaddrs* one = all; one != nullptr && !found; one = one->ifa_next)
    found = std::string_view{one->ifa_name} == name && same_address(one->ifa_addr, info.src_addr);
  ::freeifaddrs(all);
  return found;
}

/// The smaller is tried first. What the NIC does comes before what the CPU does.
int order_of(const fi_info& info) noexcept {
  const std::string_view provider{info.fabric_attr->prov_name};
  if (provider == "verbs") return 0;
  return provider == "tcp" ? 1 : 2;
}

/// Over TCP sockets the kernel copies on either side. What a provider without connections does with
/// a message depends on its length and the other side's settings, and it does not say.
messages::Placement placement_by(const fi_info& info) noexcept {
  const std::string_view provider{info.fabric_attr->prov_name};
  const std::uint32_t protocol = info.ep_attr->protocol;
  if (protocol == FI_PROTO_SOCK_TCP || protocol == FI_PROTO_XNET ||
      provider.substr(0, 3) == "tcp" || provider.substr(0, 3) == "net")
    return {LANDFALL_COPIED, LANDFALL_REASON_copied_by_kernel};
  if (info.ep_attr->type == FI_EP_RDM) return {LANDFALL_UNSURE, LANDFALL_REASON_provider_may_copy};
  return {};
}

bool only_on_device(const landfall_memory* memory) noexcept {
  return memory != nullptr && memory->host == nullptr;
}

/// Providers may give more than they were asked for: `tcp` does not look at the domain's name.
bool is_named(const fi_info& info, const messages::Options& options) noexcept {
  return (options.device.empty() || options.device == info.domain_attr->name) &&
         (options.provider.empty() || options.provider == info.fabric_attr->prov_name);
}

/// Connected endpoints are reached by IP addresses, and have receives of their own. Not those of
/// `sockets`, which is there for old programs (fi_sockets(7)): its thread crashes when somebody
/// connects, 1.17.
bool fits(const fi_info& info) noexcept {
  if (std::string_view{info.fabric_attr->prov_name} == "sockets") return false;
  if (info.ep_attr->type == FI_EP_RDM) return true;
  const bool ip = info.addr_format == FI_SOCKADDR || info.addr_format == FI_SOCKADDR_IN ||
                  info.addr_format == FI_SOCKADDR_IN6;
  return ip && info.ep_attr->rx_ctx_cnt != FI_SHARED_CONTEXT;
}

bool set_text(char** text, const char* value) noexcept {
  std::free(*text);
  *text = ::strdup(value);
  return *text != nullptr;
}

bool set_address(void** address, std::size_t* length, const void* value,
                 std::uint32_t bytes) noexcept {
  *address = std::malloc(bytes);
  if (*address == nullptr) return false;
  std::memcpy(*address, value, bytes);
  *length = bytes;
  return true;
}

/// What every endpoint must be able to do; nullptr: no memory.
Info hints_for(const Wanted& wanted, bool device_memory) {
  Info hints{library().fi_dupinfo(nullptr)};
  if (hints == nullptr) return nullptr;
  hints->caps = FI_MSG | (device_memory ? FI_HMEM : 0);
  hints->mode = FI_CONTEXT | FI_CONTEXT2 | FI_RX_CQ_DATA;
  hints->ep_attr->type = wanted.type;
  if (wanted.type == FI_EP_RDM)  // at least they are matched in order
    hints->tx_attr->msg_order = hints->rx_attr->msg_order = FI_ORDER_SAS;
  hints->tx_attr->size = wanted.sends;
  hints->rx_attr->size = wanted.receives;
  fi_domain_attr& domain = *hints->domain_attr;
  domain.threading = FI_THREAD_SAFE;
  domain.resource_mgmt = FI_RM_ENABLED;
  domain.cq_data_size = sizeof(std::uint32_t);
  domain.mr_mode = FI_MR_LOCAL | FI_MR_PROV_KEY | FI_MR_ALLOCATED | FI_MR_VIRT_ADDR |
                   (device_memory ? FI_MR_HMEM : 0);
  const auto* address =
      static_cast<const sockaddr*>(wanted.from != nullptr ? wanted.from : wanted.to);
  if (address == nullptr) return hints;
  hints->addr_format = address->sa_family == AF_INET6 ? FI_SOCKADDR_IN6 : FI_SOCKADDR_IN;
  const bool set =
      wanted.from != nullptr
          ? set_address(&hints->src_addr, &hints->src_addrlen, address, wanted.length)
          : set_address(&hints->dest_addr, &hints->dest_addrlen, address, wanted.length);
  if (!set) hints.reset();
  return hints;
}

std::uint32_t api() noexcept {
  return library().fi_version() >= kApiOfDmabufs ? kApiOfDmabufs : kApi;
}

int get_info(const landfall_host* host, const fi_info& hints, Info* ret_list) noexcept {
  fi_info* list = nullptr;
  const int number = attempt(host, "fi_getinfo", [&] {
    return static_cast<ssize_t>(library().fi_getinfo(api(), nullptr, nullptr, 0, &hints, &list));
  });
  if (number == 0) ret_list->reset(list);
  return number;
}

/// The same with room for kMost, where it can be had; nullptr: no memory.
Info largest(const landfall_host* host, const fi_info& candidate, bool device_memory) {
  if (candidate.ep_attr->type == FI_EP_RDM) return copy_of(candidate);  // one serves all flows
  const Info hints = hints_for(kMost, device_memory);
  if (hints == nullptr || !set_text(&hints->domain_attr->name, candidate.domain_attr->name) ||
      !set_text(&hints->fabric_attr->prov_name, candidate.fabric_attr->prov_name))
    return nullptr;
  Info list;
  if (get_info(host, *hints, &list) == 0)
    for (const fi_info* one = list.get(); one != nullptr; one = one->next)
      if (fits(*one) && one->addr_format == candidate.addr_format) return copy_of(*one);
  return copy_of(candidate);
}

struct Candidates {
  std::vector<Info> lists;
  std::vector<const fi_info*> ordered;
};

/// Of one kind of endpoint. 0, or why there are none.
int add_candidates(const landfall_domain_spec& spec, const messages::Options& options,
                   fi_ep_type type, bool device_memory, const char* interface,
                   Candidates* ret_candidates) {
  const Info hints = hints_for({.type = type}, device_memory);
  if (hints == nullptr ||
      (!options.device.empty() && !set_text(&hints->domain_attr->name, options.device.c_str())) ||
      (!options.provider.empty() &&
       !set_text(&hints->fabric_attr->prov_name, options.provider.c_str())))
    return ENOMEM;
  Info list;
  if (const int number = get_info(spec.host, *hints, &list)) return number;
  auto& ordered = ret_candidates->ordered;
  for (const fi_info* one = list.get(); one != nullptr; one = one->next)
    if (fits(*one) && is_named(*one, options) &&
        (*interface == 0 || is_of_interface(*one, interface)))
      ordered.push_back(one);
  ret_candidates->lists.push_back(std::move(list));
  return ordered.empty() ? FI_ENODATA : 0;
}

/// Connections tell when the other side is gone; endpoints without them are for providers that have
/// no others.
int add_best_candidates(const landfall_domain_spec& spec, const messages::Options& options,
                        bool device_memory, const char* interface, Candidates* ret_candidates) {
  const auto add = [&](fi_ep_type type) {
    return add_candidates(spec, options, type, device_memory, interface, ret_candidates);
  };
  const int number = add(FI_EP_MSG);
  return number == 0 ? 0 : add(FI_EP_RDM);
}

landfall_errc find_candidates(const landfall_domain_spec& spec, const messages::Options& options,
                              Candidates* ret_candidates, landfall_why* why) {
  if (Library::open(spec.host, why) == nullptr) return LANDFALL_ERRC_not_supported;
  char interface[IF_NAMESIZE] = "";
  if (options.device.empty() && spec.interface_index != 0 &&
      ::if_indextoname(spec.interface_index, interface) == nullptr)
    interface[0] = 0;
  const bool device_memory = only_on_device(spec.region);
  const int number = add_best_candidates(spec, options, device_memory, interface, ret_candidates);
  auto& ordered = ret_candidates->ordered;
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const fi_info* a, const fi_info* b) { return order_of(*a) < order_of(*b); });
  if (!ordered.empty()) return LANDFALL_ERRC_ok;
  if (number == ENOMEM) return refuse(why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory);
  Candidates others;
  if (device_memory && add_best_candidates(spec, options, false, interface, &others) == 0)
    return refuse(why, LANDFALL_ERRC_not_supported,
                  spec.region->device_address == 0 ? LANDFALL_REASON_dmabuf_not_registrable
                                                   : LANDFALL_REASON_memory_not_registrable,
                  LANDFALL_ORIGIN_LIBFABRIC, number,
                  "libfabric's provider %s takes no memory of devices (FI_HMEM)",
                  others.ordered.front()->fabric_attr->prov_name);
  return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_rdma_device,
                LANDFALL_ORIGIN_LIBFABRIC, number,
                "libfabric has no provider with reliable messages%s%s%s%s%s%s",
                options.provider.empty() ? "" : " of the name ", options.provider.c_str(),
                options.device.empty() ? "" : " for the domain ", options.device.c_str(),
                *interface == 0 ? "" : " on ", interface);
}

}  // namespace

OfiDevice::OfiDevice(const landfall_host* host) noexcept : host_{host} {}
OfiDevice::~OfiDevice() = default;

landfall_errc OfiDevice::probe(const landfall_domain_spec& spec, const messages::Options& options,
                               landfall_needs* ret_needs, landfall_why* why) {
  Candidates candidates;
  if (const auto code = find_candidates(spec, options, &candidates, why)) return code;
  const messages::Placement placed = placement_by(*candidates.ordered.front());
  ret_needs->copy_reason = placed.reason;
  if (placed.how != LANDFALL_DIRECT) ret_needs->best_placement = LANDFALL_COPIED;
  return LANDFALL_ERRC_ok;
}

landfall_errc OfiDevice::open(const landfall_domain_spec& spec, const messages::Options& options,
                              landfall_why* why) {
  window_ = options.window;
  Candidates candidates;
  if (const auto code = find_candidates(spec, options, &candidates, why)) return code;
  landfall_errc code = LANDFALL_ERRC_not_supported;
  for (const fi_info* one : candidates.ordered) {
    code = open_candidate(spec, *one, why);
    if (code == LANDFALL_ERRC_ok) return code;
    region_ = {};
    domain_.reset();
    fabric_.reset();
  }
  return code;
}

landfall_errc OfiDevice::open_candidate(const landfall_domain_spec& spec, const fi_info& candidate,
                                        landfall_why* why) {
  info_ = largest(host_, candidate, only_on_device(spec.region));
  if (info_ == nullptr) return refuse(why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory);
  const auto failed = [&](const char* call, int number) {
    return refuse_call(why, call, number, LANDFALL_REASON_no_rdma_device);
  };
  if (const int number = ofi::make<fid_fabric>(host_, "fi_fabric", &fabric_, [&](fid_fabric** out) {
        return library().fi_fabric(info_->fabric_attr, out, nullptr);
      }))
    return failed("fi_fabric", number);
  if (const int number = ofi::make<fid_domain>(host_, "fi_domain", &domain_, [&](fid_domain** out) {
        return fi_domain(fabric_.get(), info_.get(), out, nullptr);
      }))
    return failed("fi_domain", number);

  if (const int number = try_completions()) return failed("fi_cq_open", number);

  if (is_rdm())
    return register_memory(*spec.region, spec.dmabuf_fd, spec.dmabuf_offset, &region_, why);
  Info confirming = hints_for({}, only_on_device(spec.region));
  if (confirming == nullptr ||
      !set_text(&confirming->domain_attr->name, info_->domain_attr->name) ||
      !set_text(&confirming->fabric_attr->prov_name, info_->fabric_attr->prov_name))
    return refuse(why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory);
  confirming->tx_attr->op_flags = FI_DELIVERY_COMPLETE;
  Info answer;
  confirms_ = get_info(host_, *confirming, &answer) == 0;
  return register_memory(*spec.region, spec.dmabuf_fd, spec.dmabuf_offset, &region_, why);
}

/// One that cannot wake a sleeping thread is of no use. How much room it can have is nowhere told
/// (vrb_cq_open, prov/verbs of 1.17); devices have one place less than a power of two.
int OfiDevice::try_completions() {
  fi_cq_attr attributes{};
  attributes.format = FI_CQ_FORMAT_DATA;
  attributes.wait_obj = FI_WAIT_FD;
  int number = 0;
  for (completions_max_ = kCompletionsMax; completions_max_ >= kCompletionsMin;
       completions_max_ /= 2) {
    attributes.size = completions_max_;
    Owned<fid_cq> trial;
    number = ofi::make<fid_cq>(host_, "fi_cq_open", &trial, [&](fid_cq** out) {
      return fi_cq_open(domain_.get(), &attributes, out, nullptr);
    });
    if (number == 0) return 0;
  }
  return number;
}

Info OfiDevice::info_for(const Wanted& wanted, int* ret_number) const {
  const bool device_memory = (info_->caps & FI_HMEM) != 0;
  Info list;
  // A domain of one device serves its own addresses only; one that is not bound to a device, as
  // that of `tcp`, serves those of the others as well.
  for (const bool of_domain : {true, false}) {
    const Info hints = hints_for(wanted, device_memory);
    if (hints == nullptr ||
        !set_text(&hints->fabric_attr->prov_name, info_->fabric_attr->prov_name) ||
        (of_domain && !set_text(&hints->domain_attr->name, info_->domain_attr->name))) {
      *ret_number = ENOMEM;
      return nullptr;
    }
    *ret_number = get_info(host_, *hints, &list);
    if (*ret_number != 0 && *ret_number != FI_ENODATA) return nullptr;
    for (const fi_info* one = list.get(); one != nullptr; one = one->next)
      if (fits(*one)) return copy_of(*one);
  }
  *ret_number = EADDRNOTAVAIL;
  return nullptr;
}

// ---- memory

landfall_errc OfiDevice::register_memory(const landfall_memory& memory, int dmabuf_fd,
                                         std::uint64_t dmabuf_offset, Registered* ret_registered,
                                         landfall_why* why) {
  int number = EOPNOTSUPP;
  if (memory.host == nullptr && dmabuf_fd >= 0 && api() >= kApiOfDmabufs) {
    number = register_dmabuf(memory, dmabuf_fd, dmabuf_offset, ret_registered);
    if (number == 0) return LANDFALL_ERRC_ok;
    if (memory.device_kind != kCuda || memory.device_address == 0)
      return refuse_call(why, "fi_mr_regattr", number, LANDFALL_REASON_dmabuf_not_registrable);
  }
  if (memory.host != nullptr || (memory.device_kind == kCuda && memory.device_address != 0))
    number = register_iov(memory, ret_registered);
  else if (dmabuf_fd >= 0)
    return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_dmabuf_not_registrable,
                  LANDFALL_ORIGIN_LANDFALL, 0, "libfabric registers dma-bufs from 1.20 on");
  if (number == 0) return LANDFALL_ERRC_ok;
  return refuse_call(why, "fi_mr_regattr", number, LANDFALL_REASON_memory_not_registrable);
}

int OfiDevice::register_iov(const landfall_memory& memory, Registered* ret_registered) {
  const bool on_device = memory.host == nullptr;
  void* const base = on_device ? reinterpret_cast<void*>(memory.device_address) : memory.host;
  const iovec whole{base, memory.size_bytes};
  fi_mr_attr attributes{};
  attributes.mr_iov = &whole;
  attributes.iov_count = 1;
  attributes.access = FI_SEND | FI_RECV;
  attributes.requested_key = next_key_++;
  attributes.iface = on_device ? FI_HMEM_CUDA : FI_HMEM_SYSTEM;
  if (on_device) attributes.device.cuda = memory.device_id;
  ret_registered->base = static_cast<std::byte*>(base);
  return ofi::make<fid_mr>(host_, "fi_mr_regattr", &ret_registered->mr, [&](fid_mr** out) {
    return fi_mr_regattr(domain_.get(), &attributes, 0, out);
  });
}

int OfiDevice::register_dmabuf(const landfall_memory& memory, int fd, std::uint64_t offset,
                               Registered* ret_registered) {
  fi_mr_dmabuf piece{};
  piece.fd = fd;
  piece.offset = offset;
  piece.len = memory.size_bytes;
  piece.base_addr = reinterpret_cast<void*>(memory.device_address);
  fi_mr_attr attributes{};
  attributes.mr_iov = reinterpret_cast<const iovec*>(&piece);  // a union with it from 1.20 on
  attributes.iov_count = 1;
  attributes.access = FI_SEND | FI_RECV;
  attributes.requested_key = next_key_++;
  attributes.iface = memory.device_kind == kCuda ? FI_HMEM_CUDA : FI_HMEM_SYSTEM;
  if (memory.device_kind == kCuda) attributes.device.cuda = memory.device_id;
  // Where in the dma-buf the region begins is in `offset`: addresses count from base_addr.
  ret_registered->base = reinterpret_cast<std::byte*>(memory.device_address);
  return ofi::make<fid_mr>(host_, "fi_mr_regattr", &ret_registered->mr, [&](fid_mr** out) {
    return fi_mr_regattr(domain_.get(), &attributes, FI_MR_DMABUF, out);
  });
}

// ---- queues

messages::Placement OfiDevice::placement() const noexcept {
  return placement_by(*info_);
}

std::uint32_t OfiDevice::slots_max() const noexcept {
  // A place for each, and for what is sent to half as many flows: ReceivingQueue::open.
  const std::uint32_t most = completions_max_ / 4;
  return is_rdm() ? static_cast<std::uint32_t>(std::min<std::size_t>(most, info_->rx_attr->size))
                  : most;
}

landfall_errc OfiDevice::make(const messages::FabricSpec& spec,
                              std::unique_ptr<messages::Fabric>* ret_fabric, landfall_why* why) {
  const auto opened = [&](auto fabric) {
    const landfall_errc code = fabric->open(why);
    if (code == LANDFALL_ERRC_ok) *ret_fabric = std::move(fabric);
    return code;
  };
  return is_rdm() ? opened(std::make_unique<RdmFabric>(*this, spec))
                  : opened(std::make_unique<MsgFabric>(*this, spec));
}

}  // namespace landfall::ofi
