// The boot processor at the kernel's first instruction.
#pragma once

#include <array>

#include "base/guest_address.h"
#include "hv/registers.h"
#include "machine/memory_layout.h"

namespace runhv::machine {

// Boot protocol 2.15, "64-bit boot protocol": paging on over the entry tables, __BOOT_CS and
// __BOOT_DS loaded, interrupts off, RSI at the zero page. The task and descriptor registers are
// what a processor's entry checks demand of 64-bit mode (SDM Vol.3 §26.3.1.2).
inline std::array<hv::RegisterWrite, 18> entry_state(Gpa entry) {
  using hv::Register;
  using hv::RegisterValue;
  constexpr hv::SegmentRegister kCodeSegment{0, 0xffffffff, 0x10, 0xa09b};
  constexpr hv::SegmentRegister kDataSegment{0, 0xffffffff, 0x18, 0xc093};
  constexpr hv::SegmentRegister kTaskSegment{0, 0xffff, 0, 0x008b};  // 64-bit TSS, busy
  constexpr hv::SegmentRegister kLocal{0, 0xffff, 0, 0x0082};
  constexpr std::uint64_t kCr0 = 0x80000033;  // PG, NE, ET, MP, PE
  constexpr std::uint64_t kCr4 = 0x20;        // PAE
  constexpr std::uint64_t kEfer = 0x500;      // LMA, LME
  return {{{Register::kRip, RegisterValue::of(entry.value)},
           {Register::kRflags, RegisterValue::of(2)},
           {Register::kRsp, RegisterValue::of(kZeroPageAddress.value)},
           {Register::kRsi, RegisterValue::of(kZeroPageAddress.value)},
           {Register::kCs, RegisterValue::segment(kCodeSegment)},
           {Register::kDs, RegisterValue::segment(kDataSegment)},
           {Register::kEs, RegisterValue::segment(kDataSegment)},
           {Register::kSs, RegisterValue::segment(kDataSegment)},
           {Register::kFs, RegisterValue::segment(kDataSegment)},
           {Register::kGs, RegisterValue::segment(kDataSegment)},
           {Register::kTr, RegisterValue::segment(kTaskSegment)},
           {Register::kLdtr, RegisterValue::segment(kLocal)},
           {Register::kGdtr, RegisterValue::table(kGdtAddress.value, 0x1f)},
           {Register::kIdtr, RegisterValue::table(0, 0)},
           {Register::kCr0, RegisterValue::of(kCr0)},
           {Register::kCr3, RegisterValue::of(kPageTablesAddress.value)},
           {Register::kCr4, RegisterValue::of(kCr4)},
           {Register::kEfer, RegisterValue::of(kEfer)}}};
}

}  // namespace runhv::machine
