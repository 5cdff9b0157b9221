// SPDX-License-Identifier: Apache-2.0
// Goal: no bytes crash the parser of object streams, and it reads them the same in one piece and in
// many. The first byte is the length of the pieces.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "object_header.hpp"

namespace {

using landfall::Result;

class Sum final : public landfall::cli::StreamVisitor {
 public:
  Result<void> raw_data(std::span<const std::byte> bytes) override {
    total += bytes.size();
    return {};
  }
  Result<void> stream_begin(const landfall::cli::StreamHead& head) override {
    total += head.stream_count;
    return {};
  }
  Result<void> object_begin(const landfall::cli::ObjectHead& head) override {
    if (!landfall::cli::name_is_safe(head.name) || (head.mode & ~0777u) != 0) std::abort();
    total += head.name.size();
    return {};
  }
  Result<void> object_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset + bytes.size() > landfall::cli::kObjectBytesMax) std::abort();
    total += bytes.size();
    return {};
  }
  Result<void> object_end(std::uint64_t) override {
    ++total;
    return {};
  }
  std::uint64_t total = 0;
};

bool parse(std::span<const std::byte> bytes, std::size_t piece, std::uint64_t& ret_total) {
  Sum sum;
  landfall::cli::StreamParser parser{sum};
  bool good = true;
  for (; good && !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size())))
    good = static_cast<bool>(parser.feed(bytes.first(std::min(piece, bytes.size()))));
  good = static_cast<bool>(parser.finish()) && good;
  ret_total = sum.total;
  return good;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span{data + 1, size - 1});
  std::uint64_t whole = 0, pieces = 0;
  const bool a = parse(bytes, bytes.size() + 1, whole);
  const bool b = parse(bytes, std::size_t{data[0]} + 1, pieces);
  if (a != b || (a && whole != pieces)) std::abort();
  return 0;
}
