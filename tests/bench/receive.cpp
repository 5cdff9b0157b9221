// SPDX-License-Identifier: Apache-2.0
// landfall in the same shapes as the loops, through its public interface:
//   mode=prompt  Buffers go back with the next poll  mode=held  7/8 of the Region are always out
//   mode=post    1 MiB messages into one buffer      mode=idle  flows=N: memory that idle flows
//   take
// [flows=N] [engine=io_uring|recv] [option=tcp.KEY=VALUE,...] bytes=N
// devmem=IFACE [queue=N] [transport=devmem-tcp|zcrx] [memory=udmabuf] [page=BYTES]: on that queue,
// into a memory of the same size
#include <array>
#include <deque>
#include <sstream>

#include "harness.hpp"
#include "landfall/base/limits.hpp"
#include "landfall/landfall.hpp"

namespace {

using landfall::Completion;

[[noreturn]] void die(const landfall::Error& error) {
  std::fprintf(stderr, "%s\n", error.describe().c_str());
  std::exit(1);
}
template <class T>
T must(landfall::Result<T> result) {
  if (!result) die(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Huge pages where they are reserved.
landfall::Region allocate(const landfall::Context& context, std::string& pages) {
  auto huge = landfall::Region::allocate(
      context, {.source = "hugepage", .size_bytes = bench::kRegion, .populated = true});
  pages = huge ? "2 MiB hugetlb" : "4 KiB";
  if (huge) return std::move(*huge);
  return must(landfall::Region::allocate(
      context, {.source = "host", .size_bytes = bench::kRegion, .populated = true}));
}

landfall::Region allocate(const landfall::Context& context, std::string& pages,
                          const std::string& source, std::uint64_t page_bytes) {
  pages = source;
  return must(landfall::Region::allocate(
      context, {.source = source,
                .size_bytes = bench::kRegion,
                .page_bytes = page_bytes > 4096 && source != "host" ? 2u << 20 : 0,
                .populated = true}));
}

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long long size = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%llu %llu", &size, &resident) != 2) bench::die("statm");
  std::fclose(file);
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

struct Receive {
  explicit Receive(const bench::Arguments& given)
      : arguments{given},
        mode{given.text("mode", "prompt")},
        flows{static_cast<std::uint32_t>(given.number("flows", 1))},
        context{must(landfall::Context::create())} {
    landfall::GroupOptions options;
    options.transports = {"tcp"};
    options.interface = given.text("devmem", "");
    const std::uint64_t page_bytes = given.number("page", 0);
    landfall::Region memory =
        options.interface.empty()
            ? allocate(context, pages)
            : allocate(context, pages, given.text("memory", "udmabuf"), page_bytes);
    if (!options.interface.empty()) {
      options.transports = {given.text("transport", "devmem-tcp")};
      if (page_bytes != 0)
        options.options.push_back(options.transports[0] + ".rx-page=" + std::to_string(page_bytes));
      options.queue_ids = {static_cast<std::uint32_t>(given.number("queue", 0))};
    }
    const std::string engine = given.text("engine", "");
    if (!engine.empty()) options.options.push_back("tcp.engine=" + engine);
    std::istringstream list{given.text("option", "")};
    for (std::string option; std::getline(list, option, ',');) options.options.push_back(option);
    options.flows_max = flows + 16;
    group.emplace(must(landfall::Group::open(context, options, memory)));
    landfall::FlowOptions each;
    if (mode == "post") each.delivery = landfall::Delivery::demand;
    const auto at = must(group->listen(
        {.host = options.interface.empty() ? "127.0.0.1" : "0.0.0.0", .port = 0}, each));
    std::printf("port %u\n", at.port);
    std::fflush(stdout);
  }

  landfall::Receiver& receiver() { return (*group)[0]; }
  std::span<Completion> wait() {
    const std::size_t count = must(receiver().wait(batch, std::chrono::nanoseconds{-1}));
    for (Completion& completion : std::span{batch}.first(count)) {
      if (completion.kind == Completion::Kind::failed) die(completion.error);
    }
    return std::span{batch}.first(count);
  }
  void open_flows() {
    for (std::uint32_t opened = 0; opened < flows;) {
      for (Completion& completion : wait()) {
        if (completion.kind != Completion::Kind::opened) continue;
        ++opened;
        flow = completion.flow;
        if (opened == 1) resident_before = resident_bytes();
      }
    }
  }

  void stream() {
    bench::Meter meter{arguments.number("bytes", 4ull << 30)};
    std::deque<landfall::Buffer> held;
    const std::uint64_t hold = mode == "held" ? bench::kRegion / 8 * 7 : 0;
    std::uint64_t charge = 0;
    for (bool more = true; more;) {
      for (Completion& completion : wait()) {
        if (completion.kind != Completion::Kind::data) continue;
        more = meter.count(completion.bytes) && more;
        if (hold == 0) continue;
        charge += completion.buffer.charge_bytes();
        held.push_back(std::move(completion.buffer));
        for (; charge > hold; held.pop_front()) charge -= held.front().charge_bytes();
      }
    }
    meter.report(pages);
  }

  void post() {
    bench::Meter meter{arguments.number("bytes", 4ull << 30)};
    std::string buffer_pages;
    const std::span into{reinterpret_cast<std::byte*>(bench::region(bench::kMessage, buffer_pages)),
                         bench::kMessage};
    must(flow->post(into, 0));
    for (bool more = true; more;) {
      for (Completion& completion : wait()) {
        if (completion.kind != Completion::Kind::posted) continue;
        more = meter.count(completion.bytes);
        if (more) must(flow->post(into, 0));
      }
    }
    meter.report(buffer_pages);
  }

  void idle() const {
    const std::uint64_t more = resident_bytes() - resident_before;
    std::printf("{\"flows\": %u, \"bytes_per_flow\": %.1f}\n", flows,
                static_cast<double>(more) / (flows - 1));
  }

  const bench::Arguments& arguments;
  std::string mode, pages;
  std::uint32_t flows;
  landfall::Context context;
  std::optional<landfall::Group> group;
  landfall::Flow* flow = nullptr;
  std::uint64_t resident_before = 0;
  std::array<Completion, landfall::kPollBatch> batch;
};

}  // namespace

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  bench::pin(1);
  bench::raise_descriptor_limit(arguments.number("flows", 1) + 128);
  Receive receive{arguments};
  receive.open_flows();
  bench::tell_ready();
  if (receive.mode == "post") {
    receive.post();
  } else if (receive.mode == "idle") {
    receive.idle();
  } else {
    receive.stream();
  }
  std::fflush(stdout);
  std::_Exit(0);  // what is held needs no orderly end
}
