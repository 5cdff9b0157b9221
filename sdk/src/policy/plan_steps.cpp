// SPDX-License-Identifier: Apache-2.0
// The steps from an interface as it is to what is wanted of it.
#include <algorithm>
#include <set>
#include <utility>

#include "nic/ethtool_ioctl.hpp"
#include "policy/flow_rules.hpp"
#include "policy/planned_interface.hpp"

namespace landfall::policy {
namespace {

using nic::Rule;
using nic::Settings;
using nic::Step;
using What = Step::What;

class StepWriter {
 public:
  StepWriter(const PlannedInterface& at, Wishes wishes) : at_{at}, wishes_{std::move(wishes)} {}

  void write() {
    std::vector<Step> removals, channels, table;
    match_owned(removals);
    meet_foreign(removals);
    std::vector<Step>& steps = at_.plan.steps;
    const auto append = [&](std::vector<Step>& more) {
      steps.insert(steps.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
    };
    append(removals);
    if (wishes_.ntuple) set(steps, What::ntuple, at_.now.ntuple, at_.before.ntuple, wishes_.ntuple);
    const auto wanted_channels =
        wishes_.channels.why.empty() ? std::nullopt : std::optional<Wanted>{wishes_.channels};
    set(channels, What::channels, at_.now.channels, at_.before.channels, wanted_channels);
    set_table(table, !channels.empty());
    // A table names queues that must be there.
    const bool fewer = !channels.empty() && channels[0].to < channels[0].from;
    append(fewer ? table : channels);
    append(fewer ? channels : table);
    set(steps, What::rx_ring, at_.now.rx_ring, at_.before.rx_ring, wishes_.ring);
    const auto split = [](const Settings& at) -> std::optional<std::uint64_t> {
      if (at.header_split == nic::HeaderSplit::unknown) return std::nullopt;
      return at.header_split == nic::HeaderSplit::on ? 1 : 0;
    };
    set(steps, What::header_split, split(at_.now), split(at_.before), wishes_.split);
    set(steps, What::hds_threshold, at_.now.hds_threshold_bytes, at_.before.hds_threshold_bytes,
        wishes_.threshold);
    append(wishes_.contexts);
    append(wishes_.rules);
    if (!wishes_.ntuple && may_end_ntuple())
      set(steps, What::ntuple, at_.now.ntuple, at_.before.ntuple, std::nullopt);
  }

 private:
  /// `owned`: what landfall has made of it before.
  void set(std::vector<Step>& to, What what, const std::optional<std::uint64_t>& now,
           const std::optional<std::uint64_t>& before, const std::optional<Wanted>& wanted) {
    Step step = at_.step(what, wanted ? wanted->why : "the policy no longer wants it");
    const Step* owned = at_.input.setup.find(step);
    if (!now || (!wanted && owned == nullptr)) return;
    if (!wanted && owned->to != *now) {
      at_.note(at_.now.name + ": somebody else has changed " + nic::name_of(what) + " to " +
               std::to_string(*now) + "; it stays");
      return;
    }
    step.from = *now;
    step.to = wanted ? wanted->value : before.value_or(*now);
    if (step.from != step.to) to.push_back(std::move(step));
  }

  /// `follows`: the number of channels changes, and the driver's own table with it.
  void set_table(std::vector<Step>& to, bool follows) {
    Step step = at_.step(What::rss_table, wishes_.table.empty() ? "the policy no longer wants it"
                                                                : wishes_.table_why);
    const bool is_default = at_.now.has_default_table();
    const std::vector<std::uint32_t> empty;
    const std::vector<std::uint32_t>& now = at_.now.rss.empty() ? empty : at_.now.rss.front().table;
    if (now.empty()) return;
    const Step* owned = at_.input.setup.find(step);
    if (wishes_.table.empty() && owned == nullptr) return;
    if (wishes_.table.empty() && owned->to_table != now) {
      at_.note(at_.now.name + ": somebody else has changed the RSS table; it stays");
      return;
    }
    if (!is_default) step.from_table = now;
    step.to_table = wishes_.table;
    if (wishes_.table.empty() && !at_.before.has_default_table())
      step.to_table = at_.before.rss.front().table;
    const bool same =
        step.to_table.empty() ? is_default : step.to_table == now && !(is_default && follows);
    if (!same) to.push_back(std::move(step));
  }

  /// Of those that are ours and in the NIC, which are to stay?
  void match_owned(std::vector<Step>& ret_removals) {
    for (const Step& owned : at_.input.setup.steps) {
      if (owned.interface_index != at_.now.index || owned.is_setting()) continue;
      Step probe = owned;
      if (nic::audit(probe, at_.now, nullptr) != nic::Effect::present) continue;
      std::vector<Step>& wanted = owned.what == What::rule ? wishes_.rules : wishes_.contexts;
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
    const auto owner = wishes_.owners.find(static_cast<std::uint32_t>(foreign.spec.ring_cookie));
    if (!ours.context.empty())
      return owner != wishes_.owners.end() && owner->second->name == ours.context;
    return foreign.spec.ring_cookie == ours.rule.spec.ring_cookie;
  }

  /// Rules of others that are about the same packets: nothing to do, a problem, or a place before
  /// them.
  void meet_foreign(const std::vector<Step>& removals) {
    std::set<std::uint32_t> used;
    std::vector<const Rule*> foreign;
    for (const Rule& rule : at_.now.rules) {
      const bool ours = std::ranges::any_of(at_.input.setup.steps, [&](const Step& step) {
        return step.what == What::rule && step.interface_index == at_.now.index &&
               nic::same_rule(step.rule, rule);
      });
      const bool goes = std::ranges::any_of(removals, [&](const Step& step) {
        return step.what == What::rule && nic::same_rule(step.rule, rule);
      });
      if (!ours) foreign.push_back(&rule);
      if (!goes) used.insert(rule.spec.location);
    }
    std::vector<Step> wanted;
    for (Step& step : wishes_.rules) {
      std::uint32_t before = RX_CLS_LOC_ANY;
      bool done = false, refused = false;
      for (const Rule* rule : foreign) {
        if (!overlaps(*rule, step.rule)) continue;
        if (leads_to_us(*rule, step)) {
          done = done || nic::same_match(rule->spec, step.rule.spec);
          continue;
        }
        if (at_.input.policy.steering.on_conflict == Policy::Steering::OnConflict::precede) {
          before = std::min(before, rule->spec.location);
          continue;
        }
        refused = true;
        at_.problem(ReasonCode::rule_conflict, place_of(step),
                    "the rule at location " + std::to_string(rule->spec.location) + " of " +
                        at_.now.name + ", which is not landfall's, takes " +
                        nic::describe_match(*rule) + " elsewhere",
                    "remove it, or steering: {on_conflict: precede}");
        break;
      }
      if (done)
        at_.note(at_.now.name + ": a rule that is not landfall's does " +
                 nic::describe_match(step.rule) + " already");
      if (done || refused) continue;
      if (!place(step, before, used)) continue;
      wanted.push_back(std::move(step));
    }
    wishes_.rules = std::move(wanted);
    const auto& table = at_.found.state.rule_table;
    if (table && table->size != 0 && used.size() + unplaced_ > table->size)
      at_.problem(ReasonCode::rules_full, "flows",
                  at_.now.name + " has room for " + std::to_string(table->size) +
                      " rules; with these " + "there are " +
                      std::to_string(used.size() + unplaced_));
  }

  bool place(Step& step, std::uint32_t before, std::set<std::uint32_t>& used) {
    const auto& table = at_.found.state.rule_table;
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
    at_.problem(ReasonCode::rules_full, place_of(step),
                anywhere ? "the upper half of " + at_.now.name + "'s table of rules is full"
                         : "there is no free place before the rule at location " +
                               std::to_string(before) + " of " + at_.now.name);
    return false;
  }

  /// With the feature go all rules, those of others too.
  bool may_end_ntuple() const {
    return std::ranges::all_of(at_.now.rules, [&](const Rule& rule) {
      return std::ranges::any_of(at_.plan.steps, [&](const Step& step) {
        return step.what == What::rule && step.removes && step.interface_index == at_.now.index &&
               nic::same_rule(step.rule, rule);
      });
    });
  }

  const PlannedInterface& at_;
  Wishes wishes_;
  std::set<std::string> renewed_;  // contexts that go, and may come back otherwise
  std::size_t unplaced_ = 0;       // rules for which the driver finds a place
};

}  // namespace

void write_steps(const PlannedInterface& at, Wishes wishes) {
  StepWriter{at, std::move(wishes)}.write();
}

}  // namespace landfall::policy
