// SPDX-License-Identifier: Apache-2.0
// One connection of `recv`: bytes in, objects out.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "destination.hpp"
#include "object_header.hpp"

namespace landfall::cli {

class Incoming final : public StreamVisitor {
 public:
  explicit Incoming(Destination& destination) noexcept
      : destination_{destination}, parser_{*this} {}

  /// Errors: of the parser or the destination; the connection is then of no more use.
  Result<void> feed(std::span<const std::byte> bytes) { return parser_.feed(bytes); }
  /// The peer finished: what came is complete and stands under its name, or an error.
  Result<void> finish();
  /// What was being written is taken away.
  void discard() noexcept { file_.reset(); }

  const StreamParser& parser() const noexcept { return parser_; }
  /// Of an object stream.
  const std::optional<StreamHead>& head() const noexcept { return head_; }
  /// Files that stand under their names.
  std::uint64_t files() const noexcept { return files_; }
  std::uint64_t bytes_seen = 0;

 private:
  Result<void> raw_data(std::span<const std::byte> bytes) override;
  Result<void> stream_begin(const StreamHead& head) override;
  Result<void> object_begin(const ObjectHead& head) override;
  Result<void> object_data(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<void> object_end(std::uint64_t size_bytes) override;

  Destination& destination_;
  std::unique_ptr<PartFile> file_;
  std::optional<StreamHead> head_;
  std::uint64_t raw_bytes_ = 0, files_ = 0;
  StreamParser parser_;
};

}  // namespace landfall::cli
