// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sender.hpp"

namespace landfall::cli {
namespace {

namespace fs = std::filesystem;

Error cannot(const std::string& path, int number) {
  return os_error("", ReasonCode::none, number)
      .with("cannot read '" + path + "': " + std::strerror(number));
}

/// False: neither file nor directory.
bool fill(const std::string& path, const std::string& name, const struct stat& st,
          std::vector<SendItem>& items) {
  SendItem item;
  item.path = path;
  item.head.name = name;
  item.head.mode = st.st_mode & 0777;
  if (S_ISDIR(st.st_mode)) {
    item.head.kind = ObjectKind::directory;
  } else if (S_ISREG(st.st_mode)) {
    item.head.size_bytes = static_cast<std::uint64_t>(st.st_size);
  } else {
    return false;
  }
  items.push_back(std::move(item));
  return true;
}

}  // namespace

Result<std::vector<SendItem>> list_items(const std::string& what, std::uint64_t* ret_left_out) {
  std::vector<SendItem> items;
  std::uint64_t left_out = 0;
  struct stat st {};
  if (what == "-") {
    SendItem item;
    item.path = "-";
    item.head.name = "stdin";
    item.head.size_bytes = kSizeUnknown;
    // A file that was redirected has a size, but perhaps not from its beginning: read it.
    items.push_back(std::move(item));
    return items;
  }
  if (::stat(what.c_str(), &st) != 0) return cannot(what, errno);
  // "dir/" and "." have no last part of their own: ask where they are.
  std::error_code error;
  const fs::path real = fs::canonical(what, error);
  if (error) return cannot(what, error.value());
  const std::string top = real.filename().empty() ? "root" : real.filename().string();
  if (!S_ISDIR(st.st_mode)) {
    if (!fill(real.string(), top, st, items)) {
      // A device or pipe: read to its end, as standard input is.
      SendItem item;
      item.path = real.string();
      item.head.name = top;
      item.head.size_bytes = kSizeUnknown;
      items.push_back(std::move(item));
    }
    return items;
  }
  fill(real.string(), top, st, items);
  for (auto it = fs::recursive_directory_iterator(real, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const std::string path = it->path().string();
    if (::lstat(path.c_str(), &st) != 0) return cannot(path, errno);
    const std::string name = top + "/" + it->path().lexically_relative(real).string();
    if (!fill(path, name, st, items)) ++left_out;
  }
  if (error) return cannot(what, error.value());
  // The same order each time, and directories before what is in them.
  std::ranges::sort(items, {}, [](const SendItem& item) { return item.head.name; });
  if (ret_left_out != nullptr) *ret_left_out = left_out;
  return items;
}

}  // namespace landfall::cli
