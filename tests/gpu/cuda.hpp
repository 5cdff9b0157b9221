// SPDX-License-Identifier: Apache-2.0
// The few calls of NVIDIA's driver that tests need, from libcuda.so.1. Names, numbers and types as
// in CUDA's driver API reference (12 and later), "Device Management", "Memory Management".
#pragma once
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "landfall/base/fd.hpp"

namespace landfall::test {

class Cuda {
 public:
  /// The first device, whose context is this thread's. Not usable: missing() says what is not
  /// there.
  Cuda() {
    void* const library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);  // stays
    if (library == nullptr) {
      missing_ = "libcuda.so.1 (NVIDIA's driver)";
      return;
    }
    find(library, "cuInit", &init);
    find(library, "cuDeviceGet", &device_get);
    find(library, "cuDeviceGetAttribute", &device_get_attribute);
    find(library, "cuDevicePrimaryCtxRetain", &retain);
    find(library, "cuCtxSetCurrent", &set_current);
    find(library, "cuMemAlloc_v2", &allocate);
    find(library, "cuMemFree_v2", &free);
    find(library, "cuMemsetD8_v2", &set_bytes);
    find(library, "cuMemcpyDtoH_v2", &to_host);
    find(library, "cuCtxSynchronize", &synchronize);
    find(library, "cuMemGetHandleForAddressRange", &handle_for_range);
    constexpr int kDmabufSupported = 124;  // CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED
    int device = 0, exports = 0;
    void* context = nullptr;
    if (!missing_.empty()) return;
    if (init(0) != 0 || device_get(&device, 0) != 0)
      missing_ = "a GPU";
    else if (device_get_attribute(&exports, kDmabufSupported, device) != 0 || exports == 0)
      missing_ = "a driver that exports dma-bufs (NVIDIA's open kernel modules)";
    else if (retain(&context, device) != 0 || set_current(context) != 0)
      missing_ = "a context on the GPU";
  }

  const std::string& missing() const { return missing_; }

  int (*init)(unsigned) = nullptr;
  int (*device_get)(int*, int) = nullptr;
  int (*device_get_attribute)(int*, int, int) = nullptr;
  int (*retain)(void**, int) = nullptr;
  int (*set_current)(void*) = nullptr;
  int (*allocate)(std::uint64_t*, std::size_t) = nullptr;
  int (*free)(std::uint64_t) = nullptr;
  int (*set_bytes)(std::uint64_t, unsigned char, std::size_t) = nullptr;
  int (*to_host)(void*, std::uint64_t, std::size_t) = nullptr;
  int (*synchronize)() = nullptr;
  int (*handle_for_range)(void*, std::uint64_t, std::size_t, int, unsigned long long) = nullptr;

 private:
  template <typename Call>
  void find(void* library, const char* name, Call* ret_call) {
    void* const at = ::dlsym(library, name);
    if (at == nullptr) missing_ = std::string{name} + " in libcuda.so.1";
    std::memcpy(ret_call, &at, sizeof at);
  }

  std::string missing_;
};

/// GPU memory and the dma-buf that it was exported as. Empty `fd`: it could not be.
struct GpuMemory {
  GpuMemory(const Cuda& cuda_in, std::size_t size) : cuda{cuda_in}, size_bytes{size} {
    constexpr int kDmabufFd = 1;  // CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD
    int exported = -1;
    number = cuda.allocate(&address, size_bytes);
    if (number == 0) number = cuda.handle_for_range(&exported, address, size_bytes, kDmabufFd, 0);
    fd.reset(exported);
  }
  GpuMemory(const GpuMemory&) = delete;
  ~GpuMemory() {
    fd.reset();
    cuda.free(address);
  }

  const Cuda& cuda;
  std::size_t size_bytes;
  std::uint64_t address = 0;
  int number = 0;  // of CUDA, where something failed
  Fd fd;
};

}  // namespace landfall::test
