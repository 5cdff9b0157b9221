// SPDX-License-Identifier: Apache-2.0
// Goal: a Context takes exactly the descriptors that keep the rules of abi/backend.h, lists them in
// order, and carries clock, events and faults to backends without letting an exception through.
#include "landfall/base/context.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <stdexcept>

#include "base/context_core.hpp"
#include "landfall/abi/authoring.hpp"
#include "landfall/base/limits.hpp"

namespace landfall {
namespace {

using ::testing::HasSubstr;

landfall_memory_ops good_memory_ops() {
  landfall_memory_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = [](const landfall_memory_spec*, landfall_why*) { return landfall_errc{0}; };
  ops.allocate = [](const landfall_memory_spec*, landfall_region**, landfall_memory*,
                    landfall_why*) { return landfall_errc{LANDFALL_ERRC_no_memory}; };
  ops.release = [](landfall_region*) {};
  return ops;
}

landfall_transport_ops good_transport_ops() {
  landfall_transport_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = [](const landfall_domain_spec*, landfall_needs*, landfall_why*) {
    return landfall_errc{0};
  };
  ops.domain_open = [](const landfall_domain_spec*, landfall_domain**, landfall_why*) {
    return landfall_errc{LANDFALL_ERRC_not_supported};
  };
  ops.domain_close = [](landfall_domain*) {};
  ops.queue_open = [](landfall_domain*, const landfall_queue_spec*, landfall_queue**,
                      landfall_why*) { return landfall_errc{LANDFALL_ERRC_not_supported}; };
  ops.queue_stop = [](landfall_queue*) {};
  ops.queue_close = [](landfall_queue*) {};
  ops.poll = [](landfall_queue*, landfall_record*, std::uint32_t, std::uint32_t*) {
    return landfall_errc{0};
  };
  ops.give_back = [](landfall_queue*, const landfall_return*, std::uint32_t) {};
  ops.arm = [](landfall_queue*, std::uint32_t*) { return landfall_errc{0}; };
  ops.wait_fd = [](landfall_queue*) { return std::int32_t{-1}; };
  ops.attach = [](landfall_queue*, std::int32_t, const landfall_flow_spec*, landfall_flow**,
                  landfall_why*) { return landfall_errc{LANDFALL_ERRC_not_supported}; };
  ops.flow_close = [](landfall_queue*, landfall_flow*, std::int32_t) {};
  ops.flow_pause = [](landfall_queue*, landfall_flow*, std::int32_t) { return landfall_errc{0}; };
  return ops;
}

const landfall_memory_ops kMemoryOps = good_memory_ops();
const landfall_transport_ops kTransportOps = good_transport_ops();

landfall_backend memory_backend(const char* name, const landfall_memory_ops* ops = &kMemoryOps) {
  return {sizeof(landfall_backend),
          LANDFALL_ABI_MAJOR,
          LANDFALL_ABI_MINOR,
          LANDFALL_KIND_MEMORY,
          0,
          name,
          "1.0",
          "for tests",
          ops};
}
landfall_backend transport_backend(const char* name, std::uint32_t rank,
                                   const landfall_transport_ops* ops = &kTransportOps) {
  return {sizeof(landfall_backend),
          LANDFALL_ABI_MAJOR,
          LANDFALL_ABI_MINOR,
          LANDFALL_KIND_TRANSPORT,
          rank,
          name,
          "1.0",
          "for tests",
          ops};
}

Context empty_context() {
  return *Context::create({.builtin_backends = false});
}

void expect_refused(const landfall_backend& backend, ReasonCode reason, const char* text) {
  auto context = empty_context();
  auto added = context.add(&backend);
  ASSERT_FALSE(added) << text;
  EXPECT_EQ(added.error().reason(), reason) << added.error().describe();
  EXPECT_THAT(std::string{added.error().cause()}, HasSubstr(text));
  EXPECT_TRUE(context.backends().empty());
}

TEST(Context, TakesWhatKeepsTheRules) {
  auto context = empty_context();
  const auto memory = memory_backend("some-memory-2");
  const auto transport = transport_backend("some-transport", 50);
  ASSERT_TRUE(context.add(&memory));
  ASSERT_TRUE(context.add(&transport));
  const auto infos = context.backends();
  ASSERT_EQ(infos.size(), 2u);
  EXPECT_EQ(infos[0].name, "some-memory-2");
  EXPECT_FALSE(infos[0].is_transport);
  EXPECT_FALSE(infos[0].builtin);
  EXPECT_TRUE(infos[1].is_transport);
}

TEST(Context, RefusesNames) {
  for (const char* name : {"", "Upper", "under_score", "space d", "../x", "\xc3\xa9",
                           "a2345678901234567890123456789012"})
    expect_refused(memory_backend(name), ReasonCode::plugin_malformed, "name");
  expect_refused(memory_backend(nullptr), ReasonCode::plugin_malformed, "name");
}

TEST(Context, RefusesWrongVersionsBeforeReadingFurther) {
  auto other = memory_backend("x");
  other.abi_major = LANDFALL_ABI_MAJOR + 1;
  other.name = reinterpret_cast<const char*>(1);  // read: crash
  expect_refused(other, ReasonCode::plugin_abi_mismatch, "ABI");
  auto small = memory_backend("x");
  small.struct_size = 4;
  expect_refused(small, ReasonCode::plugin_malformed, "struct_size");
  small.struct_size = sizeof small - 1;
  expect_refused(small, ReasonCode::plugin_malformed, "struct_size");
  auto context = empty_context();
  EXPECT_FALSE(context.add(nullptr));
}

TEST(Context, RefusesTextsKindsAndTables) {
  auto bad = memory_backend("x");
  bad.kind = 3;
  expect_refused(bad, ReasonCode::plugin_malformed, "kind");
  bad = memory_backend("x");
  bad.summary = "two\nlines";
  expect_refused(bad, ReasonCode::plugin_malformed, "one line");
  bad = memory_backend("x");
  bad.version = nullptr;
  expect_refused(bad, ReasonCode::plugin_malformed, "one line");
  expect_refused(memory_backend("x", nullptr), ReasonCode::plugin_malformed, "table");
}

TEST(Context, RefusesMissingOperations) {
  auto ops = good_memory_ops();
  ops.release = nullptr;
  expect_refused(memory_backend("x", &ops), ReasonCode::plugin_malformed, "release");
  ops = good_memory_ops();
  ops.struct_size = offsetof(landfall_memory_ops, release);
  expect_refused(memory_backend("x", &ops), ReasonCode::plugin_malformed, "release");
  auto transport = good_transport_ops();
  transport.poll = nullptr;
  expect_refused(transport_backend("x", 1, &transport), ReasonCode::plugin_malformed, "poll");
  transport = good_transport_ops();
  transport.attach = nullptr;
  expect_refused(transport_backend("x", 1, &transport), ReasonCode::plugin_malformed, "attach");
  transport.connect = [](landfall_queue*, const void*, std::uint32_t, const landfall_flow_spec*,
                         landfall_flow**, landfall_why*) { return landfall_errc{1}; };
  expect_refused(transport_backend("x", 1, &transport), ReasonCode::plugin_malformed, "flow_start");
}

TEST(Context, RefusesTheSameTwiceAndTooMany) {
  auto context = empty_context();
  const auto memory = memory_backend("same");
  const auto transport = transport_backend("same", 1);  // another kind: another name space
  ASSERT_TRUE(context.add(&memory));
  ASSERT_TRUE(context.add(&transport));
  EXPECT_EQ(context.add(&memory).error().reason(), ReasonCode::backend_exists);
  std::list<std::string> names;
  std::list<landfall_backend> backends;
  for (std::uint32_t i = 2; i < kBackendsMax; ++i) {
    names.push_back("filler-" + std::to_string(i));
    backends.push_back(memory_backend(names.back().c_str()));
    ASSERT_TRUE(context.add(&backends.back()));
  }
  const auto last = memory_backend("last");
  EXPECT_EQ(context.add(&last).error().code(), Errc::limit_reached);
}

TEST(ContextCore, SortsTransportsByRankAndSourcesByName) {
  auto context = empty_context();
  const auto slow = transport_backend("a-slow", 90);
  const auto fast = transport_backend("z-fast", 10);
  const auto b = memory_backend("b");
  const auto a = memory_backend("a");
  for (const auto* backend : {&slow, &fast, &b, &a}) ASSERT_TRUE(context.add(backend));
  EXPECT_THAT(context.core()->of_kind(LANDFALL_KIND_TRANSPORT),
              ::testing::ElementsAre(&fast, &slow));
  EXPECT_THAT(context.core()->of_kind(LANDFALL_KIND_MEMORY), ::testing::ElementsAre(&a, &b));
  EXPECT_EQ(context.core()->find(LANDFALL_KIND_MEMORY, "b"), &b);
  EXPECT_EQ(context.core()->find(LANDFALL_KIND_TRANSPORT, "b"), nullptr);
}

TEST(ContextCore, CarriesClockEventsAndFaults) {
  std::vector<Reason> events;
  auto context =
      *Context::create({.builtin_backends = false,
                        .on_event = [&](const Reason& why) { events.push_back(why); },
                        .fault = [](std::string_view site) { return site == "x" ? 5 : 0; },
                        .now_ns = [] { return std::uint64_t{42}; }});
  const landfall_host* host = context.core()->host();
  EXPECT_EQ(host->now_ns(host->ctx), 42u);
  EXPECT_EQ(authoring::fault(host, "x"), 5);
  EXPECT_EQ(authoring::fault(host, "y"), 0);
  landfall_why why{};
  why.struct_size = sizeof why;
  why.code = LANDFALL_REASON_memlock_limit;
  host->event(host->ctx, &why);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].code, ReasonCode::memlock_limit);
}

TEST(ContextCore, WithoutOptionsTimeRunsAndNothingFails) {
  auto context = empty_context();
  const landfall_host* host = context.core()->host();
  EXPECT_EQ(host->fault, nullptr);
  const auto before = host->now_ns(host->ctx);
  EXPECT_GT(before, 0u);
  EXPECT_GE(host->now_ns(host->ctx), before);
  const landfall_why why{};
  host->event(host->ctx, &why);
}

TEST(ContextCore, NoExceptionOfTheApplicationCrossesTheAbi) {
  auto context =
      *Context::create({.builtin_backends = false,
                        .on_event = [](const Reason&) { throw std::runtime_error{"event"}; },
                        .fault = [](std::string_view) -> int { throw std::runtime_error{"fault"}; },
                        .now_ns = []() -> std::uint64_t { throw std::runtime_error{"clock"}; }});
  const landfall_host* host = context.core()->host();
  EXPECT_GT(host->now_ns(host->ctx), 0u);
  EXPECT_EQ(host->fault(host->ctx, "x"), EIO);
  const landfall_why why{};
  host->event(host->ctx, &why);
}

}  // namespace
}  // namespace landfall
