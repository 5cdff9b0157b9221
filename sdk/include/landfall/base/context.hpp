// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/base/reason.hpp"
#include "landfall/base/result.hpp"

namespace landfall {

namespace detail {
class ContextCore;
}

struct ContextOptions {
  /// Register the backends that are built into the library (the written list).
  bool builtin_backends = true;
  /// Beside them, load those that are installed with the library: landfall/backends-1/*.so in its
  /// folder. One that cannot be loaded is an event.
  bool installed_backends = true;
  /// Where events go (a plug-in refused, a path given up). Any thread, never per completion. Empty:
  /// nowhere.
  std::function<void(const Reason&)> on_event{};
  /// The fault seam: asked before each outside call of core and backends with the call's name; an
  /// errno makes it fail, 0 lets it happen. Any thread. Empty: no faults, no cost.
  std::function<int(std::string_view site)> fault{};
  /// The clock, in nanoseconds; empty: CLOCK_MONOTONIC. Any thread.
  std::function<std::uint64_t()> now_ns{};
};

/// What the caller may know of a registered backend.
struct BackendInfo {
  std::string name, version, summary;
  bool is_transport = false;  // else a memory source
  bool builtin = false;
  std::string path;  // of the plug-in, "" if not loaded from a file
};

/// The backends, the event sink and the fault seam. Copies nothing, starts nothing.
///
/// Owner: the caller. Regions, Groups and Buffers keep what they need of it: it may be destroyed
/// before them. Backends are never unloaded. Threads: load and add from one thread at a time; the
/// rest from any.
class LANDFALL_API Context {
 public:
  static Result<Context> create(ContextOptions options = {});
  Context(Context&&) noexcept;
  Context& operator=(Context&&) noexcept;
  ~Context();

  /// Loads a plug-in. It is tried in a forked helper process first, so that one that crashes or
  /// hangs on loading is reported and skipped, and this process lives. Errors: not_found,
  /// invalid_argument - LF14xx say what is wrong with it; timed_out - it hangs.
  Result<void> load(const std::string& path);
  /// Registers a backend that is linked into the application. `backend` must live as long as the
  /// process. Errors: invalid_argument - LF1403, LF1404, LF1407.
  Result<void> add(const landfall_backend* backend);

  std::vector<BackendInfo> backends() const;

  /// Private to the layers above.
  const std::shared_ptr<detail::ContextCore>& core() const noexcept { return core_; }

 private:
  explicit Context(std::shared_ptr<detail::ContextCore> core) noexcept;
  std::shared_ptr<detail::ContextCore> core_;
};

}  // namespace landfall
