// SPDX-License-Identifier: Apache-2.0
// A domain of libfabric's with the region registered.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "messages/fabric.hpp"
#include "messages/options.hpp"
#include "ofi/library.hpp"

namespace landfall::ofi {

/// Completions that one queue has room for: no more is asked for, and no less is of use.
inline constexpr std::uint32_t kCompletionsMax = (1u << 17) - 1, kCompletionsMin = 1023;

struct Connection;
struct Listening;
struct Peer;

/// Memory that the provider may use.
struct Registered {
  Owned<fid_mr> mr;
  std::byte* base = nullptr;  // what it calls the first byte
  void* descriptor() const noexcept { return mr == nullptr ? nullptr : fi_mr_desc(mr.get()); }
};

/// How one kind of endpoint is asked for.
struct Wanted {
  fi_ep_type type = FI_EP_MSG;
  std::size_t sends = 0, receives = 0;  // under way on one endpoint; 0: any
  const void* from = nullptr;           // sockaddr to listen on
  const void* to = nullptr;             // ... to connect to
  std::uint32_t length = 0;             // of it
};

class OfiDevice final : public messages::Device {
 public:
  explicit OfiDevice(const landfall_host* host) noexcept;
  ~OfiDevice() override;

  /// Is there a provider for this spec? Opens nothing.
  static landfall_errc probe(const landfall_domain_spec& spec, const messages::Options& options,
                             landfall_needs* ret_needs, landfall_why* reterr_why);
  landfall_errc open(const landfall_domain_spec& spec, const messages::Options& options,
                     landfall_why* reterr_why);

  landfall_errc make(const messages::FabricSpec& spec,
                     std::unique_ptr<messages::Fabric>* ret_fabric,
                     landfall_why* reterr_why) override;
  messages::Placement placement() const noexcept override;
  std::uint32_t slots_max() const noexcept override;

  const landfall_host* host() const noexcept { return host_; }
  const fi_info& info() const noexcept { return *info_; }
  fid_fabric& fabric() const noexcept { return *fabric_; }
  fid_domain& domain() const noexcept { return *domain_; }
  const Registered& region() const noexcept { return region_; }
  std::uint32_t window() const noexcept { return window_; }
  std::uint32_t completions_max() const noexcept { return completions_max_; }
  /// Are its endpoints without connections (FI_EP_RDM)?
  bool is_rdm() const noexcept { return info_->ep_attr->type == FI_EP_RDM; }
  /// Can a send be told of only when the other side's provider has taken it?
  bool confirms() const noexcept { return confirms_; }

  /// What this domain's provider offers for an address; nullptr: nothing, *ret_number says why.
  Info info_for(const Wanted& wanted, int* ret_number) const;
  landfall_errc register_memory(const landfall_memory& memory, int dmabuf_fd,
                                std::uint64_t dmabuf_offset, Registered* ret_registered,
                                landfall_why* reterr_why);

  /// Requested connections that no Fabric has yet, and where they came to; guarded by
  /// requests_mutex.
  std::mutex requests_mutex;
  std::vector<std::unique_ptr<Listening>> places;
  std::unordered_map<const messages::Link*, std::unique_ptr<Connection>> requests;
  std::unordered_map<const messages::Link*, std::unique_ptr<Peer>>
      callers;  // the same of FI_EP_RDM

 private:
  landfall_errc open_candidate(const landfall_domain_spec& spec, const fi_info& candidate,
                               landfall_why* why);
  int try_completions();
  int register_iov(const landfall_memory& memory, Registered* ret_registered);
  int register_dmabuf(const landfall_memory& memory, int fd, std::uint64_t offset,
                      Registered* ret_registered);

  const landfall_host* const host_;
  Info info_;
  Owned<fid_fabric> fabric_;
  Owned<fid_domain> domain_;
  Registered region_;
  std::uint32_t window_ = 0, completions_max_ = 0;
  bool confirms_ = false;
  std::atomic<std::uint64_t> next_key_{1};
};

}  // namespace landfall::ofi
