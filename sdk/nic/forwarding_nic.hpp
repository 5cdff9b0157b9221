// SPDX-License-Identifier: Apache-2.0
// For tests that change a few of a Nic's answers.
#pragma once
#include <memory>
#include <utility>

#include "nic/nic.hpp"

namespace landfall::nic {

class ForwardingNic : public Nic {
 public:
  explicit ForwardingNic(std::shared_ptr<Nic> to) : to_{std::move(to)} {}
  Result<std::vector<InterfaceName>> interfaces() override { return to_->interfaces(); }
  Result<NicState> read(std::uint32_t index) override { return to_->read(index); }
  Result<void> try_queue(std::uint32_t index, std::uint32_t queue_id) override {
    return to_->try_queue(index, queue_id);
  }
  Result<Fd> claim_queue(std::uint32_t index, std::uint32_t queue_id) override {
    return to_->claim_queue(index, queue_id);
  }
  Result<Bound> bind_rx(const BindRequest& request) override { return to_->bind_rx(request); }
  Result<Bound> bind_tx(const SendBindRequest& request) override { return to_->bind_tx(request); }
  Result<std::unique_ptr<LinkWatch>> watch(std::uint32_t index) override {
    return to_->watch(index);
  }
  Result<RuleTable> rule_table(std::uint32_t index) override { return to_->rule_table(index); }
  Result<std::vector<Rule>> rules(std::uint32_t index) override { return to_->rules(index); }
  Result<std::optional<Rule>> rule_at(std::uint32_t index, std::uint32_t location) override {
    return to_->rule_at(index, location);
  }
  Result<std::uint32_t> insert_rule(std::uint32_t index, const Rule& rule) override {
    return to_->insert_rule(index, rule);
  }
  Result<void> remove_rule(std::uint32_t index, std::uint32_t location) override {
    return to_->remove_rule(index, location);
  }
  Result<void> set_channels(std::uint32_t index, std::uint32_t receiving) override {
    return to_->set_channels(index, receiving);
  }
  Result<void> set_rings(std::uint32_t index, const RingsRequest& request) override {
    return to_->set_rings(index, request);
  }
  Result<void> set_ntuple(std::uint32_t index, bool on) override {
    return to_->set_ntuple(index, on);
  }
  Result<void> set_rss_table(std::uint32_t index, std::span<const std::uint32_t> table) override {
    return to_->set_rss_table(index, table);
  }
  Result<void> set_rss_key(std::uint32_t index, std::span<const std::uint8_t> key) override {
    return to_->set_rss_key(index, key);
  }
  Result<std::uint32_t> add_rss_context(std::uint32_t index,
                                        std::span<const std::uint32_t> table) override {
    return to_->add_rss_context(index, table);
  }
  Result<void> remove_rss_context(std::uint32_t index, std::uint32_t id) override {
    return to_->remove_rss_context(index, id);
  }
  int rule_socket() const noexcept override { return to_->rule_socket(); }

 protected:
  std::shared_ptr<Nic> to_;
};

}  // namespace landfall::nic
