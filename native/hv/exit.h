// Why WHvRunVirtualProcessor returned, as one value per reason.
//
// The intercepted instruction has not been executed: RIP points at it, except for HaltExit and
// EoiExit, where it points past it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "base/guest_address.h"
#include "hv/registers.h"

namespace runhv::hv {

// Bytes at RIP that the hypervisor captured; may be none.
struct InstructionBytes {
  std::array<std::byte, 16> bytes{};
  std::uint8_t count = 0;  // <= bytes.size()

  std::span<const std::byte> view() const { return std::span(bytes).first(count); }
};

// The processor at the moment of the exit.
struct ExitState {
  std::uint64_t rip;
  std::uint64_t rflags;
  SegmentRegister cs;
  std::uint8_t privilege_level;     // CPL
  std::uint8_t instruction_length;  // reliable for PortExit, CpuidExit and MsrExit only
  bool protected_mode;
  bool long_mode;  // EFER.LMA
  bool interruption_pending;
};

enum class Access : std::uint8_t { kRead, kWrite, kExecute };

struct MemoryExit {
  Gpa gpa;
  Access access;
  bool unmapped;  // false: a mapping is there and forbids the access
  std::optional<std::uint64_t> gva;
  InstructionBytes instruction;
};

struct PortExit {
  std::uint16_t port;
  bool is_write;
  std::uint8_t size;  // 1, 2 or 4
  bool is_string;     // INS, OUTS
  bool has_rep;
  std::uint64_t rax;
  std::uint64_t rcx;
  std::uint64_t rsi;
  std::uint64_t rdi;
  InstructionBytes instruction;
};

struct CpuidExit {
  std::uint32_t function;
  std::uint32_t index;
  std::uint64_t default_rax;
  std::uint64_t default_rbx;
  std::uint64_t default_rcx;
  std::uint64_t default_rdx;
};

struct MsrExit {
  std::uint32_t msr;
  bool is_write;
  std::uint64_t value;  // of a write
};

struct HaltExit {};
struct InterruptWindowExit {};
struct EoiExit {
  std::uint32_t vector;  // level-triggered
};
// VirtualProcessor::cancel(). The state of this exit is not told.
struct CanceledExit {};
// Older builds return without a reason.
struct SpuriousExit {};
// Triple fault.
struct UnrecoverableExit {};
// The guest's state fails the checks of VM entry.
struct InvalidStateExit {};
// Anything that this version does not ask for.
struct OtherExit {
  std::uint32_t reason;  // WHV_RUN_VP_EXIT_REASON
};

using ExitReason =
    std::variant<MemoryExit, PortExit, CpuidExit, MsrExit, HaltExit, InterruptWindowExit, EoiExit,
                 CanceledExit, SpuriousExit, UnrecoverableExit, InvalidStateExit, OtherExit>;

struct Exit {
  ExitState state;
  ExitReason reason;
};

}  // namespace runhv::hv
