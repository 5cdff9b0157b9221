// SPDX-License-Identifier: Apache-2.0
// What the suite expects of each subject. A case that needs more than is listed here is skipped;
// any other skip fails the run, and so does a refusal to open for a reason that is not listed.
#pragma once
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "landfall/base/error.hpp"

namespace landfall::test {

enum class Cap {
  sockets,   // attach, hand_over and detach; else connections are the transport's own
  direct,    // places bytes without a CPU copy
  linear,    // ... but not all of them
  unsure,    // ... and does not know which, where they are in the Region; what is not, is linear
  messages,  // tells where messages end
  posts_to_region,  // a post() can be served: there are host views to gather from, or it is native
  revocable,        // the suite can take its binding away
  queued_unreadable,  // recv(2) cannot read what waits in a socket: no detach before it is received
  fences,             // its memory knows streams of device work
  keeps_sockets       // its library keeps the socket of a connection that it has not told of yet
};

struct Expected {
  std::string_view subject;
  std::vector<Cap> can;
  std::vector<ReasonCode> may_refuse;  // on machines that lack something

  bool has(Cap cap) const { return std::find(can.begin(), can.end(), cap) != can.end(); }
};

/// The last row stands for plug-ins that are not listed: they take sockets and copy.
inline const Expected& expected_of(std::string_view subject) {
  using enum Cap;
  static const std::array kTable{
      Expected{"tcp-io-uring",
               {sockets, posts_to_region},
               {ReasonCode::io_uring_missing, ReasonCode::io_uring_disabled,
                ReasonCode::io_uring_feature_missing}},
      Expected{"tcp-recv", {sockets, posts_to_region}, {}},
      Expected{"devmem-model", {sockets, direct, linear, posts_to_region, revocable}, {}},
      Expected{"devmem-model-on-device", {sockets, direct, linear, revocable, fences}, {}},
      Expected{"devmem-tcp", {sockets, direct, linear, posts_to_region, queued_unreadable}, {}},
      Expected{"zcrx-dmabuf", {sockets, direct, linear, posts_to_region, queued_unreadable}, {}},
      Expected{"zcrx", {sockets, direct, unsure, posts_to_region, queued_unreadable}, {}},
      Expected{"zcrx-no-device", {sockets, posts_to_region, queued_unreadable}, {}},
      Expected{"verbs-model", {direct, messages, posts_to_region}, {}},
      Expected{"verbs", {direct, messages, posts_to_region}, {}},
      Expected{"ofi",  // over TCP, which copies
               {messages, posts_to_region, keeps_sockets},
               {ReasonCode::rdma_library_missing, ReasonCode::transport_unknown}},
      Expected{"ofi-rdm",
               {messages, posts_to_region, keeps_sockets},
               {ReasonCode::rdma_library_missing, ReasonCode::transport_unknown}},
      Expected{"ofi-verbs", {direct, messages, posts_to_region}, {}},
      Expected{"ofi-verbs-rdm", {unsure, messages, posts_to_region}, {}},
      Expected{"plug-in", {sockets, posts_to_region}, {}},
  };
  for (const Expected& row : kTable)
    if (row.subject == subject) return row;
  return kTable.back();
}

enum class MemoryCap {
  host_view,  // the CPU reads and writes it
  export_whole,
  export_ranges,
  adopts,  // lives in a descriptor of the caller's: never allocates
};

struct ExpectedMemory {
  std::string_view source;
  std::vector<MemoryCap> can;
  std::vector<ReasonCode> may_refuse;

  bool has(MemoryCap cap) const { return std::find(can.begin(), can.end(), cap) != can.end(); }
};

/// The last row stands for plug-ins that are not listed.
inline const ExpectedMemory& expected_of_memory(std::string_view source) {
  using enum MemoryCap;
  static const std::array kTable{
      ExpectedMemory{"host", {host_view}, {}},
      ExpectedMemory{
          "hugepage", {host_view}, {ReasonCode::no_hugepages, ReasonCode::hugepage_size_unknown}},
      ExpectedMemory{"udmabuf",
                     {host_view, export_whole, export_ranges},
                     {ReasonCode::no_udmabuf_device, ReasonCode::not_permitted}},
      ExpectedMemory{"dma-heap",
                     {host_view, export_whole},
                     {ReasonCode::no_dma_heap_device, ReasonCode::not_permitted}},
      ExpectedMemory{"dmabuf", {adopts}, {}},
      ExpectedMemory{"device-memory", {export_whole, export_ranges}, {}},
      ExpectedMemory{"plug-in", {host_view}, {}},
  };
  for (const ExpectedMemory& row : kTable)
    if (row.source == source) return row;
  return kTable.back();
}

}  // namespace landfall::test
