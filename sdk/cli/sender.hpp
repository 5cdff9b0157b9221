// SPDX-License-Identifier: Apache-2.0
// The sending side of `send`: what is to be sent, and one connection that sends it.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "landfall/base/fd.hpp"
#include "landfall/base/result.hpp"
#include "landfall/transport/flow.hpp"
#include "object_header.hpp"
#include "outlet.hpp"

namespace landfall::cli {

/// One file or directory to send.
struct SendItem {
  std::string path;  // to open; "-": standard input
  ObjectHead head;
};

/// FILE: one item under its last part. DIR: everything below it, directories before their contents.
/// What is neither file nor directory is left out and counted.
/// Errors: not_found, permission_denied, io.
Result<std::vector<SendItem>> list_items(const std::string& what, std::uint64_t* ret_left_out);

/// Connects, again and again until `timeout` has passed; by `interface`, unless that is "".
/// Errors: not_found - LF1314, LF1209; permission_denied; flow_reset, timed_out - LF1313.
Result<Fd> connect_to(const Address& to, const std::string& interface,
                      std::chrono::milliseconds timeout);

/// One connection of a transfer.
class Sender {
 public:
  explicit Sender(std::unique_ptr<Outlet> outlet) : outlet_{std::move(outlet)} {}

  Result<void> begin(const StreamHead& head);
  /// Errors: io; invalid_argument - LF1503, the file shrank while it was sent.
  Result<void> send(const SendItem& item);
  /// The bytes of `item` and nothing else.
  Result<void> send_raw(const SendItem& item);
  /// Ends the stream and waits until the receiver has taken it.
  /// Errors: flow_reset - it refused; timed_out.
  Result<void> finish(bool framed, std::chrono::milliseconds timeout);

  std::uint64_t data_bytes() const noexcept { return data_bytes_; }
  std::uint64_t objects() const noexcept { return objects_; }
  const Outlet& outlet() const noexcept { return *outlet_; }

 private:
  Result<void> send_extents(int file, const SendItem& item);
  Result<void> send_unknown(int file, std::uint64_t* ret_size);

  std::unique_ptr<Outlet> outlet_;
  std::uint64_t data_bytes_ = 0, objects_ = 0, object_bytes_ = 0;
};

}  // namespace landfall::cli
