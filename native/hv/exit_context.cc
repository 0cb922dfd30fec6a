#include "hv/exit_context.h"

#include <algorithm>
#include <cstring>

namespace runhv::hv {
namespace {

SegmentRegister segment(const WHV_X64_SEGMENT_REGISTER& s) {
  return {s.Base, s.Limit, s.Selector, s.Attributes};
}

InstructionBytes instruction(const UINT8 (&bytes)[16], UINT8 count) {
  InstructionBytes result;
  result.count = std::min<std::uint8_t>(count, sizeof bytes);
  std::memcpy(result.bytes.data(), bytes, result.count);
  return result;
}

ExitState state(const WHV_VP_EXIT_CONTEXT& vp) {
  return {.rip = vp.Rip,
          .rflags = vp.Rflags,
          .cs = segment(vp.Cs),
          .privilege_level = static_cast<std::uint8_t>(vp.ExecutionState.Cpl),
          .instruction_length = vp.InstructionLength,
          .protected_mode = vp.ExecutionState.Cr0Pe != 0,
          .long_mode = vp.ExecutionState.EferLma != 0,
          .interruption_pending = vp.ExecutionState.InterruptionPending != 0};
}

MemoryExit memory_exit(const WHV_MEMORY_ACCESS_CONTEXT& c) {
  MemoryExit exit{.gpa = Gpa{c.Gpa},
                  .access = static_cast<Access>(std::min<UINT32>(c.AccessInfo.AccessType, 2)),
                  .unmapped = c.AccessInfo.GpaUnmapped != 0,
                  .gva = std::nullopt,
                  .instruction = instruction(c.InstructionBytes, c.InstructionByteCount)};
  if (c.AccessInfo.GvaValid) exit.gva = c.Gva;
  return exit;
}

PortExit port_exit(const WHV_X64_IO_PORT_ACCESS_CONTEXT& c) {
  return {.port = c.PortNumber,
          .is_write = c.AccessInfo.IsWrite != 0,
          .size = static_cast<std::uint8_t>(c.AccessInfo.AccessSize),
          .is_string = c.AccessInfo.StringOp != 0,
          .has_rep = c.AccessInfo.RepPrefix != 0,
          .rax = c.Rax,
          .rcx = c.Rcx,
          .rsi = c.Rsi,
          .rdi = c.Rdi,
          .instruction = instruction(c.InstructionBytes, c.InstructionByteCount)};
}

ExitReason reason(const WHV_RUN_VP_EXIT_CONTEXT& context) {
  switch (context.ExitReason) {
    case WHvRunVpExitReasonNone:
      return SpuriousExit{};
    case WHvRunVpExitReasonMemoryAccess:
      return memory_exit(context.MemoryAccess);
    case WHvRunVpExitReasonX64IoPortAccess:
      return port_exit(context.IoPortAccess);
    case WHvRunVpExitReasonUnrecoverableException:
      return UnrecoverableExit{};
    case WHvRunVpExitReasonInvalidVpRegisterValue:
      return InvalidStateExit{};
    case WHvRunVpExitReasonX64InterruptWindow:
      return InterruptWindowExit{};
    case WHvRunVpExitReasonX64Halt:
      return HaltExit{};
    case WHvRunVpExitReasonX64ApicEoi:
      return EoiExit{context.ApicEoi.InterruptVector};
    case WHvRunVpExitReasonX64MsrAccess: {
      const auto& c = context.MsrAccess;
      return MsrExit{c.MsrNumber, c.AccessInfo.IsWrite != 0,
                     (c.Rdx << 32) | static_cast<std::uint32_t>(c.Rax)};
    }
    case WHvRunVpExitReasonX64Cpuid: {
      const auto& c = context.CpuidAccess;
      return CpuidExit{static_cast<std::uint32_t>(c.Rax),
                       static_cast<std::uint32_t>(c.Rcx),
                       c.DefaultResultRax,
                       c.DefaultResultRbx,
                       c.DefaultResultRcx,
                       c.DefaultResultRdx};
    }
    case WHvRunVpExitReasonCanceled:
      return CanceledExit{};
    default:
      return OtherExit{static_cast<std::uint32_t>(context.ExitReason)};
  }
}

}  // namespace

Exit read_exit_context(const WHV_RUN_VP_EXIT_CONTEXT& context) {
  return {state(context.VpContext), reason(context)};
}

}  // namespace runhv::hv
