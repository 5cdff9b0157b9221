// SPDX-License-Identifier: Apache-2.0
#include "failing_new.hpp"

#include <cstdlib>
#include <limits>
#include <new>

namespace landfall::test {
namespace {

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
thread_local std::size_t t_left = kNever;
thread_local bool t_hit = false;

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (t_left != kNever && t_left-- == 0) {
    t_left = kNever;
    t_hit = true;
    throw std::bad_alloc{};
  }
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(bytes == 0 ? 1 : bytes);
  } else if (::posix_memalign(&memory, alignment, bytes) != 0) {
    memory = nullptr;
  }
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}

}  // namespace

FailingNew::FailingNew(std::size_t call) noexcept {
  t_left = call;
  t_hit = false;
}
FailingNew::~FailingNew() {
  t_left = kNever;
}
bool FailingNew::hit() const noexcept {
  return t_hit;
}

}  // namespace landfall::test

void* operator new(std::size_t bytes) {
  return landfall::test::allocate(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return landfall::test::allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return landfall::test::allocate(bytes, 1);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
