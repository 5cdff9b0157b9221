// SPDX-License-Identifier: Apache-2.0
// Reliable connections of one queue: a completion queue, a shared receive queue where it receives,
// and what rdma_cm says.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "landfall/base/fd.hpp"
#include "messages/fabric.hpp"
#include "messages/wire.hpp"
#include "shared/gathering.hpp"
#include "verbs/device.hpp"

namespace landfall::verbs {

struct VerbsLink final : messages::Link {
  enum class State : std::uint8_t {
    requested,
    resolving,
    connecting,
    accepting,
    open,
    ending,
    ended
  };
  rdma_cm_id* id = nullptr;
  std::uint32_t qp_number = 0;
  std::uint32_t sends = 0;  // under way, those that are not quiet; a probe, too
  State state = State::requested;
  bool stopped = false;           // its queue pair, and what was sent may still say why
  int end_number = 0;             // ended: why
  std::atomic<bool> dead{false};  // requested: nobody wants it any more
  std::array<std::byte, messages::kHelloBytes> hello{};  // ours, then theirs
  std::uint32_t said_bytes = 0;                          // of theirs
};

class VerbsFabric final : public messages::Fabric, private Concerned {
 public:
  VerbsFabric(VerbsDevice& device, const messages::FabricSpec& spec) noexcept
      : device_{device}, library_{device.library()}, spec_{spec} {}
  ~VerbsFabric() override;
  landfall_errc open(landfall_why* why);

  bool shares_receives() const noexcept override { return true; }
  int post(messages::Link& link, std::span<const std::uint32_t> slots) noexcept override;
  void take_back(messages::Link&, std::uint32_t) noexcept override {}
  int post_empty(messages::Link& any, std::uint32_t count) noexcept override;
  int send(messages::Link& any, const messages::Outgoing& what) noexcept override;
  std::uint32_t poll(std::span<messages::Event> out) noexcept override;
  bool arm() noexcept override;
  int wait_fd() noexcept override;
  /// landfall_transport_ops::wait.
  landfall_errc wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control) noexcept;

  landfall_errc listen(const void* address, std::uint32_t length,
                       std::unique_ptr<messages::Place>* ret_place, void* ret_address,
                       std::uint32_t* ret_length, landfall_why* why) override;
  void close(messages::Place& place) noexcept override;
  landfall_errc prepare(const void* address, std::uint32_t length, void* owner,
                        messages::Link** ret_link, landfall_why* why) override;
  int connect(messages::Link& any, std::span<const std::byte> data) noexcept override;
  int adopt(messages::Link& any, void* owner) override;
  int accept(messages::Link& any, std::span<const std::byte> data) noexcept override;
  void refuse(messages::Link& any, std::span<const std::byte> data) noexcept override;
  void disconnect(messages::Link& any) noexcept override;
  void drop(messages::Link& any, std::vector<std::uint32_t>* ret_slots) noexcept override;

 private:
  static constexpr std::size_t kBatch = 64;
  static constexpr std::uint32_t kProbes = 1;  // of a connection, under way

  // Concerned
  const ibv_cq* queue() const noexcept override { return cq_; }
  void on_lost(int number) noexcept override;
  void on_stopped(void* context) noexcept override;

  // What can be readable beside wake_, as epoll says it.
  enum Ready : std::uint32_t {
    kControl = 1,
    kCompletions = 2,
    kDevice = 4,
    kWoken = 8,
    kCore = 16,
    kTimer = 32
  };
  int watch(int fd, Ready as) noexcept;
  void look(int timeout_ms) noexcept;
  bool notify() noexcept;
  void nap(int control_fd, std::uint32_t us) noexcept;
  void wake() noexcept;
  void set_timer(std::uint32_t seconds) noexcept;
  landfall_errc make_queues(landfall_why* why);
  landfall_errc make_epoll(landfall_why* why);
  std::uint64_t address_of(std::uint16_t memory) const noexcept;
  std::uint32_t key_of(const Registered& memory, const char* site) const noexcept;
  int create_qp(VerbsLink& link) noexcept;
  void probe() noexcept;
  int post_slots(std::span<const std::uint32_t> slots, std::uint32_t key) noexcept;
  int register_spill() noexcept;

  // completions
  std::uint32_t take_completions(std::span<messages::Event> out) noexcept;
  bool translate(const ibv_wc& completion, messages::Event* ret_event) noexcept;
  int create_srq() noexcept;
  void renew_srq() noexcept;
  // what rdma_cm says
  void take_ready() noexcept;
  void take_stopped() noexcept;
  void stopped(VerbsLink& link) noexcept;
  int unless_lost(int number) noexcept;
  void on_control(const rdma_cm_event& event) noexcept;
  void on_request(const rdma_cm_event& event) noexcept;
  void on_resolved(VerbsLink& link) noexcept;
  void refused(VerbsLink& link, int number) noexcept;
  void ended(VerbsLink& link, int number) noexcept;
  void tell_end(VerbsLink& link) noexcept;
  static void keep_said(VerbsLink& link, const rdma_cm_event& event) noexcept;
  void tell(messages::Event event) { told_.push_back(event); }
  std::uint32_t take_told(std::span<messages::Event> out) noexcept;

  VerbsDevice& device_;
  const Library& library_;
  const messages::FabricSpec spec_;
  Registered spill_;
  rdma_event_channel* control_ = nullptr;
  ibv_comp_channel* channel_ = nullptr;
  ibv_cq* cq_ = nullptr;
  ibv_srq* srq_ = nullptr;
  int epoll_ = -1, wake_ = -1, timer_ = -1;
  bool times_ = false;         // timer_ is set
  std::uint32_t ready_ = 0;    // seen, and not taken yet
  bool looked_ = false;        // wait() has: the next poll that finds nothing need not
  bool has_wait_fd_ = false;   // somebody may sleep on it
  bool watches_core_ = false;  // the core's epoll
  transport::Gathering gathering_{{.least_bytes_per_second = 32u << 20, .most_us = 4000}};
  std::uint32_t last_length_ = 0;  // of what came
  bool notifies_ = false;          // the completion queue, of what comes after notified_at_
  std::uint64_t notified_at_ = 0;  // of completed_

  std::unordered_map<std::uint32_t, VerbsLink*> links_;  // by the number of their queue pair
  std::array<ibv_wc, kBatch> completions_{};
  std::uint32_t peeked_ = 0;  // of completions_: found by notify()
  // Told when what completed before has been: the completion queue was empty since, or as many were
  // taken out of it as it has places.
  struct Ending {
    messages::Event event;
    std::uint64_t due = 0;  // of completed_
  };
  std::vector<Ending> ending_;
  std::deque<messages::Event> told_;
  std::uint32_t polls_ = 0;
  std::uint64_t places_ = 0;     // of the completion queue
  std::uint64_t completed_ = 0;  // taken out of it

  // A queue pair that ends in the middle of a message takes the slot of it along, and nothing tells
  // (get_srq_wqe, flush_recv_queue, rxe_resp.c, Linux 7.3; the specification promises nothing
  // better). It is certain that nobody writes to it when the shared receive queue has gone: so that
  // is made anew when no connection is left.
  std::vector<bool> posted_;  // by slot
  bool may_have_lost_ = false;
  std::atomic<int> lost_{0};
  bool lost_told_ = false;

  std::mutex stopped_mutex_;  // guards stopped_
  std::vector<VerbsLink*> stopped_;
  std::atomic<bool> any_stopped_{false};
};

}  // namespace landfall::verbs
