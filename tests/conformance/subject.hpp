// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "conformance/capabilities.hpp"
#include "landfall/landfall.hpp"

namespace landfall::test {

/// One transport as the suite runs it.
struct Subject {
  std::string label;      // its row in capabilities.hpp and its name in the tests
  std::string transport;  // as registered
  std::vector<std::string> options{};
  std::string memory = "host";
  std::vector<const landfall_backend*> linked{};  // added to each Context
  std::string plugin{};                           // loaded into each Context; "": none

  const Expected& expected() const { return expected_of(label); }
  bool can(Cap cap) const { return expected().has(cap); }
  Result<Context> context(ContextOptions with = {}) const;
};
std::ostream& operator<<(std::ostream& out, const Subject& subject);

/// One memory source.
struct MemorySubject {
  std::string source;
  std::vector<const landfall_backend*> linked{};
  std::string plugin{};

  const ExpectedMemory& expected() const { return expected_of_memory(source); }
  Result<Context> context(ContextOptions with = {}) const;
};
std::ostream& operator<<(std::ostream& out, const MemorySubject& subject);

/// What this run is about: all that is built in, the plug-ins of `--backend PATH`, or the mutant of
/// `--mutant NAME`. Takes its arguments out of argv.
void choose_subjects(int& argc, char** argv);
const std::vector<Subject>& subjects();
const std::vector<MemorySubject>& memory_subjects();

}  // namespace landfall::test
