// SPDX-License-Identifier: Apache-2.0
// How the bytes of one connection of `send` leave: straight from files, or from a Region.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "arguments.hpp"
#include "landfall/landfall.hpp"

namespace landfall::cli {

/// One checksum and one system call or two per this many bytes; small enough to stay in the cache
/// between reading it for the checksum and sending it.
inline constexpr std::uint32_t kPieceBytes = 1u << 20;

/// The receiver has gone, said as people need it; other errors as they are.
Error explain_end(const Error& error);
Error receiver_too_slow();

class Outlet {
 public:
  /// `sent_bytes`: for who shows progress; data only.
  explicit Outlet(std::atomic<std::uint64_t>& sent_bytes) : sent_bytes_{sent_bytes} {}
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;
  virtual ~Outlet() = default;

  /// Headers: copied.
  virtual Result<void> write(std::span<const std::byte> bytes) = 0;
  /// Room for the next kPieceBytes of data, until send_piece().
  virtual Result<std::span<std::byte>> piece() = 0;
  virtual Result<void> send_piece(std::size_t length) = 0;
  /// One chunk of a file with its header. Errors: io - LF1502, the file is shorter.
  virtual Result<void> send_chunk(int file, std::uint64_t offset, std::uint32_t length) = 0;
  /// A range of a file and nothing else. Errors: as send_chunk().
  virtual Result<void> send_range(int file, std::uint64_t offset, std::uint64_t length) = 0;
  /// All that can be read; answers how much that was.
  virtual Result<std::uint64_t> send_to_end(int file);
  /// Ends the stream and waits until the receiver has taken it. Errors: flow_reset - it refused;
  /// timed_out.
  virtual Result<void> close(std::chrono::milliseconds timeout) = 0;

  virtual Decision decision() const = 0;
  virtual Verdict verdict() const = 0;

 protected:
  void count(std::uint64_t bytes) noexcept {
    sent_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t>& sent_bytes_;
};

/// Reads until `into` is full or the file ends; answers how much came.
Result<std::size_t> read_full(int file, std::span<std::byte> into);
/// All of `into`, from `offset` on. Errors: io - LF1502, the file is shorter.
Result<void> read_at(int file, std::uint64_t offset, std::span<std::byte> into);

/// By sendfile(2) and splice(2), without copying; what is no file by send(2).
std::unique_ptr<Outlet> make_file_outlet(Fd socket, std::atomic<std::uint64_t>& sent_bytes);

/// The memory of --memory: a ring of pieces for each connection, which files are read into while
/// others are being sent.
class SendMemory {
 public:
  /// Errors: invalid_argument; those of Region::allocate and SendGroup::open; not_supported -
  /// LF1112, LF1204.
  static Result<SendMemory> open(const Arguments& arguments, std::uint64_t connections);
  /// Do connections need no socket? Then connect() makes them, by the transports of --transport.
  bool connects() const noexcept { return connects_; }
  /// Tries again and again until `timeout` has passed. Errors: those of SendGroup::connect.
  Result<std::unique_ptr<Outlet>> connect(const Address& to, std::uint64_t index,
                                          std::chrono::milliseconds timeout,
                                          std::atomic<std::uint64_t>& sent_bytes);
  /// For connection number `index`. Errors: those of SendGroup::attach.
  Result<std::unique_ptr<Outlet>> outlet(Fd socket, std::uint64_t index,
                                         std::atomic<std::uint64_t>& sent_bytes);
  std::uint64_t size_bytes() const noexcept { return group_.memory().size_bytes(); }
  const std::string& source() const noexcept { return source_; }

 private:
  SendMemory(SendGroup group, std::string source, std::uint64_t connections, bool connects)
      : group_{std::move(group)},
        source_{std::move(source)},
        connections_{connections},
        connects_{connects} {}
  Result<std::unique_ptr<Outlet>> make_outlet(landfall::Sender sender, std::uint64_t index,
                                              std::atomic<std::uint64_t>& sent_bytes);
  SendGroup group_;
  std::string source_;
  std::uint64_t connections_;
  bool connects_;
};

}  // namespace landfall::cli
