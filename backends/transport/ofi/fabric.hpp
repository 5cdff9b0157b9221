// SPDX-License-Identifier: Apache-2.0
// What a queue has of libfabric, whatever its endpoints are: completions, what is under way, and
// events that wait for the next poll.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "messages/fabric.hpp"
#include "ofi/descriptor.hpp"
#include "ofi/device.hpp"

namespace landfall::ofi {

/// What a completion is known by. libfabric has the room while it works on it.
struct Operation {
  fi_context2 room{};
  messages::Link* link = nullptr;  // whose; nullptr: nobody's, or nobody's any more
  std::uint64_t cookie = 0;        // of a send
  std::uint64_t order = 0;         // of a receive: the higher, the later it is used
  std::uint32_t slot = messages::kNoSlot;
  bool sends = false;
  bool done = false;        // a send; told when those before it are
  bool ends = false;        // ... the last one; told when the other side says that it has it
  int number = 0;           // ... why it failed
  bool taken_back = false;  // a receive that take_back() calls off
};

/// A connection of either kind.
struct OfiLink : messages::Link {
  std::vector<messages::Outgoing> waiting;  // that the provider did not take yet
};

class OfiFabric : public messages::Fabric {
 public:
  int send(messages::Link& base, const messages::Outgoing& what) noexcept override;
  int wait_fd() noexcept override { return epoll_.get(); }

 protected:
  using Event = messages::Event;

  OfiFabric(OfiDevice& device, const messages::FabricSpec& spec) noexcept
      : device_{device}, host_{device.host()}, spec_{spec} {}

  /// With room for so many completions.
  landfall_errc open_completions(std::uint64_t room, landfall_why* why);
  /// wait_fd() becomes readable with it.
  int watch(fid& object) noexcept;
  void unwatch(fid& object) noexcept;

  Operation& take(messages::Link* link);
  void put(Operation& operation) noexcept;
  /// fi_recv into a slot, or into nothing. 0, or what the provider answered; then it is put back.
  int post_receive(fid_ep& endpoint, Operation& operation, std::uint32_t slot) noexcept;
  /// fi_sendmsg, likewise.
  int post_send(fid_ep& endpoint, fi_addr_t to, Operation& operation,
                const messages::Outgoing& what, std::uint64_t flags) noexcept;

  /// Once. EAGAIN: not now.
  virtual int try_send(OfiLink& link, const messages::Outgoing& what) noexcept = 0;
  void retry_sends();
  void forget_sends(OfiLink& link) noexcept;
  virtual void end(OfiLink& link, int cause) = 0;

  /// False: there are no more now, or no more at all.
  bool read_completions(std::uint32_t most);
  virtual void on_completion(Operation& operation, const fi_cq_data_entry& entry) = 0;
  virtual void on_failure(Operation& operation, const fi_cq_err_entry& entry) = 0;
  /// What the message says; no landfall says kNoImmediate.
  static constexpr std::uint32_t kNoImmediate = UINT32_MAX;
  static std::uint32_t immediate_of(const fi_cq_data_entry& entry) noexcept;

  void begin_poll(std::span<Event> out) noexcept;
  /// Before fi_trywait. False: what completes would wake nobody.
  bool begin_arm() noexcept;
  /// To this poll's caller, or to the next one's.
  void tell(const Event& event);
  void lose(int number) noexcept;

  OfiDevice& device_;
  const landfall_host* const host_;
  const messages::FabricSpec spec_;
  Registered spill_;
  // What is received without memory has one byte all the same: by it a provider sees that a message
  // was too long, where without any it would wait for room (xnet_recv_msg_data, prov/tcp of 2.1).
  std::array<std::byte, 64> nothing_{};
  Registered room_for_nothing_;
  Descriptor epoll_;
  Owned<fid_cq> completions_;
  std::deque<Operation> operations_;  // addresses stay
  std::vector<Operation*> free_;
  std::vector<OfiLink*> waiting_;  // with sends that wait
  std::uint64_t receives_ = 0;     // so many were posted
  std::uint32_t polls_ = 0;        // since somebody was about to sleep
  bool wakes_ = true;              // completions do
  std::deque<Event> pending_;
  std::span<Event> out_{};  // of the poll under way
  std::uint32_t count_ = 0;
  int lost_ = 0;  // errno: nothing is received or sent any more

 private:
  void read_failure();
  int set_epoll(fid& object, int operation, std::uint32_t events) noexcept;
  bool set_wakes(bool on) noexcept;
};

}  // namespace landfall::ofi
