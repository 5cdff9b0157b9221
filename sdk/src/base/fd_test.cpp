// SPDX-License-Identifier: Apache-2.0
// Goal: a descriptor is closed once, whatever is moved where.
#include "landfall/base/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "landfall_test/census.hpp"

namespace landfall {
namespace {

Fd some_fd() {
  return Fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}
bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(Fd, ClosesOnce) {
  test::FdCensus fds;
  {
    Fd a = some_fd();
    ASSERT_TRUE(a);
    Fd b = std::move(a);
    EXPECT_FALSE(a);  // NOLINT: moved from is empty, by contract
    Fd c = some_fd();
    const int old = c.get();
    c = std::move(b);
    EXPECT_FALSE(is_open(old));
    Fd& self = c;
    c = std::move(self);
    EXPECT_TRUE(is_open(c.get()));
    Fd given{c.release()};
    EXPECT_FALSE(c);
    given.reset();
    given.reset();
  }
  EXPECT_EQ(fds.leaked(), 0);
}

TEST(Fd, DuplicatesWithCloseOnExec) {
  test::FdCensus fds;
  {
    const Fd original = some_fd();
    auto copy = Fd::duplicate(original.get());
    ASSERT_TRUE(copy);
    EXPECT_NE(copy->get(), original.get());
    EXPECT_EQ(::fcntl(copy->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  auto none = Fd::duplicate(-1);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().native(), EBADF);
  EXPECT_EQ(fds.leaked(), 0);
}

TEST(Fd, NamesTheLimitOfDescriptors) {
  const Fd original = some_fd();
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit tight = old;
  tight.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  auto copy = Fd::duplicate(original.get());
  ::setrlimit(RLIMIT_NOFILE, &old);
  ASSERT_FALSE(copy);
  EXPECT_EQ(copy.error().code(), Errc::limit_reached);
  EXPECT_EQ(copy.error().reason(), ReasonCode::nofile_limit);
}

}  // namespace
}  // namespace landfall
