// Puts a Linux kernel into guest memory: an uncompressed vmlinux (ELF64) or a bzImage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/guest_address.h"
#include "base/result.h"
#include "platform/file.h"

namespace runhv::machine {

// Where the setup header lies, in a bzImage and in the zero page (boot protocol 2.15). What follows
// in the zero page is another table.
inline constexpr std::size_t kSetupHeaderStart = 0x1f1;
inline constexpr std::size_t kSetupHeaderEnd = 0x290;

struct LoadedKernel {
  Gpa entry;  // physical; 64-bit entry of the boot protocol
  Gpa end;    // first byte after the kernel, its .bss and what it unpacks itself in
  std::vector<std::byte> setup_header{};    // of a bzImage, as in the file
  std::uint64_t initrd_end = UINT64_MAX;    // an initrd lies below
  std::uint64_t command_line_bytes = 2047;  // the longest that it takes, without the NUL
};

// Copies the segments of `kernel` to their physical addresses. `ram` is guest memory from address
// 0, still all zeros, with no processor running.
//
// Every number of the file is checked before it is used. Errors: kCorruptInput where the file is
// neither of the two or breaks its format; kUnsupported for a bzImage without a 64-bit entry;
// kInvalidArgument where the kernel does not fit into `ram`.
Result<LoadedKernel> load_kernel(const platform::File& kernel, std::span<std::byte> ram);

// The release of the kernel ("6.12.117-runhv-minimal"), of a bzImage's header or found by a search
// for the banner; the file's name where there is none.
std::string kernel_release(const platform::File& kernel);

}  // namespace runhv::machine
