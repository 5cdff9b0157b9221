// SPDX-License-Identifier: Apache-2.0
#include "object_header.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "base/crc32c.hpp"

namespace landfall::cli {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}
void append(Bytes& to, std::string_view text) {
  append(to, std::as_bytes(std::span{text.data(), text.size()}));
}
void append_chunk(Bytes& to, std::uint64_t offset, std::string_view data) {
  const auto bytes = std::as_bytes(std::span{data.data(), data.size()});
  append(to, encode_chunk(offset, static_cast<std::uint32_t>(data.size()), detail::crc32c(bytes)));
  append(to, data);
}

/// Writes down what it is told.
class Diary final : public StreamVisitor {
 public:
  Result<void> raw_data(std::span<const std::byte> bytes) override {
    raw.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  Result<void> stream_begin(const StreamHead& head) override {
    log += "stream " + std::to_string(head.stream_index) + "/" + std::to_string(head.stream_count) +
           "\n";
    return {};
  }
  Result<void> object_begin(const ObjectHead& head) override {
    log += "begin " + head.name + " " + std::to_string(head.mode) + "\n";
    return {};
  }
  Result<void> object_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (data.size() < offset) data.resize(offset, '.');
    data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  Result<void> object_end(std::uint64_t size_bytes) override {
    log += "end " + std::to_string(size_bytes) + " " + data + "\n";
    data.clear();
    return {};
  }
  std::string log, raw, data;
};

ObjectHead file(std::string name, std::uint64_t size_bytes) {
  ObjectHead head;
  head.name = std::move(name);
  head.size_bytes = size_bytes;
  return head;
}

Bytes good_stream() {
  Bytes s;
  append(s, encode(StreamHead{7, 1, 2, 100}));
  ObjectHead directory = file("d", 0);
  directory.kind = ObjectKind::directory;
  append(s, encode(directory));
  append(s, directory.name);
  append(s, encode_object_end(0, 0));
  const ObjectHead sparse = file("d/sparse", 20);
  append(s, encode(sparse));
  append(s, sparse.name);
  append_chunk(s, 2, "abc");
  append_chunk(s, 10, "defg");
  append(s, encode_object_end(20, 7));
  const ObjectHead unknown = file("stdin", kSizeUnknown);
  append(s, encode(unknown));
  append(s, unknown.name);
  append_chunk(s, 0, "hello");
  append(s, encode_object_end(5, 5));
  append(s, encode_stream_end(3, 12));
  return s;
}

// Goal: a stream reads the same whole, byte by byte, and in pieces of every size.
TEST(ObjectStream, ReadsTheSameInPiecesOfAnySize) {
  const Bytes stream = good_stream();
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    Diary diary;
    StreamParser parser{diary};
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      const auto fed =
          parser.feed(std::span{stream}.subspan(at, std::min(piece, stream.size() - at)));
      ASSERT_TRUE(fed) << piece << ": " << fed.error().describe();
    }
    ASSERT_TRUE(parser.finish());
    EXPECT_EQ(diary.log,
              "stream 1/2\nbegin d 420\nend 0 \nbegin d/sparse 420\nend 20 ..abc.....defg\n"
              "begin stdin 420\nend 5 hello\n");
    EXPECT_EQ(parser.data_bytes(), 12u);
    EXPECT_EQ(parser.objects(), 3u);
  }
}

// Goal: any other bytes are a raw stream, and none of them is lost, however they begin.
TEST(ObjectStream, AnythingElseIsRaw) {
  const std::string magic{reinterpret_cast<const char*>(kMagic.data()), kMagicBytes};
  for (const std::string& text :
       {std::string{}, std::string{"x"}, std::string{"hello, world"}, magic.substr(0, 7),
        magic.substr(0, 7) + "xyz", magic.substr(1)}) {
    for (const std::size_t piece : {1u, 3u, 100u}) {
      Diary diary;
      StreamParser parser{diary};
      for (std::size_t at = 0; at < text.size(); at += piece)
        ASSERT_TRUE(parser.feed(
            std::as_bytes(std::span{text}.subspan(at, std::min(piece, text.size() - at)))));
      ASSERT_TRUE(parser.finish());
      EXPECT_EQ(diary.raw, text);
      EXPECT_TRUE(parser.is_raw());
      EXPECT_EQ(parser.data_bytes(), text.size());
    }
  }
}

// Goal: a stream that is cut anywhere is said to be cut, and no object of it is taken for whole.
TEST(ObjectStream, ACutStreamIsSeen) {
  const Bytes stream = good_stream();
  for (std::size_t length = kMagicBytes; length < stream.size(); ++length) {
    Diary diary;
    StreamParser parser{diary};
    ASSERT_TRUE(parser.feed(std::span{stream}.first(length)));
    const auto finished = parser.finish();
    ASSERT_FALSE(finished) << length;
    EXPECT_EQ(finished.error().reason(), ReasonCode::stream_truncated);
  }
}

// Goal: one changed bit anywhere after the magic is an error, never a different object.
TEST(ObjectStream, AFlippedBitIsSeen) {
  const Bytes good = good_stream();
  for (std::size_t at = kMagicBytes; at < good.size(); ++at) {
    Bytes stream = good;
    stream[at] ^= std::byte{0x10};
    Diary diary;
    StreamParser parser{diary};
    const bool whole = static_cast<bool>(parser.feed(stream)) && static_cast<bool>(parser.finish());
    EXPECT_FALSE(whole) << "byte " << at;
  }
}

// Goal: names cannot leave the destination.
TEST(ObjectStream, NamesStayBelowTheDestination) {
  for (const std::string& name :
       {std::string{""}, std::string{"/"}, std::string{"/etc/passwd"}, std::string{".."},
        std::string{"."}, std::string{"a/../b"}, std::string{"a/.."}, std::string{"../a"},
        std::string{"a//b"}, std::string{"a/"}, std::string{"./a"}, std::string{"a\0b", 3},
        std::string(256, 'x'), std::string(kNameBytesMax + 1, 'x')})
    EXPECT_FALSE(name_is_safe(name)) << name;
  for (const std::string& name :
       {std::string{"a"}, std::string{"..."}, std::string{"a/b/c"}, std::string{"-rf"},
        std::string{" \n\x80\xff"}, std::string{"..a"}, std::string(255, 'x')})
    EXPECT_TRUE(name_is_safe(name)) << name;
}

// Goal: each way to lie in a head that has a right checksum is a typed error.
TEST(ObjectStream, HostileHeadsAreTypedErrors) {
  const auto begun = [](const std::function<void(Bytes&)>& rest) {
    Bytes s;
    append(s, encode(StreamHead{1, 0, 1, 0}));
    rest(s);
    return s;
  };
  const auto in_file = [&begun](std::uint64_t size, const std::function<void(Bytes&)>& rest) {
    return begun([&](Bytes& s) {
      const ObjectHead head = file("f", size);
      append(s, encode(head));
      append(s, head.name);
      rest(s);
    });
  };
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  const std::vector<std::pair<const char*, Bytes>> cases{
      {"a stream that is one of none", begun([](Bytes& s) {
         s.clear();
         append(s, encode(StreamHead{1, 0, 0, 0}));
       })},
      {"a stream that is one of too many", begun([](Bytes& s) {
         s.clear();
         append(s, encode(StreamHead{1, 0, kStreamsMax + 1, 0}));
       })},
      {"a stream past its count", begun([](Bytes& s) {
         s.clear();
         append(s, encode(StreamHead{1, 2, 2, 0}));
       })},
      {"an object of 2^63 bytes", in_file(kHuge, [](Bytes&) {})},
      {"a name of no bytes", begun([](Bytes& s) { append(s, encode(file("", 1))); })},
      {"a name that is too long",
       begun([](Bytes& s) { append(s, encode(file(std::string(kNameBytesMax + 1, 'x'), 1))); })},
      {"a name that leaves", begun([](Bytes& s) {
         append(s, encode(file("../x", 1)));
         append(s, "../x");
       })},
      {"a chunk outside an object", begun([](Bytes& s) { append_chunk(s, 0, "x"); })},
      {"a chunk of no bytes", in_file(10, [](Bytes& s) { append(s, encode_chunk(0, 0, 0)); })},
      {"a chunk that is too long",
       in_file(kObjectBytesMax,
               [](Bytes& s) { append(s, encode_chunk(0, kChunkBytesMax + 1, 0)); })},
      {"a chunk past the end", in_file(10, [](Bytes& s) { append_chunk(s, 8, "xyz"); })},
      {"a chunk whose end wraps", in_file(10, [](Bytes& s) { append_chunk(s, ~0ull - 1, "xyz"); })},
      {"a chunk that goes back", in_file(10,
                                         [](Bytes& s) {
                                           append_chunk(s, 4, "xyz");
                                           append_chunk(s, 6, "x");
                                         })},
      {"a chunk of 2^63 in an object of unknown size",
       in_file(kSizeUnknown, [](Bytes& s) { append_chunk(s, kHuge, "x"); })},
      {"an end of another size", in_file(10, [](Bytes& s) { append(s, encode_object_end(9, 0)); })},
      {"an end of other data", in_file(10, [](Bytes& s) { append(s, encode_object_end(10, 1)); })},
      {"an end of less than came", in_file(kSizeUnknown,
                                           [](Bytes& s) {
                                             append_chunk(s, 0, "abc");
                                             append(s, encode_object_end(2, 3));
                                           })},
      {"an object in an object", in_file(10,
                                         [](Bytes& s) {
                                           append(s, encode(file("g", 1)));
                                           append(s, "g");
                                         })},
      {"the stream's end in an object",
       in_file(10, [](Bytes& s) { append(s, encode_stream_end(0, 0)); })},
      {"the stream's end with wrong counts",
       begun([](Bytes& s) { append(s, encode_stream_end(1, 0)); })},
      {"bytes past the end", begun([](Bytes& s) {
         append(s, encode_stream_end(0, 0));
         append(s, "x");
       })},
  };
  for (const auto& [what, stream] : cases) {
    Diary diary;
    StreamParser parser{diary};
    const auto fed = parser.feed(stream);
    ASSERT_FALSE(fed) << what;
    EXPECT_EQ(fed.error().code(), Errc::invalid_argument) << what;
    EXPECT_TRUE(fed.error().reason() == ReasonCode::stream_malformed ||
                fed.error().reason() == ReasonCode::object_name_refused)
        << what << ": " << fed.error().describe();
    EXPECT_FALSE(parser.feed(stream)) << "the error stays: " << what;
    EXPECT_FALSE(parser.finish());
  }
}

// Goal: setuid and the like are not taken over from a sender.
TEST(ObjectStream, OnlyPermissionBitsAreTaken) {
  Bytes s;
  append(s, encode(StreamHead{1, 0, 1, 0}));
  ObjectHead head = file("f", 0);
  head.mode = 07777;
  append(s, encode(head));
  append(s, head.name);
  Diary diary;
  StreamParser parser{diary};
  ASSERT_TRUE(parser.feed(s));
  EXPECT_EQ(diary.log, "stream 0/1\nbegin f 511\n");
}

// Goal: the checksum is CRC-32C (check value of its catalogue entry), by table as by instruction.
TEST(Crc32c, IsTheRightOneBothWays) {
  const std::string digits = "123456789";
  EXPECT_EQ(detail::crc32c(std::as_bytes(std::span{digits})), 0xe3069283u);
  std::mt19937 random{1};
  Bytes bytes(1000);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    const auto part = std::span{bytes}.first(length);
    EXPECT_EQ(detail::crc32c(part), detail::crc32c_by_table(part)) << length;
    EXPECT_EQ(detail::crc32c(part.subspan(length / 3), detail::crc32c(part.first(length / 3))),
              detail::crc32c(part));
  }
}

}  // namespace
}  // namespace landfall::cli
