// SPDX-License-Identifier: Apache-2.0
// The object stream of `landfall send`, byte by byte in sdk/docs/stream_format.md: heads as values,
// and a parser that takes the stream in pieces of any size. Pure: no file, no socket, no clock.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "landfall/base/result.hpp"

namespace landfall::cli {

inline constexpr std::size_t kMagicBytes = 8;
inline constexpr std::array<unsigned char, kMagicBytes> kMagic{0x89, 'L',  'F',  'O',
                                                               '\r', '\n', 0x1a, '\n'};
inline constexpr std::size_t kStreamHeadBytes = 48;
inline constexpr std::size_t kRecordHeadBytes = 32;
inline constexpr std::uint16_t kStreamVersion = 1;
/// Longest name: PATH_MAX of Linux, less its NUL.
inline constexpr std::uint32_t kNameBytesMax = 4095;
/// Longest chunk: what a sender may ask a receiver to take before the next checksum.
inline constexpr std::uint32_t kChunkBytesMax = 16u << 20;
/// Connections of one transfer: more hide nothing on one host.
inline constexpr std::uint32_t kStreamsMax = 1024;
/// Largest object: off_t.
inline constexpr std::uint64_t kObjectBytesMax = (std::uint64_t{1} << 63) - 1;
/// Size of an object whose sender does not know it (standard input).
inline constexpr std::uint64_t kSizeUnknown = ~std::uint64_t{0};

struct StreamHead {
  std::uint64_t transfer_id = 0;  // the same in all streams of one transfer
  std::uint32_t stream_index = 0, stream_count = 1;
  std::uint64_t total_bytes = 0;  // data that this stream will carry; 0: not known
};

enum class ObjectKind : std::uint8_t { file = 0, directory = 1 };

struct ObjectHead {
  std::string name;  // checked: relative, no "." or "..", no NUL, '/' between parts
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0644;  // permission bits only
  ObjectKind kind = ObjectKind::file;
};

/// Is it a name that stays below the destination? Relative, at most kNameBytesMax bytes, no NUL,
/// no empty part, no "." or "..", each part at most 255 bytes.
bool name_is_safe(std::string_view name) noexcept;

using StreamHeadBytes = std::array<std::byte, kStreamHeadBytes>;
using RecordHeadBytes = std::array<std::byte, kRecordHeadBytes>;

StreamHeadBytes encode(const StreamHead& head) noexcept;
/// The record head; head.name follows it on the wire.
RecordHeadBytes encode(const ObjectHead& head) noexcept;
RecordHeadBytes encode_chunk(std::uint64_t offset, std::uint32_t length,
                             std::uint32_t data_crc) noexcept;
RecordHeadBytes encode_object_end(std::uint64_t size_bytes, std::uint64_t data_bytes) noexcept;
RecordHeadBytes encode_stream_end(std::uint64_t objects, std::uint64_t data_bytes) noexcept;

/// Who takes what a stream carries. An error ends the parsing and is what feed() answers.
class StreamVisitor {
 public:
  virtual ~StreamVisitor() = default;
  /// The stream is no object stream: all its bytes come here.
  virtual Result<void> raw_data(std::span<const std::byte> bytes) = 0;
  virtual Result<void> stream_begin(const StreamHead& head) = 0;
  virtual Result<void> object_begin(const ObjectHead& head) = 0;
  /// Data that are not verified yet: object_end says that all of the object's were right.
  virtual Result<void> object_data(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// The object is complete and every chunk of it had its checksum.
  virtual Result<void> object_end(std::uint64_t size_bytes) = 0;
};

/// Takes one stream from its first byte on; tells by the magic whether it is an object stream.
///
/// Threads: one. After an error every call answers that error.
class StreamParser {
 public:
  explicit StreamParser(StreamVisitor& visitor) noexcept : visitor_{visitor} {}

  /// Errors: invalid_argument - LF1501 to LF1504; or the visitor's.
  Result<void> feed(std::span<const std::byte> bytes);
  /// The stream ended. Errors: invalid_argument - LF1502, in the middle of something.
  Result<void> finish();
  bool is_raw() const noexcept { return state_ == State::raw; }
  bool is_framed() const noexcept { return state_ > State::raw; }
  /// Data bytes of objects, or all bytes of a raw stream.
  std::uint64_t data_bytes() const noexcept { return data_bytes_; }
  std::uint64_t objects() const noexcept { return objects_; }

 private:
  enum class State { magic, raw, stream_head, record_head, name, chunk, done };
  Result<void> take(std::span<const std::byte>& bytes);
  Result<void> take_head();
  Result<void> take_stream_head();
  Result<void> take_record_head();
  Result<void> take_name();
  Result<void> take_chunk(std::span<const std::byte>& bytes);
  std::size_t head_bytes() const noexcept;

  StreamVisitor& visitor_;
  State state_ = State::magic;
  std::array<std::byte, kNameBytesMax> held_;  // the head or name that is being put together
  std::size_t held_bytes_ = 0;
  bool failed_ = false;
  Error error_{Errc::ok, ""};

  bool in_object_ = false;
  ObjectHead object_;
  std::size_t name_bytes_ = 0;
  std::uint32_t name_crc_ = 0;
  std::uint64_t next_offset_ = 0;  // chunks of an object do not overlap and only go forward
  std::uint64_t object_data_bytes_ = 0;
  std::uint64_t chunk_offset_ = 0;
  std::uint32_t chunk_left_ = 0, chunk_crc_ = 0, chunk_crc_so_far_ = 0;
  std::uint64_t data_bytes_ = 0, objects_ = 0;
};

}  // namespace landfall::cli
