// Puts an uncompressed Linux kernel (vmlinux, ELF64) into guest memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/guest_address.h"
#include "base/result.h"
#include "platform/file.h"

namespace runhv {

struct LoadedKernel {
  Gpa entry;  // physical; 64-bit entry of the boot protocol
  Gpa end;    // first byte after the kernel and its .bss
};

// Copies the segments of `kernel` to their physical addresses. `ram` is guest memory from address
// 0, still all zeros, with no processor running.
//
// Every number of the file is checked before it is used. Errors: kCorruptInput where the file is no
// x86-64 ELF executable or breaks the format; kUnsupported for a bzImage; kInvalidArgument where
// the kernel does not fit into `ram`.
Result<LoadedKernel> load_kernel(const File& kernel, std::span<std::byte> ram);

// The release in the kernel's banner ("6.12.117-runhv-minimal"), found by a search of the image;
// the file's name where there is none.
std::string kernel_release(const File& kernel);

}  // namespace runhv
