// SPDX-License-Identifier: Apache-2.0
// What queues that receive and queues that send have in common: flows, their beginning and their
// end.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "landfall/abi/transport_authoring.hpp"
#include "messages/fabric.hpp"
#include "messages/options.hpp"
#include "messages/wire.hpp"

namespace landfall::messages {

class Queue;

/// One connection. Owned by the Domain, as it may pass from the queue that its listener reports to
/// to the one that has it.
struct Flow {
  virtual ~Flow() = default;

  Queue* queue = nullptr;  // that has the link
  Link* link = nullptr;    // nullptr: dropped
  landfall_flow_spec spec{};
  Hello theirs{};            // of a request
  bool requested = false;    // it came to a listener
  bool started = false;      // by flow_start, or connect
  bool established = false;  // both sides have agreed
  bool ended = false;        // END_OF_STREAM or FAILED is told, or nobody wants to hear it
  bool closing = false;      // flow_close was called
  bool link_ended = false;   // the fabric has said so
};

struct Listener {
  Queue* reports_to = nullptr;
  std::unique_ptr<Place> place;
};

/// The device with the region, the flows, and what listens.
struct Domain {
  const landfall_host* host = nullptr;
  std::unique_ptr<Device> device;
  Options options;
  std::uint64_t region_bytes = 0;

  std::mutex mutex;  // guards what follows
  std::unordered_map<Flow*, std::unique_ptr<Flow>> flows;
  std::vector<std::unique_ptr<Listener>> listeners;

  Flow& keep(std::unique_ptr<Flow> flow);
  void forget(Flow& flow) noexcept;
};

class Queue {
 public:
  Queue(Domain& domain, const landfall_queue_spec& spec) : domain_{domain}, spec_{spec} {}
  virtual ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  virtual landfall_errc open(landfall_why* why) = 0;
  std::uint32_t poll(std::span<landfall_record> records);
  /// The device has gone, and all that came before has been told.
  bool is_lost() const noexcept { return lost_ && pending_.empty(); }
  virtual void give_back(std::span<const landfall_return> returns) = 0;
  std::uint32_t arm();
  int wait_fd() noexcept { return fabric_->wait_fd(); }
  /// From now on only give_back, by any thread.
  void stop() noexcept { stopped_ = true; }

  landfall_errc listen(const void* address, std::uint32_t length, landfall_listener** ret_listener,
                       void* ret_address, std::uint32_t* ret_length, landfall_why* why);
  landfall_errc connect(const void* address, std::uint32_t length, const landfall_flow_spec& spec,
                        landfall_flow** ret_flow, landfall_why* why);
  landfall_errc start(Flow& flow, const landfall_flow_spec& spec);
  void close(Flow& flow, bool reset);
  virtual void pause(Flow& flow, bool on) = 0;
  virtual landfall_errc send(Flow& flow, const landfall_send& what, landfall_why* why) = 0;
  virtual landfall_errc finish(Flow& flow) = 0;

  Fabric& fabric() noexcept { return *fabric_; }
  void forget(Listener& listener) noexcept;

 protected:
  // What differs between the two directions.
  virtual Role other_role() const noexcept = 0;
  virtual std::unique_ptr<Flow> make_flow() = 0;
  virtual bool has_room() const noexcept { return true; }
  /// What is said to the other side when a connection begins; false: not yet, tell_now() will be
  /// called again.
  virtual bool greet(Flow& flow, Hello* ret_hello) = 0;
  /// Both sides have agreed; `theirs` is valid.
  virtual void on_established(Flow& flow) = 0;
  virtual void on_message(Flow& flow, const Event& event) = 0;
  virtual void on_sent(Flow& flow, const Event& event) = 0;
  /// Nothing comes of the flow any more, and nothing goes.
  virtual void on_end(Flow& flow) = 0;
  /// In order: says so to the other side. False: that is not done by a message.
  virtual bool say_goodbye(Flow&) { return false; }
  virtual bool holds_memory(const Flow& flow) const noexcept = 0;
  virtual void take_slots(std::span<const std::uint32_t>) {}
  /// After each batch of events and returns.
  virtual void work() = 0;
  virtual bool wants_returns() const noexcept { return false; }

  void fail(Flow& flow, int number, std::uint32_t code = LANDFALL_REASON_none);
  /// END_OF_STREAM, or FAILED.
  void end(Flow& flow, int number, std::uint32_t code);
  /// The other side hears nothing more: the link goes.
  void hang_up(Flow& flow);
  void finish_closing(Flow& flow);
  /// Accepts what was requested and could not be greeted yet.
  void accept(Flow& flow);
  /// To this poll's caller, or to the next one's.
  void tell(const landfall_record& record);

  Domain& domain_;
  const landfall_queue_spec spec_;
  std::unique_ptr<Fabric> fabric_;
  std::deque<Flow*> ungreeted_;
  bool stopped_ = false;
  bool lost_ = false;  // the device

 private:
  void on(const Event& event);
  void on_request(const Event& event);
  void on_agreed(Flow& flow, const Event& event);
  void on_refused(Flow& flow, const Event& event);
  void on_lost(int number);

  std::vector<Event> events_ = std::vector<Event>(64);
  std::deque<landfall_record> pending_;
  std::span<landfall_record> out_{};  // of the poll under way
  std::uint32_t count_ = 0;
};

/// Why a connection ended with this errno.
std::uint32_t reason_of(int number) noexcept;

std::unique_ptr<Queue> make_receiving(Domain& domain, const landfall_queue_spec& spec);
std::unique_ptr<Queue> make_sending(Domain& domain, const landfall_queue_spec& spec);

}  // namespace landfall::messages
