// SPDX-License-Identifier: Apache-2.0
#include "command_table.hpp"

#include <algorithm>
#include <array>

namespace landfall::cli {
namespace {

constexpr OptionRow kHelp{"help", "", "show this help and exit", "", ""};
constexpr OptionRow kJson{"json", "", "print JSON on standard output", "", ""};
constexpr OptionRow kPlugin{
    "plugin", "FILE", "load a backend plug-in first", "", "", Complete::file, "", true};
constexpr OptionRow kMemory{"memory", "SOURCE",
                            "memory source: host, hugepage, udmabuf, dma-heap, a plug-in's", "host",
                            "LANDFALL_MEMORY"};
constexpr OptionRow kSize{"size", "BYTES", "size of the Region", "64MiB", "LANDFALL_SIZE"};
constexpr OptionRow kTransport{"transport", "NAME,...",
                               "transports in order of preference; without it the best that works",
                               "", "LANDFALL_TRANSPORT"};
constexpr OptionRow kContract{
    "contract",          "KIND",          "how much copying is tolerated",          "prefer-direct",
    "LANDFALL_CONTRACT", Complete::words, "require-direct prefer-direct allow-copy"};
constexpr OptionRow kEngine{"engine", "NAME", "how the tcp transport reads: auto, io_uring, recv",
                            "", "LANDFALL_ENGINE"};
constexpr OptionRow kOption{
    "option", "T.KEY=VALUE", "an option of transport T", "", "", Complete::nothing, "", true};
constexpr OptionRow kState{"state",
                           "DIR",
                           "where the journal is kept",
                           "/var/lib/landfall",
                           "LANDFALL_STATE",
                           Complete::directory};
constexpr OptionRow kInterface{"interface", "NAME", "network interface", "", ""};

/// `rows`, and what every verb that opens a Group takes.
template <std::size_t kRows>
constexpr auto receiving(const std::array<OptionRow, kRows>& rows) {
  constexpr std::array kMore{kMemory, kSize,      kTransport, kContract, kEngine,
                             kOption, kInterface, kPlugin,    kJson,     kHelp};
  std::array<OptionRow, kRows + kMore.size()> all{};
  std::copy(kMore.begin(), kMore.end(), std::copy(rows.begin(), rows.end(), all.begin()));
  return all;
}

constexpr std::array kInfo{kJson, kPlugin, kHelp};
constexpr std::array kTopo{kJson, kHelp};
constexpr std::array kDoctor{kJson, kPlugin, kHelp};
constexpr auto kRecv = receiving(std::array{
    OptionRow{"to", "FILE|DIR|-|exec:PROGRAM",
              "where the bytes go; - is standard output, PROGRAM gets each file", "", "",
              Complete::file},
    OptionRow{"listen", "ADDR:PORT", "where to listen; port 0: the kernel picks one", "[::]:5201",
              ""},
    OptionRow{"port-file", "FILE", "write the port that it listens on into FILE", "", "",
              Complete::file},
    OptionRow{"once", "", "end after one transfer", "", ""},
    OptionRow{"flows", "N", "connections that make up one transfer of a plain sender", "1", ""},
    OptionRow{"queues", "N,...", "receive queues of --interface that are to take the Region", "",
              ""},
    OptionRow{"also", "NAME,...",
              "transports that serve senders of their own beside the chosen one: verbs, ofi", "",
              ""},
    OptionRow{"policy", "FILE", "receive as a receiver of this policy: memory, queues, transports",
              "", "", Complete::file},
    OptionRow{"receiver", "NAME", "of --policy", "", ""}, kState,
    OptionRow{"metrics", "ADDR:PORT", "answer there with metrics for Prometheus", "", ""},
    OptionRow{"report", "FILE", "write the summary into FILE as JSON", "", "", Complete::file}});
constexpr std::array kSend{
    OptionRow{"to", "ADDR:PORT", "the receiver", "", ""},
    OptionRow{"raw", "", "send nothing but the bytes, for any TCP receiver", "", ""},
    OptionRow{"flows", "N", "connections that share the files of a directory", "1", ""},
    OptionRow{"memory", "SOURCE", "send from memory that files are read into: udmabuf, host, ...",
              "", ""},
    OptionRow{"size", "BYTES", "size of that memory", "16MiB", ""},
    OptionRow{"method", "NAME,...", "how to send from it: devmem, zerocopy, copy; the best first",
              "", ""},
    OptionRow{"transport", "NAME,...",
              "send from that memory by RDMA: verbs, ofi; the receiver listens by the same", "",
              ""},
    kOption,
    kContract,
    kInterface,
    kPlugin,
    OptionRow{"connect-timeout", "SECONDS", "how long to try to connect", "10", ""},
    OptionRow{"finish-timeout", "SECONDS", "how long the receiver may take to finish", "60", ""},
    kJson,
    kHelp};
constexpr auto kBench =
    receiving(std::array{OptionRow{"seconds", "N", "how long to measure", "3", ""},
                         OptionRow{"flows", "N", "connections that send at once", "1", ""}});
constexpr std::array kExplain{kJson, kHelp};
constexpr std::array kValidate{kJson, kHelp};
constexpr OptionRow kForce{"force", "", "also where it cuts off the host's own traffic", "", ""};
constexpr std::array kPlan{OptionRow{"out", "FILE", "save the plan, to be applied as it is", "", "",
                                     Complete::file, "", false, 'o'},
                           kForce, kState, kJson, kHelp};
constexpr std::array kApply{
    OptionRow{"confirm-within", "TIME", "take it back unless confirmed by then: 60s, 5m", "", ""},
    kForce, kState, kJson, kHelp};
constexpr std::array kConfirm{kState, kHelp};
constexpr std::array kUndo{kState, kJson, kHelp};
constexpr std::array kStatus{OptionRow{"watch", "", "go on, and tell what changes", "", ""}, kState,
                             kJson, kHelp};
constexpr std::array kPlain{kHelp};

constexpr std::array kCommands{
    CommandRow{"info", "show the backends and NICs of this host, and why not", "", 0, 0,
               Complete::nothing, "", kInfo},
    CommandRow{"doctor", "check what landfall needs, with the command that mends it", "", 0, 0,
               Complete::nothing, "", kDoctor},
    CommandRow{"topo", "show which NIC is near which accelerator, NUMA node and CPUs", "", 0, 0,
               Complete::nothing, "", kTopo},
    CommandRow{"recv", "receive files or any byte stream", "", 0, 0, Complete::nothing, "", kRecv},
    CommandRow{"send", "send files, a directory or standard input", "FILE|DIR|-", 1, 1,
               Complete::file, "", kSend},
    CommandRow{"bench", "measure receiving over loopback", "", 0, 0, Complete::nothing, "", kBench},
    CommandRow{"explain", "say what a reason code means", "CODE", 0, 1, Complete::nothing, "",
               kExplain},
    CommandRow{"validate", "check a policy, without looking at the machine", "FILE|-", 1, 1,
               Complete::file, "", kValidate},
    CommandRow{"schema", "print the JSON Schema of policies, for editors", "", 0, 0,
               Complete::nothing, "", kPlain},
    CommandRow{"plan", "show what a policy would change on the NICs, and change nothing", "FILE|-",
               1, 1, Complete::file, "", kPlan},
    CommandRow{"apply", "set NICs up as a policy, or a saved plan, says", "FILE", 1, 1,
               Complete::file, "", kApply},
    CommandRow{"confirm", "keep what was applied with --confirm-within", "", 0, 0,
               Complete::nothing, "", kConfirm},
    CommandRow{"rollback", "take back what waits to be confirmed", "", 0, 0, Complete::nothing, "",
               kUndo},
    CommandRow{"restore", "put back all that was there before the first apply", "", 0, 0,
               Complete::nothing, "", kUndo},
    CommandRow{"status", "show what landfall has set up, and whether it still stands", "", 0, 0,
               Complete::nothing, "", kStatus},
    CommandRow{"completion", "print the completion script of a shell", "SHELL", 1, 1,
               Complete::words, "bash zsh fish", kPlain},
    CommandRow{"help", "show help on a verb", "VERB", 0, 1, Complete::words,
               "info doctor topo recv send bench explain validate schema plan apply confirm "
               "rollback restore "
               "status completion",
               kPlain},
};

constexpr std::array kGlobal{kHelp, OptionRow{"version", "", "show the version and exit", "", ""}};

}  // namespace

const OptionRow* CommandRow::option(std::string_view option_name) const noexcept {
  for (const OptionRow& row : options) {
    if (row.name == option_name) return &row;
  }
  return nullptr;
}

std::span<const CommandRow> commands() noexcept {
  return kCommands;
}
std::span<const OptionRow> global_options() noexcept {
  return kGlobal;
}

const CommandRow* find_command(std::string_view name) noexcept {
  for (const CommandRow& row : kCommands) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace landfall::cli
