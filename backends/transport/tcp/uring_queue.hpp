// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "shared/bulk.hpp"
#include "tcp/queue.hpp"
#include "tcp/uring_ring.hpp"

namespace landfall::tcp {

// user_data: a Flow's address and, in its low bits, what was asked of it; or one of these.
inline constexpr std::uint64_t kReceive = 0;
inline constexpr std::uint64_t kPost = 1;
inline constexpr std::uint64_t kKindMask = 15;
inline constexpr std::uint64_t kControl = 2;
inline constexpr std::uint64_t kCancel = 3;
inline constexpr std::uint64_t kTick = 4;
inline constexpr std::uint64_t kLook = 5;

/// A completion that was taken out of the ring.
struct UringCompletion {
  std::uint64_t user_data;
  std::int32_t result;
  std::uint32_t flags;
};

/// The engine on io_uring: one multishot receive per flow into a short ring of provided slots,
/// newest first, so that bytes land where the cache is warm; post() is one receive into its target.
class UringQueue final : public Queue {
 public:
  explicit UringQueue(const QueueSetup& setup) : Queue{setup} {}
  ~UringQueue() override { stop(); }

  landfall_errc open(landfall_why* why);
  void stop() noexcept override;
  int wait_fd() noexcept override;
  landfall_errc wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control) override;

 private:
  landfall_errc start(Flow& flow, landfall_why* why) override;
  void run(Flow& flow) noexcept override;
  void halt(Flow& flow) noexcept override;
  landfall_errc settle(Flow& flow) override;
  void leave(Flow& flow) noexcept override { forget(flow); }
  landfall_errc receive() override;
  bool is_dry() const noexcept override {
    return is_starving() && lent_ == 0 && pool_.free_slots() == 0;
  }
  landfall_errc engine_arm(std::uint32_t* armed) override;
  std::uint32_t slots_lent() const noexcept override { return lent_; }

  landfall_errc enable();
  landfall_errc enter();
  bool is_due() noexcept;
  bool is_starving() const noexcept { return !first_.empty() || !starved_.empty(); }
  void prepare();
  void provide() noexcept;
  std::uint32_t turn_bytes() const noexcept;
  bool request_bytes(Flow& flow);
  bool request_cancel(Flow& flow) noexcept;
  void take_completions();
  void on_completion(const UringCompletion& completion);
  void on_receive(Flow& flow, const UringCompletion& completion);
  void on_post(Flow& flow, std::int32_t result);
  void on_error(Flow& flow, std::int32_t result);
  void got_bytes(Flow& flow) noexcept;
  void forget(Flow& flow) noexcept;
  void prepare_look() noexcept;
  void look() noexcept;
  void count_in_crowd(std::uint32_t length) noexcept {
    if (crowd_.count(length)) end_crowd_window();
  }
  void end_crowd_window() noexcept;
  int wait_in_crowd() noexcept;
  void stash_completions();
  bool reap_all() noexcept;

  UringRing ring_;
  bool enabled_ = false;
  pid_t issuer_ = 0;
  bool bundles_ = false;
  bool ring_fixed_ = false;
  std::uint32_t ring_min_ = 0, ring_max_ = 0;
  std::uint32_t lent_ = 0;                // slots in the provided ring
  std::vector<std::uint32_t> lent_slot_;  // by buffer id
  std::uint32_t extent_sum_ = 0;          // sixteen times the moving average of an extent's bytes
  std::uint32_t singles_ = 0;             // land() and post() receives in flight
  std::deque<UringCompletion> stash_;     // taken out of the ring while waiting for another one
  bool control_armed_ = false;
  bool tick_armed_ = false;
  std::vector<Flow*> recent_;  // streams that got bytes of late; room for all flows
  bool look_armed_ = false;
  __kernel_timespec look_time_{};
  transport::BulkWatch crowd_{kBulkBytesPerSecond};  // all streams together
};

inline Flow* flow_in(std::uint64_t user_data) noexcept {
  return reinterpret_cast<Flow*>(user_data & ~kKindMask);
}

inline bool is_terminal(const UringCompletion& completion) noexcept {
  return (completion.flags & IORING_CQE_F_MORE) == 0;
}

}  // namespace landfall::tcp
