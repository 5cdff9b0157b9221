// SPDX-License-Identifier: Apache-2.0
#include "destination.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include "console.hpp"
#include "program_file.hpp"
#include "serial_writer.hpp"

namespace landfall::cli {
namespace {

Error file_error(const std::string& name) {
  const int number = errno;
  // The file system's refusals are no limits or conflicts that landfall could tell how to mend.
  const Errc mapped = errc_from_errno(number);
  const Errc code = mapped == Errc::permission_denied ? mapped : Errc::io;
  return Error{code, "", ReasonCode::none, Origin::os, number}.with(
      "cannot write '" + printable(name) + "': " + std::strerror(number));
}

/// Standard output, a pipe or a device: bytes in order, gaps as zeros.
class StreamFile final : public PartFile {
 public:
  StreamFile(int fd, int stop_fd, std::string name)
      : writer_{fd, stop_fd}, name_{std::move(name)} {}
  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const int number = writer_.write(offset, bytes);
    if (number == 0) return {};
    errno = number;
    return file_error(name_);
  }
  Result<void> finish(std::uint64_t size_bytes) override { return write(size_bytes, {}); }

 private:
  SerialWriter writer_;
  std::string name_;
};

/// A file without a name (O_TMPFILE) until it is complete; where the file system has no such thing,
/// one named ".NAME.<random>.part".
class RegularFile final : public PartFile {
 public:
  RegularFile(Fd directory, std::string last, mode_t mode)
      : directory_{std::move(directory)}, last_{std::move(last)}, mode_{mode} {
    std::random_device random;
    std::array<char, 24> suffix{};
    std::snprintf(suffix.data(), suffix.size(), ".%08x%08x.part", random(), random());
    // NAME_MAX is 255: room for the dot and the suffix.
    part_ = "." + last_.substr(0, 220) + suffix.data();
  }
  ~RegularFile() override {
    if (linked_) ::unlinkat(directory_.get(), part_.c_str(), 0);
  }

  Result<void> open() {
    fd_.reset(::openat(directory_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    if (fd_) return {};
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) return file_error(last_);
    fd_.reset(::openat(directory_.get(), part_.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd_) return file_error(last_);
    linked_ = true;
    return {};
  }

  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return file_error(last_);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  Result<void> finish(std::uint64_t size_bytes) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0) return file_error(last_);
    if (::fchmod(fd_.get(), mode_) != 0) return file_error(last_);
    if (!linked_) {
      const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
      if (::linkat(AT_FDCWD, self.c_str(), directory_.get(), part_.c_str(), AT_SYMLINK_FOLLOW) != 0)
        return file_error(last_);
      linked_ = true;
    }
    if (::renameat(directory_.get(), part_.c_str(), directory_.get(), last_.c_str()) != 0)
      return file_error(last_);
    linked_ = false;
    fd_.reset();
    return {};
  }

 private:
  Fd directory_;
  std::string last_, part_;
  mode_t mode_;
  Fd fd_;
  bool linked_ = false;
};

mode_t process_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

}  // namespace

Result<Destination> Destination::open(const std::string& to) {
  Destination d;
  d.shown_ = to;
  if (to == "-") {
    LANDFALL_TRY(Fd output, Fd::duplicate(STDOUT_FILENO));
    d.root_ = SerialWriter::unblocked(std::move(output));
    d.kind_ = Kind::stream;
    return d;
  }
  constexpr std::string_view kProgram = "exec:";
  if (to.starts_with(kProgram)) {
    d.last_ = to.substr(kProgram.size());
    d.kind_ = Kind::program;
    return d;
  }
  struct stat st {};
  const bool exists = ::stat(to.c_str(), &st) == 0;
  if (exists && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
    d.root_.reset(::open(to.c_str(), O_WRONLY | O_CLOEXEC));
    if (!d.root_) return file_error(to);
    ::fcntl(d.root_.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
    d.kind_ = Kind::stream;
    return d;
  }
  std::string directory = to;
  if ((exists && S_ISDIR(st.st_mode)) || to.ends_with('/')) {
    d.kind_ = Kind::directory;
    if (!exists && ::mkdir(to.c_str(), 0777) != 0) return file_error(to);
  } else {
    const std::size_t slash = to.rfind('/');
    d.last_ = slash == std::string::npos ? to : to.substr(slash + 1);
    directory = slash == std::string::npos ? "." : to.substr(0, slash + 1);
  }
  d.root_.reset(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!d.root_) return file_error(directory);
  return d;
}

Result<Fd> Destination::open_parent(std::string_view name, std::string& ret_last) {
  LANDFALL_TRY(Fd at, Fd::duplicate(root_.get()));
  for (;;) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos) break;
    const std::string part{name.substr(0, slash)};
    name.remove_prefix(slash + 1);
    // Part by part and never through a link: what is below the destination stays below it.
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int next = ::openat(at.get(), part.c_str(), kFlags);
    bool made = false;
    if (next < 0 && errno == ENOENT) {
      made = ::mkdirat(at.get(), part.c_str(), 0777) == 0;
      if (!made && errno != EEXIST) return file_error(part);
      next = ::openat(at.get(), part.c_str(), kFlags);
    }
    if (next < 0) return file_error(part);
    if (struct stat st{}; made && ::fstat(next, &st) == 0)
      made_early_.emplace(st.st_dev, st.st_ino);
    at.reset(next);
  }
  ret_last = std::string{name};
  return at;
}

Result<std::unique_ptr<PartFile>> Destination::begin_file(int directory, const std::string& last,
                                                          mode_t mode) {
  LANDFALL_TRY(Fd kept, Fd::duplicate(directory));
  auto file = std::make_unique<RegularFile>(std::move(kept), last, mode);
  LANDFALL_CHECK(file->open());
  return std::unique_ptr<PartFile>{std::move(file)};
}

Result<std::unique_ptr<PartFile>> Destination::begin(const ObjectHead& head) {
  const mode_t mode = head.mode & ~process_umask();
  if (kind_ == Kind::stream)
    return std::unique_ptr<PartFile>{std::make_unique<StreamFile>(root_.get(), stop_fd_, shown_)};
  if (kind_ == Kind::program) return start_program(last_, head.name, stop_fd_);
  if (kind_ == Kind::file) {
    if (std::exchange(taken_, true))
      return Error{Errc::invalid_argument, "", ReasonCode::destination_refused}.with(
          "'" + shown_ + "' has its object already and '" + printable(head.name) + "' came too");
    return begin_file(root_.get(), last_, mode);
  }
  std::string last;
  LANDFALL_TRY(const Fd parent, open_parent(head.name, last));
  return begin_file(parent.get(), last, mode);
}

Result<std::unique_ptr<PartFile>> Destination::begin_raw() {
  ObjectHead head;
  head.mode = 0666;
  if (kind_ == Kind::directory) {
    struct stat st {};
    do {
      head.name = std::to_string(next_number_++);
    } while (::fstatat(root_.get(), head.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0);
  } else if (kind_ == Kind::program) {
    head.name = std::to_string(next_number_++);
  } else {
    head.name = "a second stream";
  }
  return begin(head);
}

Result<void> Destination::make_directory(std::uint64_t transfer_id, const ObjectHead& head) {
  if (kind_ == Kind::stream || kind_ == Kind::program) return {};
  if (kind_ == Kind::file)
    return Error{Errc::invalid_argument, "", ReasonCode::destination_refused}.with(
        "'" + shown_ + "' is a file and the directory '" + printable(head.name) + "' came");
  std::string last;
  LANDFALL_TRY(const Fd parent, open_parent(head.name, last));
  const mode_t mode = head.mode & ~process_umask();
  if (::mkdirat(parent.get(), last.c_str(), mode | 0700) != 0) {
    struct stat st {};
    const bool is_there = errno == EEXIST &&
                          ::fstatat(parent.get(), last.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                          S_ISDIR(st.st_mode);
    if (!is_there) return file_error(head.name);
    // A file in it came first, on another stream: the mode is due now.
    if (made_early_.erase({st.st_dev, st.st_ino}) != 0 &&
        ::fchmodat(parent.get(), last.c_str(), mode | 0700, 0) != 0)
      return file_error(head.name);
  }
  if ((mode & 0700) != 0700) transfers_[transfer_id].sealed.emplace_back(head.name, mode);
  return {};
}

Result<void> Destination::end_stream(const StreamHead& stream) {
  Transfer& transfer = transfers_[stream.transfer_id];
  if (++transfer.streams_ended < stream.stream_count) return {};
  const auto sealed = std::move(transfer.sealed);
  transfers_.erase(stream.transfer_id);
  for (auto one = sealed.rbegin(); one != sealed.rend(); ++one) {
    std::string last;
    LANDFALL_TRY(const Fd parent, open_parent(one->first, last));
    if (::fchmodat(parent.get(), last.c_str(), one->second, 0) != 0) return file_error(one->first);
  }
  return {};
}

}  // namespace landfall::cli
