// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "exit_code.hpp"
#include "landing.hpp"
#include "report.hpp"
#include "sender.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Figures {
  std::uint64_t bytes = 0, completions = 0;
  double seconds = 0, cpu_seconds = 0;
};

double thread_cpu() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Sends one hot buffer again and again, until the receiver hangs up.
void flood(const Fd& socket) {
  const std::vector<std::byte> bytes(1u << 20);
  for (;;) {
    const ssize_t n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) return;
  }
}

/// Receives for `seconds` and drops each Buffer at once.
Result<Figures> drain(Receiver& receiver, std::uint64_t flows, double seconds) {
  std::array<Completion, 64> batch;
  std::vector<Flow*> open;
  Figures figures;
  Clock::time_point began{};
  double cpu_began = 0;
  for (;;) {
    LANDFALL_TRY(const std::size_t count, receiver.wait(batch, std::chrono::milliseconds{200}));
    for (std::size_t i = 0; i < count; ++i) {
      Completion& c = batch[i];
      if (c.kind == Completion::Kind::failed) return c.error;
      if (c.kind == Completion::Kind::opened) {
        open.push_back(c.flow);
        if (open.size() == flows) {  // all are here: start
          began = Clock::now();
          cpu_began = thread_cpu();
          figures.bytes = figures.completions = 0;
        }
      }
      if (c.kind == Completion::Kind::data) {
        figures.bytes += c.buffer.length();
        ++figures.completions;
        c.buffer.reset();
      }
    }
    if (open.size() < flows) continue;
    figures.seconds = std::chrono::duration<double>(Clock::now() - began).count();
    if (figures.seconds < seconds) continue;
    figures.cpu_seconds = thread_cpu() - cpu_began;
    for (Flow* flow : open) flow->close(true);
    return figures;
  }
}

std::string text_of(const Figures& f, const LandingOptions& landing, std::uint64_t flows,
                    const Group& group) {
  const double gigabytes = static_cast<double>(f.bytes) * 1e-9;
  std::array<char, 200> line{};
  std::snprintf(line.data(), line.size(),
                "throughput %.2f GB/s over %llu flow%s, loopback, %.1f s\n"
                "cpu        %.3f s per GB of the receiving thread, %.0f bytes per completion\n",
                gigabytes / f.seconds, static_cast<unsigned long long>(flows),
                flows == 1 ? "" : "s", f.seconds, f.cpu_seconds / std::max(gigabytes, 1e-9),
                static_cast<double>(f.bytes) /
                    static_cast<double>(std::max<std::uint64_t>(f.completions, 1)));
  return std::string{line.data()} + "memory     " + landing.region.source + ", " +
         format_bytes(group.memory().size_bytes()) + "\n" + lines_of(group.decision()) +
         lines_of(group.verdict());
}

Json json_of(const Figures& f, const LandingOptions& landing, std::uint64_t flows,
             const Group& group) {
  const double gigabytes = static_cast<double>(f.bytes) * 1e-9;
  Json json = json_answer();
  json["path"] = {{"link", "loopback"},
                  {"transport", group.decision().chosen},
                  {"memory", landing.region.source},
                  {"size_bytes", group.memory().size_bytes()}};
  json["flows"] = flows;
  json["bytes"] = f.bytes;
  json["seconds"] = f.seconds;
  json["gigabytes_per_second"] = gigabytes / f.seconds;
  json["cpu_seconds_per_gb"] = f.cpu_seconds / std::max(gigabytes, 1e-9);
  json["completions"] = f.completions;
  json["decision"] = cli::json_of(group.decision());
  json["verdict"] = cli::json_of(group.verdict());
  return json;
}

Result<int> bench(const Arguments& arguments, Console& console) {
  LANDFALL_TRY(const LandingOptions landing, landing_options(arguments));
  LANDFALL_TRY(const std::uint64_t flows, arguments.number("flows", 1, 1024));
  LANDFALL_TRY(const std::uint64_t seconds, arguments.number("seconds", 1, 3600));
  LANDFALL_TRY(Context context, make_context(landing.plugins));
  LANDFALL_TRY(Region region, Region::allocate(context, landing.region));
  Decision decision;
  auto group = Group::open(context, landing.group, region, &decision);
  if (!group) {
    report_no_group(console, group.error(), decision);
    return static_cast<int>(exit_of(group.error()));
  }
  LANDFALL_TRY(const Address at, group->listen({"127.0.0.1", 0}));
  std::vector<Fd> sockets;
  for (std::uint64_t i = 0; i < flows; ++i) {
    LANDFALL_TRY(Fd socket, connect_to(at, "", std::chrono::seconds{10}));
    sockets.push_back(std::move(socket));
  }
  std::vector<std::thread> senders;
  for (const Fd& socket : sockets) senders.emplace_back([&socket] { flood(socket); });
  const auto figures = drain((*group)[0], flows, static_cast<double>(seconds));
  // A sender that still blocks ends when its socket is shut.
  for (const Fd& socket : sockets) ::shutdown(socket.get(), SHUT_RDWR);
  for (std::thread& sender : senders) sender.join();
  LANDFALL_CHECK(figures);
  const bool written = arguments.has("json")
                           ? print_json(json_of(*figures, landing, flows, *group))
                           : print(stdout, text_of(*figures, landing, flows, *group));
  return static_cast<int>(written ? kExitOk : kExitFailure);
}

}  // namespace

int run_bench(const Arguments& arguments, Console& console) {
  const auto code = bench(arguments, console);
  if (code) return *code;
  console.error(code.error());
  return exit_of(code.error());
}

}  // namespace landfall::cli
