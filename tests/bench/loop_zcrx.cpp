// SPDX-License-Identifier: Apache-2.0
// The limit of io_uring zero-copy receive: a multishot receive, and each piece back into the refill
// ring at once. interface=NAME queue=N bytes=N; header split is on and a rule steers to the queue
// already.
#include <net/if.h>
#include <sys/syscall.h>

#include "harness.hpp"
#include "landfall/uapi/zcrx.hpp"
#include "uring/abi.hpp"

namespace {

namespace zcrx = landfall::uapi::zcrx;
constexpr std::uint32_t kEntries = 8192;

template <class T>
std::uint64_t address_of(T* object) {
  return reinterpret_cast<std::uint64_t>(object);
}
void* map(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) bench::die("mmap");
  return at;
}

}  // namespace

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  bench::pin(1);
  io_uring ring;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQE32 | IORING_SETUP_CQSIZE;
  params.cq_entries = 4096;
  if (io_uring_queue_init_params(8, &ring, &params) != 0) bench::die("io_uring_setup");
  constexpr std::size_t kRingBytes = kEntries * sizeof(zcrx::Rqe) + 4096;
  auto* const memory = static_cast<std::byte*>(map(kRingBytes));
  zcrx::Area area{};
  area.address = address_of(map(bench::kRegion));
  area.length = bench::kRegion;
  zcrx::Region region{};
  region.address = address_of(memory);
  region.size = kRingBytes;
  region.flags = zcrx::kRegionUser;
  zcrx::Ifq queue{};
  queue.interface_index = ::if_nametoindex(arguments.text("interface", "lf0").c_str());
  queue.queue_id = static_cast<std::uint32_t>(arguments.number("queue", 0));
  queue.rq_entries = kEntries;
  queue.area = address_of(&area);
  queue.region = address_of(&region);
  if (::syscall(__NR_io_uring_register, ring.ring_fd, zcrx::kRegisterIfq, &queue, 1) < 0)
    bench::die("IORING_REGISTER_ZCRX_IFQ");
  auto* const entries = reinterpret_cast<zcrx::Rqe*>(memory + queue.offsets.rqes);
  auto* const shared_tail = reinterpret_cast<std::uint32_t*>(memory + queue.offsets.tail);

  const int fd = bench::accept_one(bench::listen_anywhere(INADDR_ANY));
  bench::tell_ready();
  bench::Meter meter{arguments.number("bytes", 4ull << 30)};
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  io_uring_prep_rw(zcrx::kOpRecvZc, sqe, fd, nullptr, 0, 0);
  sqe->ioprio = IORING_RECV_MULTISHOT;
  std::uint32_t tail = 0;
  for (bool more = true; more;) {
    if (io_uring_submit_and_wait(&ring, 1) < 0) bench::die("io_uring_enter");
    unsigned head = 0, done = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring, head, cqe) {
      if (cqe->res <= 0) bench::die("receive");
      entries[tail++ % kEntries] = {cqe->big_cqe[0], static_cast<std::uint32_t>(cqe->res), 0};
      more = meter.count(static_cast<std::uint64_t>(cqe->res)) && more;
      ++done;
    }
    __atomic_store_n(shared_tail, tail, __ATOMIC_RELEASE);
    io_uring_cq_advance(&ring, done);
  }
  meter.report("4 KiB");
}
