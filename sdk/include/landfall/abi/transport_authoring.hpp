// SPDX-License-Identifier: Apache-2.0
// For authors of transports in C++, on top of authoring.hpp: records, and the C table from three
// classes. Header-only.
#pragma once
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>

#include "landfall/abi/authoring.hpp"

namespace landfall::authoring {

/// The object that stands behind a handle of the core's, and the handle of an object.
template <class Object, class Handle>
Object* own(Handle* handle) noexcept {
  return reinterpret_cast<Object*>(handle);
}
template <class Handle, class Object>
Handle* handle_of(Object* object) noexcept {
  return reinterpret_cast<Handle*>(object);
}

/// A record of `flow` as its spec stands now; what else the kind wants is filled in after.
template <class Flow>
landfall_record record_of(std::uint8_t kind, Flow* flow, const landfall_flow_spec& spec) noexcept {
  landfall_record record{};
  record.kind = kind;
  record.flow = handle_of<landfall_flow>(flow);
  record.flow_tag = spec.flow_tag;
  record.stream_offset = spec.stream_offset;
  return record;
}

/// Why a TCP connection ended with the errno `number`.
constexpr std::uint32_t reason_of_end(int number) noexcept {
  switch (number) {
    case ECONNRESET:
    case EPIPE:
      return LANDFALL_REASON_peer_reset;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return LANDFALL_REASON_peer_unreachable;
    case ENOMEM:
    case ENOBUFS:
      return LANDFALL_REASON_out_of_memory;
    default:
      return LANDFALL_REASON_none;
  }
}

/// END_OF_STREAM, or FAILED where receiving failed with the errno `number`.
template <class Flow>
landfall_record end_of(Flow* flow, const landfall_flow_spec& spec, int number) noexcept {
  landfall_record record =
      record_of(number == 0 ? LANDFALL_END_OF_STREAM : LANDFALL_FAILED, flow, spec);
  record.native = number;
  record.code = reason_of_end(number);
  return record;
}

/// What flow_close does to a TCP socket: the peer hears of it now, the descriptor stays open for
/// the extents that are out. Bytes that nobody received then make close(2) send a RST.
inline void end_connection(int fd, bool reset) noexcept {
  if (!reset) {
    // Not SHUT_RDWR: after it the window is never opened again (tcp_cleanup_rbuf asks for
    // RCV_SHUTDOWN, net/ipv4/tcp.c, Linux 6.18). A receive that is still under way may empty the
    // queue; close(2) then sends no RST, and a peer that waits for the window does so for the 60
    // seconds of FIN_WAIT2.
    ::shutdown(fd, SHUT_WR);
    return;
  }
  // Disconnecting a TCP socket sends the RST (tcp_disconnect, net/ipv4/tcp.c, Linux 6.1). Should
  // that fail, close(2) sends it.
  const linger at_close{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_close, sizeof at_close);
  const sockaddr nobody{AF_UNSPEC, {}};
  static_cast<void>(::connect(fd, &nobody, sizeof nobody));
}

/// The table of a transport that takes sockets: its handles are pointers to the author's objects,
/// and what its members throw becomes an error. Each member does what backend.h says of the
/// operation:
///
///   Domain  static landfall_errc probe(const landfall_domain_spec&, landfall_needs*,
///   landfall_why*)
///           landfall_errc open(const landfall_domain_spec&, landfall_why*), after Domain{}
///   Queue   landfall_errc open(const landfall_queue_spec&, landfall_why*), after Queue{domain}
///           void stop()
///           std::uint32_t poll(std::span<landfall_record>), the number of records filled
///           void give_back(std::span<const landfall_return>)
///           std::uint32_t arm() const
///           std::int32_t wait_fd() const
///           landfall_errc attach(std::int32_t fd, const landfall_flow_spec&, Flow**,
///           landfall_why*) landfall_errc detach(Flow*, std::int32_t* ret_fd, landfall_why*) void
///           close(Flow*, bool reset) void pause(Flow*, bool on)
///
/// Closing a domain or a queue is its destructor. What else a transport offers is set in the table
/// that this answers.
template <class Domain, class Queue, class Flow>
constexpr landfall_transport_ops transport_ops() noexcept {
  landfall_transport_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = [](const landfall_domain_spec* spec, landfall_needs* ret_needs, landfall_why* why) {
    return guarded(why, [&] { return Domain::probe(*spec, ret_needs, why); });
  };
  ops.domain_open = [](const landfall_domain_spec* spec, landfall_domain** ret_domain,
                       landfall_why* why) {
    return guarded(why, [&] {
      auto domain = std::make_unique<Domain>();
      const landfall_errc code = domain->open(*spec, why);
      if (code == LANDFALL_ERRC_ok) *ret_domain = handle_of<landfall_domain>(domain.release());
      return code;
    });
  };
  ops.domain_close = [](landfall_domain* domain) { delete own<Domain>(domain); };
  ops.queue_open = [](landfall_domain* domain, const landfall_queue_spec* spec,
                      landfall_queue** ret_queue, landfall_why* why) {
    return guarded(why, [&] {
      auto queue = std::make_unique<Queue>(*own<Domain>(domain));
      const landfall_errc code = queue->open(*spec, why);
      if (code == LANDFALL_ERRC_ok) *ret_queue = handle_of<landfall_queue>(queue.release());
      return code;
    });
  };
  ops.queue_stop = [](landfall_queue* queue) { own<Queue>(queue)->stop(); };
  ops.queue_close = [](landfall_queue* queue) { delete own<Queue>(queue); };
  ops.poll = [](landfall_queue* queue, landfall_record* records, std::uint32_t capacity,
                std::uint32_t* ret_count) {
    return guarded(nullptr, [&] {
      *ret_count = own<Queue>(queue)->poll(std::span{records, capacity});
      return landfall_errc{LANDFALL_ERRC_ok};
    });
  };
  ops.give_back = [](landfall_queue* queue, const landfall_return* returns, std::uint32_t count) {
    own<Queue>(queue)->give_back(std::span{returns, count});
  };
  ops.arm = [](landfall_queue* queue, std::uint32_t* ret_armed) {
    *ret_armed = own<Queue>(queue)->arm();
    return landfall_errc{LANDFALL_ERRC_ok};
  };
  ops.wait_fd = [](landfall_queue* queue) { return own<Queue>(queue)->wait_fd(); };
  ops.attach = [](landfall_queue* queue, std::int32_t fd, const landfall_flow_spec* spec,
                  landfall_flow** ret_flow, landfall_why* why) {
    return guarded(why, [&] {
      Flow* flow = nullptr;
      const landfall_errc code = own<Queue>(queue)->attach(fd, *spec, &flow, why);
      if (code == LANDFALL_ERRC_ok) *ret_flow = handle_of<landfall_flow>(flow);
      return code;
    });
  };
  ops.detach = [](landfall_queue* queue, landfall_flow* flow, std::int32_t* ret_fd,
                  landfall_why* why) {
    return guarded(why, [&] { return own<Queue>(queue)->detach(own<Flow>(flow), ret_fd, why); });
  };
  ops.flow_close = [](landfall_queue* queue, landfall_flow* flow, std::int32_t reset) {
    own<Queue>(queue)->close(own<Flow>(flow), reset != 0);
  };
  ops.flow_pause = [](landfall_queue* queue, landfall_flow* flow, std::int32_t on) {
    return guarded(nullptr, [&] {
      own<Queue>(queue)->pause(own<Flow>(flow), on != 0);
      return landfall_errc{LANDFALL_ERRC_ok};
    });
  };
  return ops;
}

}  // namespace landfall::authoring
