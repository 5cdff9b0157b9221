// SPDX-License-Identifier: Apache-2.0
// Goal: the source dmabuf takes dma-bufs and nothing else. What it does with a real one is in
// udmabuf_source_test and dma_heap_source_test: only their devices make one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "landfall/base/units.hpp"
#include "landfall_test/memory_source.hpp"

namespace landfall {
namespace {

using test::kGoodSeals;
using test::memfd_of;
using test::refused;
using ::testing::HasSubstr;

class DmabufSource : public test::MemorySourceTest {};

TEST_F(DmabufSource, RefusesWhatIsNoDmabuf) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd pipe_in{ends[0]};
  const Fd pipe_out{ends[1]};
  const Fd memfd = memfd_of(1_MiB, kGoodSeals);
  const Fd folder{::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const Fd device{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  for (const Fd* fd : {&pipe_in, &memfd, &folder, &device}) {
    const Error error = refused(context_, {.source = "dmabuf", .adopt = fd->get()});
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_EQ(error.reason(), ReasonCode::not_a_dmabuf);
    EXPECT_THAT(std::string{error.cause()}, HasSubstr(std::to_string(fd->get())));
  }
  EXPECT_EQ(refused(context_, {.source = "dmabuf", .adopt = 12345}).reason(),
            ReasonCode::not_a_dmabuf);
}

TEST_F(DmabufSource, MakesNoMemoryOfItsOwn) {
  const Error error = refused(context_, {.source = "dmabuf", .size_bytes = 1_MiB});
  EXPECT_EQ(error.reason(), ReasonCode::not_a_dmabuf);
  EXPECT_THAT(std::string{error.remedy()}, HasSubstr("RegionSpec::adopt"));
}

TEST_F(DmabufSource, RefusesFieldsThatItCannotHonour) {
  const Fd memfd = memfd_of(1_MiB, kGoodSeals);
  for (const RegionSpec& spec :
       {RegionSpec{.source = "dmabuf", .locked = true, .adopt = memfd.get()},
        RegionSpec{.source = "dmabuf", .populated = true, .adopt = memfd.get()},
        RegionSpec{.source = "dmabuf", .page_bytes = 2_MiB, .adopt = memfd.get()}})
    EXPECT_EQ(refused(context_, spec).reason(), ReasonCode::spec_not_understood);
}

}  // namespace
}  // namespace landfall
