// Who lives where in guest-physical memory. Everything below 1 MiB is written before the first
// guest instruction; the kernel is free to reuse it once it has read it.
#pragma once

#include <cstdint>

#include "base/guest_address.h"

namespace runhv::machine {

// Low memory, all of it inside the first 640 KiB.
inline constexpr Gpa kGdtAddress{0x1000};
inline constexpr Gpa kZeroPageAddress{0x7000};
inline constexpr Gpa kPageTablesAddress{0x9000};  // 3 pages: PML4, PDPT, one PD
inline constexpr Gpa kCommandLineAddress{0x20000};
// The MP floating pointer must lie in the last KiB of base memory (MP 1.4 §4); the table that it
// points to does not fit there with 64 processors, so it has the 3 KiB before.
inline constexpr Gpa kMpTableAddress{0x9f000};
inline constexpr Gpa kMpPointerAddress{0x9fc00};
inline constexpr Gpa kLowMemoryEnd{0xa0000};

// ACPI tables: where a BIOS has its own. The zero page points there, so nobody searches.
inline constexpr Gpa kAcpiPointerAddress{0xe0000};
inline constexpr Gpa kAcpiTablesAddress{0xe0040};
inline constexpr Gpa kAcpiEnd{0xe3000};

inline constexpr Gpa kHighMemoryStart{0x100000};  // the kernel's earliest place
// The page tables of the entry map this much, one to one; the kernel must lie below it.
inline constexpr Gpa kEntryMapEnd{1ull << 30};

// RAM ends here and goes on at 4 GiB: the space between is the devices'.
inline constexpr Gpa kDeviceSpaceStart{0xc0000000};
inline constexpr Gpa kDeviceSpaceEnd{1ull << 32};

inline constexpr Gpa kVirtioMmioAddress{0xd0000000};  // transport n at + n * kVirtioMmioSize
inline constexpr std::uint64_t kVirtioMmioSize = 0x200;
inline constexpr Gpa kIoApicAddress{0xfec00000};
inline constexpr Gpa kLocalApicAddress{0xfee00000};

// RAM below and above the devices' space.
struct RamLayout {
  std::uint64_t low_bytes;
  std::uint64_t high_bytes;
};

constexpr RamLayout ram_layout(std::uint64_t memory_bytes) {
  if (memory_bytes <= kDeviceSpaceStart.value) return {memory_bytes, 0};
  return {kDeviceSpaceStart.value, memory_bytes - kDeviceSpaceStart.value};
}

// Where files of the host are shown, with its size: behind all RAM. A page of it costs the guest a
// description of 64 bytes, and instructions when the device is found: a quarter of RAM, to a bound.
struct FileWindowLayout {
  Gpa first;
  std::uint64_t bytes;
};

constexpr FileWindowLayout file_window_layout(std::uint64_t memory_bytes) {
  constexpr std::uint64_t kLeast = 32ull << 20;
  constexpr std::uint64_t kMost = 256ull << 20;
  constexpr std::uint64_t kAlignment = 1ull << 30;
  const std::uint64_t ram_end = kDeviceSpaceEnd.value + ram_layout(memory_bytes).high_bytes;
  const std::uint64_t part = memory_bytes / 4 & ~((std::uint64_t{2} << 20) - 1);
  return {Gpa{(ram_end + kAlignment - 1) & ~(kAlignment - 1)},
          part < kLeast ? kLeast : (part > kMost ? kMost : part)};
}

}  // namespace runhv::machine
