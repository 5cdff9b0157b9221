// SPDX-License-Identifier: Apache-2.0
#include "nic/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace landfall::nic {
namespace {

// A thousand rules make half a megabyte.
constexpr std::size_t kJournalBytesMax = 64u << 20;

Error failed(const char* op, const std::string& path, int number = errno) {
  const Error error = os_error(op, ReasonCode::journal_failed, number);
  return error.with(path + ": " + std::string{error.cause()});
}

Result<std::string> read_all(const std::string& path) {
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd) {
    if (errno == ENOENT) return std::string{};
    return failed("open", path);
  }
  std::string text;
  char part[1 << 16];
  for (;;) {
    const ssize_t n = ::read(fd.get(), part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) return text;
    text.append(part, static_cast<std::size_t>(n));
    if (text.size() > kJournalBytesMax)
      return Error{Errc::io, "journal", ReasonCode::journal_damaged}.with(path + ": far too large");
  }
}

Result<void> write_all(int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write", path, n == 0 ? ENOSPC : errno);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fdatasync(fd) != 0) return failed("fdatasync", path);
  return {};
}

Result<void> sync_folder(const std::string& folder) {
  const Fd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd || ::fsync(fd.get()) != 0) return failed("fsync", folder);
  return {};
}

}  // namespace

std::string journal_path(const std::string& folder) {
  return folder + "/journal";
}

Result<std::vector<Record>> Journal::look(const std::string& folder) {
  const std::string path = journal_path(folder);
  LANDFALL_TRY(const std::string text, read_all(path));
  bool damaged = false;
  std::vector<Record> records = decode_all(text, damaged);
  if (damaged || (records.empty() && !text.empty()))
    return Error{Errc::io, "journal", ReasonCode::journal_damaged}.with(
        path + ": a record in it does not fit its checksum");
  return records;
}

Result<Journal> Journal::open(const std::string& folder, Wait wait) {
  // Readable by all: who receives by a policy looks whether the NIC is as it says.
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return failed("mkdir", folder);
  const std::string path = folder + "/lock";
  Fd lock{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!lock) return failed("open", path);
  while (::flock(lock.get(), wait == Wait::yes ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK)
      return Error{Errc::busy, "journal", ReasonCode::setup_in_progress}.with(
          "another landfall holds " + path);
    return failed("flock", path);
  }
  LANDFALL_TRY(std::vector<Record> records, look(folder));
  Journal journal{folder, std::move(lock), std::move(records)};
  for (const Record& record : journal.records_) journal.valid_bytes_ += encode(record).size();
  return journal;
}

Result<void> Journal::append(const Record& record) {
  const std::string path = journal_path(folder_);
  if (!file_) {
    file_.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file_) return failed("open", path);
  }
  // What a crash, or a full disk, left half written must not stand before what follows.
  const auto end = static_cast<off_t>(valid_bytes_);
  if (::ftruncate(file_.get(), end) != 0 || ::lseek(file_.get(), end, SEEK_SET) != end)
    return failed("ftruncate", path);
  const std::string line = encode(record);
  LANDFALL_CHECK(write_all(file_.get(), path, line));
  valid_bytes_ += line.size();
  return {};
}

Result<void> Journal::replace(const std::vector<Record>& records) {
  file_.reset();
  const std::string path = journal_path(folder_), fresh = path + ".new";
  std::string text;
  for (const Record& record : records) text += encode(record);
  {
    const Fd fd{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644)};
    if (!fd) return failed("open", fresh);
    LANDFALL_CHECK(write_all(fd.get(), fresh, text));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed("rename", path);
  valid_bytes_ = text.size();
  return sync_folder(folder_);
}

Result<void> Journal::remove() {
  file_.reset();
  const std::string path = journal_path(folder_);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed("unlink", path);
  return sync_folder(folder_);
}

}  // namespace landfall::nic
