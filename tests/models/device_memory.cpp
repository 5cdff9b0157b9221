// SPDX-License-Identifier: Apache-2.0
#include "models/device_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"

namespace landfall::test {

struct DeviceStream::Fences {
  std::mutex mutex;
  std::uint64_t recorded = 0, passed = 0;
  bool lost = false;
  struct Waiter {
    std::uint64_t number;
    Fd event;
  };
  std::vector<Waiter> waiters;
};

struct DeviceFence {
  static landfall_fence* record(DeviceStream& stream) {
    auto made = std::make_unique<DeviceFence>();
    made->stream = stream.fences_;
    const std::lock_guard lock{made->stream->mutex};
    made->number = ++made->stream->recorded;
    return reinterpret_cast<landfall_fence*>(made.release());
  }
  std::int32_t done() const {
    const std::lock_guard lock{stream->mutex};
    if (stream->passed < number) return 0;
    return stream->lost ? -LANDFALL_ERRC_io : 1;
  }
  landfall_errc arm(int event_fd) const {
    Fd event{::fcntl(event_fd, F_DUPFD_CLOEXEC, 0)};
    if (!event) return LANDFALL_ERRC_limit_reached;
    const std::lock_guard lock{stream->mutex};
    if (stream->passed >= number)
      write_one(event);
    else
      stream->waiters.push_back({number, std::move(event)});
    return LANDFALL_ERRC_ok;
  }
  static void write_one(const Fd& event) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
  }

  std::shared_ptr<DeviceStream::Fences> stream;
  std::uint64_t number = 0;
};

DeviceStream::DeviceStream() : fences_{std::make_shared<Fences>()} {}
DeviceStream::~DeviceStream() = default;

void DeviceStream::finish(bool lost) {
  const std::lock_guard lock{fences_->mutex};
  fences_->passed = fences_->recorded;
  fences_->lost = lost;
  for (const Fences::Waiter& waiter : fences_->waiters) DeviceFence::write_one(waiter.event);
  fences_->waiters.clear();
}

namespace {

using namespace landfall::authoring;

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kFirstAddress = 0xd000'0000'0000;  // canonical, and nothing is mapped there

struct Allocation {
  int fd = -1;
  std::byte* view = nullptr;
  std::uint64_t size_bytes = 0;
  std::uint64_t device_address = 0;  // 0: a companion

  ~Allocation() {
    if (view != nullptr) ::munmap(view, size_bytes);
    if (fd >= 0) ::close(fd);
  }
};

struct Device {
  std::mutex mutex;
  std::map<std::uint64_t, const Allocation*> by_address;
  std::uint64_t next_address = kFirstAddress;
};

Device& device() {
  static Device the_device;
  return the_device;
}

Allocation* own(landfall_region* region) {
  return reinterpret_cast<Allocation*>(region);
}

landfall_errc check(const landfall_memory_spec* spec, landfall_why* why) {
  if (spec->size_bytes == 0 || spec->size_bytes % kPageBytes != 0)
    return refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_size_not_whole_pages);
  if (spec->fd >= 0 || spec->address != 0 || (spec->flags & LANDFALL_WANT_MEMFD) != 0)
    return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_spec_not_understood,
                  LANDFALL_ORIGIN_LANDFALL, 0, "device-memory neither adopts nor borrows");
  return LANDFALL_ERRC_ok;
}

landfall_errc map_memfd(const landfall_host* host, std::uint64_t size_bytes, Allocation& made,
                        landfall_why* why) {
  made.size_bytes = size_bytes;
  int failed = fault(host, "memfd_create");
  if (failed == 0) {
    made.fd = ::memfd_create("landfall-device-memory", MFD_CLOEXEC);
    if (made.fd < 0 || ::ftruncate(made.fd, static_cast<off_t>(size_bytes)) != 0) failed = errno;
  }
  if (failed != 0) return refuse_os(why, "memfd_create", LANDFALL_REASON_none, failed);
  failed = fault(host, "mmap");
  void* view = MAP_FAILED;
  if (failed == 0) {
    view = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, made.fd, 0);
    if (view == MAP_FAILED) failed = errno;
  }
  if (failed != 0) return refuse_os(why, "mmap", LANDFALL_REASON_none, failed);
  made.view = static_cast<std::byte*>(view);
  return LANDFALL_ERRC_ok;
}

landfall_errc probe(const landfall_memory_spec* spec, landfall_why* why) {
  return check(spec, why);
}

landfall_errc allocate(const landfall_memory_spec* spec, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    if (const landfall_errc code = check(spec, why)) return code;
    auto made = std::make_unique<Allocation>();
    if (const landfall_errc code = map_memfd(spec->host, spec->size_bytes, *made, why)) return code;
    {
      const std::lock_guard lock{device().mutex};
      made->device_address = device().next_address;
      device().next_address += spec->size_bytes + kPageBytes;
      device().by_address[made->device_address] = made.get();
    }
    ret_memory->flags = LANDFALL_MEM_DEVICE | LANDFALL_MEM_DMABUF | LANDFALL_MEM_DMABUF_RANGES;
    ret_memory->size_bytes = spec->size_bytes;
    ret_memory->page_bytes = kPageBytes;
    ret_memory->host = nullptr;
    ret_memory->device_address = made->device_address;
    ret_memory->device_kind = 12;  // DLPack: kDLExtDev, a device of nobody's
    ret_memory->device_id = spec->device_id;
    ret_memory->numa_node = -1;
    *ret_region = reinterpret_cast<landfall_region*>(made.release());
    return LANDFALL_ERRC_ok;
  });
}

void release(landfall_region* region) {
  const std::unique_ptr<Allocation> gone{own(region)};
  const std::lock_guard lock{device().mutex};
  device().by_address.erase(gone->device_address);
}

landfall_errc export_dmabuf(landfall_region* region, std::uint64_t offset, std::uint64_t length,
                            std::int32_t* ret_fd, std::uint64_t* ret_offset, landfall_why* why) {
  if (length == 0 || offset > own(region)->size_bytes || length > own(region)->size_bytes - offset)
    return refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_range_outside);
  const int fd = ::fcntl(own(region)->fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return refuse_os(why, "fcntl", LANDFALL_REASON_nofile_limit, errno);
  *ret_fd = fd;
  *ret_offset = offset;
  return LANDFALL_ERRC_ok;
}

landfall_errc companion(landfall_region*, std::uint64_t size_bytes, landfall_region** ret_region,
                        landfall_memory* ret_memory, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto made = std::make_unique<Allocation>();
    const std::uint64_t whole_pages = (size_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (const landfall_errc code = map_memfd(nullptr, whole_pages, *made, why)) return code;
    ret_memory->flags = LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE | LANDFALL_MEM_SHARED;
    ret_memory->size_bytes = whole_pages;
    ret_memory->page_bytes = kPageBytes;
    ret_memory->host = made->view;
    ret_memory->device_kind = 1;
    ret_memory->numa_node = -1;
    *ret_region = reinterpret_cast<landfall_region*>(made.release());
    return LANDFALL_ERRC_ok;
  });
}

landfall_errc fence_record(landfall_region*, void* native_stream, landfall_fence** ret_fence,
                           landfall_why* why) {
  return guarded(why, [&] {
    *ret_fence = DeviceFence::record(*static_cast<DeviceStream*>(native_stream));
    return LANDFALL_ERRC_ok;
  });
}

DeviceFence* own(landfall_fence* fence) {
  return reinterpret_cast<DeviceFence*>(fence);
}

std::int32_t fence_done(landfall_fence* fence) {
  return own(fence)->done();
}

landfall_errc fence_arm(landfall_fence* fence, std::int32_t event_fd) {
  return guarded(nullptr, [&] { return own(fence)->arm(event_fd); });
}

void fence_drop(landfall_fence* fence) {
  delete own(fence);
}

constexpr landfall_memory_ops kOps{
    .struct_size = sizeof(landfall_memory_ops),
    .probe = probe,
    .allocate = allocate,
    .release = release,
    .export_dmabuf = export_dmabuf,
    .companion = companion,
    .fence_record = fence_record,
    .fence_done = fence_done,
    .fence_arm = fence_arm,
    .fence_drop = fence_drop,
};

}  // namespace

constexpr landfall_backend kDeviceMemory =
    authoring::describe(&kOps, "device-memory", "1", "model of device memory: no host view");

std::span<std::byte> device_bytes(std::uint64_t device_address) noexcept {
  const std::lock_guard lock{device().mutex};
  auto after = device().by_address.upper_bound(device_address);
  if (after == device().by_address.begin()) return {};
  const Allocation& found = *std::prev(after)->second;
  const std::uint64_t offset = device_address - found.device_address;
  if (offset >= found.size_bytes) return {};
  return std::span{found.view, found.size_bytes}.subspan(offset);
}

std::span<std::byte> bytes_of(const landfall_memory& memory) noexcept {
  if (memory.host != nullptr)
    return {static_cast<std::byte*>(memory.host), static_cast<std::size_t>(memory.size_bytes)};
  const std::span<std::byte> view = device_bytes(memory.device_address);
  return view.first(view.size() < memory.size_bytes ? view.size()
                                                    : static_cast<std::size_t>(memory.size_bytes));
}

}  // namespace landfall::test
