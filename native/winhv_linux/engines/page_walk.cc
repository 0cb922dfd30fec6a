#include "winhv_linux/engines/page_walk.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT64 kCr0Wp = UINT64{1} << 16;
constexpr UINT64 kCr0Pg = UINT64{1} << 31;
constexpr UINT64 kCr4Pse = UINT64{1} << 4;
constexpr UINT64 kCr4Pae = UINT64{1} << 5;
constexpr UINT64 kCr4La57 = UINT64{1} << 12;
constexpr UINT64 kEferLma = UINT64{1} << 10;
constexpr UINT64 kEferNxe = UINT64{1} << 11;

constexpr UINT64 kPresent = 1;
constexpr UINT64 kWritable = 1 << 1;
constexpr UINT64 kUser = 1 << 2;
constexpr UINT64 kLarge = 1 << 7;
constexpr UINT64 kNoExecute = UINT64{1} << 63;
constexpr UINT64 kAddress = 0x000F'FFFF'FFFF'F000;

class Walk {
 public:
  Walk(const PagingState& state, WHV_MEMORY_ACCESS_TYPE access, const PhysicalMemory& memory)
      : state_(state), access_(access), memory_(memory) {}

  // Tables of 512 entries of 8 bytes each, from `level` down to 1.
  std::optional<UINT64> from(unsigned level, UINT64 table, UINT64 gva) const {
    for (;; --level) {
      const unsigned shift = 12 + 9 * (level - 1);
      UINT64 entry = 0;
      if (!read(table + (gva >> shift) % 512 * 8, entry) || !allows(entry)) return std::nullopt;
      if (level == 1 || (level <= 3 && (entry & kLarge) != 0)) {
        const UINT64 in_page = (UINT64{1} << shift) - 1;
        return (entry & kAddress & ~in_page) | (gva & in_page);
      }
      table = entry & kAddress;
    }
  }

  std::optional<UINT64> with_pae(UINT64 gva) const {
    UINT64 pointer = 0;  // has no rights of its own
    const UINT64 table = state_.cr3 & 0xFFFF'FFE0;
    if (!read(table + (gva >> 30) * 8, pointer) || (pointer & kPresent) == 0) return std::nullopt;
    return from(2, pointer & kAddress, gva);
  }

  // Two levels of 1024 entries of 4 bytes each.
  std::optional<UINT64> with_32_bits(UINT64 gva) const {
    UINT32 directory = 0;
    if (!read((state_.cr3 & 0xFFFF'F000) + (gva >> 22) * 4, directory) || !allows(directory)) {
      return std::nullopt;
    }
    if ((directory & kLarge) != 0 && (state_.cr4 & kCr4Pse) != 0) {
      const UINT64 high = UINT64{directory >> 13 & 0xFF} << 32;  // SDM: PSE-36
      return high | (directory & 0xFFC0'0000) | (gva & 0x3F'FFFF);
    }
    UINT32 entry = 0;
    if (!read((directory & 0xFFFF'F000) + (gva >> 12) % 1024 * 4, entry) || !allows(entry)) {
      return std::nullopt;
    }
    return (entry & 0xFFFF'F000) | (gva & 0xFFF);
  }

 private:
  template <class Entry>
  bool read(UINT64 gpa, Entry& entry) const {
    return memory_.read(gpa, std::as_writable_bytes(std::span(&entry, 1)));
  }

  bool allows(UINT64 entry) const {
    if ((entry & kPresent) == 0) return false;
    if (state_.user && (entry & kUser) == 0) return false;
    switch (access_) {
      case WHvMemoryAccessWrite: {
        const bool checked = state_.user || (state_.cr0 & kCr0Wp) != 0;
        return !checked || (entry & kWritable) != 0;
      }
      case WHvMemoryAccessExecute:
        return (state_.efer & kEferNxe) == 0 || (entry & kNoExecute) == 0;
      default:
        return true;
    }
  }

  const PagingState& state_;
  const WHV_MEMORY_ACCESS_TYPE access_;
  const PhysicalMemory& memory_;
};

bool is_canonical(UINT64 gva, unsigned bits) {
  const unsigned unused = 64 - bits;
  return static_cast<UINT64>(static_cast<INT64>(gva << unused) >> unused) == gva;
}

}  // namespace

std::optional<UINT64> walk_page_tables(const PagingState& state, UINT64 gva,
                                       WHV_MEMORY_ACCESS_TYPE access,
                                       const PhysicalMemory& memory) {
  const Walk walk(state, access, memory);
  if ((state.efer & kEferLma) != 0) {
    const unsigned levels = (state.cr4 & kCr4La57) != 0 ? 5 : 4;
    if (!is_canonical(gva, 12 + 9 * levels)) return std::nullopt;
    return walk.from(levels, state.cr3 & kAddress, gva);
  }
  gva &= 0xFFFF'FFFF;
  if ((state.cr0 & kCr0Pg) == 0) return gva;
  return (state.cr4 & kCr4Pae) != 0 ? walk.with_pae(gva) : walk.with_32_bits(gva);
}

}  // namespace runhv::winhv_linux
