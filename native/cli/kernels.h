// The kernels that a container can be given: by a file's name, or by a name in the catalogue
// (docs/kernels.md).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv::cli {

struct ChosenKernel {
  std::string image;    // absolute
  std::string modules;  // absolute; empty = none
};

// What `--kernel` names: a file, if it holds a slash, else a kernel of ours in `share` or one of
// the store's catalogue. Whether the file is a kernel is for runhv-vmm to find out.
Result<ChosenKernel> choose_kernel(std::string_view named, const std::string& share);

// `runhv kernels …`: the request to the Java side (docs/prepare.md) that its arguments ask for.
Result<std::string> kernels_request(std::span<const std::string_view> arguments,
                                    const std::string& store);

}  // namespace runhv::cli
