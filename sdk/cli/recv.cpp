// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "landing.hpp"
#include "metrics.hpp"
#include "place_thread.hpp"
#include "policy_file.hpp"
#include "receive.hpp"
#include "report.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

/// Readable once SIGINT or SIGTERM has come; nothing dies in the middle of a file.
Result<Fd> stop_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Fd fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd) return os_error("signalfd");
  return fd;
}

/// Complete or absent: who waits for the file never reads half of it.
Result<void> write_whole(const std::string& path, const std::string& text) {
  const std::string part = path + ".part";
  const Fd fd{::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::rename(part.c_str(), path.c_str()) != 0)
    return os_error("").with("cannot write '" + path + "': " + std::strerror(errno));
  return {};
}

std::string percent_bar(const Progress& p) {
  if (p.total_bytes == 0) return {};
  const double share =
      std::min(1.0, static_cast<double>(p.bytes) / static_cast<double>(p.total_bytes));
  std::string bar = "[";
  for (int i = 0; i < 24; ++i) bar += i < static_cast<int>(share * 24) ? '#' : '.';
  return bar + "] " + std::to_string(static_cast<int>(share * 100)) + "% ";
}

std::string progress_line(const Progress& p) {
  const double rate = p.seconds > 0 ? static_cast<double>(p.bytes) / p.seconds : 0;
  return percent_bar(p) + format_decimal(static_cast<double>(p.bytes)) + "  " + format_rate(rate) +
         "  " + std::to_string(p.streams_open) + (p.streams_open == 1 ? " stream" : " streams");
}

double per_gb(double cpu_seconds, std::uint64_t bytes) {
  return bytes == 0 ? 0 : cpu_seconds / (static_cast<double>(bytes) * 1e-9);
}

Json json_of(const Progress& p) {
  const double cpu = p.cpu_receiving + p.cpu_storing;
  Json json;
  json["bytes"] = p.bytes;
  json["data_bytes"] = p.data_bytes;
  json["total_bytes"] = p.total_bytes == 0 ? Json{} : Json(p.total_bytes);
  json["files"] = p.files;
  json["streams"] = p.streams;
  json["streams_failed"] = p.streams_failed;
  json["seconds"] = p.seconds;
  json["bytes_per_second"] = p.seconds > 0 ? static_cast<double>(p.bytes) / p.seconds : 0;
  json["cpu_seconds_per_gb"] = {{"total", per_gb(cpu, p.bytes)},
                                {"receiving", per_gb(p.cpu_receiving, p.bytes)},
                                {"storing", per_gb(p.cpu_storing, p.bytes)}};
  return json;
}

std::string summary(const Progress& p, const Group& group, const std::string& source) {
  std::array<char, 160> text{};
  const double rate = p.seconds > 0 ? static_cast<double>(p.bytes) / p.seconds : 0;
  std::snprintf(text.data(), text.size(), "%llu bytes in %llu file%s, %llu stream%s, %.3f s: %s",
                static_cast<unsigned long long>(p.data_bytes),
                static_cast<unsigned long long>(p.files), p.files == 1 ? "" : "s",
                static_cast<unsigned long long>(p.streams), p.streams == 1 ? "" : "s", p.seconds,
                format_rate(rate).c_str());
  std::string out = "received   " + std::string{text.data()} + "\n";
  std::snprintf(text.data(), text.size(),
                "cpu        %.3f s per GB: %.3f receiving, %.3f checking and storing",
                per_gb(p.cpu_receiving + p.cpu_storing, p.bytes), per_gb(p.cpu_receiving, p.bytes),
                per_gb(p.cpu_storing, p.bytes));
  out += std::string{text.data()} + "\nmemory     " + source + ", " +
         format_bytes(group.memory().size_bytes()) + "\n";
  return out + lines_of(group.decision()) + lines_of(group.verdict());
}

class Recv {
 public:
  Recv(const Arguments& arguments, Console& console)
      : arguments_{arguments}, console_{console}, json_{arguments.has("json")} {}
  Result<int> run();

 private:
  ReceiveOptions receive_options(int stop_fd);
  static Result<Group> open_by_options(const Context& context, const LandingOptions& landing,
                                       Decision& ret_decision);
  Result<Group> open_by_policy(const Context& context, Decision& ret_decision);
  bool print_summary(const ReceiveOutcome& outcome, const Group& group, bool to_stdout) const;
  /// Whether the file of --report could be written, where one is asked for.
  bool write_report(const Json& json) const;
  const Arguments& arguments_;
  Console& console_;
  bool json_;
  std::string source_;                      // of the memory
  std::chrono::microseconds busy_poll_{0};  // by the policy
};

ReceiveOptions Recv::receive_options(int stop_fd) {
  ReceiveOptions options;
  options.stop_fd = stop_fd;
  options.once = arguments_.has("once");
  options.on_stream_error = [this](const Error& error) { console_.error(error); };
  if (json_) {
    options.on_progress = [](const Progress& p) {
      Json line = json_answer();
      line["type"] = "progress";
      line.update(json_of(p));
      print_json(line);
    };
  } else if (console_.shows_progress()) {
    options.on_progress = [this](const Progress& p) { console_.progress(progress_line(p)); };
  }
  return options;
}

Json json_summary(const ReceiveOutcome& outcome, const Group& group, const std::string& source) {
  Json json = json_answer();
  json["type"] = "summary";
  json.update(json_of(outcome.progress));
  json["memory"] = {{"source", source}, {"size_bytes", group.memory().size_bytes()}};
  json["decision"] = cli::json_of(group.decision());
  json["verdict"] = cli::json_of(group.verdict());
  json["error"] = outcome.first_error ? cli::json_of(*outcome.first_error) : Json{};
  return json;
}

bool Recv::print_summary(const ReceiveOutcome& outcome, const Group& group, bool to_stdout) const {
  if (json_) return print_json(json_summary(outcome, group, source_));
  return print(to_stdout ? stdout : stderr, summary(outcome.progress, group, source_));
}

bool Recv::write_report(const Json& json) const {
  if (!arguments_.has("report")) return true;
  const auto written = write_whole(arguments_.value("report"), text_of(json));
  if (!written) console_.error(written.error());
  return written.has_value();
}

Result<Group> Recv::open_by_options(const Context& context, const LandingOptions& landing,
                                    Decision& ret_decision) {
  LANDFALL_TRY(Region region, Region::allocate(context, landing.region));
  return Group::open(context, landing.group, region, &ret_decision);
}

Result<Group> Recv::open_by_policy(const Context& context, Decision& ret_decision) {
  const std::string file = arguments_.value("policy"), name = arguments_.value("receiver");
  PolicyFindings findings;
  auto policy = read_policy(file, findings);
  for (const PolicyFinding& finding : findings) print(stderr, describe(finding, shown_name(file)));
  if (!policy) return policy.error();
  if (const Policy::Receiver* receiver = policy->find_receiver(name)) {
    source_ = policy->find_memory(receiver->memory)->source;
    busy_poll_ = receiver->busy_poll;
    // Before the memory is made, which then is near.
    LANDFALL_CHECK(place_thread(*receiver));
  }
  return Group::open(context, *policy, name, {.state_folder = arguments_.value("state")},
                     &ret_decision);
}

Result<int> Recv::run() {
  const std::string to = arguments_.value("to");
  const auto wrong = [](const char* what) { return Error{Errc::invalid_argument, ""}.with(what); };
  if (to.empty()) return wrong("where to? --to FILE, --to DIR/ or --to -");
  if (to == "-" && json_) return wrong("--json and --to - both want standard output");
  if (arguments_.has("policy") != arguments_.has("receiver"))
    return wrong("--policy and --receiver belong together");
  LANDFALL_TRY(const LandingOptions landing, landing_options(arguments_));
  LANDFALL_TRY(const Address at, parse_address(arguments_.value("listen")));
  LANDFALL_TRY(const std::uint64_t flows, arguments_.number("flows", 1, kStreamsMax));
  // It may wait for the other end of a pipe: Ctrl-C ends that.
  LANDFALL_TRY(Destination destination, Destination::open(to));
  LANDFALL_TRY(const Fd stop, stop_signals());
  destination.stop_by(stop.get());
  LANDFALL_TRY(Context context, make_context(landing.plugins));
  Decision decision;
  source_ = landing.region.source;
  auto group = arguments_.has("policy") ? open_by_policy(context, decision)
                                        : open_by_options(context, landing, decision);
  if (!group) {
    report_no_group(console_, group.error(), decision);
    return static_cast<int>(exit_of(group.error()));
  }
  if (!group->memory().has_host_view())
    return Error{Errc::not_supported, "recv", ReasonCode::no_host_view};
  LANDFALL_TRY(const Address bound, group->listen(at));
  console_.message("listening on " + format_address(bound));
  if (arguments_.has("port-file"))
    LANDFALL_CHECK(write_whole(arguments_.value("port-file"), std::to_string(bound.port) + "\n"));

  ReceiveOptions options = receive_options(stop.get());
  options.raw_streams = flows;
  options.busy_poll = busy_poll_;
  std::unique_ptr<MetricsServer> metrics;
  if (arguments_.has("metrics")) {
    LANDFALL_TRY(const Address wanted, parse_address(arguments_.value("metrics")));
    LANDFALL_TRY(metrics, MetricsServer::open(wanted));
    console_.message("metrics at http://" + format_address(metrics->address()) + "/metrics");
    metrics->publish(metrics_text({}, *group));
    options.on_progress = [&metrics, &group = *group,
                           shown = options.on_progress](const Progress& p) {
      if (shown) shown(p);
      metrics->publish(metrics_text(p, group));
    };
  }
  const ReceiveOutcome outcome = receive(*group, destination, options);
  console_.end_progress();
  const bool printed = print_summary(outcome, *group, to != "-");
  const bool written = write_report(json_summary(outcome, *group, source_)) && printed;
  if (outcome.stopped) return static_cast<int>(kExitInterrupted);
  if (outcome.first_error) {
    const Exit code = exit_of(*outcome.first_error);
    // What went wrong on the way is not the command line's fault.
    return static_cast<int>(code == kExitUsage ? kExitFailure : code);
  }
  return static_cast<int>(written ? kExitOk : kExitFailure);
}

}  // namespace

int run_recv(const Arguments& arguments, Console& console) {
  const auto code = Recv{arguments, console}.run();
  if (code) return *code;
  console.error(code.error());
  return exit_of(code.error());
}

}  // namespace landfall::cli
