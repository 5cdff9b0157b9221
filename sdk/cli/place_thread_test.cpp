// SPDX-License-Identifier: Apache-2.0
// Goal: a receiver runs where its policy says, or the error names the processor that is not there.
#include "place_thread.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <thread>

namespace landfall::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CpuList, IsReadAsTheKernelWritesIt) {
  EXPECT_THAT(read_cpu_list("0").value(), ElementsAre(0u));
  EXPECT_THAT(read_cpu_list("0-2,8").value(), ElementsAre(0u, 1u, 2u, 8u));
  EXPECT_TRUE(read_cpu_list("")->empty());
  for (const char* wrong : {"x", "1-", "-1", "3-1", "1,,2", "99999", "0-99999"})
    EXPECT_FALSE(read_cpu_list(wrong)) << wrong;
}

/// On a thread of its own: the placement is its.
Result<void> place(const Policy::Receiver& receiver, cpu_set_t* ret_set) {
  Result<void> placed;
  std::thread{[&] {
    placed = place_thread(receiver);
    ::sched_getaffinity(0, sizeof *ret_set, ret_set);
  }}.join();
  return placed;
}

TEST(PlaceThread, OnTheProcessorsThatAreNamed) {
  cpu_set_t all, set;
  ::sched_getaffinity(0, sizeof all, &all);
  std::uint32_t first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  Policy::Receiver receiver;
  ASSERT_TRUE(place(receiver, &set));
  EXPECT_TRUE(CPU_EQUAL(&set, &all)) << "none is named";
  receiver.cpus = {first};
  ASSERT_TRUE(place(receiver, &set));
  EXPECT_EQ(CPU_COUNT(&set), 1);
  EXPECT_TRUE(CPU_ISSET(first, &set));
}

TEST(PlaceThread, NamesTheProcessorThatIsNotThere) {
  cpu_set_t set;
  Policy::Receiver receiver;
  receiver.name = "ingest";
  receiver.cpus = {0, 1023};
  const auto placed = place(receiver, &set);
  ASSERT_FALSE(placed);
  EXPECT_THAT(placed.error().describe(), HasSubstr("receivers.ingest.cpus: processor 1023"));
  receiver.cpus.clear();
  receiver.numa_node = 1023;
  EXPECT_THAT(place(receiver, &set).error().describe(), HasSubstr("node 1023"));
}

TEST(PlaceThread, OnANode) {
  std::string first;
  std::ifstream{"/sys/devices/system/node/node0/cpulist"} >> first;
  if (first.empty()) GTEST_SKIP() << "/sys/devices/system/node/node0 is missing";
  cpu_set_t set;
  Policy::Receiver receiver;
  receiver.numa_node = 0;
  ASSERT_TRUE(place(receiver, &set));
  EXPECT_GT(CPU_COUNT(&set), 0);
}

}  // namespace
}  // namespace landfall::cli
