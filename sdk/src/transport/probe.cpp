// SPDX-License-Identifier: Apache-2.0
// Which transports could serve, and why not: asked of the transport, and checked against memory and
// contract.
#include <net/if.h>

#include <string>

#include "transport/group_core.hpp"

namespace landfall::detail {
namespace {

void refuse(Probed& probed, ReasonCode code, std::string text = {}) {
  const ReasonInfo* info = find_reason(code);
  Reason reason;
  reason.code = code;
  reason.text = text.empty() && info != nullptr ? std::string{info->text} : std::move(text);
  if (info != nullptr) reason.fix = info->remedy;
  probed.candidate.reasons.push_back(std::move(reason));
  probed.candidate.usable = false;
}

/// What a transport needs of the memory, whatever else it says.
void check_memory(Probed& probed, const Memory& memory, const GroupOptions* options) {
  const std::uint32_t flags = probed.needs.flags;
  const std::uint32_t queues = options == nullptr ? 1 : options->queues;
  if ((flags & LANDFALL_NEED_HOST_VIEW) != 0 && !memory.has_host_view()) {
    refuse(probed, ReasonCode::needs_host_view);
  }
  if ((flags & LANDFALL_NEED_DMABUF) != 0 && !memory.exports_dmabuf()) {
    refuse(probed, ReasonCode::needs_dmabuf);
  }
  if ((flags & LANDFALL_NEED_DMABUF_PER_QUEUE) != 0 && queues > 1 && !memory.exports_ranges()) {
    refuse(probed, ReasonCode::dmabuf_not_divisible);
  }
  const std::uint64_t slice =
      (flags & LANDFALL_SHARED_POOL) != 0 ? memory.size_bytes() : memory.size_bytes() / queues;
  if (slice < probed.needs.min_slice_bytes) {
    refuse(probed, ReasonCode::region_too_small,
           "each of " + std::to_string(queues) + " queues would have " + std::to_string(slice) +
               " bytes of the Region; " + probed.candidate.transport + " needs " +
               std::to_string(probed.needs.min_slice_bytes));
  }
}

}  // namespace

std::string options_for(const std::vector<std::string>& options, std::string_view transport) {
  std::string result;
  for (const std::string& line : options) {
    const std::size_t dot = line.find('.');
    if (dot != transport.size() || line.compare(0, dot, transport) != 0) continue;
    result.append(line, dot + 1).push_back('\n');
  }
  return result;
}

Probed probe(const ContextCore& context, const landfall_backend& backend,
             const std::string& interface, const GroupOptions* options, const Memory* memory) {
  Probed probed;
  probed.backend = &backend;
  probed.candidate.transport = backend.name;
  probed.candidate.usable = true;
  probed.needs.struct_size = sizeof probed.needs;

  landfall_domain_spec spec{};
  spec.struct_size = sizeof spec;
  spec.host = context.host();
  spec.dmabuf_fd = -1;
  spec.grant_fd = -1;
  if (!interface.empty()) {
    spec.interface_index = ::if_nametoindex(interface.c_str());
    if (spec.interface_index == 0) {
      refuse(probed, ReasonCode::interface_unknown, "there is no interface '" + interface + "'");
      return probed;
    }
  }
  if (memory != nullptr) spec.region = &memory->abi();
  std::string own_options;
  if (options != nullptr) {
    own_options = options_for(options->options, backend.name);
    spec.options = own_options.c_str();
    spec.queue_ids = options->queue_ids.empty() ? nullptr : options->queue_ids.data();
    spec.queue_count = options->queues;
    spec.flows_max = options->flows_max;
    spec.slot_bytes = options->slot_bytes;
    spec.rx_page_bytes = options->rx_page_bytes;
  }
  const auto& ops = *static_cast<const landfall_transport_ops*>(backend.ops);
  landfall_why why{};
  why.struct_size = sizeof why;
  const landfall_errc code = ops.probe(&spec, &probed.needs, &why);
  probed.candidate.best =
      probed.needs.best_placement == LANDFALL_DIRECT ? Placement::direct : Placement::copied;
  if (code != LANDFALL_ERRC_ok) {
    probed.candidate.usable = false;
    probed.candidate.reasons.push_back(reason_from(backend_error("probe", code, why)));
  }
  if (memory != nullptr) check_memory(probed, *memory, options);
  if (options != nullptr && options->contract.kind == CopyContract::Kind::require_direct &&
      probed.candidate.best != Placement::direct) {
    refuse(probed, ReasonCode::contract_needs_direct);
  }
  if (probed.candidate.usable && probed.candidate.best != Placement::direct &&
      probed.needs.copy_reason != 0) {
    refuse(probed, static_cast<ReasonCode>(probed.needs.copy_reason));
    probed.candidate.usable = true;
  }
  return probed;
}

}  // namespace landfall::detail

namespace landfall {

std::vector<Decision::Candidate> probe_transports(const Context& context,
                                                  std::string_view interface,
                                                  const Memory* memory) {
  std::vector<Decision::Candidate> result;
  for (const landfall_backend* backend : context.core()->of_kind(LANDFALL_KIND_TRANSPORT)) {
    result.push_back(
        detail::probe(*context.core(), *backend, std::string{interface}, nullptr, memory)
            .candidate);
  }
  return result;
}

std::string Decision::describe() const {
  std::string result;
  for (const Candidate& candidate : candidates) {
    result += candidate.transport;
    result += candidate.transport == chosen ? ": chosen, "
              : candidate.usable            ? ": usable, "
                                            : ": not usable";
    if (candidate.usable) result += name(candidate.best);
    std::string_view separator = candidate.reasons.empty() ? "" : " - ";
    for (const Reason& reason : candidate.reasons) {
      result.append(separator).append(reason.text);
      if (reason.code != ReasonCode::none) result += " [" + reason_id(reason.code) + "]";
      if (!candidate.usable && !reason.fix.empty()) result += "; try: " + reason.fix;
      separator = "; ";
    }
    result += '\n';
  }
  return result;
}

}  // namespace landfall
