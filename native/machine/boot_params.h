// What a kernel finds when it is entered by the 64-bit boot protocol: the zero page, the command
// line, the initrd, page tables and descriptors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/guest_address.h"
#include "base/result.h"
#include "machine/kernel_loader.h"
#include "machine/memory_layout.h"
#include "platform/file.h"

namespace runhv::machine {

struct LoadedInitrd {
  Gpa address;
  std::uint64_t size_bytes;
};

// Copies the archives of the initrd, one after the other, to the end of `ram` (guest memory from
// address 0) or as high as the kernel takes them, above the kernel. Each begins at a multiple of
// four bytes, as a cpio header must (Documentation/driver-api/early-userspace/buffer-format.rst).
Result<LoadedInitrd> load_initrd(std::span<const platform::File> archives,
                                 const LoadedKernel& kernel, std::span<std::byte> ram);

// Writes the zero page (boot protocol 2.15, "The 64-bit boot protocol") and the command line.
// REQUIRES: ram.size() == layout.low_bytes, at least 1 MiB of zeros.
// Errors: kInvalidArgument where the command line is too long or holds a control character.
Result<void> write_boot_params(const RamLayout& layout, const std::string& command_line,
                               const LoadedKernel& kernel,
                               const std::optional<LoadedInitrd>& initrd, std::span<std::byte> ram);

// Page tables that map the first GiB one to one, and the descriptors __BOOT_CS and __BOOT_DS.
void write_entry_tables(std::span<std::byte> ram);

}  // namespace runhv::machine
