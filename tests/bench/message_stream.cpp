// SPDX-License-Identifier: Apache-2.0
// One stream of messages by a transport that makes its own connections, for comparisons with the
// tools of the fabric.
//   message_stream recv TRANSPORT HOST PORT MESSAGE_BYTES [busy] [OPTION...]
//   message_stream send TRANSPORT HOST PORT MESSAGE_BYTES MESSAGES [busy] [window=N] [OPTION...]
// recv prints "ready", then figures: bytes=N seconds=S cpu=S, of the receiving thread from the
// first byte to the last. busy: never sleeps. window: messages under way at once, else 16.
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/landfall.hpp"

namespace {

using namespace landfall;
using Clock = std::chrono::steady_clock;

struct Asked {
  std::string transport, host;
  std::uint16_t port = 0;
  std::uint64_t message_bytes = 0, messages = 0;
  std::uint32_t window = 16;
  bool busy = false;
  std::vector<std::string> options;
};

double thread_cpu() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Result<void> receive(const Asked& asked) {
  LANDFALL_TRY(Context context, Context::create());
  LANDFALL_TRY(
      Region region,
      Region::allocate(context, {.source = "host", .size_bytes = 64u << 20, .populated = true}));
  GroupOptions options;
  options.transports = {asked.transport};
  options.options = asked.options;
  options.options.push_back(asked.transport + ".slot=" + std::to_string(asked.message_bytes));
  LANDFALL_TRY(Group group, Group::open(context, options, region));
  LANDFALL_CHECK(group.listen({asked.host, asked.port}));
  std::puts("ready");
  std::fflush(stdout);
  std::array<Completion, 64> batch;
  std::uint64_t bytes = 0;
  Clock::time_point began, ended;
  double cpu = 0;
  for (bool over = false; !over;) {
    LANDFALL_TRY(const std::size_t count,
                 group[0].wait(batch, std::chrono::nanoseconds{asked.busy ? 0 : -1}));
    for (Completion& one : std::span{batch}.first(count)) {
      if (one.kind == Completion::Kind::data) {
        if (bytes == 0) {
          began = Clock::now();
          cpu = thread_cpu();
        }
        bytes += one.buffer.length();
        one.buffer.reset();
      } else if (one.kind == Completion::Kind::end_of_stream) {
        ended = Clock::now();
        cpu = thread_cpu() - cpu;
        one.flow->close();
      } else if (one.kind == Completion::Kind::failed) {
        return one.error;
      } else if (one.kind == Completion::Kind::closed) {
        over = true;
      }
    }
  }
  std::printf("bytes=%llu seconds=%.4f cpu=%.4f\n", static_cast<unsigned long long>(bytes),
              std::chrono::duration<double>(ended - began).count(), cpu);
  return {};
}

Result<void> send(const Asked& asked) {
  // All of the same bytes, as the tools of the fabric do it.
  LANDFALL_TRY(Context context, Context::create());
  LANDFALL_TRY(Region region,
               Region::allocate(context, {.source = "host", .size_bytes = asked.message_bytes}));
  LANDFALL_TRY(SendGroup group,
               SendGroup::open(context, {.transports = {asked.transport}, .options = asked.options},
                               region));
  LANDFALL_TRY(Sender sender, group.connect({asked.host, asked.port}, std::chrono::seconds{20}));
  std::vector<Sent> through(asked.window);
  for (std::uint64_t i = 0; i < asked.messages; ++i) {
    while (sender.ranges_out() == asked.window)
      LANDFALL_CHECK(sender.wait(through, std::chrono::nanoseconds{asked.busy ? 0 : -1}));
    LANDFALL_CHECK(sender.send(0, asked.message_bytes));
  }
  return sender.close(std::chrono::seconds{60});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const bool sends = verb == "send";
  const int least = sends ? 7 : 6;
  if ((verb != "recv" && !sends) || argc < least) {
    std::fprintf(stderr, "usage: see the top of message_stream.cpp\n");
    return 64;
  }
  Asked asked;
  asked.transport = argv[2];
  asked.host = argv[3];
  asked.port = static_cast<std::uint16_t>(std::atoi(argv[4]));
  asked.message_bytes = std::strtoull(argv[5], nullptr, 10);
  if (sends) asked.messages = std::strtoull(argv[6], nullptr, 10);
  for (int i = least; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "busy")
      asked.busy = true;
    else if (argument.starts_with("window="))
      asked.window = static_cast<std::uint32_t>(std::max(std::stoul(argument.substr(7)), 1ul));
    else
      asked.options.push_back(argument);
  }
  const Result<void> done = sends ? send(asked) : receive(asked);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().describe().c_str());
  return 1;
}
