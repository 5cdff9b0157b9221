// SPDX-License-Identifier: Apache-2.0
// An operator new that fails on purpose. Linked into one test only: it replaces the program's.
#pragma once
#include <cstddef>

namespace landfall::test {

/// While it lives, allocation number `call` (from 0) of this thread throws std::bad_alloc.
class FailingNew {
 public:
  explicit FailingNew(std::size_t call) noexcept;
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;
  ~FailingNew();
  /// Was there such a call?
  bool hit() const noexcept;
};

}  // namespace landfall::test
