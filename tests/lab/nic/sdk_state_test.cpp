// SPDX-License-Identifier: Apache-2.0
// Goal: what is read of an interface is what was set there, and each reason against a queue turns
// up when its cause is there, and goes with it.
#include <gmock/gmock.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

#include "nic/binding.hpp"
#include "sdk_rig.hpp"

namespace landfall::nic::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<ReasonCode> codes(const std::vector<Reason>& reasons) {
  std::vector<ReasonCode> result;
  for (const Reason& reason : reasons) result.push_back(reason.code);
  return result;
}

/// A program that passes every packet, attached to lf0 until this is closed.
Fd attach_xdp(std::uint32_t index) {
  const std::array<bpf_insn, 2> program{
      {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}}};
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_XDP;
  load.prog_flags = BPF_F_XDP_HAS_FRAGS;  // others exclude header split
  load.insns = reinterpret_cast<std::uintptr_t>(program.data());
  load.insn_cnt = program.size();
  load.license = reinterpret_cast<std::uintptr_t>("Apache-2.0");
  const Fd loaded{static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load))};
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<std::uint32_t>(loaded.get());
  link.link_create.target_ifindex = index;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_SKB_MODE;
  return Fd{static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link))};
}

/// An AF_XDP socket, copying, on a queue of lf0.
class XdpSocket {
 public:
  XdpSocket(std::uint32_t index, std::uint32_t queue_id)
      : socket_{::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)},
        memory_{
            ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)} {
    xdp_umem_reg umem{};
    umem.addr = reinterpret_cast<std::uintptr_t>(memory_);
    umem.len = kBytes;
    umem.chunk_size = 4096;
    const int entries = 16;
    set(XDP_UMEM_REG, &umem, sizeof umem);
    for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING})
      set(ring, &entries, sizeof entries);
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_flags = XDP_COPY;
    address.sxdp_ifindex = index;
    address.sxdp_queue_id = queue_id;
    bound_ = ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  XdpSocket(const XdpSocket&) = delete;
  XdpSocket& operator=(const XdpSocket&) = delete;
  ~XdpSocket() {
    socket_.reset();
    ::munmap(memory_, kBytes);
  }
  bool bound() const { return bound_; }

 private:
  static constexpr std::size_t kBytes = 1 << 16;
  void set(int option, const void* value, socklen_t size) {
    ::setsockopt(socket_.get(), SOL_XDP, option, value, size);
  }
  Fd socket_;
  void* memory_ = nullptr;
  bool bound_ = false;
};

using SdkState = SdkOnNic;

TEST_F(SdkState, ReadsWhatWasSet) {
  run("ethtool -G lf0 rx 512");
  run("ethtool -L lf0 combined 5");
  run("ethtool -X lf0 equal 3");
  const std::uint32_t rules_before = state().rule_table->rules;
  run("ethtool -N lf0 flow-type tcp4 dst-port 9 action 1 >/dev/null");
  const NicState found = state();
  EXPECT_EQ(found.name, "lf0");
  EXPECT_TRUE(found.up && found.carrier);
  EXPECT_FALSE(found.bus.empty());
  EXPECT_EQ(found.mtu_bytes, 4148u);
  ASSERT_TRUE(found.rings && found.channels);
  EXPECT_EQ(found.rings->rx, 512u);
  EXPECT_EQ(found.rings->header_split, HeaderSplit::on);
  EXPECT_EQ(found.channels->combined, 5u);
  EXPECT_EQ(found.ntuple, true);
  EXPECT_EQ(found.gro_hw, true);
  ASSERT_FALSE(found.rss.empty());
  EXPECT_EQ(found.rss[0].table.size(), 128u);
  EXPECT_EQ(std::ranges::max(found.rss[0].table), 2u);
  EXPECT_FALSE(found.rss[0].key.empty());
  ASSERT_EQ(found.queues.size(), 5u);
  for (std::uint32_t id = 0; id < 5; ++id) {
    EXPECT_EQ(found.queues[id].id, id);
    EXPECT_NE(found.queues[id].napi_id, 0u);
  }
  EXPECT_GE(found.pools.size(), 5u);
  EXPECT_EQ(found.rule_table->rules, rules_before + 1);
  EXPECT_TRUE(found.rule_table->picks_location);
  EXPECT_TRUE(found.kernel_binds_rx);

  run("ethtool -X lf0 context new equal 2 >/dev/null");
  EXPECT_EQ(state().rss.size(), 2u);
  EXPECT_EQ(state().rss[1].id, 1u);
  run("ethtool -X lf0 context 1 delete");
  run("ethtool -N lf0 delete 0");
  run("ethtool -K lf0 rx-gro-hw off");
  EXPECT_EQ(state().gro_hw, false);
  run("ethtool -K lf0 rx-gro-hw on");
  run("ethtool -X lf0 equal 2");
  run("ethtool -L lf0 combined 4");
  run("ethtool -G lf0 rx 256");
}

TEST_F(SdkState, FindsTheInterfaces) {
  const auto names = nic_->interfaces();
  ASSERT_TRUE(names);
  EXPECT_TRUE(std::ranges::any_of(*names, [](const auto& one) { return one.name == "lf0"; }));
  EXPECT_EQ(names->front().name, "lo");
  const auto gone = nic_->read(9999);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().reason(), ReasonCode::interface_unknown);
}

TEST_F(SdkState, QueuesOutsideTheTableAreUsable) {
  const InterfaceUse found = use();
  EXPECT_THAT(codes(found.reasons), IsEmpty());
  ASSERT_EQ(found.queues.size(), 4u);
  EXPECT_THAT(codes(found.queues[1].reasons), ElementsAre(ReasonCode::queue_in_rss));
  EXPECT_TRUE(found.usable(found.queues[3]));
  // The remedy is a command: it helps as it stands.
  run(found.queues[1].reasons[0].fix);
  EXPECT_TRUE(use().queues[1].reasons.empty());
  run(use().queues[0].reasons[0].fix);
  EXPECT_TRUE(use().queues[0].reasons.empty());
}

TEST_F(SdkState, NamesEachReasonOfTheInterface) {
  header_split("off");
  EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::header_split_off));
  if (has_threshold_) {
    header_split("on 100");
    EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::hds_threshold));
  }
  split_on();
  run("ethtool -K lf0 ntuple off");
  EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::ntuple_off));
  run(use().reasons[0].fix);
  {
    const Fd xdp = attach_xdp(index_);
    ASSERT_TRUE(xdp);
    EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::xdp_attached));
    const Udmabuf memory;
    const std::uint32_t queues[] = {3};
    const auto refused = nic_->bind_rx({index_, queues, memory.fd.get(), 0});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason(), ReasonCode::xdp_attached);
  }
  EXPECT_THAT(codes(use().reasons), IsEmpty());
}

TEST_F(SdkState, NamesWhoHasAQueue) {
  const Udmabuf memory;
  const std::uint32_t queues[] = {3};
  {
    const auto binding = Binding::open(*nic_, {index_, queues, memory.fd.get(), 0});
    ASSERT_TRUE(binding) << binding.error().describe();
    const auto found = use();
    ASSERT_THAT(codes(found.queues[3].reasons), ElementsAre(ReasonCode::queue_busy));
    EXPECT_THAT(found.queues[3].reasons[0].text,
                HasSubstr("binding " + std::to_string(binding->dmabuf_id())));
    EXPECT_TRUE(std::ranges::any_of(found.state.pools, [&](const PagePool& pool) {
      return pool.dmabuf_id == binding->dmabuf_id();
    }));
  }
  EXPECT_TRUE(use().queues[3].reasons.empty());
  const XdpSocket socket{index_, 3};
  ASSERT_TRUE(socket.bound());
  if (has_threshold_) {  // Linux 6.12 does not list AF_XDP
    const auto found = use();
    ASSERT_THAT(codes(found.queues[3].reasons), ElementsAre(ReasonCode::queue_busy));
    EXPECT_THAT(found.queues[3].reasons[0].text, HasSubstr("AF_XDP"));
  }
  const auto refused = nic_->bind_rx({index_, queues, memory.fd.get(), 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), ReasonCode::queue_busy);
}

TEST_F(SdkState, FindsByTrialWhoCannot) {
  run("ip link add lab0 type dummy && ip link add lab1 type veth peer name lab2");
  for (const char* name : {"lab0", "lab1"}) {
    const auto found = assess(*nic_, ::if_nametoindex(name));
    ASSERT_TRUE(found);
    EXPECT_THAT(codes(found->reasons), ElementsAre(ReasonCode::no_memory_provider)) << name;
  }
  run("ip link del lab0 && ip link del lab1");
}

}  // namespace
}  // namespace landfall::nic::lab
