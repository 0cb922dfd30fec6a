// A bzImage: Linux as distributions ship it, a compressed kernel behind a setup header.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "machine/kernel_loader.h"
#include "platform/file.h"

namespace runhv::machine {

bool is_bz_image(const platform::File& kernel);

// Copies the compressed kernel to the address that it prefers; it unpacks itself from its 64-bit
// entry. `ram` as for load_kernel. Every field of the header is checked before it is used.
// Errors: kCorruptInput where the file breaks the boot protocol; kUnsupported without a 64-bit
// entry; kInvalidArgument where the unpacked kernel does not fit into `ram`.
Result<LoadedKernel> load_bz_image(const platform::File& kernel, std::span<std::byte> ram);

// The beginning of the version text that the header points to ("6.1.0-18-cloud-amd64 (debian…");
// empty where there is none.
std::string bz_image_version(const platform::File& kernel);

}  // namespace runhv::machine
