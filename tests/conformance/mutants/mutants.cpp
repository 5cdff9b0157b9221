// SPDX-License-Identifier: Apache-2.0
#include "conformance/mutants/mutants.hpp"

#include <fcntl.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "models/device_memory.hpp"
#include "models/devmem_model.hpp"

namespace landfall::test {
namespace {

const landfall_transport_ops& base() {
  return *static_cast<const landfall_transport_ops*>(kDevmemModel.ops);
}

/// True once in `n` calls: what is always wrong is found too easily.
bool every(unsigned n) {
  static unsigned calls = 0;
  return ++calls % n == 0;
}

landfall_return return_of(const landfall_record& record) {
  return {record.flow, record.token, record.offset, record.length, record.memory, 0};
}

using Records = std::vector<landfall_record>;

/// poll with `edit` applied to what the model reports; records beyond the capacity wait.
template <void (*edit)(landfall_queue*, Records&)>
landfall_errc edited_poll(landfall_queue* queue, landfall_record* records, std::uint32_t capacity,
                          std::uint32_t* ret_count) {
  static std::mutex mutex;
  static std::map<landfall_queue*, std::deque<landfall_record>> waiting;
  const std::lock_guard lock{mutex};
  Records reported(capacity);
  std::uint32_t count = 0;
  const landfall_errc code = base().poll(queue, reported.data(), capacity, &count);
  reported.resize(count);
  edit(queue, reported);
  std::deque<landfall_record>& queued = waiting[queue];
  queued.insert(queued.end(), reported.begin(), reported.end());
  for (*ret_count = 0; *ret_count < capacity && !queued.empty(); queued.pop_front())
    records[(*ret_count)++] = queued.front();
  return code;
}

template <void (*edit)(landfall_queue*, Records&)>
void with_poll(landfall_transport_ops& ops) {
  ops.poll = edited_poll<edit>;
}

void lose(landfall_queue* queue, Records& records) {
  std::erase_if(records, [&](const landfall_record& record) {
    if (record.kind != LANDFALL_DATA || !every(40)) return false;
    const landfall_return back = return_of(record);
    base().give_back(queue, &back, 1);
    return true;
  });
}

void repeat(landfall_queue*, Records& records) {
  Records twice;
  for (const landfall_record& record : records) {
    twice.push_back(record);
    if (record.kind == LANDFALL_DATA && every(40)) twice.push_back(record);
  }
  records = std::move(twice);
}

void reorder(landfall_queue*, Records& records) {
  for (std::size_t i = 1; i < records.size(); ++i)
    if (records[i - 1].kind == LANDFALL_DATA && records[i].kind == LANDFALL_DATA && every(20))
      std::swap(records[i - 1], records[i]);
}

void shift_offset(landfall_queue*, Records& records) {
  for (landfall_record& record : records)
    if (record.kind == LANDFALL_DATA && every(50)) ++record.stream_offset;
}

void undercharge(landfall_queue*, Records& records) {
  for (landfall_record& record : records) record.charge_bytes = record.length / 2;
}

void call_linear_direct(landfall_queue*, Records& records) {
  for (landfall_record& record : records) {
    record.placement = LANDFALL_DIRECT;
    record.code = record.kind == LANDFALL_DATA ? 0 : record.code;
  }
}

void give_no_reason(landfall_queue*, Records& records) {
  for (landfall_record& record : records)
    if (record.kind == LANDFALL_DATA) record.code = 0;
}

void never_end(landfall_queue*, Records& records) {
  std::erase_if(records, [](const auto& record) { return record.kind == LANDFALL_END_OF_STREAM; });
}

void call_failure_end(landfall_queue*, Records& records) {
  for (landfall_record& record : records)
    if (record.kind == LANDFALL_FAILED) record.kind = LANDFALL_END_OF_STREAM;
}

void hide_revocation(landfall_queue*, Records& records) {
  std::erase_if(records, [](const auto& record) { return record.kind == LANDFALL_REVOKED; });
}

std::span<std::byte> g_region;  // of the domain that was opened last

void corrupt(landfall_queue*, Records& records) {
  for (const landfall_record& record : records)
    if (record.kind == LANDFALL_DATA && record.memory == 0 && every(200))
      g_region[record.offset + record.length / 2] ^= std::byte{1};
}

void see_region(landfall_transport_ops& ops) {
  ops.domain_open = [](const landfall_domain_spec* spec, landfall_domain** ret_domain,
                       landfall_why* why) {
    g_region = bytes_of(*spec->region);
    return base().domain_open(spec, ret_domain, why);
  };
}

// What went back before its Buffer was dropped; its real return is then swallowed.
std::mutex g_early_mutex;
std::vector<landfall_return> g_early, g_out;

bool same(const landfall_return& a, const landfall_return& b) {
  return a.flow == b.flow && a.token == b.token && a.offset == b.offset && a.memory == b.memory;
}

bool take(std::vector<landfall_return>& from, const landfall_return& wanted) {
  const auto found = std::find_if(from.begin(), from.end(),
                                  [&](const landfall_return& one) { return same(one, wanted); });
  if (found == from.end()) return false;
  from.erase(found);
  return true;
}

void give_back_unless_early(landfall_queue* queue, const landfall_return* returns,
                            std::uint32_t count) {
  const std::lock_guard lock{g_early_mutex};
  for (const landfall_return& back : std::span{returns, count}) {
    take(g_out, back);
    if (!take(g_early, back)) base().give_back(queue, &back, 1);
  }
}

void reuse_early(landfall_queue* queue, Records& records) {
  const std::lock_guard lock{g_early_mutex};
  for (const landfall_record& record : records) {
    if (record.kind != LANDFALL_DATA || record.memory != 0 || !every(20)) continue;
    g_early.push_back(return_of(record));
    base().give_back(queue, &g_early.back(), 1);
  }
}

// CLOSED of flows whose Buffers are out still, in the mutant that frees their pages.
std::vector<landfall_record> g_late;

void note_out_and_close_late(landfall_queue*, Records& records) {
  const std::lock_guard lock{g_early_mutex};
  for (const landfall_record& record : records) {
    if (record.kind == LANDFALL_DATA) g_out.push_back(return_of(record));
    if (record.kind == LANDFALL_CLOSED) g_late.push_back(record);
  }
  std::erase_if(records, [](const auto& record) { return record.kind == LANDFALL_CLOSED; });
  std::erase_if(g_late, [&](const landfall_record& closed) {
    const bool held = std::any_of(g_early.begin(), g_early.end(), [&](const landfall_return& one) {
      return one.flow == closed.flow;
    });
    if (!held) records.push_back(closed);
    return !held;
  });
}

/// The kernel frees all pages of a socket that is closed: so it looks if flow_close closes at once.
void close_socket_at_once(landfall_transport_ops& ops) {
  ops.poll = edited_poll<note_out_and_close_late>;
  ops.give_back = give_back_unless_early;
  ops.flow_close = [](landfall_queue* queue, landfall_flow* flow, std::int32_t reset) {
    const std::lock_guard lock{g_early_mutex};
    base().flow_close(queue, flow, reset);
    for (const landfall_return& out : g_out) {
      if (out.flow != flow) continue;
      g_early.push_back(out);
      base().give_back(queue, &out, 1);
    }
    std::erase_if(g_out, [&](const landfall_return& out) { return out.flow == flow; });
  };
}

void never_close(landfall_queue*, Records& records) {
  std::erase_if(records, [](const auto& record) { return record.kind == LANDFALL_CLOSED; });
}

// Flows with their tags; a flow that is to be CLOSED with the next poll, whatever is out.
std::map<landfall_flow*, std::uint64_t> g_tags, g_closing;

void close_too_early(landfall_queue*, Records& records) {
  const std::lock_guard lock{g_early_mutex};
  std::erase_if(records, [](const auto& record) { return record.kind == LANDFALL_CLOSED; });
  for (const auto& [flow, tag] : g_closing) {
    landfall_record closed{};
    closed.kind = LANDFALL_CLOSED;
    closed.flow = flow;
    closed.flow_tag = tag;
    records.push_back(closed);
  }
  g_closing.clear();
}

void close_before_the_last_extent(landfall_transport_ops& ops) {
  ops.poll = edited_poll<close_too_early>;
  ops.arm = [](landfall_queue* queue, std::uint32_t* ret_armed) {
    const landfall_errc code = base().arm(queue, ret_armed);
    if (!g_closing.empty()) *ret_armed = LANDFALL_ARM_READY;
    return code;
  };
  ops.attach = [](landfall_queue* queue, std::int32_t fd, const landfall_flow_spec* spec,
                  landfall_flow** ret_flow, landfall_why* why) {
    const landfall_errc code = base().attach(queue, fd, spec, ret_flow, why);
    if (code == LANDFALL_ERRC_ok) g_tags[*ret_flow] = spec->flow_tag;
    return code;
  };
  ops.flow_close = [](landfall_queue* queue, landfall_flow* flow, std::int32_t reset) {
    g_closing[flow] = g_tags[flow];
    base().flow_close(queue, flow, reset);
  };
}

constexpr Mutant kMutants[] = {
    {"none", "nothing: must pass", [](landfall_transport_ops&) {}},
    {"loses", "a record is lost", with_poll<lose>},
    {"repeats", "a record comes twice", with_poll<repeat>},
    {"reorders", "two records change places", with_poll<reorder>},
    {"wrong-offset", "stream_offset is off by one", with_poll<shift_offset>},
    {"corrupts", "a bit of the payload flips",
     [](landfall_transport_ops& ops) {
       see_region(ops);
       ops.poll = edited_poll<corrupt>;
     }},
    {"undercharges", "an extent is charged half of its bytes", with_poll<undercharge>},
    {"placement-lie", "linear bytes are called direct", with_poll<call_linear_direct>},
    {"no-reason", "linear bytes come without a reason", with_poll<give_no_reason>},
    {"never-ends", "the end of the stream is not told", with_poll<never_end>},
    {"hides-reset", "a reset is told as an end of stream", with_poll<call_failure_end>},
    {"hides-revocation", "a revocation is not told", with_poll<hide_revocation>},
    {"returns-twice", "extents go back to the kernel twice",
     [](landfall_transport_ops& ops) {
       ops.give_back = [](landfall_queue* queue, const landfall_return* returns,
                          std::uint32_t count) {
         base().give_back(queue, returns, count);
         base().give_back(queue, returns, count);
       };
     }},
    {"leaks-extents", "some extents never go back",
     [](landfall_transport_ops& ops) {
       ops.give_back = [](landfall_queue* queue, const landfall_return* returns,
                          std::uint32_t count) {
         for (const landfall_return& back : std::span{returns, count})
           if (!every(100)) base().give_back(queue, &back, 1);
       };
     }},
    {"reuses-early", "pages are used again under their Buffer",
     [](landfall_transport_ops& ops) {
       ops.poll = edited_poll<reuse_early>;
       ops.give_back = give_back_unless_early;
     }},
    {"closes-socket-early", "flow_close frees the pages of extents that are out",
     close_socket_at_once},
    {"closed-early", "CLOSED is told while extents are out", close_before_the_last_extent},
    {"never-closed", "CLOSED is not told", with_poll<never_close>},
    {"ignores-pause", "a paused flow goes on",
     [](landfall_transport_ops& ops) {
       ops.flow_pause = [](landfall_queue*, landfall_flow*, std::int32_t) -> landfall_errc {
         return LANDFALL_ERRC_ok;
       };
     }},
    {"loses-wake-ups", "arm says sleep though there is work",
     [](landfall_transport_ops& ops) {
       ops.arm = [](landfall_queue* queue, std::uint32_t* ret_armed) {
         const landfall_errc code = base().arm(queue, ret_armed);
         *ret_armed = 0;
         return code;
       };
     }},
    {"leaks-descriptors", "a duplicate of each socket is forgotten",
     [](landfall_transport_ops& ops) {
       ops.attach = [](landfall_queue* queue, std::int32_t fd, const landfall_flow_spec* spec,
                       landfall_flow** ret_flow, landfall_why* why) {
         ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
         return base().attach(queue, fd, spec, ret_flow, why);
       };
     }},
};

}  // namespace

std::span<const Mutant> mutants() {
  return kMutants;
}

const landfall_backend* make_mutant(std::string_view name) {
  static landfall_transport_ops ops = base();
  static landfall_backend backend = kDevmemModel;
  backend.ops = &ops;
  for (const Mutant& mutant : kMutants) {
    if (mutant.name != name) continue;
    mutant.change(ops);
    return &backend;
  }
  return nullptr;
}

}  // namespace landfall::test
