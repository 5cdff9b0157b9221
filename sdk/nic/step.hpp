// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nic/settings.hpp"

namespace landfall::nic {

/// One change of one interface, with what it replaces: what plans are made of, what the journal
/// holds, and what can be taken back.
struct Step {
  enum class What : std::uint8_t {
    ntuple,
    channels,
    rx_ring,
    header_split,
    hds_threshold,
    rss_table,
    rss_context,
    rule
  };
  What what{};
  std::uint32_t interface_index = 0;
  std::string interface;
  std::string why;  // for people

  /// Of a setting: its value before and after; switches are 0 and 1.
  std::uint64_t from = 0, to = 0;
  /// Of the RSS table: before and after; empty: the driver's own. Of a context: `to_table`.
  std::vector<std::uint32_t> from_table, to_table;

  /// Of a context or a rule, which are made, or taken away.
  bool removes = false;
  std::string context;   // by name: the context itself, or where the rule leads; "": to a queue
  std::uint32_t id = 0;  // of the context, 0: not made yet
  Rule rule{};           // RX_CLS_LOC_ANY: not made yet

  bool is_setting() const noexcept { return what < What::rss_context; }
};

/// "rx_ring", ...: in journals and JSON.
const char* name_of(Step::What what) noexcept;

/// "RX ring 256 -> 4096", for people.
std::string describe(const Step& step);
/// "tcp to 192.0.2.7 port 5201", of a rule.
std::string describe_match(const Rule& rule);

/// What takes the step back.
Step inverse(Step step);

/// Do both set the same thing?
bool same_subject(const Step& a, const Step& b) noexcept;

/// Is the interface as it must be for the step to be made?
bool begins_at(const Step& step, const Settings& now);

/// How an interface stands to a step.
enum class Effect : std::uint8_t {
  absent,   // as before the step
  present,  // as after it
  neither   // somebody else was at it
};
/// A context or rule whose number is not known is looked for among those that `before` has not.
/// Fills step's `id` or `rule.spec.location` where it is found.
Effect audit(Step& step, const Settings& now, const Settings* before);

/// Makes it so. Fills step's `id` or `rule.spec.location`. Rules that lead to a context need
/// `rule.rss_context`.
Result<void> perform(Nic& nic, Step& step);

}  // namespace landfall::nic
