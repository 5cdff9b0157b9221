// SPDX-License-Identifier: Apache-2.0
#include "object_header.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.hpp"

namespace landfall::cli {
namespace {

constexpr const char* kOp = "object stream";

enum RecordType : std::uint8_t { kObject = 1, kChunk = 2, kObjectEnd = 3, kStreamEnd = 4 };

// Little-endian on the wire, whatever the host.
template <class Number>
void put(std::byte* at, Number value) noexcept {
  for (std::size_t i = 0; i < sizeof value; ++i)
    at[i] = static_cast<std::byte>(value >> (8 * i) & 0xffu);
}
template <class Number>
Number get(const std::byte* at) noexcept {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i)
    value = static_cast<Number>(value | std::to_integer<Number>(at[i]) << (8 * i));
  return value;
}

std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span{text.data(), text.size()});
}

RecordHeadBytes record(RecordType type, std::uint32_t length, std::uint64_t a, std::uint64_t b,
                       std::uint32_t body_crc) noexcept {
  RecordHeadBytes head{};
  head[0] = static_cast<std::byte>(type);
  put(&head[4], length);
  put(&head[8], a);
  put(&head[16], b);
  put(&head[24], body_crc);
  put(&head[28], detail::crc32c(std::span{head}.first(28)));
  return head;
}

Error malformed(std::string_view what) {
  return Error{Errc::invalid_argument, kOp, ReasonCode::stream_malformed}.with(what);
}

}  // namespace

bool name_is_safe(std::string_view name) noexcept {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  if (name.find('\0') != std::string_view::npos) return false;
  for (;;) {
    const std::size_t slash = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, slash);
    // 255: NAME_MAX of every file system that Linux has.
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    if (slash == name.size()) return true;
    name.remove_prefix(slash + 1);
  }
}

StreamHeadBytes encode(const StreamHead& head) noexcept {
  StreamHeadBytes out{};
  std::memcpy(out.data(), kMagic.data(), kMagicBytes);
  put(&out[8], kStreamVersion);
  put(&out[10], static_cast<std::uint16_t>(kStreamHeadBytes));
  put(&out[16], head.transfer_id);
  put(&out[24], head.stream_index);
  put(&out[28], head.stream_count);
  put(&out[32], head.total_bytes);
  put(&out[44], detail::crc32c(std::span{out}.first(44)));
  return out;
}

RecordHeadBytes encode(const ObjectHead& head) noexcept {
  const std::uint64_t b = head.mode | static_cast<std::uint64_t>(head.kind) << 32;
  return record(kObject, static_cast<std::uint32_t>(head.name.size()), head.size_bytes, b,
                detail::crc32c(bytes_of(head.name)));
}
RecordHeadBytes encode_chunk(std::uint64_t offset, std::uint32_t length,
                             std::uint32_t data_crc) noexcept {
  return record(kChunk, length, offset, 0, data_crc);
}
RecordHeadBytes encode_object_end(std::uint64_t size_bytes, std::uint64_t data_bytes) noexcept {
  return record(kObjectEnd, 0, size_bytes, data_bytes, 0);
}
RecordHeadBytes encode_stream_end(std::uint64_t objects, std::uint64_t data_bytes) noexcept {
  return record(kStreamEnd, 0, objects, data_bytes, 0);
}

std::size_t StreamParser::head_bytes() const noexcept {
  switch (state_) {
    case State::magic:
      return kMagicBytes;
    case State::stream_head:
      return kStreamHeadBytes;
    case State::name:
      return name_bytes_;
    default:
      return kRecordHeadBytes;
  }
}

Result<void> StreamParser::feed(std::span<const std::byte> bytes) {
  if (failed_) return error_;
  while (!bytes.empty()) {
    if (const auto taken = take(bytes); !taken) {
      failed_ = true;
      error_ = taken.error();
      return error_;
    }
  }
  return {};
}

Result<void> StreamParser::finish() {
  if (failed_) return error_;
  if (state_ == State::done || state_ == State::raw) return {};
  if (state_ == State::magic) {  // shorter than the magic: whatever it is, it is raw
    state_ = State::raw;
    data_bytes_ = held_bytes_;
    return held_bytes_ == 0 ? Result<void>{}
                            : visitor_.raw_data(std::span{held_}.first(held_bytes_));
  }
  failed_ = true;
  error_ = Error{Errc::invalid_argument, kOp, ReasonCode::stream_truncated};
  return error_;
}

Result<void> StreamParser::take(std::span<const std::byte>& bytes) {
  if (state_ == State::raw) {
    data_bytes_ += bytes.size();
    return visitor_.raw_data(std::exchange(bytes, {}));
  }
  if (state_ == State::chunk) return take_chunk(bytes);
  if (state_ == State::done) return malformed("bytes follow the end of the stream");
  const std::size_t count = std::min(bytes.size(), head_bytes() - held_bytes_);
  std::memcpy(&held_[held_bytes_], bytes.data(), count);
  held_bytes_ += count;
  bytes = bytes.subspan(count);
  if (state_ == State::magic && std::memcmp(held_.data(), kMagic.data(), held_bytes_) != 0) {
    state_ = State::raw;
    data_bytes_ = held_bytes_;
    return visitor_.raw_data(std::span{held_}.first(held_bytes_));
  }
  return held_bytes_ == head_bytes() ? take_head() : Result<void>{};
}

Result<void> StreamParser::take_head() {
  switch (state_) {
    case State::magic:
      state_ = State::stream_head;  // which begins with these bytes
      return {};
    case State::stream_head:
      held_bytes_ = 0;
      return take_stream_head();
    case State::name:
      held_bytes_ = 0;
      return take_name();
    default:
      held_bytes_ = 0;
      return take_record_head();
  }
}

Result<void> StreamParser::take_stream_head() {
  const std::byte* at = held_.data();
  if (get<std::uint16_t>(at + 8) != kStreamVersion)
    return malformed("version " + std::to_string(get<std::uint16_t>(at + 8)) +
                     " of the object stream is not known here");
  if (get<std::uint32_t>(at + 44) != detail::crc32c(std::span{held_}.first(44)))
    return Error{Errc::invalid_argument, kOp, ReasonCode::stream_checksum};
  if (get<std::uint16_t>(at + 10) != kStreamHeadBytes || get<std::uint32_t>(at + 12) != 0 ||
      get<std::uint32_t>(at + 40) != 0)
    return malformed("a reserved field of the stream head is set");
  StreamHead head;
  head.transfer_id = get<std::uint64_t>(at + 16);
  head.stream_index = get<std::uint32_t>(at + 24);
  head.stream_count = get<std::uint32_t>(at + 28);
  head.total_bytes = get<std::uint64_t>(at + 32);
  if (head.stream_count == 0 || head.stream_count > kStreamsMax ||
      head.stream_index >= head.stream_count)
    return malformed("the stream says that it is one of too many");
  state_ = State::record_head;
  return visitor_.stream_begin(head);
}

Result<void> StreamParser::take_record_head() {
  const std::byte* at = held_.data();
  if (get<std::uint32_t>(at + 28) != detail::crc32c(std::span{held_}.first(28)))
    return Error{Errc::invalid_argument, kOp, ReasonCode::stream_checksum};
  const auto type = std::to_integer<std::uint8_t>(at[0]);
  const auto length = get<std::uint32_t>(at + 4);
  const auto a = get<std::uint64_t>(at + 8);
  const auto b = get<std::uint64_t>(at + 16);
  const auto body_crc = get<std::uint32_t>(at + 24);
  if ((get<std::uint32_t>(at) >> 8) != 0) return malformed("a reserved field of a record is set");

  if (type == kObject && !in_object_) {
    if (length == 0 || length > kNameBytesMax)
      return Error{Errc::invalid_argument, kOp, ReasonCode::object_name_refused}.with(
          "a name of " + std::to_string(length) + " bytes");
    if (a > kObjectBytesMax && a != kSizeUnknown)
      return malformed("an object larger than 2^63 - 1");
    const std::uint64_t kind = b >> 32;
    if (kind > 1) return malformed("an object of unknown kind");
    if (kind == 1 && a != 0) return malformed("a directory with data");
    object_ = ObjectHead{};
    object_.size_bytes = a;
    object_.mode = static_cast<std::uint32_t>(b) & 0777u;
    object_.kind = static_cast<ObjectKind>(kind);
    name_bytes_ = length;
    name_crc_ = body_crc;
    state_ = State::name;
    return {};
  }
  if (type == kChunk && in_object_) {
    if (length == 0 || length > kChunkBytesMax)
      return malformed("a chunk of " + std::to_string(length) + " bytes");
    const std::uint64_t limit =
        object_.size_bytes == kSizeUnknown ? kObjectBytesMax : object_.size_bytes;
    if (a < next_offset_ || a > limit || length > limit - a || object_.kind != ObjectKind::file)
      return malformed("a chunk outside its object");
    chunk_offset_ = a;
    chunk_left_ = length;
    chunk_crc_ = body_crc;
    chunk_crc_so_far_ = 0;
    next_offset_ = a + length;
    state_ = State::chunk;
    return {};
  }
  if (type == kObjectEnd && in_object_) {
    if (length != 0 || b != object_data_bytes_ || a < next_offset_ || a > kObjectBytesMax ||
        (object_.size_bytes != kSizeUnknown && a != object_.size_bytes))
      return malformed("an object whose end does not fit what came before");
    in_object_ = false;
    ++objects_;
    return visitor_.object_end(a);
  }
  if (type == kStreamEnd && !in_object_) {
    if (length != 0 || a != objects_ || b != data_bytes_)
      return malformed("a stream whose end does not fit what came before");
    state_ = State::done;
    return {};
  }
  return malformed("a record of type " + std::to_string(type) + " where none may stand");
}

Result<void> StreamParser::take_name() {
  const auto bytes = std::span{held_}.first(name_bytes_);
  if (detail::crc32c(bytes) != name_crc_)
    return Error{Errc::invalid_argument, kOp, ReasonCode::stream_checksum};
  object_.name.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!name_is_safe(object_.name))
    return Error{Errc::invalid_argument, kOp, ReasonCode::object_name_refused};
  in_object_ = true;
  next_offset_ = 0;
  object_data_bytes_ = 0;
  state_ = State::record_head;
  return visitor_.object_begin(object_);
}

Result<void> StreamParser::take_chunk(std::span<const std::byte>& bytes) {
  const auto piece = bytes.first(std::min<std::size_t>(bytes.size(), chunk_left_));
  bytes = bytes.subspan(piece.size());
  chunk_crc_so_far_ = detail::crc32c(piece, chunk_crc_so_far_);
  LANDFALL_CHECK(visitor_.object_data(chunk_offset_, piece));
  chunk_offset_ += piece.size();
  object_data_bytes_ += piece.size();
  data_bytes_ += piece.size();
  chunk_left_ -= static_cast<std::uint32_t>(piece.size());
  if (chunk_left_ != 0) return {};
  if (chunk_crc_so_far_ != chunk_crc_)
    return Error{Errc::invalid_argument, kOp, ReasonCode::stream_checksum};
  state_ = State::record_head;
  return {};
}

}  // namespace landfall::cli
