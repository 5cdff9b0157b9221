// SPDX-License-Identifier: Apache-2.0
// Receives nic_tool's streams through landfall, as nic_tool itself receives them without.
// usage: direct_receive recv|churn --devmem IFACE --queue N[,N...] [--pool BYTES] [--page BYTES]
//        [--memory SOURCE] [--flows N] [--hold N] [--steer 0|1] [--option KEY=VALUE]...
//        [--contract require_direct] [--attach BYTES] [--stall MS] [--phase FILE] [--ports N]
//        [--warmup BYTES] [--adopted 0|1] [--transport NAME] [--receiver N] PORT
// Prints "ready", takes N connections (1) and prints what came as KEY=VALUE. --hold: so many
// pages are kept before the oldest Buffer is dropped. --ports: it listens on so many, from PORT on;
// each has the next queue. --attach: a connection in which so many bytes wait, to Receiver N (0).
// --warmup: after so many bytes the clock starts. churn: it binds and
// unbinds, for ever. --adopted: who made the dma-buf has closed it before it is bound. --stall: so
// long it takes nothing after the first pieces; backlog_...: what it took after that, and by how
// many calls.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lab/direct/calls.hpp"
#include "lab/nic/stream.hpp"
#include "landfall/landfall.hpp"

namespace landfall::lab {
namespace {

struct Options {
  GroupOptions group{.transports = {"devmem-tcp"}};
  std::string memory = "udmabuf";
  std::uint64_t pool_bytes = 16u << 20, page_bytes = 0, warmup_bytes = 0;
  std::uint32_t flows = 1, ports = 1;
  std::size_t hold = 0, receiver = 0;
  int attach_bytes = 0;
  bool adopted = false;
  std::chrono::milliseconds stall{0};
  std::uint16_t port = 0;
  std::string phase_file;
};

/// For who kills this process: what it was doing.
class Phase {
 public:
  explicit Phase(const std::string& path) {
    if (path.empty()) return;
    const Fd file{::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    void* at = MAP_FAILED;
    if (file && ::ftruncate(file.get(), sizeof text_) == 0)
      at = ::mmap(nullptr, sizeof text_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (at != MAP_FAILED) shown_ = static_cast<char*>(at);
  }
  void is(const char* what) noexcept { std::strncpy(shown_, what, sizeof text_); }

 private:
  char text_[8] = {};
  char* shown_ = text_;
};

struct Totals {
  unsigned long long bytes = 0, timed = 0, frags = 0, pages = 0, whole = 0, wrong = 0;
  unsigned long long failed = 0, revoked = 0, pressure = 0;
  unsigned long long before_backlog = 0;  // pages
  Calls at_backlog, at_last_piece;
};

int fail(const Error& error) {
  std::fprintf(stderr, "direct_receive: %s\n", error.describe().c_str());
  return 1;
}

Options read(int argc, char** argv) {
  Options options;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--devmem") options.group.interface = value;
    if (name == "--memory") options.memory = value;
    if (name == "--transport") options.group.transports = {value};
    if (name == "--pool") options.pool_bytes = std::stoull(value);
    if (name == "--flows") options.flows = static_cast<std::uint32_t>(std::stoul(value));
    if (name == "--warmup") options.warmup_bytes = std::stoull(value);
    if (name == "--ports") options.ports = static_cast<std::uint32_t>(std::stoul(value));
    if (name == "--hold") options.hold = std::stoul(value);
    if (name == "--attach") options.attach_bytes = std::stoi(value);
    if (name == "--receiver") options.receiver = std::stoul(value);
    if (name == "--adopted") options.adopted = value != "0";
    if (name == "--phase") options.phase_file = value;
    if (name == "--stall") options.stall = std::chrono::milliseconds{std::stoi(value)};
    if (name == "--contract") options.group.contract = {.kind = CopyContract::Kind::require_direct};
    if (name == "--steer")
      options.group.steer = value == "0" ? GroupOptions::Steer::nothing : GroupOptions::Steer::each;
    if (name == "--option") options.group.options.push_back(value);
    if (name == "--page") {
      options.page_bytes = std::stoull(value);
    }
    if (name == "--queue") {
      std::istringstream list{value};
      for (std::string id; std::getline(list, id, ',');)
        options.group.queue_ids.push_back(static_cast<std::uint32_t>(std::stoul(id)));
      options.group.queues = static_cast<std::uint32_t>(options.group.queue_ids.size());
    }
  }
  if (options.page_bytes != 0)
    options.group.options.push_back(options.group.transports[0] +
                                    ".rx-page=" + std::to_string(options.page_bytes));
  options.port = static_cast<std::uint16_t>(std::atoi(argv[argc - 1]));
  return options;
}

bool is_right(const Buffer& buffer) {
  const auto bytes = buffer.host_bytes();
  return bytes && matches(buffer.stream_offset(),
                          reinterpret_cast<const unsigned char*>(bytes->data()), bytes->size());
}

/// A plain connection in which so many bytes wait.
Fd accept_queued(const Options& options) {
  const Fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int window = 4 << 20, on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUFFORCE, &window, sizeof window);
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(options.port);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      ::listen(listener.get(), 1) != 0)
    return {};
  std::printf("ready\n");
  std::fflush(stdout);
  Fd connection{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  for (int queued = 0; queued < options.attach_bytes;)
    if (::ioctl(connection.get(), FIONREAD, &queued) != 0) return {};
  return connection;
}

Result<Region> allocate(const Context& context, const Options& options) {
  Result<Region> region = Region::allocate(
      context,
      {.source = options.memory,
       .size_bytes = options.pool_bytes,
       .page_bytes = options.page_bytes > 4096 && options.memory == "udmabuf" ? 2u << 20 : 0});
  if (!region || !options.adopted) return region;
  const Result<DmabufRange> range = region->export_dmabuf(0, region->memory().size_bytes());
  if (!range) return range.error();
  return Region::allocate(context, {.source = "dmabuf", .adopt = range->fd.get()});
}

int churn(const Options& options) {
  Phase phase{options.phase_file};
  Result<Context> context = Context::create();
  if (!context) return fail(context.error());
  Result<Region> region = allocate(*context, options);
  while (region) {
    phase.is("bind");
    Result<Group> group = Group::open(*context, options.group, *region);
    if (!group) return fail(group.error());
    if (Result<Address> at = group->listen({"", options.port}); !at) return fail(at.error());
    phase.is("close");
    region = group->close();
  }
  return fail(region.error());
}

int run(const Options& options) {
  Phase phase{options.phase_file};
  Result<Context> context = Context::create();
  if (!context) return fail(context.error());
  Result<Region> region = allocate(*context, options);
  if (!region) return fail(region.error());
  phase.is("bind");
  Result<Group> group = Group::open(*context, options.group, *region);
  if (!group) return fail(group.error());
  if (options.attach_bytes == 0) {
    for (std::uint32_t i = 0; i < options.ports; ++i) {
      const auto port = static_cast<std::uint16_t>(options.port + i);
      if (Result<Address> at = group->listen({"", port}); !at) return fail(at.error());
    }
    std::printf("ready\n");
    std::fflush(stdout);
  } else {
    Fd connection = accept_queued(options);
    if (Result<Flow*> flow = (*group)[options.receiver].attach(connection); !flow)
      return fail(flow.error());
  }

  phase.is("wait");
  const std::uint64_t page = options.page_bytes != 0 ? options.page_bytes : 4096;
  Totals totals;
  const auto pages_of = [page](const Buffer& buffer) {
    return (buffer.length() + page - 1) / page;
  };
  std::deque<Buffer> held;
  std::size_t held_pages = 0;
  std::vector<Completion> batch(128);
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin = Clock::now(), last = begin;
  std::chrono::duration<double> pause{0};  // the longest between two pieces
  for (std::uint32_t left = options.flows; left > 0;) {
    for (std::size_t i = 0; i < group->size(); ++i) {
      const auto patience = std::chrono::milliseconds{group->size() == 1 ? 1000 : 1};
      if (totals.bytes != 0) phase.is(held.empty() ? "receive" : "hold");
      Result<std::size_t> count = (*group)[i].wait(batch, patience);
      if (!count) return fail(count.error());
      for (std::size_t k = 0; k < *count; ++k) {
        Completion& one = batch[k];
        if (one.kind == Completion::Kind::failed || one.kind == Completion::Kind::revoked) {
          const Error error = one.kind == Completion::Kind::failed
                                  ? one.error
                                  : Error{Errc::revoked, "receive", one.reason};
          std::fprintf(stderr, "direct_receive: %s %s\n", name(one.kind).data(),
                       error.describe().c_str());
          ++totals.failed;
        }
        if (one.kind == Completion::Kind::end_of_stream || one.kind == Completion::Kind::failed) {
          if (one.flow != nullptr) one.flow->close();
          if (one.flow == nullptr) --left;
        }
        if (one.kind == Completion::Kind::closed && left > 0) --left;
        if (one.kind == Completion::Kind::pressure) ++totals.pressure;
        if (one.kind == Completion::Kind::revoked) {
          ++totals.revoked;
          left = 0;
        }
        if (one.kind != Completion::Kind::data) continue;
        if (totals.bytes == 0) {
          begin = last = Clock::now();
          std::this_thread::sleep_for(options.stall);
          for (std::size_t at = k; at < *count; ++at)
            if (batch[at].kind == Completion::Kind::data)
              totals.before_backlog += pages_of(batch[at].buffer);
          totals.at_backlog = calls_so_far();
        }
        totals.at_last_piece = calls_so_far();
        const auto now = Clock::now();
        if (totals.timed == 0 && totals.bytes >= options.warmup_bytes) begin = now;
        if (totals.bytes >= options.warmup_bytes) totals.timed += one.buffer.length();
        pause = std::max<std::chrono::duration<double>>(pause, now - std::exchange(last, now));
        totals.bytes += one.buffer.length();
        if (!is_right(one.buffer)) ++totals.wrong;
        if (one.buffer.placement() == Placement::direct) {
          ++totals.frags;
          totals.pages += pages_of(one.buffer);
          if (one.buffer.offset() % page == 0 && one.buffer.length() % page == 0)
            totals.whole += one.buffer.length() / page;
        }
        held_pages += pages_of(one.buffer);
        held.push_back(std::move(one.buffer));
        for (; held_pages > options.hold; held.pop_front()) {
          if (!is_right(held.front())) ++totals.wrong;  // changed while it was held
          held_pages -= pages_of(held.front());
        }
      }
      if (*count != 0) continue;
      held.clear();  // closing waits for the last ones
      held_pages = 0;
    }
  }
  const std::chrono::duration<double> took = last - begin;
  const Calls calls = calls_so_far();
  held.clear();
  const Verdict verdict = group->verdict();
  std::printf(
      "bytes=%llu devmem=%llu linear=%llu copied=%llu unsure=%llu frags=%llu pages=%llu whole=%llu "
      "wrong=%llu "
      "failed=%llu",
      totals.bytes, static_cast<unsigned long long>(verdict[Placement::direct]),
      static_cast<unsigned long long>(verdict[Placement::linear]),
      static_cast<unsigned long long>(verdict[Placement::copied]),
      static_cast<unsigned long long>(verdict[Placement::unsure]), totals.frags, totals.pages,
      totals.whole, totals.wrong, totals.failed);
  for (const Verdict::Count& count : verdict.reasons)
    if (count.bytes != 0)
      std::printf(" %s=%llu", find_reason(count.reason)->name.data(),
                  static_cast<unsigned long long>(count.bytes));
  std::printf(" seconds=%.3f timed=%llu pause_ms=%.0f revoked=%llu pressure=%llu", took.count(),
              totals.timed, pause.count() * 1e3, totals.revoked, totals.pressure);
  std::printf(
      " backlog_pages=%llu backlog_receives=%llu backlog_returns=%llu\n",
      totals.pages - totals.before_backlog,
      static_cast<unsigned long long>(totals.at_last_piece.receives - totals.at_backlog.receives),
      static_cast<unsigned long long>(calls.returns - totals.at_backlog.returns));
  phase.is("close");
  if (Result<Region> back = group->close(); !back) return fail(back.error());
  return totals.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace landfall::lab

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: at the top of receive.cpp\n"), 2;
  const landfall::lab::Options options = landfall::lab::read(argc, argv);
  return std::strcmp(argv[1], "churn") == 0 ? landfall::lab::churn(options)
                                            : landfall::lab::run(options);
}
