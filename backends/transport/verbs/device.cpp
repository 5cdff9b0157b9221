// SPDX-License-Identifier: Apache-2.0
#include "verbs/device.hpp"

#include <fcntl.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <map>
#include <set>

#include "verbs/fabric.hpp"

namespace landfall::verbs {

using namespace landfall::authoring;

// ---- the adapter

std::shared_ptr<Adapter> Adapter::of(const Library& library, ibv_context* context) {
  static auto& mutex = *new std::mutex;
  static auto& known = *new std::map<ibv_context*, std::weak_ptr<Adapter>>;
  const std::lock_guard lock{mutex};
  std::weak_ptr<Adapter>& slot = known[context];
  std::shared_ptr<Adapter> adapter = slot.lock();
  if (adapter == nullptr) {
    adapter = std::make_shared<Adapter>(library, context);
    slot = adapter;
  }
  return adapter;
}

void Adapter::add(Concerned& who) {
  const std::lock_guard lock{mutex_};
  concerned_.push_back(&who);
}

void Adapter::remove(Concerned& who) noexcept {
  const std::lock_guard lock{mutex_};
  std::erase(concerned_, &who);
}

namespace {

/// What devices say of a queue pair that has stopped differs. Soft-RoCE says of all of them that
/// the last of the shared receives has come (flush_recv_queue, rxe_resp.c, Linux 7.3).
bool is_of_stopped_pair(ibv_event_type type) noexcept {
  return type == IBV_EVENT_QP_LAST_WQE_REACHED || type == IBV_EVENT_QP_ACCESS_ERR ||
         type == IBV_EVENT_QP_REQ_ERR || type == IBV_EVENT_QP_FATAL;
}

}  // namespace

void Adapter::take_events() noexcept {
  const std::lock_guard lock{mutex_};
  ibv_async_event event{};
  // The descriptor does not block: whoever is second finds nothing.
  while (library_.ibv_get_async_event(context_, &event) == 0) {
    for (Concerned* who : concerned_) {
      if (event.event_type == IBV_EVENT_DEVICE_FATAL)
        who->on_lost(ENODEV);
      else if (event.event_type == IBV_EVENT_CQ_ERR && event.element.cq == who->queue())
        who->on_lost(EOVERFLOW);
      else if (is_of_stopped_pair(event.event_type) && event.element.qp->recv_cq == who->queue())
        who->on_stopped(event.element.qp->qp_context);
    }
    // A queue pair is not destroyed before all its events are acknowledged.
    library_.ibv_ack_async_event(&event);
  }
}

// ---- which one

namespace {

/// Of this network namespace. if_nametoindex(3) of a name that it lacks would not do: the kernel
/// takes that for the name of a module, and runs modprobe for it (dev_load, net/core/dev_ioctl.c).
int interfaces(const landfall_host* host, std::set<std::string>* ret_names) {
  struct if_nameindex* all = nullptr;
  if (const int number = attempt(host, "if_nameindex", [&] {
        all = ::if_nameindex();
        return all == nullptr ? -1 : 0;
      }))
    return number;
  for (const struct if_nameindex* one = all; one->if_index != 0; ++one)
    ret_names->emplace(one->if_name);
  ::if_freenameindex(all);
  return 0;
}

/// Is a port of it on one of these network interfaces? Devices may be seen from every namespace;
/// connections are made by addresses of this one. The table tells which of a thousand places are in
/// use; the interface's number in it says nothing in another namespace, its name does.
int is_on_interface(const landfall_host* host, const Library& library, ibv_context* context,
                    const std::set<std::string>& names, bool* ret_is) {
  constexpr std::size_t kMost = 65535 / sizeof(ibv_gid_entry);  // the call takes no more bytes
  std::vector<ibv_gid_entry> gids(kMost);
  ssize_t count = 0;
  if (const int injected = fault(host, "ibv_query_gid_table"))
    count = -injected;
  else
    count = library._ibv_query_gid_table(context, gids.data(), kMost, 0, sizeof gids[0]);
  if (count < 0) return static_cast<int>(-count);
  const std::string ports = std::string{"/sys/class/infiniband/"} +
                            library.ibv_get_device_name(context->device) + "/ports/";
  *ret_is = std::any_of(gids.begin(), gids.begin() + count, [&](const ibv_gid_entry& gid) {
    std::ifstream file{ports + std::to_string(gid.port_num) + "/gid_attrs/ndevs/" +
                       std::to_string(gid.gid_index)};
    std::string name;
    return file >> name && names.contains(name);
  });
  return 0;
}

bool has_active_port(ibv_context* context, const ibv_device_attr& attributes) {
  for (int port = 1; port <= attributes.phys_port_cnt; ++port) {
    ibv_port_attr state{};
    // What ibv_query_port(3) does inline: the device's own table, as far as it reaches.
    const verbs_context* table = verbs_get_ctx(context);
    if (table != nullptr && table->sz >= sizeof *table - offsetof(verbs_context, query_port) &&
        table->query_port != nullptr &&
        table->query_port(context, static_cast<std::uint8_t>(port), &state, sizeof state) == 0 &&
        state.state == IBV_PORT_ACTIVE)
      return true;
  }
  return false;
}

void set_nonblocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

}  // namespace

landfall_errc find_device(const landfall_domain_spec& spec, const std::string& name,
                          std::shared_ptr<Adapter>* ret_adapter, landfall_why* why) {
  const Library* library = Library::open(why);
  if (library == nullptr) return LANDFALL_ERRC_not_supported;
  const auto none = [&](const char* what, const char* which) {
    return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_rdma_device,
                  LANDFALL_ORIGIN_VERBS, 0, "there is no RDMA device%s%s", what, which);
  };
  std::array<char, IF_NAMESIZE> interface {};
  if (spec.interface_index != 0) ::if_indextoname(spec.interface_index, interface.data());
  std::set<std::string> wanted;
  if (interface[0] != '\0')
    wanted.emplace(interface.data());
  else if (const int number = interfaces(spec.host, &wanted))
    return refuse_call(why, "if_nameindex", number);
  if (const int injected = fault(spec.host, "rdma_get_devices"))
    return refuse_call(why, "rdma_get_devices", injected);
  int count = 0;
  ibv_context** const devices = library->rdma_get_devices(&count);
  if (devices == nullptr) return none("", "");
  ibv_context* found = nullptr;
  bool active = false;
  int failed = 0;  // to look at one of them
  for (int i = 0; i < count && !active; ++i) {
    const std::string is = library->ibv_get_device_name(devices[i]->device);
    if (!name.empty() && is != name) continue;
    bool is_there = !name.empty();
    if (!is_there)
      if (const int number = is_on_interface(spec.host, *library, devices[i], wanted, &is_there))
        failed = number;
    if (!is_there) continue;
    ibv_device_attr attributes{};
    if (library->ibv_query_device(devices[i], &attributes) != 0) continue;
    found = devices[i];
    active = has_active_port(found, attributes);
  }
  library->rdma_free_devices(devices);
  if (found == nullptr) {
    if (failed != 0) return refuse_call(why, "ibv_query_gid_table", failed);
    if (!name.empty()) return none(" called ", name.c_str());
    return interface[0] != '\0' ? none(" on the interface ", interface.data()) : none("", "");
  }
  if (!active)
    return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_rdma_port_down,
                  LANDFALL_ORIGIN_VERBS, 0, "no port of %s is active",
                  library->ibv_get_device_name(found->device));
  set_nonblocking(found->async_fd);
  *ret_adapter = Adapter::of(*library, found);
  return LANDFALL_ERRC_ok;
}

// ---- the device with the region

VerbsDevice::~VerbsDevice() {
  unregister(region_);
  if (pd_ != nullptr) library().ibv_dealloc_pd(pd_);
}

landfall_errc VerbsDevice::open(const landfall_domain_spec& spec, landfall_why* why) {
  if (const int number = library().ibv_query_device(context(), &attributes_))
    return refuse_call(why, "ibv_query_device", number);
  if (const int number = attempt(host_, "ibv_alloc_pd", [&] {
        pd_ = library().ibv_alloc_pd(context());
        return pd_ == nullptr ? -1 : 0;
      }))
    return refuse_call(why, "ibv_alloc_pd", number);
  return register_region(spec, why);
}

landfall_errc VerbsDevice::register_region(const landfall_domain_spec& spec, landfall_why* why) {
  const landfall_memory& memory = *spec.region;
  if (spec.dmabuf_fd >= 0) {
    region_.base = reinterpret_cast<std::uint64_t>(memory.host);
    const int number = attempt(host_, "ibv_reg_dmabuf_mr", [&] {
      region_.mr =
          library().ibv_reg_dmabuf_mr(pd_, spec.dmabuf_offset, memory.size_bytes, region_.base,
                                      spec.dmabuf_fd, IBV_ACCESS_LOCAL_WRITE);
      return region_.mr == nullptr ? -1 : 0;
    });
    if (number == 0) return LANDFALL_ERRC_ok;
    landfall_why reason{};
    reason.struct_size = sizeof reason;
    const landfall_errc code =
        refuse(&reason, errc_of(number), LANDFALL_REASON_dmabuf_not_registrable,
               LANDFALL_ORIGIN_VERBS, number, "ibv_reg_dmabuf_mr failed: errno %d", number);
    if (memory.host == nullptr) {
      if (why != nullptr) *why = reason;
      return code;
    }
    if (host_ != nullptr && host_->event != nullptr) host_->event(host_->ctx, &reason);
  }
  return register_host(memory.host, memory.size_bytes, &region_, why);
}

landfall_errc VerbsDevice::register_host(void* address, std::uint64_t size_bytes,
                                         Registered* ret_memory, landfall_why* why) const {
  ibv_mr* mr = nullptr;
  const int number = attempt(host_, "ibv_reg_mr", [&] {
    mr = (library().ibv_reg_mr)(pd_, address, size_bytes, IBV_ACCESS_LOCAL_WRITE);
    return mr == nullptr ? -1 : 0;
  });
  if (number != 0) {
    // The kernel counts pinned pages against the limit (ib_umem_get,
    // drivers/infiniband/core/umem.c).
    const std::uint32_t reason =
        number == ENOMEM ? LANDFALL_REASON_memlock_limit : LANDFALL_REASON_memory_not_registrable;
    return refuse(why, errc_of(number), reason, LANDFALL_ORIGIN_VERBS, number,
                  "ibv_reg_mr of %llu bytes failed: errno %d",
                  static_cast<unsigned long long>(size_bytes), number);
  }
  *ret_memory = {mr, reinterpret_cast<std::uint64_t>(address)};
  return LANDFALL_ERRC_ok;
}

void VerbsDevice::unregister(const Registered& memory) const noexcept {
  if (memory.mr != nullptr) library().ibv_dereg_mr(memory.mr);
}

std::uint32_t VerbsDevice::slots_max() const noexcept {
  // A completion for each slot, and for what is said to half as many senders, five at a time.
  const int most = std::min(attributes_.max_srq_wr, attributes_.max_cqe / 4);
  return most <= 0 ? 0 : static_cast<std::uint32_t>(most);
}

landfall_errc VerbsDevice::make(const messages::FabricSpec& spec,
                                std::unique_ptr<messages::Fabric>* ret_fabric, landfall_why* why) {
  auto fabric = std::make_unique<VerbsFabric>(*this, spec);
  const landfall_errc code = fabric->open(why);
  if (code == LANDFALL_ERRC_ok) *ret_fabric = std::move(fabric);
  return code;
}

}  // namespace landfall::verbs
