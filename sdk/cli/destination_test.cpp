// SPDX-License-Identifier: Apache-2.0
// Where objects are written: what several streams of one transfer do to the same directory.
#include "destination.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace landfall::cli {
namespace {

class ADestination : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "destination.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    auto opened = Destination::open(root_ + "/");
    ASSERT_TRUE(opened) << opened.error().describe();
    destination_.emplace(std::move(*opened));
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write_file(const std::string& name) {
    ObjectHead head;
    head.name = name;
    auto file = destination_->begin(head);
    ASSERT_TRUE(file) << file.error().describe();
    ASSERT_TRUE((*file)->finish(0));
  }
  void make_directory(const std::string& name, std::uint32_t mode) {
    ObjectHead head;
    head.name = name;
    head.mode = mode;
    head.kind = ObjectKind::directory;
    ASSERT_TRUE(destination_->make_directory(kTransfer, head));
  }
  unsigned mode_of(const std::string& name) const {
    struct stat st {};
    EXPECT_EQ(::stat((root_ + "/" + name).c_str(), &st), 0);
    return st.st_mode & 07777u;
  }

  static constexpr std::uint64_t kTransfer = 7;
  std::string root_;
  std::optional<Destination> destination_;
};

// Goal: a directory has its mode also where a file in it came first, on another stream.
TEST_F(ADestination, GivesADirectoryItsModeAlsoAfterItsFiles) {
  write_file("a/b/file");
  make_directory("a", 0750);
  make_directory("a/b", 0700);
  EXPECT_EQ(mode_of("a"), 0750u);
  EXPECT_EQ(mode_of("a/b"), 0700u);
}

// Goal: what was there before is left as it is.
TEST_F(ADestination, LeavesADirectoryThatWasThere) {
  ASSERT_EQ(::mkdir((root_ + "/old").c_str(), 0711), 0);
  make_directory("old", 0700);
  EXPECT_EQ(mode_of("old"), 0711u);
}

// Goal: directories that may not be written are sealed when all streams of their transfer have
// ended, not with the first.
TEST_F(ADestination, SealsDirectoriesAfterTheLastStream) {
  make_directory("read_only", 0555);
  StreamHead stream;
  stream.transfer_id = kTransfer;
  stream.stream_count = 2;
  ASSERT_TRUE(destination_->end_stream(stream));
  EXPECT_EQ(mode_of("read_only"), 0755u);
  write_file("read_only/late");
  ASSERT_TRUE(destination_->end_stream(stream));
  EXPECT_EQ(mode_of("read_only"), 0555u);
}

}  // namespace
}  // namespace landfall::cli
