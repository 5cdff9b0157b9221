// SPDX-License-Identifier: Apache-2.0
// The sending end of a transport that makes its own connections: landfall's own Sender, by the same
// transport.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <future>
#include <optional>

#include "conformance/peer.hpp"
#include "conformance/subject.hpp"
#include "landfall_test/namespace.hpp"

namespace landfall::test {
namespace {

/// The lab emulates.
const auto kPatience = std::chrono::seconds{std::getenv("LANDFALL_LAB_KREL") != nullptr ? 20 : 3};

Result<SendGroup> open_group(const Subject& subject) {
  LANDFALL_TRY(Context context, subject.context());
  LANDFALL_TRY(Region region,
               Region::allocate(context, {.source = "host", .size_bytes = 1u << 20}));
  return SendGroup::open(context, {.transports = {subject.transport}, .options = subject.options},
                         region);
}

class MessagePeer final : public Peer {
 public:
  using Made = std::pair<SendGroup, Sender>;
  explicit MessagePeer(std::future<Result<Made>> made) : made_{std::move(made)} {}

  bool connected() override {
    return !made_.valid() || made_.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
  }
  bool send(std::span<const std::byte> bytes) override {
    if (!ready()) return false;
    while (!bytes.empty()) {
      const auto memory = pair_->first.memory().host_bytes();
      const auto now = bytes.first(std::min(bytes.size(), memory->size()));
      std::memcpy(memory->data(), now.data(), now.size());
      bytes = bytes.subspan(now.size());
      if (!pair_->second.send(0, now.size()) || !all_through()) return false;
    }
    return true;
  }
  bool finish() override {
    // Told to stop, it has nobody who would confirm that.
    return ready() && pair_->second.finish().has_value() && (all_through() || aborted_);
  }
  void reset() override {
    if (ready()) pair_.reset();
  }
  int wait_for_end() override {
    if (!ready()) return ENOTCONN;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    Result<void> ended{};
    do {
      ended = pair_->second.close(std::chrono::milliseconds{50});
    } while (!ended && ended.error().code() == Errc::timed_out && !aborted_ &&
             std::chrono::steady_clock::now() < deadline);
    if (ended) return 0;
    return ended.error().code() == Errc::flow_reset ? ECONNRESET : ETIMEDOUT;
  }
  void abort() noexcept override { aborted_ = true; }

 private:
  bool all_through() {
    while (pair_->second.ranges_out() != 0) {
      std::array<Sent, 4> through;
      const auto count = pair_->second.wait(through, std::chrono::milliseconds{20});
      if (!count || aborted_) return false;
    }
    return true;
  }
  bool ready() {
    if (made_.valid()) {
      Result<Made> made = made_.get();
      if (made) pair_.emplace(std::move(*made));
    }
    return pair_.has_value();
  }

  std::future<Result<Made>> made_;
  std::optional<Made> pair_;
  std::atomic<bool> aborted_{false};
};

/// Made on a thread of its own, as whoever is connected to must poll meanwhile.
template <class Make>
std::unique_ptr<Peer> peer_from(Make make) {
  return std::make_unique<MessagePeer>(std::async(std::launch::async, std::move(make)));
}

}  // namespace

std::unique_ptr<Peer> message_peer(const Subject& subject, const Address& to) {
  return peer_from([subject, to]() -> Result<MessagePeer::Made> {
    enter_namespace(subject.there.network_namespace);
    LANDFALL_TRY(SendGroup group, open_group(subject));
    LANDFALL_TRY(Sender sender, group.connect(to, kPatience));
    return MessagePeer::Made{std::move(group), std::move(sender)};
  });
}

ListeningPeer listening_message_peer(const Subject& subject, bool ipv6) {
  return in_namespace(subject.there.network_namespace, [&]() -> ListeningPeer {
    Result<SendGroup> opened = open_group(subject);
    if (!opened) return {};
    const auto group = std::make_shared<SendGroup>(std::move(*opened));
    const auto at = group->listen({subject.there.host(ipv6), 0});
    if (!at) return {};
    return {*at, [group] {
              return peer_from([group]() -> Result<MessagePeer::Made> {
                LANDFALL_TRY(Sender sender, group->accept(kPatience));
                return MessagePeer::Made{std::move(*group), std::move(sender)};
              });
            }};
  });
}

}  // namespace landfall::test
