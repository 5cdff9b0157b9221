// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "landfall/base/fd.hpp"
#include "nic/record.hpp"

namespace landfall::nic {

/// The file that says what is being set up, written ahead: what append() has answered is on the
/// disk. Held by one process at a time.
///
/// Threads: one at a time.
class Journal {
 public:
  enum class Wait : std::uint8_t { no, yes };
  /// Makes `folder` if it is not there. Errors: busy - setup_in_progress; the reasons of
  /// journal_failed and journal_damaged.
  static Result<Journal> open(const std::string& folder, Wait wait = Wait::no);
  /// Without the right to write. Errors: as open(), but busy.
  static Result<std::vector<Record>> look(const std::string& folder);

  /// What stood in it when it was opened.
  const std::vector<Record>& records() const noexcept { return records_; }

  Result<void> append(const Record& record);
  /// All of the file anew, or nothing of it.
  Result<void> replace(const std::vector<Record>& records);
  /// Nothing is set up any more.
  Result<void> remove();

 private:
  Journal(std::string folder, Fd lock, std::vector<Record> records)
      : folder_{std::move(folder)}, lock_{std::move(lock)}, records_{std::move(records)} {}
  std::string folder_;
  Fd lock_, file_;
  std::vector<Record> records_;
  std::size_t valid_bytes_ = 0;  // of the file: whole records
};

/// "/var/lib/landfall/journal"
std::string journal_path(const std::string& folder);

}  // namespace landfall::nic
