// SPDX-License-Identifier: Apache-2.0
#include "nic/steering.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <optional>
#include <utility>

#include "nic/ethtool_ioctl.hpp"
#include "nic/guard.hpp"
#include "nic/refusals.hpp"
#include "nic/settings.hpp"

namespace landfall::nic {
namespace {

// Far more rules of others for our own flows than anybody writes; then they are waited for again.
constexpr std::size_t kStayingMax = 1024;

Error conflict(const FlowKey& key, const Rule& other) {
  const std::string place = std::to_string(other.spec.location);
  return Error{Errc::busy, "steer", ReasonCode::rule_conflict}.with(
      "the rule at location " + place + " takes " + key.describe() + " elsewhere");
}

}  // namespace

/// What the rules share; the last of them ends it.
class SteeringCore {
 public:
  SteeringCore(std::shared_ptr<Nic> nic, std::uint32_t interface_index, SteeringOptions options)
      : nic_{std::move(nic)}, interface_index_{interface_index}, options_{std::move(options)} {}

  struct Placed {
    std::uint32_t location = 0, id = 0;
  };
  /// nullopt: a rule that is not ours does it already.
  Result<std::optional<Placed>> place(const FlowKey& key, std::uint32_t queue_id);
  void remove(const Placed& placed) noexcept;

 private:
  bool is_ours(const Rule& rule) const;
  bool stays(const Rule& rule) const;
  /// Does a rule that somebody else keeps take all of it to served_queues?
  Result<bool> is_served(const std::vector<Rule>& rules, const FlowKey& key);
  Result<bool> leads_to_served(const Rule& rule);
  /// All rules, when none for the same packets that is not ours is among them any more, or patience
  /// has ended.
  Result<std::vector<Rule>> settled_rules(const Rule& wanted);
  Result<std::uint32_t> free_location(const std::vector<Rule>& rules);
  Result<void> tell(GuardMessage::Kind kind, std::uint32_t id, const Rule& rule);
  Result<void> start_guard();

  const std::shared_ptr<Nic> nic_;
  const std::uint32_t interface_index_;
  const SteeringOptions options_;
  const pid_t process_ = ::getpid();  // the rules are its, and not a forked child's
  std::mutex mutex_;                  // guards what follows, and the order of calls to the NIC
  std::optional<Guard> guard_;
  std::uint32_t next_id_ = 1;
  std::vector<std::pair<std::uint32_t, Rule>> ours_;  // by id
  std::vector<Rule> staying_;                         // of others; waited for once, in vain
};

Result<void> SteeringCore::start_guard() {
  if (guard_ || nic_->rule_socket() < 0) return {};
  LANDFALL_TRY(Guard guard, Guard::start(options_.guard_program, nic_->rule_socket()));
  for (const auto& [id, rule] : ours_) {  // the one before was killed
    LANDFALL_CHECK(guard.tell({GuardMessage::keep, id, interface_index_, 0, rule.spec}));
  }
  guard_ = std::move(guard);
  return {};
}

Result<void> SteeringCore::tell(GuardMessage::Kind kind, std::uint32_t id, const Rule& rule) {
  const GuardMessage message{kind, id, interface_index_, 0, rule.spec};
  LANDFALL_CHECK(start_guard());
  if (!guard_ || guard_->tell(message)) return {};
  guard_.reset();
  LANDFALL_CHECK(start_guard());
  return guard_->tell(message);
}

Result<std::uint32_t> SteeringCore::free_location(const std::vector<Rule>& rules) {
  LANDFALL_TRY(const RuleTable table, nic_->rule_table(interface_index_));
  if (table.picks_location) return std::uint32_t{RX_CLS_LOC_ANY};
  for (std::uint32_t at = table.size; at-- > table.size / 2;)
    if (std::ranges::none_of(rules, [at](const Rule& r) { return r.spec.location == at; }))
      return at;
  return rule_refused(ENOSPC, "", true);
}

bool SteeringCore::is_ours(const Rule& rule) const {
  return std::ranges::any_of(
      ours_, [&](const auto& kept) { return kept.second.spec.location == rule.spec.location; });
}

bool SteeringCore::stays(const Rule& rule) const {
  return std::ranges::any_of(staying_, [&](const Rule& known) {
    return known.spec.location == rule.spec.location && same_match(known.spec, rule.spec) &&
           leads_alike(known, rule);
  });
}

Result<bool> SteeringCore::is_served(const std::vector<Rule>& rules, const FlowKey& key) {
  if (options_.served_queues.empty()) return false;
  const Rule* first = nullptr;
  for (const Rule& rule : rules)
    if (!is_ours(rule) && takes_all(rule, key) &&
        (first == nullptr || rule.spec.location < first->spec.location))
      first = &rule;
  if (first == nullptr) return false;
  return leads_to_served(*first);
}

Result<bool> SteeringCore::leads_to_served(const Rule& rule) {
  const auto is_served_queue = [this](std::uint64_t queue) {
    return std::ranges::find(options_.served_queues, queue) != options_.served_queues.end();
  };
  if ((rule.spec.flow_type & FLOW_RSS) == 0) return is_served_queue(rule.spec.ring_cookie);
  LANDFALL_TRY(const NicState state, nic_->read(interface_index_));
  const auto context = std::ranges::find(state.rss, rule.rss_context, &RssContext::id);
  // The queue of the rule counts from what the table says (ethtool(8), context).
  return context != state.rss.end() &&
         std::ranges::all_of(context->table, [&](std::uint32_t entry) {
           return is_served_queue(entry + rule.spec.ring_cookie);
         });
}

Result<std::vector<Rule>> SteeringCore::settled_rules(const Rule& wanted) {
  constexpr timespec kPause{0, 10'000'000};
  const auto end = std::chrono::steady_clock::now() + options_.patience;
  for (;;) {
    LANDFALL_TRY(std::vector<Rule> rules, nic_->rules(interface_index_));
    const auto foreign = std::ranges::find_if(rules, [&](const Rule& other) {
      return same_match(other.spec, wanted.spec) && !is_ours(other);
    });
    if (foreign == rules.end() || stays(*foreign)) return rules;
    if (std::chrono::steady_clock::now() >= end) {
      if (staying_.size() == kStayingMax) staying_.clear();
      staying_.push_back(*foreign);
      return rules;
    }
    ::nanosleep(&kPause, nullptr);
  }
}

Result<std::optional<SteeringCore::Placed>> SteeringCore::place(const FlowKey& key,
                                                                std::uint32_t queue_id) {
  if (::getpid() != process_) return Error{Errc::wrong_process, "steer", ReasonCode::forked_child};
  const std::lock_guard lock{mutex_};
  Rule rule = rule_of(key, queue_id);
  LANDFALL_TRY(const std::vector<Rule> rules, settled_rules(rule));
  LANDFALL_TRY(const bool served, is_served(rules, key));
  if (served) return std::optional<Placed>{};
  if (ours_.size() >= options_.rules_max)
    return Error{Errc::limit_reached, "steer", ReasonCode::access_limit}.with(
        key.describe() + " needs a rule, and " + std::to_string(options_.rules_max) +
        " may be there at a time");
  // Drivers put a rule with the same match in the place of the old one, whosever that was.
  for (const Rule& other : rules) {
    if (!same_match(other.spec, rule.spec)) continue;
    if (!leads_alike(other, rule) || is_ours(other)) return conflict(key, other);
    return std::optional<Placed>{};
  }
  LANDFALL_TRY(rule.spec.location, free_location(rules));

  // The guard knows of it first: no moment at which the rule is there and nobody would remove it.
  const std::uint32_t id = next_id_++;
  LANDFALL_CHECK(tell(GuardMessage::keep, id, rule));
  const auto location = nic_->insert_rule(interface_index_, rule);
  if (!location) {
    (void)tell(GuardMessage::drop, id, rule);
    return location.error();
  }
  rule.spec.location = *location;
  ours_.emplace_back(id, rule);
  (void)tell(GuardMessage::keep, id, rule);  // without it the guard finds the rule by its match

  for (const Rule& other : rules) {
    if (other.spec.location < *location && takes_all(other, key) && !leads_alike(other, rule)) {
      const Error error = conflict(key, other);
      ours_.pop_back();
      if (nic_->remove_rule(interface_index_, *location)) (void)tell(GuardMessage::drop, id, rule);
      return error;
    }
  }
  return std::optional{Placed{*location, id}};
}

void SteeringCore::remove(const Placed& placed) noexcept {
  if (::getpid() != process_) return;
  const std::lock_guard lock{mutex_};
  const auto kept = std::ranges::find(ours_, placed.id, &std::pair<std::uint32_t, Rule>::first);
  if (kept == ours_.end()) return;
  const Rule rule = kept->second;
  ours_.erase(kept);
  const auto found = nic_->rule_at(interface_index_, placed.location);
  const bool gone = !found && found.error().reason() == ReasonCode::interface_unknown;
  if (!found && !gone) return;  // the guard tries again when the process ends
  const bool there =
      !gone && *found && same_match((*found)->spec, rule.spec) && leads_alike(**found, rule);
  if (!there || nic_->remove_rule(interface_index_, placed.location))
    (void)tell(GuardMessage::drop, placed.id, rule);
}

Steered::Steered(Steered&& other) noexcept = default;

Steered& Steered::operator=(Steered&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(locations_, other.locations_);
  std::swap(ids_, other.ids_);
  return *this;
}

Steered::~Steered() {
  for (std::size_t i = 0; core_ && i < ids_.size(); ++i) core_->remove({locations_[i], ids_[i]});
}

Steering::Steering(std::shared_ptr<SteeringCore> core) : core_{std::move(core)} {}
Steering::~Steering() = default;

std::unique_ptr<Steering> Steering::open(std::shared_ptr<Nic> nic, std::uint32_t interface_index,
                                         SteeringOptions options) {
  return std::unique_ptr<Steering>{new Steering{
      std::make_shared<SteeringCore>(std::move(nic), interface_index, std::move(options))}};
}

Result<Steered> Steering::steer(std::span<const FlowKey> keys, std::uint32_t queue_id) {
  Steered steered;
  steered.core_ = core_;
  for (const FlowKey& key : keys) {
    LANDFALL_TRY(const auto placed, core_->place(key, queue_id));
    if (!placed) continue;
    steered.locations_.push_back(placed->location);
    steered.ids_.push_back(placed->id);
  }
  return steered;
}

Result<Steered> Steering::steer(int socket_fd, std::uint32_t queue_id, const sockaddr* remote) {
  LANDFALL_TRY(const std::vector<FlowKey> keys, keys_of(socket_fd, remote));
  return steer(keys, queue_id);
}

}  // namespace landfall::nic
