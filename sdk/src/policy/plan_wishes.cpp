// SPDX-License-Identifier: Apache-2.0
// What a policy wants of an interface.
#include <algorithm>
#include <set>

#include "policy/flow_rules.hpp"
#include "policy/planned_interface.hpp"

namespace landfall::policy {
namespace {

using nic::Rule;
using nic::Step;
using What = Step::What;
using Receiver = Policy::Receiver;

// More than any NIC of today has places for; a range of all ports would be 65,536.
constexpr std::uint64_t kRulesMax = 16384;

class Wisher {
 public:
  explicit Wisher(const PlannedInterface& at) : at_{at} {}

  Wishes make() {
    choose_queues();
    want_settings();
    want_table();
    want_flows();
    return std::move(wishes_);
  }

 private:
  void choose_queues() {
    if (at_.receivers.empty()) return;
    std::uint32_t highest = 0, counted = 0;
    std::set<std::uint32_t> taken;
    for (const Receiver* receiver : at_.receivers) {
      counted += receiver->queues;
      for (const std::uint32_t id : receiver->queue_ids) {
        highest = std::max(highest, id + 1);
        taken.insert(id);
      }
    }
    // One stays for everything else.
    const auto given = static_cast<std::uint32_t>(taken.size()) + counted;
    const std::uint32_t least = std::max(highest, given + (excludes_ ? 1 : 0));
    const std::uint32_t have = at_.before.channels.value_or(at_.found.state.queue_count());
    const auto& channels = at_.found.state.channels;
    const std::uint32_t can = channels ? std::max(channels->combined_max, channels->rx_max) : have;
    if (least > std::max(can, have))
      at_.problem(ReasonCode::queues_missing, place_of(*at_.receivers.front()),
                  at_.now.name + " can have " + std::to_string(can) + " queues; the policy needs " +
                      std::to_string(least));
    wishes_.channels = {std::max(have, least), ""};
    if (least > have)
      wishes_.channels.why =
          "the policy gives away " + std::to_string(given) + " queues" +
          (highest > given ? ", up to number " + std::to_string(highest - 1) : "");
    // From the last one down, so that what is left is what a NIC uses by itself.
    auto next = static_cast<std::uint32_t>(wishes_.channels.value);
    for (const Receiver* receiver : at_.receivers) {
      std::vector<std::uint32_t> ids = receiver->queue_ids;
      for (std::uint32_t i = 0; i < receiver->queues && next > 0; ++i) {
        while (next > 0 && taken.contains(next - 1)) --next;
        if (next > 0) ids.push_back(--next);
      }
      std::ranges::sort(ids);
      for (const std::uint32_t id : ids) wishes_.owners.emplace(id, receiver);
      at_.plan.queues[receiver->name] = std::move(ids);
    }
  }

  void want(std::optional<Wanted>& setting, const Receiver& receiver, std::uint64_t value,
            const std::string& why) {
    if (setting && setting->value != value) {
      at_.problem(ReasonCode::policy_conflict, place_of(receiver),
                  why + ", and another receiver of " + at_.now.name + " wants it otherwise (" +
                      setting->why + ")",
                  "an interface has one setting for all of its queues");
      return;
    }
    if (!setting) setting = Wanted{value, "receiver " + receiver.name + ": " + why};
  }

  void want_settings() {
    using Split = Receiver::HeaderSplit;
    for (const Receiver* receiver : at_.receivers) {
      if (receiver->header_split == Split::required) {
        want(wishes_.split, *receiver, 1, "header_split: required");
        want(wishes_.threshold, *receiver, receiver->header_split_threshold_bytes.value_or(0),
             receiver->header_split_threshold_bytes ? "header_split_threshold"
                                                    : "header_split: required");
      } else if (receiver->header_split == Split::none) {
        want(wishes_.split, *receiver, 0, "header_split: none");
      }
      if (receiver->ring_entries) {
        want(wishes_.ring, *receiver, *receiver->ring_entries,
             "ring: " + std::to_string(*receiver->ring_entries));
        const auto max = at_.found.state.rings ? at_.found.state.rings->rx_max : std::nullopt;
        if (max && *receiver->ring_entries > *max)
          at_.problem(
              ReasonCode::setting_refused, place_of(*receiver),
              "a ring of " + at_.now.name + " has at most " + std::to_string(*max) + " descriptors",
              "ring: " + std::to_string(*max));
      }
    }
    if (wishes_.split && wishes_.split->value != 0 &&
        at_.now.header_split == nic::HeaderSplit::unknown)
      at_.problem(ReasonCode::header_split_off, "receivers",
                  at_.now.name + " does not say that it can split headers off",
                  "header_split: keep");
    if (!at_.now.hds_threshold_bytes && wishes_.threshold && wishes_.threshold->value == 0)
      wishes_.threshold.reset();
  }

  void want_table() {
    if (at_.receivers.empty()) return;
    const bool untouched = at_.before.has_default_table();
    std::vector<std::uint32_t> table =
        at_.before.rss.empty() ? std::vector<std::uint32_t>{} : at_.before.rss.front().table;
    const auto count = static_cast<std::uint32_t>(wishes_.channels.value);
    if (untouched)
      for (std::size_t i = 0; i < table.size(); ++i)
        table[i] = static_cast<std::uint32_t>(i % std::max(count, 1u));
    const bool meets = std::ranges::any_of(
        table, [&](std::uint32_t queue) { return wishes_.owners.contains(queue); });
    if (!meets) return;  // as it is, it leaves our queues alone
    if (!excludes_) {
      wishes_.ordinary_on_ours = true;
      return;
    }
    std::vector<std::uint32_t> others;
    for (std::uint32_t id = 0; id < count; ++id)
      if (!wishes_.owners.contains(id)) others.push_back(id);
    if (others.empty()) return;  // told by choose_queues()
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = others[i % others.size()];
    wishes_.table = std::move(table);
    wishes_.table_why = "steering.rss: exclude";
  }

  std::size_t table_entries() const {
    return at_.now.rss.empty() ? 128 : at_.now.rss.front().table.size();
  }

  void want_context(const Receiver& receiver) {
    if (std::ranges::any_of(wishes_.contexts,
                            [&](const Step& one) { return one.context == receiver.name; }))
      return;
    const std::vector<std::uint32_t>& queues = at_.plan.queues[receiver.name];
    Step step = at_.step(What::rss_context, "receiver " + receiver.name + ": its flows are spread");
    step.context = receiver.name;
    for (std::size_t i = 0; i < table_entries(); ++i)
      step.to_table.push_back(queues[i % queues.size()]);
    wishes_.contexts.push_back(std::move(step));
  }

  void want_flows() {
    for (std::size_t i = 0; i < at_.input.policy.flows.size(); ++i) {
      const Policy::Flow& flow = at_.input.policy.flows[i];
      const Receiver* receiver = at_.input.policy.find_receiver(flow.to);
      if (receiver == nullptr || receiver->interface != at_.now.name) continue;
      const std::string subject = "flows[" + std::to_string(i) + "]";
      const std::vector<std::uint32_t>& queues = at_.plan.queues[receiver->name];
      if (queues.empty()) continue;  // told by choose_queues()
      if (wishes_.rules.size() + count_rules(flow) > kRulesMax) {
        at_.problem(ReasonCode::rules_full, subject,
                    "its ports need " + std::to_string(count_rules(flow)) + " rules");
        continue;
      }
      const bool spread = !flow.queue && queues.size() > 1;
      if (spread) want_context(*receiver);
      for (const Rule& rule : flow_rules(flow)) {
        Step step = at_.step(What::rule, subject + " to " + receiver->name);
        step.rule = rule;
        step.rule.spec.ring_cookie = spread ? 0 : flow.queue.value_or(queues.front());
        if (spread) {
          step.context = receiver->name;
          step.rule.spec.flow_type |= FLOW_RSS;
        }
        wishes_.rules.push_back(std::move(step));
      }
    }
    if (wishes_.rules.empty()) return;
    wishes_.ntuple = Wanted{1, "flows are steered by rules"};
    if (!at_.now.ntuple || !at_.found.state.rule_table)
      at_.problem(ReasonCode::rule_refused, "flows",
                  at_.now.name + " steers no flows by n-tuple rules");
  }

  const PlannedInterface& at_;
  const bool excludes_ = at_.input.policy.steering.rss == Policy::Steering::Rss::exclude;
  Wishes wishes_;
};

}  // namespace

Wishes wishes_of(const PlannedInterface& at) {
  return Wisher{at}.make();
}

}  // namespace landfall::policy
