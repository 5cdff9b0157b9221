// SPDX-License-Identifier: Apache-2.0
// What the tests of sdk/nic on the software NIC share: lf0, loaded by sdk.sh, and memory for it.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/udmabuf.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "nic/usable.hpp"

namespace landfall::nic::lab {

/// Runs a command; a failure of it is the test's.
inline void run(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}
inline void header_split(const std::string& setting) {
  run(std::string{std::getenv("NIC_TOOL")} + " hds lf0 " + setting);
}
inline void write_fault(const std::string& name, int value) {
  std::ofstream file{"/sys/kernel/debug/landfall_nic/lf0/fault/" + name};
  file << value << std::flush;
  ASSERT_TRUE(file) << name;
}

/// A dma-buf over part of a memfd. Pages of the machine's size, or huge ones.
struct Udmabuf {
  explicit Udmabuf(std::uint64_t size = 1 << 20, unsigned flags = 0)
      : memfd{::memfd_create("lab", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags)} {
    if (::ftruncate(memfd.get(), static_cast<off_t>(size)) == 0 &&
        ::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0)
      fd = over(0, size);
  }
  Fd over(std::uint64_t offset, std::uint64_t size) const {
    const Fd device{::open("/dev/udmabuf", O_RDWR | O_CLOEXEC)};
    udmabuf_create create{};
    create.memfd = static_cast<std::uint32_t>(memfd.get());
    create.flags = UDMABUF_FLAGS_CLOEXEC;
    create.offset = offset;
    create.size = size;
    return Fd{::ioctl(device.get(), UDMABUF_CREATE, &create)};
  }
  Fd memfd, fd;
};

/// lf0 as sdk.sh leaves it, whatever a test did to it.
class SdkOnNic : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_kernel_nic();
    ASSERT_TRUE(opened) << opened.error().describe();
    nic_ = std::move(*opened);
    index_ = ::if_nametoindex("lf0");
    ASSERT_NE(index_, 0u);
    has_threshold_ = state().rings->hds_threshold_max_bytes.has_value();
    split_on();
    run("ethtool -X lf0 equal 2");
  }
  void split_on() { header_split(has_threshold_ ? "on 0" : "on"); }
  NicState state() {
    auto read = nic_->read(index_);
    EXPECT_TRUE(read) << read.error().describe();
    return read ? *read : NicState{};
  }
  InterfaceUse use() {
    auto assessed = assess(*nic_, index_);
    EXPECT_TRUE(assessed) << assessed.error().describe();
    return assessed ? *assessed : InterfaceUse{};
  }
  /// Linux 6.12 has neither a threshold of header split nor page sizes of queues, and tells less.
  bool has_threshold_ = false;
  std::shared_ptr<Nic> nic_;
  std::uint32_t index_ = 0;
};

}  // namespace landfall::nic::lab
