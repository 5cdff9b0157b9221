// SPDX-License-Identifier: Apache-2.0
#include "incoming.hpp"

namespace landfall::cli {

Result<void> Incoming::raw_data(std::span<const std::byte> bytes) {
  if (file_ == nullptr) {
    LANDFALL_TRY(file_, destination_.begin_raw());
  }
  LANDFALL_CHECK(file_->write(raw_bytes_, bytes));
  raw_bytes_ += bytes.size();
  return {};
}

Result<void> Incoming::stream_begin(const StreamHead& head) {
  head_ = head;
  return {};
}

Result<void> Incoming::object_begin(const ObjectHead& head) {
  if (head.kind == ObjectKind::directory)
    return destination_.make_directory(head_ ? head_->transfer_id : 0, head);
  LANDFALL_TRY(file_, destination_.begin(head));
  return {};
}

Result<void> Incoming::object_data(std::uint64_t offset, std::span<const std::byte> bytes) {
  return file_->write(offset, bytes);
}

Result<void> Incoming::object_end(std::uint64_t size_bytes) {
  if (file_ == nullptr) return {};  // a directory
  LANDFALL_CHECK(file_->finish(size_bytes));
  file_.reset();
  ++files_;
  return {};
}

Result<void> Incoming::finish() {
  LANDFALL_CHECK(parser_.finish());
  if (head_) return destination_.end_stream(*head_);
  // A raw stream without a single byte is a file all the same.
  if (file_ == nullptr) {
    LANDFALL_TRY(file_, destination_.begin_raw());
  }
  LANDFALL_CHECK(file_->finish(raw_bytes_));
  file_.reset();
  ++files_;
  return {};
}

}  // namespace landfall::cli
