// SPDX-License-Identifier: Apache-2.0
// Sending from a Region: each byte is read into it once and goes from there.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/crc32c.hpp"
#include "landing.hpp"
#include "object_header.hpp"
#include "outlet.hpp"

namespace landfall::cli {
namespace {

// One is read into while another one is being sent; more do not make a link faster than 8 MiB of
// unacknowledged bytes, twice what the kernel lets a socket have by default (net.ipv4.tcp_wmem).
constexpr std::uint64_t kPiecesMin = 2, kPiecesUsual = 8;

class RegionOutlet final : public Outlet {
 public:
  RegionOutlet(landfall::Sender sender, std::span<std::byte> memory, std::uint64_t offset,
               std::uint64_t pieces, std::atomic<std::uint64_t>& sent_bytes)
      : Outlet{sent_bytes}, sender_{std::move(sender)}, memory_{memory}, offset_{offset} {
    // The last to come back is the first to go: it is still in the cache.
    for (std::uint64_t i = pieces; i != 0; --i) free_.push_back(i - 1);
  }

  Result<void> write(std::span<const std::byte> bytes) override;
  Result<std::span<std::byte>> piece() override;
  Result<void> send_piece(std::size_t length) override;
  Result<void> send_chunk(int file, std::uint64_t offset, std::uint32_t length) override;
  Result<void> send_range(int file, std::uint64_t offset, std::uint64_t length) override;
  Result<void> close(std::chrono::milliseconds timeout) override;
  Decision decision() const override { return sender_.decision(); }
  Verdict verdict() const override { return sender_.verdict(); }

 private:
  /// Sleeps until a piece or more are through, or nothing is out.
  Result<void> reap();

  landfall::Sender sender_;
  std::span<std::byte> memory_;
  std::uint64_t offset_;  // of the first piece in the Region
  std::vector<std::uint64_t> free_;
  std::optional<std::uint64_t> current_;  // given by piece()
};

Result<void> RegionOutlet::reap() {
  std::array<Sent, 16> through;
  const auto count = sender_.wait(through, std::chrono::nanoseconds{-1});
  if (!count) return explain_end(count.error());
  for (const Sent& sent : std::span{through}.first(*count)) free_.push_back(sent.tag);
  return {};
}

Result<void> RegionOutlet::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min<std::size_t>(bytes.size(), 4096));
    if (const auto queued = sender_.send_inline(part)) {
      bytes = bytes.subspan(part.size());
    } else if (queued.error().code() == Errc::limit_reached) {
      LANDFALL_CHECK(reap());
    } else {
      return explain_end(queued.error());
    }
  }
  return {};
}

Result<std::span<std::byte>> RegionOutlet::piece() {
  while (!current_ && free_.empty()) LANDFALL_CHECK(reap());
  if (!current_) {
    current_ = free_.back();
    free_.pop_back();
  }
  return memory_.subspan(offset_ + *current_ * kPieceBytes, kPieceBytes);
}

Result<void> RegionOutlet::send_piece(std::size_t length) {
  const std::uint64_t number = *std::exchange(current_, std::nullopt);
  const auto sent = sender_.send(offset_ + number * kPieceBytes, length, number);
  if (!sent) return explain_end(sent.error());
  count(length);
  return {};
}

Result<void> RegionOutlet::send_chunk(int file, std::uint64_t offset, std::uint32_t length) {
  LANDFALL_TRY(const std::span<std::byte> room, piece());
  const auto bytes = room.first(length);
  LANDFALL_CHECK(read_at(file, offset, bytes));
  LANDFALL_CHECK(write(encode_chunk(offset, length, detail::crc32c(bytes))));
  return send_piece(length);
}

Result<void> RegionOutlet::send_range(int file, std::uint64_t offset, std::uint64_t length) {
  while (length != 0) {
    LANDFALL_TRY(const std::span<std::byte> room, piece());
    const auto bytes = room.first(std::min<std::uint64_t>(length, room.size()));
    LANDFALL_CHECK(read_at(file, offset, bytes));
    LANDFALL_CHECK(send_piece(bytes.size()));
    offset += bytes.size();
    length -= bytes.size();
  }
  return {};
}

Result<void> RegionOutlet::close(std::chrono::milliseconds timeout) {
  while (sender_.ranges_out() != 0) LANDFALL_CHECK(reap());
  const auto closed = sender_.close(timeout);
  if (closed) return {};
  return closed.error().code() == Errc::timed_out ? receiver_too_slow()
                                                  : explain_end(closed.error());
}

}  // namespace

Result<SendMemory> SendMemory::open(const Arguments& arguments, std::uint64_t connections) {
  LANDFALL_TRY(const LandingOptions options, landing_options(arguments));
  RegionSpec spec = options.region;
  if (spec.source.empty()) spec.source = "host";
  if (!arguments.has("size"))
    spec.size_bytes = std::max(spec.size_bytes, connections * kPiecesMin * kPieceBytes);
  if (spec.size_bytes / connections < kPiecesMin * kPieceBytes)
    return Error{Errc::invalid_argument, "", ReasonCode::region_too_small}.with(
        "--size: each connection needs 2 MiB of the memory");
  LANDFALL_TRY(const Context context, make_context(options.plugins));
  LANDFALL_TRY(Region region, Region::allocate(context, spec));
  if (!region.memory().has_host_view())
    return Error{Errc::not_supported, "", ReasonCode::no_host_view}.with(
        "files are read into the memory, and it has no host view");
  LANDFALL_TRY(SendGroup group, SendGroup::open(context,
                                                {.interface = options.group.interface,
                                                 .methods = split_list(arguments.value("method")),
                                                 .contract = options.group.contract,
                                                 .transports = options.group.transports,
                                                 .options = options.group.options},
                                                region));
  return SendMemory{std::move(group), spec.source, connections, !options.group.transports.empty()};
}

Result<std::unique_ptr<Outlet>> SendMemory::connect(const Address& to, std::uint64_t index,
                                                    std::chrono::milliseconds timeout,
                                                    std::atomic<std::uint64_t>& sent_bytes) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    const auto left = std::max<Clock::duration>(deadline - Clock::now(), Clock::duration::zero());
    Result<landfall::Sender> sender = group_.connect(to, left);
    if (sender) return make_outlet(std::move(*sender), index, sent_bytes);
    const bool later = sender.error().reason() == ReasonCode::peer_unreachable;
    if (!later || left == left.zero()) return sender.error();
    // The receiver may be starting: knock again soon, but do not spin.
    std::this_thread::sleep_for(std::min<Clock::duration>(left, std::chrono::milliseconds{50}));
  }
}

Result<std::unique_ptr<Outlet>> SendMemory::outlet(Fd socket, std::uint64_t index,
                                                   std::atomic<std::uint64_t>& sent_bytes) {
  LANDFALL_TRY(landfall::Sender sender, group_.attach(socket));
  return make_outlet(std::move(sender), index, sent_bytes);
}

Result<std::unique_ptr<Outlet>> SendMemory::make_outlet(landfall::Sender sender,
                                                        std::uint64_t index,
                                                        std::atomic<std::uint64_t>& sent_bytes) {
  LANDFALL_TRY(const std::span<std::byte> memory, group_.memory().host_bytes());
  const std::uint64_t pieces = size_bytes() / connections_ / kPieceBytes;
  return std::unique_ptr<Outlet>{
      std::make_unique<RegionOutlet>(std::move(sender), memory, index * pieces * kPieceBytes,
                                     std::min(pieces, kPiecesUsual), sent_bytes)};
}

}  // namespace landfall::cli
