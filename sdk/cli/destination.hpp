// SPDX-License-Identifier: Apache-2.0
// Where received bytes go: a directory, one file, or a stream such as standard output.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "landfall/base/fd.hpp"
#include "landfall/base/result.hpp"
#include "object_header.hpp"

namespace landfall::cli {

/// One object on its way to the disk. Nothing is seen under its name before finish(), and nothing
/// is left when it is destroyed without.
class PartFile {
 public:
  virtual ~PartFile() = default;
  virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual Result<void> finish(std::uint64_t size_bytes) = 0;
};

class Destination {
 public:
  /// "-": standard output. "exec:PROGRAM": each object on the standard input of PROGRAM NAME. An
  /// existing directory, or a name that ends in '/': a directory, made if
  /// need be. A device, pipe or socket: written in the order of arrival. Else a file.
  /// Errors: os errors of open and mkdir.
  static Result<Destination> open(const std::string& to);

  /// The caller's: once it is readable nothing waits for a pipe or a program any more, and what is
  /// written fails (ECANCELED).
  void stop_by(int fd) noexcept { stop_fd_ = fd; }

  bool is_directory() const noexcept { return kind_ == Kind::directory; }
  bool is_stream() const noexcept { return kind_ == Kind::stream; }

  /// Errors: invalid_argument - LF1505, a second object for one file; os errors.
  Result<std::unique_ptr<PartFile>> begin(const ObjectHead& head);
  /// A stream without a name: in a directory the next free number.
  Result<std::unique_ptr<PartFile>> begin_raw();
  /// One that was there before keeps its mode.
  Result<void> make_directory(std::uint64_t transfer_id, const ObjectHead& head);
  /// A stream of a transfer ended. After the last one directories that may not be written get their
  /// modes.
  Result<void> end_stream(const StreamHead& stream);

 private:
  enum class Kind { directory, file, stream, program };
  Result<Fd> open_parent(std::string_view name, std::string& ret_last);
  Result<std::unique_ptr<PartFile>> begin_file(int directory, const std::string& last, mode_t mode);

  Kind kind_ = Kind::file;
  std::string shown_;  // as the user wrote it
  Fd root_;            // the directory, that of the file, or the stream
  std::string last_;   // of the file
  int stop_fd_ = -1;
  bool taken_ = false;
  std::uint64_t next_number_ = 1;
  struct Transfer {
    std::uint32_t streams_ended = 0;
    std::vector<std::pair<std::string, mode_t>> sealed;
  };
  std::map<std::uint64_t, Transfer> transfers_;
  // Made for a file that came before its directory did, by device and inode.
  std::set<std::pair<dev_t, ino_t>> made_early_;
};

}  // namespace landfall::cli
