// SPDX-License-Identifier: Apache-2.0
// Connected endpoints (FI_EP_MSG) of one queue: a completion queue, an event queue, and what
// listens.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "messages/wire.hpp"
#include "ofi/fabric.hpp"

namespace landfall::ofi {

/// An endpoint that listens. Owned by the device; the endpoint stays until its Fabric goes, as
/// providers name it in what comes late.
struct Listening {
  Owned<fid_pep> pep;  // written with requests_mutex held, once it listens
  Info info;
  bool closed = false;
};

struct Place final : messages::Place {
  explicit Place(Listening& place) noexcept : listening{place} {}
  Listening& listening;
};

struct Connection final : OfiLink {
  enum class State : std::uint8_t {
    requested,   // by the other side
    made,        // has an endpoint
    connecting,  // from here
    accepting,   // from there
    established,
    ending,  // `ended` or `refused` follows
    ended    // it was told, or nobody wants to hear it: the endpoint is closed
  };
  State state = State::requested;
  bool refused = false;  // ending: by the other side, before it was one
  int cause = 0;         // why it ended, where that is known before it does
  Owned<fid_ep> endpoint;
  Info info;                           // requested: until it is accepted or refused
  Listening* listening = nullptr;      // ... by which it came
  std::vector<std::byte> to;           // connecting: a sockaddr
  std::uint32_t spare = 0;             // receives that were to be called off, and could not
  std::vector<std::uint32_t> unused;   // slots whose receives were called off
  std::vector<messages::Event> early;  // that came before the word that it is established
  std::array<std::byte, messages::kHelloBytes> said{};  // by the other side
  std::uint32_t said_bytes = 0;
};

class MsgFabric final : public OfiFabric {
 public:
  MsgFabric(OfiDevice& device, const messages::FabricSpec& spec) noexcept
      : OfiFabric{device, spec} {}
  ~MsgFabric() override;
  landfall_errc open(landfall_why* why);

  bool shares_receives() const noexcept override { return false; }
  int post(messages::Link& link, std::span<const std::uint32_t> slots) noexcept override;
  void take_back(messages::Link& base, std::uint32_t count) noexcept override;
  int post_empty(messages::Link& link, std::uint32_t count) noexcept override;
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
  static Connection& own(messages::Link& link) noexcept { return static_cast<Connection&>(link); }

  // msg_endpoints.cpp
  Wanted wanted() const noexcept;
  int make_endpoint(Connection& link, fi_info& info, const char** ret_call);
  void close(Listening& listening) noexcept;  // with events_mutex_ held
  /// The endpoint goes, and every completion of it has been seen.
  void close_endpoint(Connection& link) noexcept;
  std::unique_ptr<Connection> take_request(const messages::Link& link) noexcept;
  void reject(Connection& link, std::span<const std::byte> data) noexcept;

  // msg_events.cpp
  void read_events();
  void read_event_error();
  void lose_events(int number) noexcept;
  void on_request(const fi_eq_cm_entry& entry, std::span<const std::byte> data);
  void on_connected(Connection& link, std::span<const std::byte> data);
  Connection* link_of(const fid* endpoint) const noexcept;

  // msg_fabric.cpp
  std::uint64_t completions() const noexcept;
  void on_completion(Operation& operation, const fi_cq_data_entry& entry) override;
  void on_failure(Operation& operation, const fi_cq_err_entry& entry) override;
  void on_message(Connection& link, const Event& event);
  void end(OfiLink& base, int cause) override;
  void finish_endings();
  int receive(Connection& link, std::uint32_t slot) noexcept;
  int try_send(OfiLink& base, const messages::Outgoing& what) noexcept override;

  std::mutex events_mutex_;  // guards what follows to the blank line, and the reading of events
  Owned<fid_eq> events_;
  std::vector<Listening*> listening_;

  std::unordered_map<const messages::Link*, std::unique_ptr<Connection>> links_;
  std::unordered_map<const fid*, Connection*> by_endpoint_;
  std::vector<Connection*> ending_;  // `ended` follows when all completions have been seen
  std::uint32_t turns_ = 0;
  bool quiet_ = true;  // the last poll saw all completions
  bool events_lost_ = false;
  std::uint32_t failed_reads_ = 0;  // of the events
  bool told_lost_ = false;
};

}  // namespace landfall::ofi
