// SPDX-License-Identifier: Apache-2.0
// Goal: the sanitizers are linked and report. Each argument commits one error; ctest looks for the
// report.
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

volatile int zero = 0;
int shared_number = 0;

int overflow_heap() {
  char* bytes = static_cast<char*>(std::malloc(8));
  if (bytes == nullptr) return 1;
  std::memset(bytes, 1, 8);
  const int beyond = bytes[8 + zero];
  std::free(bytes);
  return beyond;
}

int overflow_integer() {
  const int largest = INT_MAX - zero;
  return largest + 1;
}

int leak() {
  auto* bytes = static_cast<volatile char*>(std::malloc(100));
  if (bytes == nullptr) return 1;
  bytes[0] = 1;
  bytes = nullptr;
  return 0;
}

int race() {
  std::thread other([] { ++shared_number; });
  ++shared_number;
  other.join();
  return shared_number;
}

}  // namespace

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (std::strcmp(what, "heap") == 0) return overflow_heap();
  if (std::strcmp(what, "integer") == 0) return overflow_integer();
  if (std::strcmp(what, "leak") == 0) return leak();
  if (std::strcmp(what, "race") == 0) return race();
  std::puts("usage: broken_on_purpose heap|integer|leak|race");
  return 2;
}
