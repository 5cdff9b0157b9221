// SPDX-License-Identifier: Apache-2.0
// A program that does nothing: CMake precompiles beside it the headers that most tests include.
int main() {
  return 0;
}
