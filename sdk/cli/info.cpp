// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "interfaces.hpp"
#include "landing.hpp"
#include "rdma_report.hpp"
#include "report.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

Json json_limit(int resource) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  const auto number = [](rlim_t value) { return value == RLIM_INFINITY ? Json{} : Json(value); };
  return {{"soft", number(limit.rlim_cur)}, {"hard", number(limit.rlim_max)}};
}

std::string text_limit(int resource, bool bytes) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return bytes ? format_bytes(limit.rlim_cur) : std::to_string(limit.rlim_cur);
}

std::string text_reasons(const std::vector<Reason>& reasons, bool show_fix) {
  std::string out;
  for (const Reason& reason : reasons) {
    out += "      " + line_of(reason) + "\n";
    if (show_fix && !reason.fix.empty()) out += "      try: " + reason.fix + "\n";
  }
  return out;
}

}  // namespace

int run_info(const Arguments& arguments, Console& console) {
  auto context = make_context(arguments.all("plugin"));
  if (!context) {
    console.error(context.error());
    return exit_of(context.error());
  }
  const auto backends = context->backends();
  const Interfaces interfaces = read_interfaces();
  const std::string usable_interface = interfaces.usable();
  const auto candidates = probe_transports(*context, usable_interface);
  utsname system{};
  ::uname(&system);

  Json json = json_answer();
  json["landfall"] = {{"version", std::string{version()}}};
  json["kernel"] = {
      {"name", system.sysname}, {"release", system.release}, {"machine", system.machine}};
  json["limits"] = {{"memlock_bytes", json_limit(RLIMIT_MEMLOCK)},
                    {"nofile", json_limit(RLIMIT_NOFILE)}};
  std::string text = "landfall " + std::string{version()} + "\nkernel   " + system.sysname + " " +
                     system.release + " " + system.machine + "\nlimits   memlock " +
                     text_limit(RLIMIT_MEMLOCK, true) + ", open files " +
                     text_limit(RLIMIT_NOFILE, false) + "\n\nmemory sources\n";

  json["memory_sources"] = Json::array();
  for (const BackendInfo& backend : backends) {
    if (backend.is_transport) continue;
    const auto [usable, reasons] = probe_source(*context, backend.name);
    Json row{{"name", backend.name},       {"version", backend.version},
             {"summary", backend.summary}, {"builtin", backend.builtin},
             {"path", backend.path},       {"usable", usable}};
    row["reasons"] = Json::array();
    for (const Reason& reason : reasons) row["reasons"].push_back(json_of(reason));
    json["memory_sources"].push_back(std::move(row));
    text += "  " + (usable ? console.good("yes") : console.bad("no ")) + "  " + backend.name +
            ": " + backend.summary + "\n" + text_reasons(reasons, !usable);
  }

  json["transports"] = Json::array();
  text += "\ntransports, best first" +
          (usable_interface.empty() ? "" : ", with the interface " + usable_interface) + "\n";
  for (const Decision::Candidate& candidate : candidates) {
    Json row = json_of(candidate);
    std::string summary;
    for (const BackendInfo& backend : backends) {
      if (!backend.is_transport || backend.name != candidate.transport) continue;
      summary = backend.summary;
      row["version"] = backend.version;
      row["summary"] = backend.summary;
      row["builtin"] = backend.builtin;
      row["path"] = backend.path;
    }
    json["transports"].push_back(std::move(row));
    text += "  " + (candidate.usable ? console.good("yes") : console.bad("no ")) + "  " +
            candidate.transport + ": " + summary + "; at best " +
            std::string{name(candidate.best)} + "\n" +
            text_reasons(candidate.reasons, !candidate.usable);
  }
  add_interfaces(json, interfaces);
  text += text_of(interfaces, console);
  add_rdma_devices(json, read_rdma_devices(), console, text);
  const bool written = arguments.has("json") ? print_json(json) : print(stdout, text);
  return written ? kExitOk : kExitFailure;
}

}  // namespace landfall::cli
