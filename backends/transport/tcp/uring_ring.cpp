// SPDX-License-Identifier: Apache-2.0
#include "tcp/uring_ring.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace landfall::tcp {

landfall_errc UringRing::open(const landfall_host* host, std::uint32_t entries,
                              std::uint32_t completions, std::uint32_t buffers, landfall_why* why) {
  landfall_errc code = Ring::open(host, entries, completions, 0, why);
  if (code == LANDFALL_ERRC_ok) code = register_buffers(buffers, why);
  if (code != LANDFALL_ERRC_ok) close();
  return code;
}

landfall_errc UringRing::register_buffers(std::uint32_t buffers, landfall_why* why) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  buffers_bytes_ = (buffers * sizeof(io_uring_buf) + page - 1) / page * page;
  int number = fault("mmap");
  void* at = number != 0 ? MAP_FAILED
                         : ::mmap(nullptr, buffers_bytes_, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    return authoring::refuse_os(why, "mmap", LANDFALL_REASON_out_of_memory,
                                number != 0 ? number : errno);
  }
  ::madvise(at, buffers_bytes_, MADV_DONTFORK);
  buffers_ = static_cast<io_uring_buf_ring*>(at);
  io_uring_buf_ring_init(buffers_);
  buffer_mask_ = io_uring_buf_ring_mask(buffers);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(at);
  registration.ring_entries = buffers;
  registration.bgid = 0;
  number = fault("io_uring_register");
  if (number == 0) number = -io_uring_register_buf_ring(raw(), &registration, 0);
  return number == 0 ? LANDFALL_ERRC_ok : refuse_register(why, "IORING_REGISTER_PBUF_RING", number);
}

void UringRing::close() noexcept {
  Ring::close();
  // The kernel has the pages of the buffer ring pinned as long as it needs them.
  if (buffers_ != nullptr) ::munmap(buffers_, buffers_bytes_);
  buffers_ = nullptr;
}

}  // namespace landfall::tcp
