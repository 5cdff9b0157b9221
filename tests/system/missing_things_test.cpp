// SPDX-License-Identifier: Apache-2.0
// Machines that lack things, made in children: what landfall says, and what still works.
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "child.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

/// One way in which a machine is poor.
struct Lack {
  const char* name;
  bool (*make)();     // in the child; false: cannot be made here
  const char* check;  // what doctor calls it
  const char* code;   // and its reason
  bool needs_root = true;
};

bool limit(decltype(RLIMIT_MEMLOCK) which, rlim_t value) {
  const rlimit limits{value, value};
  return ::setrlimit(which, &limits) == 0;
}

bool own_mounts() {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// A sysctl of the whole machine, for a moment: tests that change it run alone.
class Sysctl {
 public:
  Sysctl(std::string path, const std::string& value) : path_{std::move(path)} {
    std::getline(std::ifstream{path_}, before_);
    std::ofstream{path_} << value;
    std::string now;
    std::getline(std::ifstream{path_}, now);
    holds_ = now == value;
  }
  Sysctl(const Sysctl&) = delete;
  Sysctl& operator=(const Sysctl&) = delete;
  ~Sysctl() {
    if (!before_.empty()) std::ofstream{path_} << before_;
  }
  bool holds() const { return holds_; }

 private:
  std::string path_, before_;
  bool holds_ = false;
};

bool little_memlock() {
  drop_capability(CAP_IPC_LOCK);
  return limit(RLIMIT_MEMLOCK, 8u << 20);
}
bool no_devices() {
  return own_mounts() && ::mount("none", "/dev", "tmpfs", 0, nullptr) == 0;
}
bool no_hugepages() {
  const std::string root = "/sys/kernel/mm/hugepages";
  if (!own_mounts() || ::mount("none", root.c_str(), "tmpfs", 0, nullptr) != 0) return false;
  const std::string pool = root + "/hugepages-2048kB";
  ::mkdir(pool.c_str(), 0755);
  for (const char* name : {"nr_hugepages", "free_hugepages", "resv_hugepages"}) {
    std::ofstream{pool + "/" + name} << 0;
  }
  return true;
}
bool no_user_namespaces() {
  if (::unshare(CLONE_NEWUSER) != 0) return false;
  std::ofstream file{"/proc/sys/user/max_user_namespaces"};
  return static_cast<bool>(file << 0 << std::flush);
}

const Lack kLacks[] = {
    {"io_uring_hidden", [] { return refuse_io_uring(ENOSYS); }, "io_uring", "LF1002", false},
    {"io_uring_forbidden", [] { return refuse_io_uring(EPERM); }, "io_uring", "LF1002", false},
    {"little_memlock", little_memlock, "memlock", "LF1004", false},
    {"few_files", [] { return limit(RLIMIT_NOFILE, 200); }, "nofile", "LF1005", false},
    {"no_udmabuf", no_devices, "udmabuf", "LF1105"},
    {"no_dma_heap", no_devices, "dma-heap", "LF1107"},
    {"no_hugepages", no_hugepages, "hugepages-2M", "LF1103"},
    {"no_user_namespaces", no_user_namespaces, "userns", "LF1011"},
};

constexpr int kCannotMake = 77;

class Missing : public testing::TestWithParam<Lack> {};
void PrintTo(const Lack& lack, std::ostream* out) {
  *out << lack.name;
}

/// Receives a little over tcp, however it can. 0: it came.
int receive_something() {
  Result<Rig> rig = open_rig({"tcp", "tcp", ""});
  if (!rig) {
    std::printf("%s\n", rig.error().describe().c_str());
    return 1;
  }
  const auto at = rig->group.listen({"127.0.0.1", 0});
  if (!at) return 2;
  Collector collector{rig->receiver()};
  StreamSender sender{*at, 0, 1u << 20};
  collector.run_until([&] { return collector.count(&Stream::ended) == 1; });
  return collector.total_received() == 1u << 20 ? 0 : 3;
}

// Goal: doctor names each thing that is missing, with its code and a way to mend it, and does not
// call the machine unfit for it.
TEST_P(Missing, DoctorNamesIt) {
  if (GetParam().needs_root && ::geteuid() != 0) GTEST_SKIP() << "needs root";
  const ChildResult doctor = in_child([] {
    if (!GetParam().make()) return kCannotMake;
    return become({LANDFALL_CLI, "doctor", "--json"});
  });
  if (doctor.status == kCannotMake) GTEST_SKIP() << "cannot make it here: " << GetParam().name;
  const auto json = nlohmann::json::parse(doctor.output, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << doctor.output;
  bool found = false;
  for (const auto& check : json["checks"]) {
    if (check["name"] != GetParam().check) continue;
    found = true;
    EXPECT_NE(check["status"], "PASS") << check;
    EXPECT_EQ(check["code"], GetParam().code) << check;
    EXPECT_NE(check["fix"], "") << check;
  }
  EXPECT_TRUE(found) << doctor.output;
}

// Goal: tcp receives all the same: it falls back from io_uring to recv, and needs none of the rest.
TEST_P(Missing, TcpReceivesAllTheSame) {
  if (GetParam().needs_root && ::geteuid() != 0) GTEST_SKIP() << "needs root";
  const ChildResult child = in_child([] {
    if (!GetParam().make()) return kCannotMake;
    return receive_something();
  });
  if (child.status == kCannotMake) GTEST_SKIP() << "cannot make it here: " << GetParam().name;
  EXPECT_EQ(child.status, 0) << child.output;
}

INSTANTIATE_TEST_SUITE_P(Lacks, Missing, testing::ValuesIn(kLacks),
                         [](const auto& which) { return which.param.name; });

/// What asking for io_uring and nothing else answers under `make`.
std::string refusal(const std::function<bool()>& make) {
  return in_child([&] {
           if (!make()) return kCannotMake;
           const Result<Rig> rig = open_rig({"tcp", "tcp", "engine=io_uring"});
           std::printf("%s", rig ? "opened" : reason_id(rig.error().reason()).c_str());
           return 0;
         })
      .output;
}

// Goal: who insists on io_uring is told why not, and does not get recv in its place.
TEST(Missing, IoUringIsNotReplacedWhereItIsDemanded) {
  if (refusal([] { return true; }) != "opened") GTEST_SKIP() << "tcp has no io_uring here";
  EXPECT_EQ(refusal([] { return refuse_io_uring(ENOSYS); }), "LF1002");
  EXPECT_EQ(refusal([] { return refuse_io_uring(EPERM); }), "LF1002");
}

// Goal: the same with the sysctl, in both its settings; doctor gives the command that mends it.
TEST(Missing, IoUringSwitchedOffBySysctl) {
  constexpr const char* kPath = "/proc/sys/kernel/io_uring_disabled";
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  if (::access(kPath, W_OK) != 0) GTEST_SKIP() << "needs the sysctl kernel.io_uring_disabled";
  const bool built_in = refusal([] { return true; }) == "opened";
  for (const char* value : {"1", "2"}) {
    const auto unprivileged = [] {
      drop_capability(CAP_SYS_ADMIN);
      return true;
    };
    const Sysctl off{kPath, value};
    ASSERT_TRUE(off.holds());
    const std::string refused = refusal(unprivileged);
    const ChildResult received = in_child([&] {
      unprivileged();
      return receive_something();
    });
    const ChildResult doctor = in_child([&] {
      unprivileged();
      return become({LANDFALL_CLI, "doctor", "--json"});
    });
    EXPECT_EQ(received.status, 0) << received.output;
    EXPECT_NE(doctor.output.find("LF1003"), std::string::npos) << doctor.output;
    EXPECT_NE(doctor.output.find("sysctl kernel.io_uring_disabled=0"), std::string::npos);
    if (built_in) {
      EXPECT_EQ(refused, "LF1003");
    }
  }
}

// Goal: a contract that nothing here can keep is refused as such, with status 69.
TEST(Missing, RequireDirectIsRefused) {
  const ChildResult recv = in_child([] {
    return become({LANDFALL_CLI, "recv", "--listen", "127.0.0.1:0", "--to", "-", "--contract",
                   "require-direct", "--transport", "tcp"});
  });
  EXPECT_EQ(recv.status, 69) << recv.output;
  EXPECT_NE(recv.output.find("LF1203"), std::string::npos) << recv.output;
}

/// What allocating `spec` answers under `make`: the reason and the text.
/// What became of a Region where `make` took something away; "cannot make it here" where it could
/// not be taken away.
std::string allocation(const std::function<bool()>& make, const RegionSpec& spec) {
  const ChildResult child = in_child([&] {
    if (!make()) return kCannotMake;
    auto context = Context::create();
    const auto region = Region::allocate(*context, spec);
    std::printf("%s", region ? "allocated" : region.error().describe().c_str());
    return 0;
  });
  return child.status == kCannotMake ? "cannot make it here" : child.output;
}

// Goal: each refusal of memory names the limit that is in the way, and how much it is.
TEST(Missing, MemoryNamesItsLimits) {
  RegionSpec spec;
  spec.size_bytes = 16u << 20;
  spec.locked = true;
  const std::string locked = allocation(little_memlock, spec);
  EXPECT_NE(locked.find("LF1004"), std::string::npos) << locked;
  EXPECT_NE(locked.find("8388608"), std::string::npos) << locked;
  EXPECT_NE(locked.find("ulimit -l"), std::string::npos) << locked;
  spec.size_bytes = 4u << 20;
  EXPECT_EQ(allocation(little_memlock, spec), "allocated");

  spec = {.source = "host", .size_bytes = 16u << 20, .memfd = true};
  const std::string file = allocation(
      [] {
        ::signal(SIGXFSZ, SIG_IGN);
        return limit(RLIMIT_FSIZE, 1u << 20);
      },
      spec);
  EXPECT_NE(file.find("LF1012"), std::string::npos) << file;
  EXPECT_NE(file.find("1048576"), std::string::npos) << file;
}

// Goal: memory that the host does not have is refused by name, with the command that brings it.
TEST(Missing, MemoryNamesWhatTheHostLacks) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  RegionSpec spec{.source = "hugepage", .size_bytes = 2u << 20};
  const std::string huge = allocation(no_hugepages, spec);
  if (huge == "cannot make it here") {
    GTEST_SKIP() << "needs a mount namespace whose root can be made private (not in a chroot)";
  }
  EXPECT_NE(huge.find("LF1103"), std::string::npos) << huge;
  EXPECT_NE(huge.find("nr_hugepages"), std::string::npos) << huge;
  spec.source = "udmabuf";
  const std::string udmabuf = allocation(no_devices, spec);
  EXPECT_NE(udmabuf.find("LF1105"), std::string::npos) << udmabuf;
}

// Goal: sizes that are no sizes are refused by every source with words, not by the kernel.
TEST(Missing, MemoryOfWrongSizeIsRefused) {
  auto context = Context::create();
  ASSERT_TRUE(context);
  char* const odd = reinterpret_cast<char*>(0x10001);
  const RegionSpec kWrong[] = {
      {.source = "host", .size_bytes = 0},
      {.source = "host", .size_bytes = 4097},
      {.source = "host", .size_bytes = ~std::uint64_t{0}},
      {.source = "host", .size_bytes = std::uint64_t{1} << 63},
      {.source = "host", .size_bytes = 4096, .page_bytes = 12345},
      {.source = "host", .size_bytes = 4096, .borrow = odd},
      {.source = "hugepage", .size_bytes = 4096},
      {.source = "hugepage", .size_bytes = 3u << 20, .page_bytes = 3u << 20},
      {.source = "udmabuf", .size_bytes = 100},
  };
  for (const RegionSpec& spec : kWrong) {
    const auto region = Region::allocate(*context, spec);
    ASSERT_FALSE(region) << spec.source << " " << spec.size_bytes;
    EXPECT_NE(region.error().reason(), ReasonCode::none) << region.error().describe();
    EXPECT_NE(region.error().remedy(), "") << region.error().describe();
  }
}

// Goal: a Group that finds no descriptor left says so and leaves the Region to the caller, who can
// try again.
TEST(Missing, AGroupWithoutDescriptorsSaysSo) {
  const ChildResult child = in_child([] {
    auto context = Context::create();
    auto region = Region::allocate(*context, {.size_bytes = 1u << 20});
    if (!region || !limit(RLIMIT_NOFILE, 3)) return 1;
    GroupOptions options;
    options.transports = {"tcp"};
    const auto group = Group::open(*context, options, *region);
    std::printf("%s", group ? "opened" : group.error().describe().c_str());
    return *region ? 0 : 2;
  });
  EXPECT_EQ(child.status, 0) << child.output;
  EXPECT_NE(child.output.find("EMFILE"), std::string::npos) << child.output;
}

}  // namespace
}  // namespace landfall::test
