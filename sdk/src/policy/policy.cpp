// SPDX-License-Identifier: Apache-2.0
#include "landfall/policy/policy.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "landfall/base/fd.hpp"
#include "landfall/base/limits.hpp"
#include "policy/bind.hpp"
#include "policy/reader.hpp"
#include "policy/shape.hpp"

namespace landfall {
namespace {

template <class T>
const T* find_by_name(const std::vector<T>& all, std::string_view name) noexcept {
  const auto found = std::ranges::find(all, name, &T::name);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

const Policy::Memory* Policy::find_memory(std::string_view name) const noexcept {
  return find_by_name(memories, name);
}
const Policy::Receiver* Policy::find_receiver(std::string_view name) const noexcept {
  return find_by_name(receivers, name);
}

Result<Policy> Policy::parse(std::string_view text, PolicyFindings& findings) {
  constexpr const char* kOp = "Policy::parse";
  findings.clear();
  if (!policy::reads_yaml())
    return Error{Errc::not_supported, kOp, ReasonCode::policy_support_missing};
  policy::Finder finder{text, findings};
  Policy read;
  if (const auto root = policy::read_yaml(text, finder)) {
    policy::check(*root, policy::policy_shape(), "", finder);
    if (finder.empty()) read = policy::bind(*root, finder);
  }
  if (finder.empty()) return read;
  finder.sort();
  return Error{Errc::invalid_argument, kOp, findings.front().code}.with(findings.front().message,
                                                                        findings.front().hint);
}

Result<Policy> Policy::load(const std::string& path, PolicyFindings& findings) {
  findings.clear();
  // Neither a FIFO nor a terminal may make this wait.
  Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file) return os_error("open");
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return os_error("fstat");
  if (S_ISDIR(facts.st_mode)) return os_error("read", ReasonCode::none, EISDIR);
  std::string text;
  std::size_t got = 0;
  do {  // one byte more than may be: parse() says that it is too large
    text.resize(std::min<std::size_t>(got + 65536, kPolicyBytesMax + 1));
    ssize_t count = 0;
    do {
      count = ::read(file.get(), text.data() + got, text.size() - got);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return os_error("read");
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  } while (got <= kPolicyBytesMax);
  text.resize(got);
  return parse(text, findings);
}

std::string policy_json_schema() {
  return policy::json_schema(policy::policy_shape(), "landfall policy");
}

}  // namespace landfall
