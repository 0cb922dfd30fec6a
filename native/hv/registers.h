// The registers of a virtual processor, by WHP's numbers and layouts.
#pragma once

#include <cstdint>

namespace runhv::hv {

// Values of WHV_REGISTER_NAME; virtual_processor.cc checks each against the header.
enum class Register : std::uint32_t {
  kRax = 0x0,
  kRcx = 0x1,
  kRdx = 0x2,
  kRbx = 0x3,
  kRsp = 0x4,
  kRbp = 0x5,
  kRsi = 0x6,
  kRdi = 0x7,
  kR8 = 0x8,
  kR15 = 0xf,
  kRip = 0x10,
  kRflags = 0x11,
  kEs = 0x12,
  kCs = 0x13,
  kSs = 0x14,
  kDs = 0x15,
  kFs = 0x16,
  kGs = 0x17,
  kLdtr = 0x18,
  kTr = 0x19,
  kIdtr = 0x1a,
  kGdtr = 0x1b,
  kCr0 = 0x1c,
  kCr2 = 0x1d,
  kCr3 = 0x1e,
  kCr4 = 0x1f,
  kEfer = 0x2001,
  kPendingEvent = 0x80000002,
};

constexpr Register general_register(unsigned index) { return static_cast<Register>(index & 15); }

struct SegmentRegister {
  std::uint64_t base;
  std::uint32_t limit;  // in bytes
  std::uint16_t selector;
  // Type 0-3, non-system 4, DPL 5-6, present 7, long 13, default size 14, granularity 15.
  std::uint16_t attributes;
};

// WHP reads and writes values with aligned 16-byte accesses.
struct alignas(16) RegisterValue {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  static constexpr RegisterValue of(std::uint64_t value) { return {value, 0}; }
  static constexpr RegisterValue segment(const SegmentRegister& s) {
    return {s.base, s.limit | std::uint64_t{s.selector} << 32 | std::uint64_t{s.attributes} << 48};
  }
  static constexpr RegisterValue table(std::uint64_t base, std::uint16_t limit) {
    return {std::uint64_t{limit} << 48, base};
  }
};

struct RegisterWrite {
  Register name;
  RegisterValue value;
};

}  // namespace runhv::hv
