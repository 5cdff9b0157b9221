// SPDX-License-Identifier: Apache-2.0
#include "conformance/subject.hpp"

#include <cstdlib>
#include <iostream>

#include "conformance/mutants/mutants.hpp"
#include "landfall_test/namespace.hpp"
#include "models/device_memory.hpp"
#include "models/devmem_model.hpp"
#include "models/verbs_model.hpp"

namespace landfall::test {
namespace {

std::vector<Subject> g_subjects;
std::vector<MemorySubject> g_memory_subjects;

Result<Context> make_context(const std::vector<const landfall_backend*>& linked,
                             const std::string& plugin, ContextOptions with) {
  LANDFALL_TRY(Context context, Context::create(std::move(with)));
  for (const landfall_backend* backend : linked) LANDFALL_CHECK(context.add(backend));
  if (!plugin.empty()) LANDFALL_CHECK(context.load(plugin));
  return context;
}

void choose_built_in() {
  g_subjects = {
      {.label = "tcp-io-uring", .transport = "tcp", .options = {"tcp.engine=io_uring"}},
      {.label = "tcp-recv", .transport = "tcp", .options = {"tcp.engine=recv"}},
      {.label = "devmem-model", .transport = "devmem-model", .linked = {&kDevmemModel}},
      {.label = "devmem-model-on-device",
       .transport = "devmem-model",
       .options = {"devmem-model.dmabuf=1"},
       .memory = "device-memory",
       .linked = {&kDevmemModel, &kDeviceMemory}},
      {.label = "verbs-model", .transport = "verbs-model", .linked = {&kVerbsModel}},
      {.label = "ofi",
       .transport = "ofi",
       .options = {"ofi.provider=tcp"},
       .senders_are_landfall = true},
      {.label = "ofi-rdm",
       .transport = "ofi",
       .options = {"ofi.provider=tcp;ofi_rxm"},
       .senders_are_landfall = true,
       .many_senders = 10,    // `ofi_rxm` takes 50 MB and 50 ms for the endpoint of each
       .outside_calls = 80},  // all until a flow has begun
  };
  for (const char* source : {"host", "hugepage", "udmabuf", "dma-heap", "dmabuf"})
    g_memory_subjects.push_back({.source = source});
  g_memory_subjects.push_back({.source = "device-memory", .linked = {&kDeviceMemory}});
}

void choose_plugin(const std::string& path) {
  Result<Context> context = make_context({}, path, {.installed_backends = false});
  if (!context) {
    std::cerr << context.error().describe() << '\n';
    std::exit(1);
  }
  for (const BackendInfo& backend : context->backends()) {
    if (backend.path.empty()) continue;
    if (backend.is_transport)
      g_subjects.push_back({.label = backend.name, .transport = backend.name, .plugin = path});
    else
      g_memory_subjects.push_back({.source = backend.name, .plugin = path});
  }
}

void choose_mutant(const std::string& name) {
  const landfall_backend* backend = make_mutant(name);
  if (backend == nullptr) {
    std::cerr << "no mutant is called " << name << '\n';
    std::exit(1);
  }
  g_subjects.push_back({.label = "devmem-model", .transport = backend->name, .linked = {backend}});
}

void choose_nic(const std::string& interface, const std::string& transport) {
  const auto add = [&](const char* label, const char* memory) {
    g_subjects.push_back({.label = label,
                          .transport = transport,
                          .memory = memory,
                          .interface = interface,
                          .region_least_bytes = 1u << 20,
                          .here = {"", "10.77.0.1", "fd77::1"},
                          .there = {"peer", "10.77.0.2", "fd77::2"}});
  };
  if (transport == "devmem-tcp") return add("devmem-tcp", "udmabuf");
  add("zcrx-dmabuf", "udmabuf");
  add("zcrx", "host");
  g_subjects.push_back({.label = "zcrx-no-device",
                        .transport = transport,
                        .options = {"zcrx.device=none"},
                        .region_least_bytes = 1u << 20});
}

void choose_rdma(const std::string& label) {
  const Place here{"", "10.77.0.1", "fd77::1"}, there{"peer", "10.77.0.2", "fd77::2"};
  Subject subject{.label = label, .transport = "verbs", .here = here, .there = there};
  subject.senders_are_landfall = true;
  if (label.starts_with("ofi-verbs")) {
    subject.transport = "ofi";
    subject.options = {label == "ofi-verbs" ? "ofi.provider=verbs" : "ofi.provider=verbs;ofi_rxm"};
    // libfabric looks at the addresses of devices once in a process (vrb_init_info, prov/verbs of
    // 1.17), so that what it is told there is true of one namespace.
    subject.there = here;
  }
  g_subjects.push_back(std::move(subject));
}

}  // namespace

void choose_subjects(int& argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--backend" && has_value) {
      choose_plugin(argv[++i]);
    } else if (argument == "--mutant" && has_value) {
      choose_mutant(argv[++i]);
    } else if ((argument == "--devmem-tcp" || argument == "--zcrx") && has_value) {
      choose_nic(argv[++i], argument.substr(2));
    } else if (argument == "--verbs" || argument.starts_with("--ofi-verbs")) {
      choose_rdma(argument.substr(2));
    } else if (argument == "--list-mutants") {
      for (const Mutant& mutant : mutants()) std::cout << mutant.name << '\n';
      std::exit(0);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  if (g_subjects.empty() && g_memory_subjects.empty()) choose_built_in();
}

const std::vector<Subject>& subjects() {
  return g_subjects;
}
const std::vector<MemorySubject>& memory_subjects() {
  return g_memory_subjects;
}

Result<Context> Subject::context(ContextOptions with) const {
  return make_context(linked, plugin, std::move(with));
}
SocketPair Subject::pair() const {
  const ListeningSocket listening{Address{here.host(false), 0}};
  Fd theirs = connect_to(listening.address);
  return {listening.accept(), std::move(theirs)};
}
std::unique_ptr<Peer> Subject::peer_to(const Address& address) const {
  if (senders_are_landfall) return message_peer(*this, address);
  return can(Cap::sockets) ? socket_peer(connect_to(address)) : verbs_peer(connect_to(address));
}
ListeningPeer Subject::listening_peer(bool ipv6) const {
  if (senders_are_landfall) return listening_message_peer(*this, ipv6);
  auto listening = std::make_shared<ListeningSocket>(listen_there(ipv6));
  const bool sockets = can(Cap::sockets);
  return {listening->address, [listening, sockets] {
            return sockets ? socket_peer(listening->accept()) : verbs_peer(listening->accept());
          }};
}
Fd Subject::connect_to(const Address& address) const {
  return in_namespace(there.network_namespace, [&] { return try_connect_to(address); });
}
ListeningSocket Subject::listen_there(bool ipv6) const {
  return in_namespace(there.network_namespace, [&] {
    return ListeningSocket{Address{there.host(ipv6), 0}};
  });
}
Result<Context> MemorySubject::context(ContextOptions with) const {
  return make_context(linked, plugin, std::move(with));
}

std::ostream& operator<<(std::ostream& out, const Subject& subject) {
  return out << subject.label;
}
std::ostream& operator<<(std::ostream& out, const MemorySubject& subject) {
  return out << subject.source;
}

}  // namespace landfall::test
