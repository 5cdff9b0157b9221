// SPDX-License-Identifier: Apache-2.0
// The seam between what landfall does with messages (this folder) and who carries them (verbs,
// ofi).
#pragma once
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "landfall/abi/authoring.hpp"

namespace landfall::messages {

inline constexpr std::uint32_t kNoSlot = UINT32_MAX;  // a receive without memory
/// The errno that stands for a peer that broke the wire's rules.
inline constexpr int kBrokeRules = EPROTO;

/// One connection, as the fabric has it. Made and freed by its Fabric; `owner` is the user's.
struct Link {
  void* owner = nullptr;
  bool at_end = false;  // the other side has said that nothing more comes
};

/// A place that connections come to; freed by Fabric::close.
struct Place {
  virtual ~Place() = default;
};

struct Event {
  enum class Kind : std::uint8_t {
    request,      // somebody wants a connection: `link` waits for adopt and accept, or refuse
    established,  // a connection from here has been accepted, or one from there is ready
    refused,      // a connection from here has not: number, data
    message,      // came whole: slot, length, immediate
    unposted,     // take_back(): `slot` is posted no more
    sent,         // what send() sent has been taken by the other side's fabric: cookie, number
    ended,        // the connection is no more: number (0: the other side ended it)
    lost          // the device is gone, and with it everything; link nullptr
  };
  Kind kind{};
  int number = 0;  // errno; 0: none
  std::uint32_t slot = kNoSlot, length = 0, immediate = 0;
  Link* link = nullptr;
  std::uint64_t cookie = 0;
  std::span<const std::byte> data{};  // what the other side said; valid until the next poll
};

struct Outgoing {
  std::uint32_t immediate = 0;
  std::uint16_t memory = 0;  // 0 region, 1 spill
  std::uint32_t length = 0;  // 0: only the immediate
  std::uint64_t offset = 0, cookie = 0;
  bool quiet = false;  // `sent` need not follow, unless it fails
};

/// The connections of one queue, their completions, and what they receive into.
///
/// Threads: one at a time, that of the queue; listen and close from any. Numbers that calls answer
/// are errnos, 0: done.
class Fabric {
 public:
  virtual ~Fabric() = default;

  /// Do all connections receive into what any of them has posted?
  virtual bool shares_receives() const noexcept = 0;
  /// Lets messages land in these slots; of `link` alone, unless receives are shared.
  virtual int post(Link& link, std::span<const std::uint32_t> slots) noexcept = 0;
  /// Where receives are not shared: so many of those posted for `link` come back, as `unposted`. No
  /// message is under way for them.
  virtual void take_back(Link& link, std::uint32_t count) noexcept = 0;
  /// Of a queue that sends: receives without memory. Before connect and accept the fabric posts
  /// two by itself.
  virtual int post_empty(Link& link, std::uint32_t count) noexcept = 0;
  /// `sent` follows, in the order of the sends of a link. At most as many are under way as the
  /// queue was opened for; the caller counts.
  virtual int send(Link& link, const Outgoing& what) noexcept = 0;

  /// Fills `out` from the front. What a connection received and sent comes before its `ended`.
  /// Cost: no system call where nothing but messages comes.
  virtual std::uint32_t poll(std::span<Event> out) noexcept = 0;
  /// True: wait_fd() becomes readable with the next event. False: there are some.
  virtual bool arm() noexcept = 0;
  virtual int wait_fd() noexcept = 0;

  virtual landfall_errc listen(const void* address, std::uint32_t length,
                               std::unique_ptr<Place>* ret_place, void* ret_address,
                               std::uint32_t* ret_length, landfall_why* reterr_why) = 0;
  /// No more requests come by it.
  virtual void close(Place& place) noexcept = 0;
  /// A connection to there that has not begun: receives can be posted for it.
  virtual landfall_errc prepare(const void* address, std::uint32_t length, void* owner,
                                Link** ret_link, landfall_why* reterr_why) = 0;
  /// `established`, `refused` or `ended` follows.
  virtual int connect(Link& link, std::span<const std::byte> data) noexcept = 0;
  /// Takes a requested connection into this queue, whose Fabric may be another one of the same
  /// domain, which tells nothing of it from then on: receives can be posted for it.
  virtual int adopt(Link& link, void* owner) = 0;
  /// `established` or `ended` follows.
  virtual int accept(Link& link, std::span<const std::byte> data) noexcept = 0;
  /// Refuses a requested connection and frees it.
  virtual void refuse(Link& link, std::span<const std::byte> data) noexcept = 0;
  /// Ends it, whatever its state but requested, and tells the other side; `ended` follows when
  /// nothing of it is under way.
  virtual void disconnect(Link& link) noexcept = 0;
  /// Frees it, whatever its state; no event follows. Appends the slots that were posted for it
  /// alone, which nobody writes to any more.
  virtual void drop(Link& link, std::vector<std::uint32_t>* ret_slots) noexcept = 0;
};

/// What a queue wants of its Fabric.
struct FabricSpec {
  landfall_queue_spec queue{};
  std::uint32_t slot_bytes = 0, slots = 0;  // of a queue that receives: from slice_offset on
  std::uint32_t sends_per_link = 0;         // under way
  std::uint32_t receives_per_link = 0;      // without memory, of a queue that sends
  std::uint32_t links = 0;
  std::uint32_t keepalive_s = 0;   // 0: never asks a silent peer whether it is there
  std::uint64_t gather_bytes = 0;  // may come before the polling thread need be woken
};

/// How bytes get into the slots: LANDFALL_DIRECT - the device itself writes them; else, why not.
struct Placement {
  std::uint8_t how = LANDFALL_DIRECT;
  std::uint32_t reason = LANDFALL_REASON_none;
};

/// A device with the region registered, which Fabrics share. Each transport has its own.
class Device {
 public:
  virtual ~Device() = default;
  virtual landfall_errc make(const FabricSpec& spec, std::unique_ptr<Fabric>* ret_fabric,
                             landfall_why* reterr_why) = 0;
  virtual Placement placement() const noexcept { return {}; }
  /// What one queue of it can have.
  virtual std::uint32_t slots_max() const noexcept = 0;
};

}  // namespace landfall::messages
