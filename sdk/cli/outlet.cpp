// SPDX-License-Identifier: Apache-2.0
#include "outlet.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/crc32c.hpp"
#include "object_header.hpp"

namespace landfall::cli {
namespace {

Error broken(const char* call) {
  const int number = errno;
  return explain_end(os_error(
      call, number == EPIPE || number == ECONNRESET ? ReasonCode::peer_reset : ReasonCode::none,
      number));
}

class FileOutlet final : public Outlet {
 public:
  FileOutlet(Fd socket, std::atomic<std::uint64_t>& sent_bytes)
      : Outlet{sent_bytes}, socket_{std::move(socket)} {}

  Result<void> write(std::span<const std::byte> bytes) override;
  Result<std::span<std::byte>> piece() override {
    scratch_.resize(kPieceBytes);
    return std::span{scratch_};
  }
  Result<void> send_piece(std::size_t length) override;
  Result<void> send_chunk(int file, std::uint64_t offset, std::uint32_t length) override;
  Result<void> send_range(int file, std::uint64_t offset, std::uint64_t length) override;
  Result<std::uint64_t> send_to_end(int file) override;
  Result<void> close(std::chrono::milliseconds timeout) override;
  Decision decision() const override;
  Verdict verdict() const override { return verdict_; }

 private:
  void direct(std::uint64_t bytes) noexcept {
    verdict_.add(Placement::direct, bytes, ReasonCode::none);
    count(bytes);
  }
  Fd socket_;
  std::vector<std::byte> scratch_;
  Verdict verdict_;
};

Result<void> FileOutlet::close(std::chrono::milliseconds timeout) {
  if (::shutdown(socket_.get(), SHUT_WR) != 0) return broken("shutdown");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::array<std::byte, 512> ignored;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd fd{socket_.get(), POLLIN, 0};
    const int ready = left.count() > 0 ? ::poll(&fd, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return receiver_too_slow();
    const ssize_t n = ::recv(socket_.get(), ignored.data(), ignored.size(), 0);
    if (n == 0) return {};
    if (n < 0 && errno != EINTR) return broken("recv");
  }
}

Result<void> FileOutlet::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return broken("send");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> FileOutlet::send_piece(std::size_t length) {
  LANDFALL_CHECK(write(std::span{scratch_}.first(length)));
  verdict_.add(Placement::copied, length, ReasonCode::copied_by_kernel);
  count(length);
  return {};
}

Result<void> FileOutlet::send_range(int file, std::uint64_t offset, std::uint64_t length) {
  auto at = static_cast<off_t>(offset);
  while (length != 0) {
    // Linux moves at most 2 GiB - 4 KiB per call (sendfile(2)).
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(length, 1u << 30));
    const ssize_t n = ::sendfile(socket_.get(), file, &at, most);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return broken("sendfile");
    if (n == 0) return Error{Errc::io, "sendfile", ReasonCode::stream_truncated};
    length -= static_cast<std::uint64_t>(n);
    direct(static_cast<std::uint64_t>(n));
  }
  return {};
}

Result<void> FileOutlet::send_chunk(int file, std::uint64_t offset, std::uint32_t length) {
  // The checksum comes before the bytes: read them once for it, and let sendfile take the pages.
  constexpr std::size_t kPart = 256u << 10;
  scratch_.resize(kPieceBytes);
  std::uint32_t crc = 0;
  for (std::uint32_t done = 0; done < length;) {
    const auto part = std::span{scratch_}.first(std::min<std::size_t>(kPart, length - done));
    LANDFALL_CHECK(read_at(file, offset + done, part));
    crc = detail::crc32c(part, crc);
    done += static_cast<std::uint32_t>(part.size());
  }
  LANDFALL_CHECK(write(encode_chunk(offset, length, crc)));
  return send_range(file, offset, length);
}

Result<std::uint64_t> FileOutlet::send_to_end(int file) {
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t n = ::splice(file, nullptr, socket_.get(), nullptr, kPieceBytes, SPLICE_F_MOVE);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EINVAL) {  // neither end is a pipe: by hand
      LANDFALL_TRY(const std::uint64_t rest, Outlet::send_to_end(file));
      return total + rest;
    }
    if (n < 0) return broken("splice");
    if (n == 0) return total;
    total += static_cast<std::uint64_t>(n);
    direct(static_cast<std::uint64_t>(n));
  }
}

Decision FileOutlet::decision() const {
  Reason not_asked = reason_from(Error{Errc::not_supported, "", ReasonCode::not_asked_for});
  not_asked.text = "no --memory is named to send from";
  not_asked.fix = "--memory udmabuf";
  Decision decision;
  decision.chosen = "sendfile";
  decision.candidates.push_back({"sendfile", true, Placement::direct, {}});
  for (const char* method : {"devmem", "zerocopy"})
    decision.candidates.push_back({method, false, Placement::direct, {not_asked}});
  return decision;
}

}  // namespace

Error receiver_too_slow() {
  return Error{Errc::timed_out, ""}.with("the receiver did not finish in time",
                                         "a larger --finish-timeout");
}

Error explain_end(const Error& error) {
  if (error.reason() != ReasonCode::peer_reset) return error;
  return Error{error.code(), "", error.reason(), error.origin(), error.native()}.with(
      "the receiver ended the connection before it had everything: see its messages");
}

Result<std::size_t> read_full(int file, std::span<std::byte> into) {
  std::size_t filled = 0;
  while (filled < into.size()) {
    const ssize_t n = ::read(file, &into[filled], into.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read");
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  return filled;
}

Result<void> read_at(int file, std::uint64_t offset, std::span<std::byte> into) {
  for (std::size_t done = 0; done < into.size();) {
    const ssize_t n =
        ::pread(file, &into[done], into.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("pread");
    if (n == 0) return Error{Errc::io, "pread", ReasonCode::stream_truncated};
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Result<std::uint64_t> Outlet::send_to_end(int file) {
  for (std::uint64_t total = 0;;) {
    LANDFALL_TRY(const std::span<std::byte> room, piece());
    ssize_t n = -1;
    do {
      n = ::read(file, room.data(), room.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) return os_error("read");
    if (n == 0) return total;
    LANDFALL_CHECK(send_piece(static_cast<std::size_t>(n)));
    total += static_cast<std::uint64_t>(n);
  }
}

std::unique_ptr<Outlet> make_file_outlet(Fd socket, std::atomic<std::uint64_t>& sent_bytes) {
  return std::make_unique<FileOutlet>(std::move(socket), sent_bytes);
}

}  // namespace landfall::cli
