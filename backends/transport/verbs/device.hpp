// SPDX-License-Identifier: Apache-2.0
// An RDMA device with the region registered.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "messages/fabric.hpp"
#include "verbs/library.hpp"

namespace landfall::verbs {

/// Somebody whom an event of the device concerns. Called with the Adapter's lock held.
class Concerned {
 public:
  virtual ~Concerned() = default;
  virtual const ibv_cq* queue() const noexcept = 0;
  virtual void on_lost(int number) noexcept = 0;
  /// One of its queue pairs, made with this context, takes and gives nothing any more.
  virtual void on_stopped(void* context) noexcept = 0;
};

/// What this process has of one device, once for all who use it: its asynchronous events come by
/// one descriptor.
class Adapter {
 public:
  Adapter(const Library& library, ibv_context* context) noexcept
      : library_{library}, context_{context} {}

  static std::shared_ptr<Adapter> of(const Library& library, ibv_context* context);

  const Library& library() const noexcept { return library_; }
  ibv_context* context() const noexcept { return context_; }
  int events_fd() const noexcept { return context_->async_fd; }
  void add(Concerned& who);
  void remove(Concerned& who) noexcept;
  /// Any thread: tells those whom the events that have come concern.
  void take_events() noexcept;

 private:
  const Library& library_;
  ibv_context* const context_;
  std::mutex mutex_;
  std::vector<Concerned*> concerned_;
};

/// Memory that the device may use.
struct Registered {
  ibv_mr* mr = nullptr;
  std::uint64_t base = 0;  // the device's address of its first byte
};

class VerbsDevice final : public messages::Device {
 public:
  VerbsDevice(std::shared_ptr<Adapter> adapter, const landfall_host* host) noexcept
      : adapter_{std::move(adapter)}, host_{host} {}
  ~VerbsDevice() override;

  landfall_errc open(const landfall_domain_spec& spec, landfall_why* why);
  landfall_errc make(const messages::FabricSpec& spec,
                     std::unique_ptr<messages::Fabric>* ret_fabric, landfall_why* why) override;
  std::uint32_t slots_max() const noexcept override;

  landfall_errc register_host(void* address, std::uint64_t size_bytes, Registered* ret_memory,
                              landfall_why* why) const;
  void unregister(const Registered& memory) const noexcept;

  Adapter& adapter() const noexcept { return *adapter_; }
  const Library& library() const noexcept { return adapter_->library(); }
  ibv_context* context() const noexcept { return adapter_->context(); }
  ibv_pd* pd() const noexcept { return pd_; }
  const Registered& region() const noexcept { return region_; }
  const landfall_host* host() const noexcept { return host_; }
  const ibv_device_attr& attributes() const noexcept { return attributes_; }

 private:
  landfall_errc register_region(const landfall_domain_spec& spec, landfall_why* why);

  const std::shared_ptr<Adapter> adapter_;
  const landfall_host* const host_;
  ibv_device_attr attributes_{};
  ibv_pd* pd_ = nullptr;
  Registered region_;
};

/// The device of this name, or on this interface, or the first one with an active port.
/// Errors: not_supported - rdma_library_missing, no_rdma_device, rdma_port_down.
landfall_errc find_device(const landfall_domain_spec& spec, const std::string& name,
                          std::shared_ptr<Adapter>* ret_adapter, landfall_why* why);

}  // namespace landfall::verbs
