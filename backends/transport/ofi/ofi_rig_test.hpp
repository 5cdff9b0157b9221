// SPDX-License-Identifier: Apache-2.0
// For the tests of the transport through its plug-in, over libfabric's tcp provider on the loopback
// interface: with its connections, and without any (tcp;ofi_rxm).
#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "landfall_test/fault_plan.hpp"
#include "landfall_test/sanitizers.hpp"
#include "messages/rig_test.hpp"

#if LANDFALL_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace landfall::messages::test {

inline const landfall_transport_ops& ops() {
  static const landfall_transport_ops* const loaded = [] {
    std::string why;
    const auto* found = load(LANDFALL_OFI_PLUGIN, &why);
    if (found == nullptr) ADD_FAILURE() << why;
    return found;
  }();
  return *loaded;
}

inline constexpr char kMsg[] = "provider=tcp\n";
inline constexpr char kRdm[] = "provider=tcp;ofi_rxm\n";

inline bool is_missing() {
  Domain domain{ops(), {.options = kMsg}};
  landfall_needs needs{};
  return domain.probe(&needs) != LANDFALL_ERRC_ok &&
         domain.why.code == LANDFALL_REASON_rdma_library_missing;
}
#define LANDFALL_NEED_LIBFABRIC() \
  if (is_missing()) GTEST_SKIP() << "libfabric.so.1 is not installed (Debian: libfabric1)"

/// The endpoints of the test that runs.
inline const char* g_provider = kMsg;

inline DomainSetup with_provider(DomainSetup setup) {
  setup.options += g_provider;
  return setup;
}

/// A receiving and a sending domain, each with one queue, and a connection from tag 1 to tag 1.
struct Pair {
  explicit Pair(DomainSetup receives = {}, DomainSetup sends = {}, QueueSetup queue = {})
      : to{ops(), with_provider(std::move(receives))},
        from{ops(), with_provider(std::move(sends))},
        receiver{to, queue},
        sender{from, {.sends = true}} {}

  bool open(int family = AF_INET) {
    return to.open() == LANDFALL_ERRC_ok && from.open() == LANDFALL_ERRC_ok &&
           receiver.open() == LANDFALL_ERRC_ok && sender.open() == LANDFALL_ERRC_ok &&
           receiver.listen(loopback(family)) == LANDFALL_ERRC_ok;
  }
  bool connect() {
    if (sender.connect(receiver.address(), 1) != LANDFALL_ERRC_ok) return false;
    return pump({&receiver, &sender},
                [this] {
                  return (sender.flows[1].opened && receiver.flows[1].opened) ||
                         sender.flows[1].ended();
                }) &&
           !sender.flows[1].ended();
  }
  /// Sends `bytes` in ranges of `range`, and finishes.
  bool transfer(std::uint64_t bytes, std::uint64_t range) {
    sender.set_rooms(range);
    bool finished = false;
    const auto feed = [&] {
      FlowState& flow = sender.flows[1];
      while (flow.handed < bytes && !flow.ended() &&
             sender.send(1, std::min(range, bytes - flow.handed))) {
      }
      if (flow.handed == bytes && !finished) {
        finished = true;
        sender.finish(1);
      }
    };
    return pump(
        {&receiver, &sender}, [&] { return receiver.flows[1].ended() || sender.flows[1].ended(); },
        feed);
  }
  bool until(const std::function<bool()>& done) { return pump({&receiver, &sender}, done); }

  Domain to, from;
  Queue receiver, sender;
};

/// What this thread allocates meanwhile may leak.
struct LeaksOfOthers {
#if LANDFALL_ASAN
  explicit LeaksOfOthers(bool allowed) : allowed_{allowed} {
    if (allowed_) __lsan_disable();
  }
  ~LeaksOfOthers() {
    if (allowed_) __lsan_enable();
  }
  const bool allowed_;
#else
  explicit LeaksOfOthers(bool) {}
  ~LeaksOfOthers() {}
#endif
  LeaksOfOthers(const LeaksOfOthers&) = delete;
  LeaksOfOthers& operator=(const LeaksOfOthers&) = delete;
};

struct Way {
  const char* name;
  const char* provider;
  int family = AF_INET;
};
inline std::string name_of(const testing::TestParamInfo<Way>& way) {
  return way.param.name;
}

class Ofi : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    LANDFALL_NEED_LIBFABRIC();
    g_provider = GetParam().provider;
  }
  static bool has_connections() { return g_provider == kMsg; }

 private:
  // `ofi_rxm` leaks what it has of a connection that came when nothing was read any more (1.17).
  const LeaksOfOthers leaks_{GetParam().provider != kMsg};
};

/// Of which one family is enough.
class OfiCase : public Ofi {};

}  // namespace landfall::messages::test
