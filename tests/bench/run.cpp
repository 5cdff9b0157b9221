// SPDX-License-Identifier: Apache-2.0
// Runs the whole bench: pairs A B B A A B ... in one go, medians with the spread (of ratios also
// the 95 % interval of the median), the goal and whether the median meets it; prints a table, keeps
// JSON.
//   bench_run bin=FOLDER scripts=FOLDER out=FOLDER [pairs=15] [bytes=N] [only=PREFIX] [engine=NAME]
//     [option=tcp.KEY=VALUE,...]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core_distance.hpp"
#include "harness.hpp"
#include "process.hpp"

namespace {

using bench::Process;
using Command = std::vector<std::string>;

struct Side {
  std::string label;
  Command command;  // with `sender`: a receiver of harness.hpp; without: does both ends
  Command sender = {};
};
struct Row {
  std::string name;
  Side other, landfall;
  double throughput_goal = 0;  // at least; 0: none
  double cpu_goal = 0;         // at most; 0: none
};
struct Sample {
  double gb_per_s, cpu_per_gb;
};

double field(const std::string& json, const std::string& key) {
  const auto at = json.find("\"" + key + "\":");
  return at == std::string::npos ? NAN : std::strtod(json.c_str() + at + key.size() + 3, nullptr);
}

struct Answer {
  std::string json, why_not;
};

/// One run of one side; a script that lacks its tool exits with 77 and says what is missing.
Answer measure(const Side& side) {
  Process receiver{side.command};
  if (side.sender.empty()) {
    const auto said = receiver.line_with("", 300);
    if (!said) return {"", "no answer from " + side.command.front()};
    if (said->front() != '{') return {"", *said};
    return {*said, ""};
  }
  const auto port = receiver.line_with("port ", 30);
  if (!port) return {"", "the receiver did not listen"};
  Command command = side.sender;
  command.push_back("port=" + port->substr(5));
  Process sender{command};
  if (!receiver.line_with("ready", 60)) return {"", "the flows did not open"};
  sender.send_line();
  const auto said = receiver.line_with("{", 300);
  if (!said) return {"", "the receiver gave no result"};
  receiver.wait();
  return {*said, ""};
}

constexpr auto kMoved = "the processors do not stay in their places (core_distance.hpp)";

/// One run with the processors where they were when the row began, at its begin and at its end.
Answer measure_there(const Side& side, const bench::CoreDistance& cores) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    if (cores.is_usual()) {
      Answer answer = measure(side);
      if (!answer.why_not.empty() || cores.is_usual()) return answer;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
  return {"", kMoved};
}

struct Spread {
  double median, least, most;
  double low, high;  // between them is the median of all possible runs with at least 95 %
};
Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  // Order statistics: from each end as many as chance alone puts there with at most 2.5 %.
  std::size_t skip = 0;
  double tail = 0, term = std::pow(0.5, static_cast<double>(n));
  for (std::size_t k = 0; k < n / 2; ++k) {
    tail += term;
    if (tail > 0.025) break;
    skip = k;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back(), values[skip],
          values[n - 1 - skip]};
}
std::string text(const Spread& s, const char* format) {
  char all[96], one[3][24];
  const double values[3] = {s.median, s.least, s.most};
  for (int i = 0; i < 3; ++i) std::snprintf(one[i], sizeof one[i], format, values[i]);
  std::snprintf(all, sizeof all, "%s (%s..%s)", one[0], one[1], one[2]);
  return all;
}

/// [median, low, high] for JSON.
std::string interval(const std::vector<double>& values) {
  const Spread s = spread(values);
  std::ostringstream out;
  out << "[" << s.median << ", " << s.low << ", " << s.high << "]";
  return out.str();
}

class Report {
 public:
  explicit Report(const std::string& folder) : json_{folder + "/results.json"} {
    json_ << "[\n";
    std::printf("%-22s %-26s %-26s %-34s %s\n", "", "GB/s: median (min..max)", "receiver CPU s/GB",
                "ratio of pairs    [95 % interval]", "goal");
  }
  ~Report() { json_ << "\n]\n"; }

  void absent(const Row& row, const std::string& why) {
    std::printf("%-22s not run: %s\n", row.name.c_str(), why.c_str());
    entry() << "{\"name\": \"" << row.name << "\", \"not_run\": \"" << why << "\"}";
  }
  void pairs(const Row& row, double distance_ns, const std::vector<Sample>& other,
             const std::vector<Sample>& landfall) {
    std::vector<double> throughput, cpu;
    for (std::size_t i = 0; i < other.size(); ++i) {
      throughput.push_back(landfall[i].gb_per_s / other[i].gb_per_s);
      cpu.push_back(landfall[i].cpu_per_gb / other[i].cpu_per_gb);
    }
    std::printf("%s (a cache line takes %.0f ns there and back)\n", row.name.c_str(), distance_ns);
    side(row.other.label, other);
    side(row.landfall.label, landfall);
    ratio("throughput", spread(throughput), ">=", row.throughput_goal);
    ratio("CPU per GB", spread(cpu), "<=", row.cpu_goal);
    std::fflush(stdout);
    std::ostream& out = entry();
    out << "{\"name\": \"" << row.name << "\", \"other\": \"" << row.other.label
        << "\", \"landfall\": \"" << row.landfall.label << "\", \"cache_line_ns\": " << distance_ns
        << ", \"goals\": {\"throughput_ratio_min\": " << row.throughput_goal
        << ", \"cpu_ratio_max\": " << row.cpu_goal << "}, \"pairs\": [";
    for (std::size_t i = 0; i < other.size(); ++i) {
      out << (i ? ", " : "") << "[" << other[i].gb_per_s << ", " << other[i].cpu_per_gb << ", "
          << landfall[i].gb_per_s << ", " << landfall[i].cpu_per_gb << "]";
    }
    out << "], \"pair_is\": \"other GB/s, other CPU s/GB, landfall GB/s, landfall CPU s/GB\""
        << ", \"throughput_ratio\": " << interval(throughput)
        << ", \"cpu_ratio\": " << interval(cpu) << "}";
    out.flush();
  }
  /// The median of `values`.
  void number(const std::string& name, const std::vector<double>& values, const char* unit,
              double most) {
    const double median = spread(values).median;
    std::printf("%-76s %s %s, goal <= %.4g: %s\n", name.c_str(),
                text(spread(values), "%.1f").c_str(), unit, most,
                median <= most ? "met" : "MISSED");
    std::ostream& out = entry();
    out << "{\"name\": \"" << name << "\", \"value\": " << median << ", \"values\": [";
    for (std::size_t i = 0; i < values.size(); ++i) out << (i ? ", " : "") << values[i];
    out << "], \"unit\": \"" << unit << "\", \"goal_max\": " << most << "}";
    std::fflush(stdout);
  }

 private:
  std::ostream& entry() {
    if (!first_) json_ << ",\n";
    first_ = false;
    return json_;
  }
  static void side(const std::string& label, const std::vector<Sample>& samples) {
    std::vector<double> throughput, cpu;
    for (const Sample& sample : samples) {
      throughput.push_back(sample.gb_per_s);
      cpu.push_back(sample.cpu_per_gb);
    }
    std::printf("  %-20s %-26s %-26s\n", label.c_str(), text(spread(throughput), "%.2f").c_str(),
                text(spread(cpu), "%.3f").c_str());
  }
  static void ratio(const char* what, const Spread& s, const char* sign, double goal) {
    char interval[32];
    std::snprintf(interval, sizeof interval, "[%.2f..%.2f]", s.low, s.high);
    std::printf("  %-74s %-20s %-13s", what, text(s, "%.2f").c_str(), interval);
    if (goal > 0) {
      const bool met = *sign == '>' ? s.median >= goal : s.median <= goal;
      std::printf(" %s %.2f: %s", sign, goal, met ? "met" : "MISSED");
    }
    std::printf("\n");
  }

  std::ofstream json_;
  bool first_ = true;
};

struct Bench {
  explicit Bench(const bench::Arguments& given)
      : bin{given.text("bin", ".")},
        scripts{given.text("scripts", ".")},
        out{given.text("out", ".")},
        engine{given.text("engine", "")},
        option{given.text("option", "")},
        only{given.text("only", "")},
        pairs{given.number("pairs", 15)},
        bytes{given.number("bytes", 4ull << 30)} {}

  Command receiver(const std::string& mode, std::uint64_t flows = 1) const {
    Command command{bin + "/bench_receive", "mode=" + mode, amount(),
                    "flows=" + std::to_string(flows)};
    if (!engine.empty()) command.push_back("engine=" + engine);
    if (!option.empty()) command.push_back("option=" + option);
    return command;
  }
  std::string amount() const { return "bytes=" + std::to_string(bytes); }
  Command sender(std::uint64_t flows = 1, std::uint64_t burst = 0) const {
    // Some more than is counted: flows that end early would end the run.
    return {bin + "/bench_sender", "bytes=" + std::to_string(bytes + bytes / 8),
            "flows=" + std::to_string(flows), "burst=" + std::to_string(burst)};
  }
  Command splicer() const {
    Command command = sender();
    command.push_back("splice=1");
    return command;
  }
  Row loop(const std::string& name, const std::string& loop_name, const std::string& mode,
           double throughput_goal, double cpu_goal) const {
    return {name,
            {loop_name, {bin + "/bench_" + loop_name, amount()}, sender()},
            {"landfall " + mode, receiver(mode), sender()},
            throughput_goal,
            cpu_goal};
  }
  Row flows(std::uint64_t count, std::uint64_t burst, double goal) const {
    const std::string name = burst != 0
                                 ? std::to_string(burst) + " of " + std::to_string(count) + " burst"
                                 : std::to_string(count) + (count == 1 ? " flow" : " flows");
    return {name,
            {"epoll + recv",
             {bin + "/bench_loop_epoll", amount(), "flows=" + std::to_string(count)},
             sender(count, burst)},
            {"landfall prompt", receiver("prompt", count), sender(count, burst)},
            goal,
            0};
  }
  /// Each tool with its own sender; ours copies as they do.
  Row against(const std::string& tool, const std::string& mode, double cpu_goal,
              const std::string& way = "") const {
    Command command{scripts + "/" + tool, std::to_string(bytes)};
    if (!way.empty()) command.push_back(way);
    return {way.empty() ? tool : tool + " " + way,
            {tool, command},
            {"landfall " + mode, receiver(mode), sender()},
            1.2,
            cpu_goal};
  }
  /// With a sender that refers to its pages instead.
  Row with_splice(Row row, const std::string& mode) const {
    row.name += "; splice";
    row.landfall = {"landfall " + mode + ", splice", receiver(mode), splicer()};
    row.throughput_goal = row.cpu_goal = 0;
    return row;
  }

  std::vector<Row> rows() const {
    return {loop("walk: prompt", "loop_walk", "prompt", 1.0, 0.75),
            loop("walk: held", "loop_walk", "held", 0, 1.03),
            loop("hot: prompt", "loop_hot", "prompt", 0, 1.05),
            loop("post", "loop_post", "post", 1.0, 0),
            flows(1, 0, 0),
            flows(100, 0, 0),
            flows(1'000, 0, 0),
            flows(10'000, 0, 0.95),
            flows(10'000, 100, 0.95),
            against("iperf3", "prompt", 0),
            with_splice(against("iperf3", "prompt", 0), "prompt"),
            against("ucx", "post", 0.6),
            with_splice(against("ucx", "post", 0), "post"),
            against("libfabric", "post", 0.5, "fi_msg_bw"),
            with_splice(against("libfabric", "post", 0, "fi_msg_bw"), "post"),
            against("libfabric", "post", 0.5, "fi_rdm_tagged_bw")};
  }

  /// Where the processors are seldom where they were as it began, it begins anew.
  void run_row(const Row& row, Report& report) const {
    constexpr int kTries = 5;
    std::string why_not;
    for (int i = 0; i < kTries; ++i) {
      const bench::CoreDistance cores;
      std::vector<Sample> samples[2];
      why_not = take_samples(row, cores, samples);
      if (why_not.empty()) return report.pairs(row, cores.usual_ns(), samples[0], samples[1]);
      if (why_not != kMoved) break;
    }
    report.absent(row, why_not);
  }

  /// Why not; or nothing.
  std::string take_samples(const Row& row, const bench::CoreDistance& cores,
                           std::vector<Sample> (&samples)[2]) const {
    for (std::uint64_t pair = 0; pair < pairs; ++pair) {
      for (int turn = 0; turn < 2; ++turn) {
        const int i = pair % 2 == 0 ? turn : 1 - turn;  // nobody always comes first
        const Answer answer = measure_there(i == 0 ? row.other : row.landfall, cores);
        if (!answer.why_not.empty()) return answer.why_not;
        const double gb = field(answer.json, "bytes") / 1e9;
        samples[i].push_back(
            {gb / field(answer.json, "seconds"), field(answer.json, "cpu_seconds") / gb});
      }
    }
    return "";
  }

  void idle_memory(Report& report) const {
    constexpr std::uint64_t kFlows = 10'001;
    const Answer answer = measure({"", receiver("idle", kFlows), sender(kFlows)});
    if (!answer.why_not.empty()) return report.absent({"idle flow", {}, {}}, answer.why_not);
    report.number("user memory per idle flow", {field(answer.json, "bytes_per_flow")}, "bytes",
                  4096);
  }

  /// Some runs, because each takes one place: what else the core has to do changes it by half.
  void completion_cost(Report& report) const {
    constexpr int kRuns = 15;
    const std::string file = out + "/completion_cost.json";
    std::vector<double> one_thread, two_threads;
    for (int run = 0; run < kRuns; ++run) {
      Process costs{
          {bin + "/completion_cost", "--benchmark_out=" + file, "--benchmark_out_format=json"}};
      while (costs.line(120)) {
      }
      if (costs.wait() != 0) return report.absent({"completion_cost", {}, {}}, "not built");
      std::stringstream all;
      all << std::ifstream{file}.rdbuf();
      const std::string json = all.str();
      const auto each = [&](const char* name) {
        const auto at = json.find(name);
        return at == std::string::npos ? NAN : field(json.substr(at), "ns_each");
      };
      one_thread.push_back(each("BM_PollAndRelease/flows:1/"));
      two_threads.push_back(each("BM_ReleaseOnAnotherThread"));
    }
    report.number("completion, one thread", one_thread, "ns", 15);
    report.number("completion, release on another", two_threads, "ns", 40);
  }

  bool wanted(const std::string& name) const { return name.compare(0, only.size(), only) == 0; }

  std::string bin, scripts, out, engine, option, only;
  std::uint64_t pairs, bytes;
};

}  // namespace

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  const Bench all{arguments};
  Report report{all.out};
  if (all.wanted("completion")) all.completion_cost(report);
  for (const Row& row : all.rows()) {
    if (all.wanted(row.name)) all.run_row(row, report);
  }
  if (all.wanted("idle flow")) all.idle_memory(report);
}
