// SPDX-License-Identifier: Apache-2.0
#include "policy/plan.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <utility>

#include "nic/ethtool_ioctl.hpp"
#include "nic/refusals.hpp"
#include "policy/flow_rules.hpp"

namespace landfall::policy {
namespace {

using nic::Rule;
using nic::Settings;
using nic::Step;
using What = Step::What;
using Receiver = Policy::Receiver;

// More than any NIC of today has places for; a range of all ports would be 65,536.
constexpr std::uint64_t kRulesMax = 16384;

/// A setting as the policy wants it, and on whose behalf; without a `why` it is as it was found.
struct Wanted {
  std::uint64_t value = 0;
  std::string why;
};

std::string in_receiver(const Receiver& receiver) {
  return "receivers." + receiver.name;
}

/// May its queues get memory in which the kernel cannot read? Without header split no NIC lets
/// them.
bool may_bind_queues(const Receiver& receiver) {
  return receiver.header_split != Receiver::HeaderSplit::none;
}

class InterfacePlanner {
 public:
  InterfacePlanner(const PlanInput& input, const Found& found, Plan& plan)
      : input_{input},
        found_{found},
        now_{nic::settings_of(found.state, found.rules)},
        before_{input.setup.before_of(now_.index) == nullptr ? now_
                                                             : *input.setup.before_of(now_.index)},
        plan_{plan} {
    for (const Receiver& receiver : input.policy.receivers)
      if (receiver.interface == now_.name) receivers_.push_back(&receiver);
  }

  void make() {
    plan_.found.push_back(now_);
    choose_queues();
    want_settings();
    note_far_memory();
    want_table();
    want_flows();
    guard_host();
    write_steps();
  }

 private:
  void problem(ReasonCode code, std::string subject, std::string message, std::string hint = {},
               bool may_force = false) {
    if (hint.empty()) hint = nic::remedy_for(code, now_.name);
    plan_.problems.push_back(
        {code, std::move(subject), std::move(message), std::move(hint), may_force});
  }
  bool excludes() const { return input_.policy.steering.rss == Policy::Steering::Rss::exclude; }

  // --- what is wanted

  void choose_queues() {
    if (receivers_.empty()) return;
    std::uint32_t highest = 0, counted = 0;
    std::set<std::uint32_t> taken;
    for (const Receiver* receiver : receivers_) {
      counted += receiver->queues;
      for (const std::uint32_t id : receiver->queue_ids) {
        highest = std::max(highest, id + 1);
        taken.insert(id);
      }
    }
    // One stays for everything else.
    const auto given = static_cast<std::uint32_t>(taken.size()) + counted;
    const std::uint32_t least = std::max(highest, given + (excludes() ? 1 : 0));
    const std::uint32_t have = before_.channels.value_or(found_.state.queue_count());
    const auto& channels = found_.state.channels;
    const std::uint32_t can = channels ? std::max(channels->combined_max, channels->rx_max) : have;
    if (least > std::max(can, have))
      problem(ReasonCode::queues_missing, in_receiver(*receivers_.front()),
              now_.name + " can have " + std::to_string(can) + " queues; the policy needs " +
                  std::to_string(least));
    channels_ = {std::max(have, least), ""};
    if (least > have)
      channels_.why = "the policy gives away " + std::to_string(given) + " queues" +
                      (highest > given ? ", up to number " + std::to_string(highest - 1) : "");
    // From the last one down, so that what is left is what a NIC uses by itself.
    auto next = static_cast<std::uint32_t>(channels_.value);
    for (const Receiver* receiver : receivers_) {
      std::vector<std::uint32_t> ids = receiver->queue_ids;
      for (std::uint32_t i = 0; i < receiver->queues && next > 0; ++i) {
        while (next > 0 && taken.contains(next - 1)) --next;
        if (next > 0) ids.push_back(--next);
      }
      std::ranges::sort(ids);
      for (const std::uint32_t id : ids) owners_.emplace(id, receiver);
      plan_.queues[receiver->name] = std::move(ids);
    }
  }

  void want(std::optional<Wanted>& setting, const Receiver& receiver, std::uint64_t value,
            const std::string& why) {
    if (setting && setting->value != value) {
      problem(ReasonCode::policy_conflict, in_receiver(receiver),
              why + ", and another receiver of " + now_.name + " wants it otherwise (" +
                  setting->why + ")",
              "an interface has one setting for all of its queues");
      return;
    }
    if (!setting) setting = Wanted{value, "receiver " + receiver.name + ": " + why};
  }

  void want_settings() {
    using Split = Receiver::HeaderSplit;
    for (const Receiver* receiver : receivers_) {
      if (receiver->header_split == Split::required) {
        want(split_, *receiver, 1, "header_split: required");
        want(threshold_, *receiver, receiver->header_split_threshold_bytes.value_or(0),
             receiver->header_split_threshold_bytes ? "header_split_threshold"
                                                    : "header_split: required");
      } else if (receiver->header_split == Split::none) {
        want(split_, *receiver, 0, "header_split: none");
      }
      if (receiver->ring_entries) {
        want(ring_, *receiver, *receiver->ring_entries,
             "ring: " + std::to_string(*receiver->ring_entries));
        const auto max = found_.state.rings ? found_.state.rings->rx_max : std::nullopt;
        if (max && *receiver->ring_entries > *max)
          problem(
              ReasonCode::setting_refused, in_receiver(*receiver),
              "a ring of " + now_.name + " has at most " + std::to_string(*max) + " descriptors",
              "ring: " + std::to_string(*max));
      }
    }
    if (split_ && split_->value != 0 && now_.header_split == nic::HeaderSplit::unknown)
      problem(ReasonCode::header_split_off, "receivers",
              now_.name + " does not say that it can split headers off", "header_split: keep");
    if (!now_.hds_threshold_bytes && threshold_ && threshold_->value == 0) threshold_.reset();
  }

  void note_far_memory() {
    for (const Receiver* receiver : receivers_) {
      const Policy::Memory* memory = input_.policy.find_memory(receiver->memory);
      if (memory == nullptr || !memory->numa_node || found_.numa_node < 0) continue;
      if (*memory->numa_node == static_cast<std::uint32_t>(found_.numa_node)) continue;
      plan_.notes.push_back("receiver " + receiver->name + ": " + now_.name + " is on NUMA node " +
                            std::to_string(found_.numa_node) + ", and memory '" + memory->name +
                            "' on node " + std::to_string(*memory->numa_node) +
                            ": every byte crosses the link between them (landfall topo)");
    }
  }

  void want_table() {
    if (receivers_.empty()) return;
    const bool untouched = before_.has_default_table();
    std::vector<std::uint32_t> table =
        before_.rss.empty() ? std::vector<std::uint32_t>{} : before_.rss.front().table;
    const auto count = static_cast<std::uint32_t>(channels_.value);
    if (untouched)
      for (std::size_t i = 0; i < table.size(); ++i)
        table[i] = static_cast<std::uint32_t>(i % std::max(count, 1u));
    const bool meets =
        std::ranges::any_of(table, [&](std::uint32_t queue) { return owners_.contains(queue); });
    if (!meets) return;  // as it is, it leaves our queues alone
    if (!excludes()) {
      ordinary_on_ours_ = true;
      return;
    }
    std::vector<std::uint32_t> others;
    for (std::uint32_t id = 0; id < count; ++id)
      if (!owners_.contains(id)) others.push_back(id);
    if (others.empty()) return;  // told by choose_queues()
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = others[i % others.size()];
    table_ = std::move(table);
    table_why_ = "steering.rss: exclude";
  }

  std::size_t table_entries() const {
    return now_.rss.empty() ? 128 : now_.rss.front().table.size();
  }

  Step made(What what, std::string why) const {
    Step step;
    step.what = what;
    step.interface_index = now_.index;
    step.interface = now_.name;
    step.why = std::move(why);
    return step;
  }

  void want_context(const Receiver& receiver) {
    if (std::ranges::any_of(contexts_,
                            [&](const Step& one) { return one.context == receiver.name; }))
      return;
    const std::vector<std::uint32_t>& queues = plan_.queues[receiver.name];
    Step step = made(What::rss_context, "receiver " + receiver.name + ": its flows are spread");
    step.context = receiver.name;
    for (std::size_t i = 0; i < table_entries(); ++i)
      step.to_table.push_back(queues[i % queues.size()]);
    contexts_.push_back(std::move(step));
  }

  void want_flows() {
    for (std::size_t i = 0; i < input_.policy.flows.size(); ++i) {
      const Policy::Flow& flow = input_.policy.flows[i];
      const Receiver* receiver = input_.policy.find_receiver(flow.to);
      if (receiver == nullptr || receiver->interface != now_.name) continue;
      const std::string subject = "flows[" + std::to_string(i) + "]";
      const std::vector<std::uint32_t>& queues = plan_.queues[receiver->name];
      if (queues.empty()) continue;  // told by choose_queues()
      if (rules_.size() + count_rules(flow) > kRulesMax) {
        problem(ReasonCode::rules_full, subject,
                "its ports need " + std::to_string(count_rules(flow)) + " rules");
        continue;
      }
      const bool spread = !flow.queue && queues.size() > 1;
      if (spread) want_context(*receiver);
      for (const Rule& rule : flow_rules(flow)) {
        Step step = made(What::rule, subject + " to " + receiver->name);
        step.rule = rule;
        step.rule.spec.ring_cookie = spread ? 0 : flow.queue.value_or(queues.front());
        if (spread) {
          step.context = receiver->name;
          step.rule.spec.flow_type |= FLOW_RSS;
        }
        rules_.push_back(std::move(step));
      }
    }
    if (rules_.empty()) return;
    ntuple_ = Wanted{1, "flows are steered by rules"};
    if (!now_.ntuple || !found_.state.rule_table)
      problem(ReasonCode::rule_refused, "flows", now_.name + " steers no flows by n-tuple rules");
  }

  // --- what must not happen

  void guard_host() {
    for (const Step& step : rules_)
      for (const nic::FlowKey& session : input_.sessions)
        if (nic::takes_all(step.rule, session))
          problem(ReasonCode::cuts_off_host, step.why.substr(0, step.why.find(' ')),
                  "the rule " + nic::describe_match(step.rule) +
                      " takes this session's own connection, " + session.describe(),
                  "narrow the flow; or, from elsewhere than by this connection, --force", true);
    if (!ordinary_on_ours_) return;
    for (const Receiver* receiver : receivers_) {
      if (!may_bind_queues(*receiver)) continue;
      problem(ReasonCode::cuts_off_host, "steering.rss",
              "with 'keep' the host's own traffic, ARP too, is spread over the queues of '" +
                  receiver->name + "', which may get memory that the kernel cannot read",
              "steering: {rss: exclude}, or header_split: none; or --force", true);
    }
  }

  // --- the steps

  /// `owned`: what landfall has made of it before.
  void set(std::vector<Step>& to, What what, const std::optional<std::uint64_t>& now,
           const std::optional<std::uint64_t>& before, const std::optional<Wanted>& wanted) {
    Step step = made(what, wanted ? wanted->why : "the policy no longer wants it");
    const Step* owned = input_.setup.find(step);
    if (!now || (!wanted && owned == nullptr)) return;
    if (!wanted && owned->to != *now) {
      plan_.notes.push_back(now_.name + ": somebody else has changed " + nic::name_of(what) +
                            " to " + std::to_string(*now) + "; it stays");
      return;
    }
    step.from = *now;
    step.to = wanted ? wanted->value : before.value_or(*now);
    if (step.from != step.to) to.push_back(std::move(step));
  }

  /// `follows`: the number of channels changes, and the driver's own table with it.
  void set_table(std::vector<Step>& to, bool follows) {
    Step step =
        made(What::rss_table, table_.empty() ? "the policy no longer wants it" : table_why_);
    const bool is_default = now_.has_default_table();
    const std::vector<std::uint32_t> empty;
    const std::vector<std::uint32_t>& now = now_.rss.empty() ? empty : now_.rss.front().table;
    if (now.empty()) return;
    const Step* owned = input_.setup.find(step);
    if (table_.empty() && owned == nullptr) return;
    if (table_.empty() && owned->to_table != now) {
      plan_.notes.push_back(now_.name + ": somebody else has changed the RSS table; it stays");
      return;
    }
    if (!is_default) step.from_table = now;
    step.to_table = table_;
    if (table_.empty() && !before_.has_default_table()) step.to_table = before_.rss.front().table;
    const bool same =
        step.to_table.empty() ? is_default : step.to_table == now && !(is_default && follows);
    if (!same) to.push_back(std::move(step));
  }

  /// Of those that are ours and in the NIC, which are to stay?
  void match_owned(std::vector<Step>& ret_removals) {
    for (const Step& owned : input_.setup.steps) {
      if (owned.interface_index != now_.index || owned.is_setting()) continue;
      Step probe = owned;
      if (nic::audit(probe, now_, nullptr) != nic::Effect::present) continue;
      std::vector<Step>& wanted = owned.what == What::rule ? rules_ : contexts_;
      const auto kept = std::ranges::find_if(wanted, [&](const Step& step) {
        if (owned.what == What::rss_context)
          return step.context == owned.context && step.to_table == owned.to_table;
        return step.context == owned.context && nic::same_match(step.rule.spec, owned.rule.spec) &&
               step.rule.spec.ring_cookie == owned.rule.spec.ring_cookie &&
               !renewed_.contains(owned.context);
      });
      if (kept != wanted.end()) {
        wanted.erase(kept);
        continue;
      }
      if (owned.what == What::rss_context) renewed_.insert(owned.context);
      Step gone = nic::inverse(owned);
      gone.why = "the policy no longer wants it";
      ret_removals.push_back(std::move(gone));
    }
    std::ranges::reverse(ret_removals);  // rules before the context that they lead to
  }

  bool leads_to_us(const Rule& foreign, const Step& ours) const {
    if ((foreign.spec.flow_type & FLOW_RSS) != 0 || foreign.spec.ring_cookie > ~0u) return false;
    const auto owner = owners_.find(static_cast<std::uint32_t>(foreign.spec.ring_cookie));
    if (!ours.context.empty()) return owner != owners_.end() && owner->second->name == ours.context;
    return foreign.spec.ring_cookie == ours.rule.spec.ring_cookie;
  }

  /// Rules of others that are about the same packets: nothing to do, a problem, or a place before
  /// them.
  void meet_foreign(const std::vector<Step>& removals) {
    std::set<std::uint32_t> used;
    std::vector<const Rule*> foreign;
    for (const Rule& rule : now_.rules) {
      const bool ours = std::ranges::any_of(input_.setup.steps, [&](const Step& step) {
        return step.what == What::rule && step.interface_index == now_.index &&
               nic::same_rule(step.rule, rule);
      });
      const bool goes = std::ranges::any_of(removals, [&](const Step& step) {
        return step.what == What::rule && nic::same_rule(step.rule, rule);
      });
      if (!ours) foreign.push_back(&rule);
      if (!goes) used.insert(rule.spec.location);
    }
    std::vector<Step> wanted;
    for (Step& step : rules_) {
      std::uint32_t before = RX_CLS_LOC_ANY;
      bool done = false, refused = false;
      for (const Rule* rule : foreign) {
        if (!covers(*rule, step.rule) && !covers(step.rule, *rule)) continue;
        if (leads_to_us(*rule, step)) {
          done = done || nic::same_match(rule->spec, step.rule.spec);
          continue;
        }
        if (input_.policy.steering.on_conflict == Policy::Steering::OnConflict::precede) {
          before = std::min(before, rule->spec.location);
          continue;
        }
        refused = true;
        problem(ReasonCode::rule_conflict, step.why.substr(0, step.why.find(' ')),
                "the rule at location " + std::to_string(rule->spec.location) + " of " + now_.name +
                    ", which is not landfall's, takes " + nic::describe_match(*rule) + " elsewhere",
                "remove it, or steering: {on_conflict: precede}");
        break;
      }
      if (done)
        plan_.notes.push_back(now_.name + ": a rule that is not landfall's does " +
                              nic::describe_match(step.rule) + " already");
      if (done || refused) continue;
      if (!place(step, before, used)) continue;
      wanted.push_back(std::move(step));
    }
    rules_ = std::move(wanted);
    const auto& table = found_.state.rule_table;
    if (table && table->size != 0 && used.size() + unplaced_ > table->size)
      problem(ReasonCode::rules_full, "flows",
              now_.name + " has room for " + std::to_string(table->size) + " rules; with these " +
                  "there are " + std::to_string(used.size() + unplaced_));
  }

  bool place(Step& step, std::uint32_t before, std::set<std::uint32_t>& used) {
    const auto& table = found_.state.rule_table;
    if (!table) return true;
    const bool anywhere = before == RX_CLS_LOC_ANY;
    if (anywhere && table->picks_location) {
      ++unplaced_;
      return true;
    }
    // The upper half is landfall's by agreement, from the end downwards: see nic::Steering.
    const std::uint32_t end = anywhere ? table->size : before;
    const std::uint32_t begin = anywhere ? table->size / 2 : 0;
    for (std::uint32_t at = end; at-- > begin;) {
      if (!used.insert(at).second) continue;
      step.rule.spec.location = at;
      return true;
    }
    problem(ReasonCode::rules_full, step.why.substr(0, step.why.find(' ')),
            anywhere ? "the upper half of " + now_.name + "'s table of rules is full"
                     : "there is no free place before the rule at location " +
                           std::to_string(before) + " of " + now_.name);
    return false;
  }

  void write_steps() {
    std::vector<Step> removals, channels, table;
    match_owned(removals);
    meet_foreign(removals);
    std::vector<Step>& steps = plan_.steps;
    const auto append = [&](std::vector<Step>& more) {
      steps.insert(steps.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
    };
    append(removals);
    if (ntuple_) set(steps, What::ntuple, now_.ntuple, before_.ntuple, ntuple_);
    const auto wanted_channels =
        channels_.why.empty() ? std::nullopt : std::optional<Wanted>{channels_};
    set(channels, What::channels, now_.channels, before_.channels, wanted_channels);
    set_table(table, !channels.empty());
    // A table names queues that must be there.
    const bool fewer = !channels.empty() && channels[0].to < channels[0].from;
    append(fewer ? table : channels);
    append(fewer ? channels : table);
    set(steps, What::rx_ring, now_.rx_ring, before_.rx_ring, ring_);
    const auto split = [](const Settings& at) -> std::optional<std::uint64_t> {
      if (at.header_split == nic::HeaderSplit::unknown) return std::nullopt;
      return at.header_split == nic::HeaderSplit::on ? 1 : 0;
    };
    set(steps, What::header_split, split(now_), split(before_), split_);
    set(steps, What::hds_threshold, now_.hds_threshold_bytes, before_.hds_threshold_bytes,
        threshold_);
    append(contexts_);
    append(rules_);
    if (!ntuple_ && may_end_ntuple())
      set(steps, What::ntuple, now_.ntuple, before_.ntuple, std::nullopt);
  }

  /// With the feature go all rules, those of others too.
  bool may_end_ntuple() const {
    return std::ranges::all_of(now_.rules, [&](const Rule& rule) {
      return std::ranges::any_of(plan_.steps, [&](const Step& step) {
        return step.what == What::rule && step.removes && step.interface_index == now_.index &&
               nic::same_rule(step.rule, rule);
      });
    });
  }

  const PlanInput& input_;
  const Found& found_;
  const Settings now_;
  const Settings before_;
  Plan& plan_;
  std::vector<const Receiver*> receivers_;
  std::map<std::uint32_t, const Receiver*> owners_;  // of the queues
  Wanted channels_;
  std::optional<Wanted> ntuple_, ring_, split_, threshold_;
  std::vector<std::uint32_t> table_;  // empty: as it was found
  std::string table_why_;
  bool ordinary_on_ours_ = false;
  std::vector<Step> contexts_, rules_;
  std::set<std::string> renewed_;  // contexts that go, and may come back otherwise
  std::size_t unplaced_ = 0;       // rules for which the driver finds a place
};

Result<Found> read_interface(nic::Nic& nic, std::uint32_t interface_index) {
  Found found;
  LANDFALL_TRY(found.state, nic.read(interface_index));
  if (found.state.rule_table && found.state.rule_table->rules != 0) {
    LANDFALL_TRY(found.rules, nic.rules(interface_index));
  }
  std::ifstream node{"/sys/class/net/" + found.state.name + "/device/numa_node"};
  if (!(node >> found.numa_node)) found.numa_node = -1;
  return found;
}

}  // namespace

Result<std::vector<Found>> read_found(nic::Nic& nic, const Policy& policy,
                                      const nic::SetupState& setup) {
  LANDFALL_TRY(const std::vector<nic::InterfaceName> names, nic.interfaces());
  std::vector<Found> all;
  for (const nic::InterfaceName& name : names) {
    const bool wanted = std::ranges::any_of(
        policy.receivers, [&](const Receiver& one) { return one.interface == name.name; });
    if (!wanted && setup.before_of(name.index) == nullptr) continue;
    LANDFALL_TRY(Found one, read_interface(nic, name.index));
    all.push_back(std::move(one));
  }
  return all;
}

Plan make_plan(const PlanInput& input) {
  Plan plan;
  std::set<std::string> known;
  for (const Found& found : input.found) {
    known.insert(found.state.name);
    InterfacePlanner{input, found, plan}.make();
  }
  for (const Policy::Receiver& receiver : input.policy.receivers)
    if (!known.contains(receiver.interface))
      plan.problems.push_back({ReasonCode::interface_unknown, in_receiver(receiver),
                               "there is no interface " + receiver.interface,
                               "ip -br link shows those that are there", false});
  return plan;
}

}  // namespace landfall::policy
