// SPDX-License-Identifier: Apache-2.0
// Goal: where there are many flows, or the option says so, one that streams lets the others have
// their turn. (That no byte is lost so is what every test with turn= shows.)
#include <sys/utsname.h>

#include <cstdio>

#include "tcp/each_engine.hpp"

namespace landfall::tcp::test {
namespace {

bool kernel_has_turns() {
  utsname name{};
  int major = 0, minor = 0;
  return ::uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
         (major > 6 || (major == 6 && minor >= 17));
}

/// Two streams have much to tell, and `idle` flows nothing: how many bytes come of the first before
/// the second has any? 0: io_uring is refused here.
std::uint64_t bytes_at_once(const char* options, int idle) {
  MiniCore core{
      {.options = std::string{"engine=io_uring\nrcvbuf=400KiB\n"} + options, .capacity = 1}};
  if (core.open() != LANDFALL_ERRC_ok) return 0;
  Stream& one = core.add();
  Stream& two = core.add();
  for (int i = 0; i < idle; ++i) core.add();
  // Asked for again after their first bytes, with all flows there.
  for (const Stream* stream : {&one, &two}) core.ops().flow_pause(core.queue(), stream->flow, 1);
  while (core.poll_once() != 0) {
  }
  for (Stream* stream : {&one, &two}) {
    stream->to_send = 1u << 20;
    core.step(*stream);
    core.ops().flow_pause(core.queue(), stream->flow, 0);
  }
  std::uint64_t before = 0;
  EXPECT_TRUE(core.run_until([&] {
    if (two.got == 0) before = one.got;
    return one.got == one.to_send && two.got == two.to_send;
  }));
  return before;
}

TEST(Turn, OfAStreamAmongManyEndsInTime) {
  if (!kernel_has_turns()) GTEST_SKIP() << "needs Linux 6.17: a limit of a multishot receive";
  const std::uint64_t few = bytes_at_once("", 0);
  if (few == 0) GTEST_SKIP() << "io_uring is refused here";
  EXPECT_GT(few, 96u << 10) << "two flows: as much as there is";
  EXPECT_LE(bytes_at_once("turn=16KiB\n", 0), 16u << 10);
  EXPECT_LE(bytes_at_once("", 300), 64u << 10) << "many flows";
  EXPECT_GT(bytes_at_once("turn=0\n", 300), 96u << 10) << "no limit";
}

}  // namespace
}  // namespace landfall::tcp::test
