// SPDX-License-Identifier: Apache-2.0
// One endpoint without connections (FI_EP_RDM) for all flows of a queue. A TCP connection stands
// for each flow: by it a listener is found at an IP address, whatever addresses the provider has;
// by it both sides say who they are, the receiver grants its credits, and each learns that the
// other has gone.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "messages/wire.hpp"
#include "ofi/fabric.hpp"

namespace landfall::ofi {

/// What epoll names: data.ptr.
struct Watched {
  const bool listens;
};

/// A socket that listens.
struct Door final : Watched {
  Door() noexcept : Watched{true} {}
  Descriptor socket;    // guarded by doors_mutex_
  bool closed = false;  // likewise
};

struct DoorPlace final : messages::Place {
  explicit DoorPlace(std::shared_ptr<Door> here) noexcept : door{std::move(here)} {}
  std::shared_ptr<Door> door;
};

struct Peer final : OfiLink, Watched {
  enum class State : std::uint8_t {
    strange,     // came to a door and has not said all
    requested,   // has; no Fabric has it yet
    made,        // from here
    connecting,  // ... its socket
    greeting,    // ... who this is has been said, and the answer is awaited
    established,
    ending,  // `ended` or `refused` follows
    ended    // it was told, or nobody wants to hear it
  };
  Peer() noexcept : Watched{false} {}

  State state = State::strange;
  bool refused = false;  // ending: before it was one
  bool watched = false;  // strange: epoll has it
  int cause = 0;         // why it ended
  Descriptor socket;
  std::shared_ptr<Door> by;                       // strange
  std::vector<std::byte> to;                      // connecting: a sockaddr
  std::vector<std::byte> in, out;                 // of the socket: not whole yet, not taken yet
  std::vector<std::byte> contact;                 // what the other side said first
  fi_addr_t address = FI_ADDR_UNSPEC;             // of a receiver
  std::uint32_t number = messages::kFlowNumbers;  // of the flow, here; that one: none
  std::uint32_t order = 0;                        // of the message that is next
  std::vector<messages::Event> early;  // messages before their turn, and before this is established
  std::vector<Operation*> sends;       // that were not told yet, in their order
};

class RdmFabric final : public OfiFabric {
 public:
  RdmFabric(OfiDevice& device, const messages::FabricSpec& spec) noexcept
      : OfiFabric{device, spec} {}
  ~RdmFabric() override;
  landfall_errc open(landfall_why* why);

  bool shares_receives() const noexcept override { return true; }
  int post(messages::Link&, std::span<const std::uint32_t> slots) noexcept override;
  void take_back(messages::Link&, std::uint32_t) noexcept override {}
  /// What a receiver says comes by TCP.
  int post_empty(messages::Link&, std::uint32_t) noexcept override { return 0; }
  int send(messages::Link& base, const messages::Outgoing& what) noexcept override;
  std::uint32_t poll(std::span<messages::Event> out) noexcept override;
  bool arm() noexcept override;

  landfall_errc listen(const void* address, std::uint32_t length,
                       std::unique_ptr<messages::Place>* ret_place, void* ret_address,
                       std::uint32_t* ret_length, landfall_why* why) override;
  void close(messages::Place& base) noexcept override;
  landfall_errc prepare(const void* address, std::uint32_t length, void* owner,
                        messages::Link** ret_link, landfall_why* why) override;
  int connect(messages::Link& base, std::span<const std::byte> data) noexcept override;
  int adopt(messages::Link& base, void* owner) override;
  int accept(messages::Link& base, std::span<const std::byte> data) noexcept override;
  void refuse(messages::Link& base, std::span<const std::byte> data) noexcept override;
  void disconnect(messages::Link& base) noexcept override;
  void drop(messages::Link& base, std::vector<std::uint32_t>* ret_slots) noexcept override;

 private:
  using State = Peer::State;
  static Peer& own(messages::Link& link) noexcept { return static_cast<Peer&>(link); }
  bool receives() const noexcept { return spec_.slots != 0; }

  // rdm_control.cpp
  void read_sockets();
  void admit(Door& door);
  void on_socket(Peer& peer, std::uint32_t events);
  /// False: it ended.
  bool read_socket(Peer& peer);
  void on_contact(Peer& peer);
  void on_stranger(Peer& peer);
  void read_words(Peer& peer);
  int say(Peer& peer, std::span<const std::byte> bytes) noexcept;
  int flush(Peer& peer) noexcept;
  int introduce(Peer& peer, std::span<const std::byte> hello) noexcept;
  int resolve(Peer& peer) noexcept;
  int watch(int fd, Watched& as, std::uint32_t events, int operation) noexcept;
  void sweep_strangers();
  std::unique_ptr<Peer> take_caller(const messages::Link& link) noexcept;

  // rdm_fabric.cpp
  Info info_for_endpoint() const;
  void on_completion(Operation& operation, const fi_cq_data_entry& entry) override;
  void on_failure(Operation& operation, const fi_cq_err_entry& entry) override;
  void on_sent(Operation& operation, int number);
  void on_message(Peer& peer, const Event& event);
  void establish(Peer& peer);
  void deliver(Peer& peer, Event event);
  void deliver_early(Peer& peer);
  /// The slot of a message that nobody is to have waits for another one.
  void post_again(std::uint32_t slot) noexcept;
  void post_early_again(Peer& peer) noexcept;
  int try_send(OfiLink& base, const messages::Outgoing& what) noexcept override;
  void tell_sent(Peer& peer);
  void tell_all_sent(Peer& peer);
  void forget(Operation& operation) noexcept;
  void end(OfiLink& base, int cause) override;
  void forget_number(const Peer& peer) noexcept;
  void finish_endings();

  std::vector<std::byte> name_;  // of the endpoint
  Owned<fid_av> addresses_;
  Owned<fid_ep> endpoint_;
  bool enabled_ = false;
  std::unordered_map<std::string, fi_addr_t> known_;  // by name
  std::unordered_map<const messages::Link*, std::unique_ptr<Peer>> links_;
  std::unordered_map<std::uint32_t, Peer*> by_number_;
  std::deque<std::unique_ptr<Peer>> strangers_;  // the oldest first
  bool unwatched_ = false;                       // epoll did not take all of them
  std::vector<Peer*> ending_;
  std::mutex doors_mutex_;
  std::vector<std::shared_ptr<Door>> doors_;  // guarded by it
  std::uint32_t turns_ = 0;
  bool quiet_ = true;  // the last poll saw all completions
  bool told_lost_ = false;
};

}  // namespace landfall::ofi
