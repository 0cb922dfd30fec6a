// The XSAVE area (SDM Vol.1 §13.4): in its standard form, which engines have, and in WHP's, which
// is the compacted one (field guide §6.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace runhv::winhv_linux {

// A state component behind x87 and SSE (CPUID 0xD, sub-leaf `number`).
struct XsaveComponent {
  std::uint32_t number;  // 2..62
  std::uint32_t size;
  std::uint32_t offset;  // in the standard form
  bool is_aligned;       // in the compacted form, to 64 bytes
};

// Threads: any; nothing of it changes.
class XsaveLayout {
 public:
  // By number, ascending.
  explicit XsaveLayout(std::vector<XsaveComponent> components);

  std::uint32_t standard_bytes() const { return standard_bytes_; }
  std::uint32_t compacted_bytes() const { return compacted_bytes_; }

  // Into spans of just these sizes.
  void compact(std::span<const std::byte> standard, std::span<std::byte> compacted) const;
  // False: it is no compacted area of these components. What it leaves out is not in use.
  bool expand(std::span<const std::byte> compacted, std::span<std::byte> standard) const;

 private:
  std::uint64_t all() const;

  std::vector<XsaveComponent> components_;
  std::uint32_t standard_bytes_;
  std::uint32_t compacted_bytes_;
};

}  // namespace runhv::winhv_linux
