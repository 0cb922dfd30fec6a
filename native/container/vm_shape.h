// What runhv takes from a bundle for the machine (docs/bundle.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace runhv::container {

// A scratch disk is a whole number of these: the size of the file system in
// share/runhv/scratch.ext4, and enough for the tables of the last group of blocks when the guest
// grows it.
inline constexpr std::uint64_t kScratchUnitBytes = 16u << 20;
inline constexpr std::uint64_t kMaxScratchBytes = 1ull << 40;
// Each is an open file of the VMM.
inline constexpr std::size_t kMaxRootLayers = 512;

// Paths are the host's, absolute.
struct VmShape {
  std::string kernel;  // empty = the default
  std::string initrd;
  std::string modules;
  std::string kernel_parameters;
  std::string root_image;                // empty where the root is a folder
  std::vector<std::string> root_layers;  // the rest of the image, in this order
  std::uint64_t memory_bytes = 0;
  std::uint32_t processor_count = 0;
  std::uint64_t scratch_bytes = 0;  // 0 = the writable layer is memory
  std::string engine;               // empty where the bundle does not say
};

}  // namespace runhv::container
