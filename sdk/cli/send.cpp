// SPDX-License-Identifier: Apache-2.0
#include <net/if.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "exit_code.hpp"
#include "landing.hpp"
#include "report.hpp"
#include "sender.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::vector<SendItem> items;
  Address to;
  std::string interface;
  bool raw = false;
  std::uint64_t flows = 1, total_bytes = 0, left_out = 0;
  std::chrono::milliseconds connect_timeout{}, finish_timeout{};
};

Result<Plan> make_plan(const Arguments& arguments) {
  const auto wrong = [](const char* what) { return Error{Errc::invalid_argument, ""}.with(what); };
  Plan plan;
  if (!arguments.has("to")) return wrong("to whom? --to ADDR:PORT");
  LANDFALL_TRY(plan.to, parse_address(arguments.value("to")));
  if (plan.to.port == 0) return wrong("--to needs a port above 0");
  LANDFALL_TRY(plan.flows, arguments.number("flows", 1, kStreamsMax));
  LANDFALL_TRY(const auto connect_seconds, arguments.number("connect-timeout", 0, 86400));
  LANDFALL_TRY(const auto finish_seconds, arguments.number("finish-timeout", 1, 86400));
  plan.connect_timeout = std::chrono::seconds{connect_seconds};
  plan.finish_timeout = std::chrono::seconds{finish_seconds};
  plan.raw = arguments.has("raw");
  plan.interface = arguments.value("interface");
  if (!plan.interface.empty() && ::if_nametoindex(plan.interface.c_str()) == 0)
    return Error{Errc::not_found, "", ReasonCode::interface_unknown}.with(
        "there is no interface '" + plan.interface + "'");
  for (const char* option : {"size", "method", "contract", "plugin", "option"})
    if (arguments.has(option) && !arguments.has("memory") && !arguments.has("transport"))
      return Error{Errc::invalid_argument, ""}.with(
          "--" + std::string{option} + " is about the memory to send from: name it with --memory");
  auto items = list_items(arguments.positionals.front(), &plan.left_out);
  if (!items) {
    // A path that is not there is a failure, not a wrong command line.
    return items.error();
  }
  plan.items = std::move(*items);
  if (plan.raw && arguments.has("transport"))
    return wrong("--raw is for TCP receivers, and --transport for landfall's");
  if (plan.raw && (plan.flows != 1 || plan.items.size() != 1 ||
                   plan.items.front().head.kind != ObjectKind::file))
    return wrong("--raw sends one file over one connection");
  for (const SendItem& item : plan.items) {
    if (item.head.size_bytes != kSizeUnknown) plan.total_bytes += item.head.size_bytes;
  }
  return plan;
}

/// The connections of one transfer, each with a thread; they draw files from one list.
class Transfer {
 public:
  /// `memory`: nullptr - straight from the files.
  Transfer(const Plan& plan, SendMemory* memory) : plan_{plan}, memory_{memory} {}
  /// Blocks; calls `on_progress` with the bytes sent some times per second.
  template <class OnProgress>
  Result<void> run(OnProgress&& on_progress);
  std::uint64_t data_bytes() const noexcept { return data_bytes_; }
  std::uint64_t objects() const noexcept { return objects_; }
  /// How the bytes left; all connections have the same way.
  const Decision& decision() const noexcept { return decision_; }
  const Verdict& verdict() const noexcept { return verdict_; }

 private:
  Result<std::unique_ptr<Outlet>> connect(std::uint32_t index);
  Result<void> run_stream(std::unique_ptr<Outlet> outlet, std::uint32_t index);
  Result<void> send_all(Sender& sender, std::uint32_t index);

  const Plan& plan_;
  SendMemory* memory_;
  std::uint64_t id_ = 0;
  std::atomic<std::uint64_t> sent_{0}, next_{0};
  std::mutex mutex_;
  std::condition_variable done_;
  std::uint64_t running_ = 0, data_bytes_ = 0, objects_ = 0;
  Decision decision_;
  Verdict verdict_;
  std::optional<Error> error_;
};

Result<void> Transfer::send_all(Sender& sender, std::uint32_t index) {
  if (plan_.raw) return sender.send_raw(plan_.items.front());
  StreamHead head;
  head.transfer_id = id_;
  head.stream_index = index;
  head.stream_count = static_cast<std::uint32_t>(plan_.flows);
  head.total_bytes = index == 0 ? plan_.total_bytes : 0;
  LANDFALL_CHECK(sender.begin(head));
  for (std::uint64_t i = next_++; i < plan_.items.size(); i = next_++)
    LANDFALL_CHECK(sender.send(plan_.items[i]));
  return {};
}

Result<std::unique_ptr<Outlet>> Transfer::connect(std::uint32_t index) {
  if (memory_ != nullptr && memory_->connects())
    return memory_->connect(plan_.to, index, plan_.connect_timeout, sent_);
  LANDFALL_TRY(Fd socket, connect_to(plan_.to, plan_.interface, plan_.connect_timeout));
  if (memory_ == nullptr) return make_file_outlet(std::move(socket), sent_);
  return memory_->outlet(std::move(socket), index, sent_);
}

Result<void> Transfer::run_stream(std::unique_ptr<Outlet> outlet, std::uint32_t index) {
  Sender sender{std::move(outlet)};
  LANDFALL_CHECK(send_all(sender, index));
  LANDFALL_CHECK(sender.finish(!plan_.raw, plan_.finish_timeout));
  const std::lock_guard lock{mutex_};
  data_bytes_ += sender.data_bytes();
  objects_ += sender.objects();
  decision_ = sender.outlet().decision();
  verdict_.add(sender.outlet().verdict());
  return {};
}

template <class OnProgress>
Result<void> Transfer::run(OnProgress&& on_progress) {
  std::random_device random;
  id_ = std::uint64_t{random()} << 32 | random();
  std::vector<std::unique_ptr<Outlet>> outlets;
  for (std::uint32_t i = 0; i < plan_.flows; ++i) {
    LANDFALL_TRY(std::unique_ptr<Outlet> outlet, connect(i));
    outlets.push_back(std::move(outlet));
  }
  std::vector<std::thread> threads;
  running_ = plan_.flows;
  for (std::uint32_t i = 0; i < plan_.flows; ++i) {
    threads.emplace_back([this, i, outlet = std::move(outlets[i])]() mutable {
      const auto sent = run_stream(std::move(outlet), i);
      const std::lock_guard lock{mutex_};
      if (!sent && !error_) error_ = sent.error();
      --running_;
      done_.notify_one();
    });
  }
  {
    std::unique_lock lock{mutex_};
    while (!done_.wait_for(lock, std::chrono::milliseconds{200}, [this] { return running_ == 0; }))
      on_progress(sent_.load(std::memory_order_relaxed));
  }
  for (std::thread& thread : threads) thread.join();
  return error_ ? Result<void>{*error_} : Result<void>{};
}

Json json_of_sent(std::uint64_t bytes, double seconds) {
  Json json;
  json["bytes"] = bytes;
  json["seconds"] = seconds;
  json["bytes_per_second"] = seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
  return json;
}

}  // namespace

int run_send(const Arguments& arguments, Console& console) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto plan = make_plan(arguments);
  if (!plan) {
    console.error(plan.error());
    return exit_of(plan.error());
  }
  if (plan->left_out != 0)
    console.warning(std::to_string(plan->left_out) +
                    " entries are neither files nor directories and are left out");
  const bool json = arguments.has("json");
  std::optional<SendMemory> memory;
  if (arguments.has("memory") || arguments.has("transport")) {
    auto opened = SendMemory::open(arguments, plan->flows);
    if (!opened) {
      console.error(opened.error());
      return exit_of(opened.error());
    }
    memory.emplace(std::move(*opened));
  }
  Transfer transfer{*plan, memory ? &*memory : nullptr};
  const auto began = Clock::now();
  const auto elapsed = [began] {
    return std::chrono::duration<double>(Clock::now() - began).count();
  };
  const auto done = transfer.run([&](std::uint64_t bytes) {
    if (json) {
      Json line = json_answer();
      line["type"] = "progress";
      line.update(json_of_sent(bytes, elapsed()));
      print_json(line);
    } else {
      console.progress(format_decimal(static_cast<double>(bytes)) + " of " +
                       format_decimal(static_cast<double>(plan->total_bytes)) + "  " +
                       format_rate(static_cast<double>(bytes) / elapsed()));
    }
  });
  console.end_progress();
  if (!done) {
    console.error(done.error());
    const Exit code = exit_of(done.error());
    return code == kExitUsage ? kExitFailure : code;
  }
  const double seconds = elapsed();
  if (!json) {
    const auto bytes = static_cast<double>(transfer.data_bytes());
    std::string text = "sent       " + std::to_string(transfer.data_bytes()) + " bytes in " +
                       std::to_string(transfer.objects()) +
                       " objects: " + format_rate(bytes / seconds) + "\n";
    if (memory)
      text += "memory     " + memory->source() + ", " + format_bytes(memory->size_bytes()) + "\n";
    return print(stdout, text + lines_of(transfer.decision()) + lines_of(transfer.verdict()))
               ? kExitOk
               : kExitFailure;
  }
  Json summary = json_answer();
  summary["type"] = "summary";
  summary.update(json_of_sent(transfer.data_bytes(), seconds));
  summary["objects"] = transfer.objects();
  summary["left_out"] = plan->left_out;
  summary["memory"] =
      memory ? Json{{"source", memory->source()}, {"size_bytes", memory->size_bytes()}} : Json{};
  summary["decision"] = json_of(transfer.decision());
  summary["verdict"] = json_of(transfer.verdict());
  return print_json(summary) ? kExitOk : kExitFailure;
}

}  // namespace landfall::cli
