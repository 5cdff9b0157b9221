// SPDX-License-Identifier: Apache-2.0
// What else can have an interface or one of its queues.
#pragma once
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace landfall::lab {

/// A program that passes every packet, attached to the interface until the descriptor is closed.
/// -1, with errno: not.
inline int attach_xdp(std::uint32_t interface_index) {
  const std::array<bpf_insn, 2> program{
      {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}}};
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_XDP;
  load.prog_flags = BPF_F_XDP_HAS_FRAGS;  // others exclude header split
  load.insns = reinterpret_cast<std::uintptr_t>(program.data());
  load.insn_cnt = program.size();
  load.license = reinterpret_cast<std::uintptr_t>("Apache-2.0");
  const auto loaded = static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
  if (loaded < 0) return -1;
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<std::uint32_t>(loaded);
  link.link_create.target_ifindex = interface_index;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_SKB_MODE;
  const auto attached = static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link));
  ::close(loaded);
  return attached;
}

/// An AF_XDP socket, copying, on a queue. -1, with errno: not.
inline int open_xdp_socket(std::uint32_t interface_index, std::uint32_t queue_id) {
  constexpr std::size_t kBytes = 1 << 16;
  const int socket = ::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  void* memory =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (socket < 0 || memory == MAP_FAILED) return -1;
  xdp_umem_reg umem{};
  umem.addr = reinterpret_cast<std::uintptr_t>(memory);
  umem.len = kBytes;
  umem.chunk_size = 4096;
  const int entries = 16;
  const auto set = [&](int option, const void* value, socklen_t size) {
    ::setsockopt(socket, SOL_XDP, option, value, size);
  };
  set(XDP_UMEM_REG, &umem, sizeof umem);
  for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING})
    set(ring, &entries, sizeof entries);
  ::munmap(memory, kBytes);  // the socket holds its pages
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;
  address.sxdp_ifindex = interface_index;
  address.sxdp_queue_id = queue_id;
  if (::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return socket;
  ::close(socket);
  return -1;
}

}  // namespace landfall::lab
