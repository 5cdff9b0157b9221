// SPDX-License-Identifier: Apache-2.0
// Goal: an error keeps what to do, why, where and the kernel's number, and its particulars live for
// the life of the process within a limit.
#include "landfall/base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "landfall/base/limits.hpp"
#include "landfall/base/reason.hpp"

namespace landfall {
namespace {

using ::testing::HasSubstr;

TEST(Error, CauseAndRemedyComeFromTheReasonListUnlessParticularsAreKnown) {
  const Error plain{Errc::not_supported, "open", ReasonCode::no_udmabuf_device, Origin::os, ENOENT};
  EXPECT_EQ(plain.cause(), "there is no /dev/udmabuf");
  EXPECT_EQ(plain.remedy(), "modprobe udmabuf");
  const Error known = plain.with("no such device on host a");
  EXPECT_EQ(known.cause(), "no such device on host a");
  EXPECT_EQ(known.remedy(), "modprobe udmabuf");
  EXPECT_EQ(known.native(), ENOENT);
  EXPECT_EQ(known.reason(), ReasonCode::no_udmabuf_device);
}

TEST(Error, WithoutAReasonTheCodeSpeaks) {
  const Error error{Errc::busy, "Group::close"};
  EXPECT_EQ(error.cause(), text(Errc::busy));
  EXPECT_EQ(error.remedy(), "");
}

TEST(Error, DescribesItselfInOneLine) {
  const Error error{Errc::not_supported, "open", ReasonCode::no_udmabuf_device, Origin::os, ENOENT};
  EXPECT_EQ(error.describe(),
            "open: there is no /dev/udmabuf (ENOENT) [LF1105 no_udmabuf_device]; "
            "try: modprobe udmabuf");
  const Error foreign{Errc::io, "cuInit", ReasonCode::none, Origin::cuda, 100};
  EXPECT_THAT(foreign.describe(), HasSubstr("(cuda 100)"));
  const Error netlink{Errc::busy, "bind-rx", ReasonCode::queue_busy, Origin::netlink, EEXIST};
  EXPECT_THAT(netlink.describe(), HasSubstr("(EEXIST)"));
  EXPECT_EQ(Error(Errc::busy, nullptr).describe(), text(Errc::busy));
  EXPECT_THAT(os_error("x", ReasonCode::none, 9999).describe(), HasSubstr("(os 9999)"));
}

TEST(Error, UnknownNumbersHaveANameToo) {
  EXPECT_EQ(name(Errc::ok), "ok");
  EXPECT_EQ(name(Errc::closed), "closed");
  EXPECT_EQ(name(static_cast<Errc>(200)), "unknown");
  EXPECT_FALSE(text(static_cast<Errc>(200)).empty());
  EXPECT_EQ(name(Origin::resolver), "resolver");
  EXPECT_EQ(name(static_cast<Origin>(99)), "unknown");
}

TEST(Error, ErrnoValuesSayWhatTheCallerCanDo) {
  EXPECT_EQ(errc_from_errno(EACCES), Errc::permission_denied);
  EXPECT_EQ(errc_from_errno(ENOMEM), Errc::no_memory);
  EXPECT_EQ(errc_from_errno(EMFILE), Errc::limit_reached);
  EXPECT_EQ(errc_from_errno(123456), Errc::io);
  EXPECT_EQ(os_error("mmap", ReasonCode::none, ENOMEM).origin(), Origin::os);
}

landfall_why why_of(std::uint32_t code, const char* text, const char* fix) {
  landfall_why why{};
  why.struct_size = sizeof why;
  why.code = code;
  why.origin = LANDFALL_ORIGIN_OS;
  why.native = EINVAL;
  std::snprintf(why.text, sizeof why.text, "%s", text);
  std::snprintf(why.fix, sizeof why.fix, "%s", fix);
  return why;
}

TEST(BackendError, KeepsWhatTheBackendSaid) {
  const auto error = backend_error("allocate", LANDFALL_ERRC_limit_reached,
                                   why_of(LANDFALL_REASON_memlock_limit, "needs 5", "ulimit -l 5"));
  EXPECT_EQ(error.code(), Errc::limit_reached);
  EXPECT_EQ(error.reason(), ReasonCode::memlock_limit);
  EXPECT_EQ(error.native(), EINVAL);
  EXPECT_EQ(error.cause(), "needs 5");
  EXPECT_EQ(error.remedy(), "ulimit -l 5");
}

TEST(BackendError, WithoutParticularsTheListSpeaks) {
  const auto error = backend_error("allocate", LANDFALL_ERRC_limit_reached,
                                   why_of(LANDFALL_REASON_memlock_limit, "", ""));
  EXPECT_EQ(error.cause(), find_reason(ReasonCode::memlock_limit)->text);
}

// Goal: a backend that breaks the ABI's rules still yields a well-formed error.
TEST(BackendError, SurvivesNonsense) {
  EXPECT_EQ(backend_error("poll", 0, why_of(0, "", "")).code(), Errc::io);
  EXPECT_EQ(backend_error("poll", -5, why_of(0, "", "")).code(), Errc::io);
  EXPECT_EQ(backend_error("poll", 999, why_of(0, "", "")).code(), Errc::io);
  auto own = backend_error("poll", LANDFALL_ERRC_busy, why_of(100007, "queue stuck", ""));
  EXPECT_EQ(own.reason(), ReasonCode::none);
  EXPECT_EQ(own.cause(), "code 100007 of the backend: queue stuck");
  landfall_why unterminated = why_of(1105, "", "");
  std::fill_n(unterminated.text, sizeof unterminated.text, 'x');
  unterminated.origin = 77;
  const auto error = backend_error("poll", LANDFALL_ERRC_io, unterminated);
  EXPECT_EQ(error.cause().size(), 255u);
  EXPECT_EQ(error.origin(), Origin::landfall);
}

// Goal: particulars from many threads are kept, equal ones once; past the limit the listed text
// stands and the process does not grow. Last in this file: it fills the table.
TEST(ErrorDetails, AreBoundedAndThreadSafe) {
  const Error base{Errc::busy, "op", ReasonCode::buffers_out};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const auto text = "thread " + std::to_string(t % 2) + " detail " + std::to_string(i);
        EXPECT_EQ(base.with(text).cause(), text);
      }
    });
  for (auto& thread : threads) thread.join();
  const Error early = base.with("thread 0 detail 0");
  for (std::uint32_t i = 0; i < kErrorDetailsMax; ++i)
    EXPECT_FALSE(base.with("filler " + std::to_string(i)).cause().empty());
  EXPECT_EQ(base.with("one too many").cause(), find_reason(ReasonCode::buffers_out)->text);
  EXPECT_EQ(base.with("thread 0 detail 0").cause().data(), early.cause().data());
}

}  // namespace
}  // namespace landfall
