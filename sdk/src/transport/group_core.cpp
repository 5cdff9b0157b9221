// SPDX-License-Identifier: Apache-2.0
#include "transport/group_core.hpp"

#include <net/if.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "landfall/base/units.hpp"
#include "transport/sockets.hpp"

namespace landfall::detail {
namespace {

Result<void> check_options(const GroupOptions& options) {
  constexpr auto kOp = "Group::open";
  const auto bad = [&](const char* text) { return Error{Errc::invalid_argument, kOp}.with(text); };
  if (options.queues == 0 || options.queues > kQueuesMax) return bad("queues must be 1 to 256");
  if (!options.queue_ids.empty() && options.queue_ids.size() != options.queues) {
    return bad("queue_ids must name as many queues as `queues` says");
  }
  if (options.buffers_max == 0 || options.buffers_max > kBuffersMax) {
    return bad("buffers_max must be 1 to 1048576");
  }
  if (options.flows_max == 0 || options.flows_max > kFlowsMax) {
    return bad("flows_max must be 1 to 1048576");
  }
  if (options.rx_page_bytes != 0 &&
      (!std::has_single_bit(options.rx_page_bytes) || options.rx_page_bytes < 4096 ||
       options.rx_page_bytes > (2u << 20))) {
    return bad("rx_page_bytes must be a power of two from 4096 to 2097152");
  }
  if (options.pressure_percent > 100 || options.relief_percent >= options.pressure_percent) {
    return bad("relief_percent must be below pressure_percent, and that at most 100");
  }
  for (const std::string& line : options.options) {
    const std::size_t dot = line.find('.');
    if (line.size() > kOptionsBytesMax || dot == std::string::npos || dot == 0 ||
        line.find('=', dot) == std::string::npos || line.find('\n') != std::string::npos) {
      return bad("an option must read transport.key=value");
    }
  }
  return {};
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The names to consider, in order: those asked for, then the rest (which are only listed).
std::vector<std::string> order(const ContextCore& context, const GroupOptions& options) {
  std::vector<std::string> names = options.transports;
  for (const landfall_backend* backend : context.of_kind(LANDFALL_KIND_TRANSPORT))
    if (!contains(names, backend->name)) names.emplace_back(backend->name);
  for (const std::string& name : options.also)
    if (!contains(names, name)) names.push_back(name);
  return names;
}

Reason listed(ReasonCode code) {
  const ReasonInfo* info = find_reason(code);
  return Reason{.code = code, .text = std::string{info->text}, .fix = std::string{info->remedy}};
}

}  // namespace

Result<std::shared_ptr<GroupCore>> GroupCore::open(const std::shared_ptr<ContextCore>& context,
                                                   const GroupOptions& options,
                                                   const std::shared_ptr<RegionCore>& region,
                                                   Decision& decision) {
  LANDFALL_CHECK(check_options(options));
  decision = Decision{};
  std::shared_ptr<GroupCore> group;
  const auto asked = [&](const landfall_backend& backend) {
    return options.transports.empty()
               ? backend.rank < LANDFALL_RANK_NAMED && !contains(options.also, backend.name)
               : contains(options.transports, backend.name);
  };
  std::optional<Error> last;
  for (const std::string& name : order(*context, options)) {
    const landfall_backend* backend = context->find(LANDFALL_KIND_TRANSPORT, name);
    Decision::Candidate candidate;
    candidate.transport = name;
    if (backend == nullptr) {
      candidate.reasons.push_back(listed(ReasonCode::transport_unknown));
      decision.candidates.push_back(std::move(candidate));
      continue;
    }
    if (!asked(*backend)) {  // listed, but not tried: a trial may cost milliseconds
      candidate.reasons.push_back(listed(contains(options.also, name) ? ReasonCode::not_beside
                                                                      : ReasonCode::not_asked_for));
      decision.candidates.push_back(std::move(candidate));
      continue;
    }
    Probed probed = probe(*context, *backend, options.interface, &options, &region->memory());
    candidate = std::move(probed.candidate);
    if (candidate.usable && group) {
      candidate.reasons.push_back(listed(ReasonCode::better_was_usable));
    } else if (candidate.usable) {
      std::shared_ptr<GroupCore> attempt{new GroupCore, [](GroupCore* core) { core->abandon(); }};
      attempt->region_ = region;
      Result<void> bound = attempt->bind(context, options, *backend, probed.needs);
      if (bound) {
        group = std::move(attempt);
        decision.chosen = name;
      } else {
        candidate.usable = false;
        candidate.reasons.insert(candidate.reasons.begin(), reason_from(bound.error()));
        last = bound.error();
      }
    }
    if (options.without_interface)
      std::ranges::replace_if(
          candidate.reasons,
          [](const Reason& one) { return one.code == ReasonCode::interface_not_named; },
          *options.without_interface);
    decision.candidates.push_back(std::move(candidate));
  }
  if (group) {
    group->bind_beside(options, decision);
    group->decision_ = decision;
    group->chosen().decision = decision;
    return group;
  }
  if (last) return *last;
  return Error{Errc::not_supported, "Group::open"}.with("no transport fits:\n" +
                                                        decision.describe());
}

Result<void> GroupCore::bind(const std::shared_ptr<ContextCore>& context,
                             const GroupOptions& options, const landfall_backend& backend,
                             const landfall_needs& needs) {
  context_ = context;
  steers_ = options.steer != GroupOptions::Steer::nothing;
  auto service = std::make_unique<Service>();
  service->ops = static_cast<const landfall_transport_ops*>(backend.ops);
  service->needs = needs;
  service->options = options_for(options.options, backend.name);
  service->queues = options.queues;
  services_.push_back(std::move(service));
  LANDFALL_CHECK(open_domain(options, chosen(), true));
  const bool shared = chosen().has(LANDFALL_SHARED_POOL);
  const auto all = static_cast<std::uint32_t>(options.queues + (shared ? 0 : options.also.size()));
  // A multiple of what any transport may want its slices to be.
  constexpr std::uint64_t kSliceAlign = 4096;
  const std::uint64_t size = region_->memory().size_bytes();
  const std::uint64_t own = std::max<std::uint64_t>(needs.slice_align_bytes, 64);
  const std::uint64_t align = options.also.empty() ? own : std::max(own, kSliceAlign);
  slice_bytes_ = shared ? size : size / all / align * align;
  receivers_.reserve(all);
  queues_.reserve(all);
  return open_queues(options, chosen());
}

void GroupCore::bind_beside(const GroupOptions& options, Decision& decision) {
  for (const std::string& name : options.also) {
    if (name == decision.chosen) continue;
    Decision::Candidate candidate;
    candidate.transport = name;
    const Result<void> opened = open_beside(options, decision.chosen, candidate);
    candidate.usable = opened.has_value();
    if (!opened) candidate.reasons.insert(candidate.reasons.begin(), reason_from(opened.error()));
    std::erase_if(decision.candidates, [&](const auto& one) { return one.transport == name; });
    decision.candidates.push_back(std::move(candidate));
  }
}

Result<void> GroupCore::open_beside(const GroupOptions& options, const std::string& beside,
                                    Decision::Candidate& candidate) {
  constexpr std::uint32_t kOnesOwn = LANDFALL_TAKES_SOCKETS | LANDFALL_NEED_GRANT |
                                     LANDFALL_NEED_QUEUES | LANDFALL_SHARED_POOL |
                                     LANDFALL_NEED_DMABUF_PER_QUEUE;
  const auto refused = [](ReasonCode code) { return Error{Errc::not_supported, "", code}; };
  const landfall_backend* backend = context_->find(LANDFALL_KIND_TRANSPORT, candidate.transport);
  if (backend == nullptr) return refused(ReasonCode::transport_unknown);
  Probed probed = probe(*context_, *backend, options.interface, &options, &region_->memory());
  if ((probed.needs.flags & kOnesOwn) != 0 || contains(options.transports, candidate.transport))
    return refused(ReasonCode::not_beside);
  if (!probed.candidate.usable) {
    const Reason why = probed.candidate.reasons.front();
    return refused(why.code).with(why.text, why.fix);
  }
  auto service = std::make_unique<Service>();
  service->ops = static_cast<const landfall_transport_ops*>(backend->ops);
  service->needs = probed.needs;
  service->options = options_for(options.options, backend->name);
  service->first_queue = static_cast<std::uint32_t>(queues_.size());
  service->queues = 1;
  if (chosen().has(LANDFALL_SHARED_POOL))
    return refused(ReasonCode::not_beside)
        .with(beside + " has the whole Region, and none is left for another transport");
  Result<void> opened = open_domain(options, *service, false);
  if (opened) opened = open_queues(options, *service);
  if (!opened) {
    if (service->domain != nullptr) service->ops->domain_close(service->domain);
    return opened;
  }
  candidate = std::move(probed.candidate);
  candidate.reasons.push_back(listed(ReasonCode::serves_beside));
  service->decision.chosen = candidate.transport;
  service->decision.candidates.push_back(candidate);
  services_.push_back(std::move(service));
  return {};
}

Result<void> GroupCore::open_domain(const GroupOptions& options, Service& service, bool chosen) {
  const Memory& memory = region_->memory();
  Fd dmabuf;
  landfall_domain_spec spec{};
  spec.struct_size = sizeof spec;
  spec.interface_index =
      options.interface.empty() ? 0 : ::if_nametoindex(options.interface.c_str());
  spec.host = context_->host();
  spec.region = &memory.abi();
  spec.queue_ids = options.queue_ids.empty() || !chosen ? nullptr : options.queue_ids.data();
  spec.queue_count = service.queues;
  spec.flows_max = options.flows_max;
  spec.slot_bytes = options.slot_bytes;
  spec.dmabuf_fd = -1;
  spec.grant_fd = -1;
  spec.options = service.options.c_str();
  if (service.has(LANDFALL_NEED_DMABUF)) {
    LANDFALL_TRY(DmabufRange whole, region_->export_dmabuf(0, memory.size_bytes()));
    dmabuf = std::move(whole.fd);
    spec.dmabuf_fd = dmabuf.get();
    spec.dmabuf_offset = whole.offset_bytes;
  }
  if (service.has(LANDFALL_NEED_GRANT | LANDFALL_NEED_QUEUES)) {
    LANDFALL_TRY(grant_,
                 Grant::make(*context_, {.interface_index = spec.interface_index,
                                         .queue_ids = options.queue_ids,
                                         .queues = options.queues,
                                         .dmabuf_fd = dmabuf.get(),
                                         .rx_page_bytes = service.needs.rx_page_bytes,
                                         .rules_stand = options.steer == GroupOptions::Steer::rest,
                                         .rules_max = options.rules_max,
                                         .backing = {.memfd = region_->adopted_memfd(),
                                                     .length_bytes = memory.size_bytes()}}));
    grant_->describe(spec);
  }
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code = service.ops->domain_open(&spec, &service.domain, &why);
      code != LANDFALL_ERRC_ok) {
    service.domain = nullptr;
    return backend_error("transport domain_open", code, why);
  }
  return {};
}

Result<void> GroupCore::open_queues(const GroupOptions& options, Service& service) {
  const bool shared = service.has(LANDFALL_SHARED_POOL);
  for (std::uint32_t i = 0; i < service.queues; ++i) {
    const std::uint64_t offset = shared ? 0 : slice_bytes_ * (service.first_queue + i);
    LANDFALL_CHECK(open_queue(options, service, i, offset, slice_bytes_));
  }
  return {};
}

Result<void> GroupCore::open_queue(const GroupOptions& options, Service& service,
                                   std::uint32_t index, std::uint64_t slice_offset,
                                   std::uint64_t slice_bytes) {
  QueueSetup setup{};
  setup.group = this;
  setup.service = &service;
  setup.ops = service.ops;
  setup.needs = service.needs;
  setup.index = service.first_queue + index;
  setup.slice_bytes = slice_bytes;
  setup.buffers_max = options.buffers_max;
  setup.flows_max = options.flows_max;
  setup.pressure_percent = options.pressure_percent;
  setup.relief_percent = options.relief_percent;
  setup.contract = options.contract;
  setup.region = region_;
  if (service.needs.spill_bytes_per_queue != 0) {
    LANDFALL_TRY(setup.spill, region_->make_spill(service.needs.spill_bytes_per_queue));
  }
  Fd slice_dmabuf;
  landfall_queue_spec spec{};
  spec.struct_size = sizeof spec;
  spec.index = index;
  spec.slice_offset = slice_offset;
  spec.slice_length = slice_bytes;
  spec.spill = setup.spill ? &setup.spill->memory().abi() : nullptr;
  spec.slice_dmabuf_fd = -1;
  spec.ring_slots = options.ring_slots;
  spec.extents_max = options.buffers_max;
  spec.flows_max = options.flows_max;
  if (service.has(LANDFALL_NEED_DMABUF_PER_QUEUE)) {
    LANDFALL_TRY(DmabufRange range, region_->export_dmabuf(slice_offset, slice_bytes));
    slice_dmabuf = std::move(range.fd);
    spec.slice_dmabuf_fd = slice_dmabuf.get();
  }
  const landfall_transport_ops& ops = *service.ops;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code = ops.queue_open(service.domain, &spec, &setup.queue, &why);
      code != LANDFALL_ERRC_ok) {
    return backend_error("transport queue_open", code, why);
  }
  std::unique_ptr<Receiver> receiver;
  Result<std::unique_ptr<QueueCore>> core = [&]() -> Result<std::unique_ptr<QueueCore>> {
    try {
      LANDFALL_TRY(std::unique_ptr<QueueCore> made, QueueCore::make(setup));
      receiver.reset(new Receiver{made.get()});
      return made;
    } catch (const std::bad_alloc&) {
      return Error{Errc::no_memory, "Group::open", ReasonCode::out_of_memory};
    }
  }();
  if (!core) {
    ops.queue_stop(setup.queue);
    ops.queue_close(setup.queue);
    return core.error();
  }
  receivers_.push_back(std::move(receiver));  // reserved in bind()
  queues_.push_back(std::move(*core));
  open_queues_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

Verdict GroupCore::verdict() const noexcept {
  Verdict sum;
  for (const auto& queue : queues_) {
    if (queue) sum.add(queue->verdict());
  }
  return sum;
}

// ---- the end
// -------------------------------------------------------------------------------------

Result<std::uint32_t> GroupCore::close() {
  for (const auto& service : services_) service->stop_listening();
  listening_rules_.clear();
  closed_ = true;
  std::uint32_t out = 0;
  for (const auto& queue : queues_) out += queue->stop();
  if (out != 0) return out;
  for (const auto& queue : queues_) queue->close_backend();
  queues_.clear();
  receivers_.clear();
  open_queues_.store(0, std::memory_order_relaxed);
  close_domains();
  return std::uint32_t{0};
}

void GroupCore::close_domains() noexcept {
  for (const auto& service : services_)
    if (service->domain != nullptr)
      service->ops->domain_close(std::exchange(service->domain, nullptr));
  grant_.reset();
}

void GroupCore::abandon() noexcept {
  // In a forked child everything here is the parent's: nothing is touched, the memory stays with
  // the child.
  if (!queues_.empty() && queues_[0] && !queues_[0]->in_its_process()) return;
  for (const auto& service : services_) service->stop_listening();
  listening_rules_.clear();
  for (const auto& queue : queues_) queue->stop();
  // Held by this function as if by one more queue: a last Buffer may come back while others are
  // being left.
  open_queues_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < queues_.size(); ++i) queues_[i]->abandon();
  if (open_queues_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void GroupCore::queue_finished(std::uint32_t index) noexcept {
  queues_[index].reset();
  if (open_queues_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

GroupCore::~GroupCore() {
  close_domains();
}

}  // namespace landfall::detail
