// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace landfall::transport {

/// Flows by the links that they carry: `previous`, `next`, and `listed`, the name of the list that
/// a flow is in. First in, first out; a flow leaves from anywhere.
template <class Flow>
class FlowList {
 public:
  using Name = decltype(Flow::listed);
  explicit FlowList(Name name) noexcept : name_{name} {}
  bool empty() const noexcept { return first_ == nullptr; }
  std::uint32_t size() const noexcept { return size_; }
  Flow* front() const noexcept { return first_; }
  void push(Flow& flow) noexcept {
    flow.listed = name_;
    flow.next = nullptr;
    flow.previous = last_;
    (last_ == nullptr ? first_ : last_->next) = &flow;
    last_ = &flow;
    ++size_;
  }
  void remove(Flow& flow) noexcept {
    (flow.previous == nullptr ? first_ : flow.previous->next) = flow.next;
    (flow.next == nullptr ? last_ : flow.next->previous) = flow.previous;
    flow.listed = Name::no;
    --size_;
  }
  Flow& pop() noexcept {
    Flow& flow = *first_;
    remove(flow);
    return flow;
  }

 private:
  Name name_;
  Flow* first_ = nullptr;
  Flow* last_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace landfall::transport
