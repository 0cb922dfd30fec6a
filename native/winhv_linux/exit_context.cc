#include "winhv_linux/exit_context.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/check.h"

namespace runhv::winhv {
namespace {

void fill_memory(const softcpu_exit& exit, WHV_MEMORY_ACCESS_CONTEXT& context) {
  context.InstructionByteCount = static_cast<UINT8>(
      std::min<std::uint32_t>(exit.instruction_bytes, sizeof context.InstructionBytes));
  std::memcpy(context.InstructionBytes, exit.instruction, context.InstructionByteCount);
  context.AccessInfo.AccessType = exit.access & 3u;
  context.AccessInfo.GpaUnmapped = exit.unmapped != 0;
  context.AccessInfo.GvaValid = exit.gva_valid != 0;
  context.Gpa = exit.address;
  context.Gva = exit.gva_valid != 0 ? exit.gva : 0;
}

void fill_io(const ExitRegisters& registers, const softcpu_exit& exit,
             WHV_X64_IO_PORT_ACCESS_CONTEXT& context) {
  context.InstructionByteCount = static_cast<UINT8>(
      std::min<std::uint32_t>(exit.instruction_bytes, sizeof context.InstructionBytes));
  std::memcpy(context.InstructionBytes, exit.instruction, context.InstructionByteCount);
  context.AccessInfo.IsWrite = exit.access == 1;
  context.AccessInfo.AccessSize = exit.size & 7u;
  context.AccessInfo.StringOp = exit.io_string != 0;
  context.AccessInfo.RepPrefix = exit.io_rep != 0;
  context.PortNumber = static_cast<UINT16>(exit.address);
  context.Rax = registers.rax.Reg64;
  context.Rcx = registers.rcx.Reg64;
  context.Rsi = registers.rsi.Reg64;
  context.Rdi = registers.rdi.Reg64;
  context.Ds = registers.ds.Segment;
  context.Es = registers.es.Segment;
}

void fill_cpuid(const ExitRegisters& registers, const std::uint32_t defaults[4],
                WHV_X64_CPUID_ACCESS_CONTEXT& context) {
  context.Rax = registers.rax.Reg64;
  context.Rcx = registers.rcx.Reg64;
  context.Rdx = registers.rdx.Reg64;
  context.Rbx = registers.rbx.Reg64;
  context.DefaultResultRax = defaults[0];
  context.DefaultResultRbx = defaults[1];
  context.DefaultResultRcx = defaults[2];
  context.DefaultResultRdx = defaults[3];
}

void fill_msr(const ExitRegisters& registers, const softcpu_exit& exit,
              WHV_X64_MSR_ACCESS_CONTEXT& context) {
  context.AccessInfo.IsWrite = exit.access == 1;
  context.MsrNumber = static_cast<UINT32>(exit.address);
  context.Rax = registers.rax.Reg64;
  context.Rdx = registers.rdx.Reg64;
}

}  // namespace

ExitRegisters ExitRegisters::read(const Engine& engine, softcpu_vm* vm, UINT32 index) {
  static constexpr std::uint32_t kNames[] = {
      WHvX64RegisterRip,        WHvX64RegisterRflags,
      WHvX64RegisterCs,         WHvX64RegisterCr0,
      WHvX64RegisterCr8,        WHvX64RegisterEfer,
      WHvX64RegisterRax,        WHvX64RegisterRbx,
      WHvX64RegisterRcx,        WHvX64RegisterRdx,
      WHvX64RegisterRsi,        WHvX64RegisterRdi,
      WHvX64RegisterDs,         WHvX64RegisterEs,
      WHvX64RegisterSs,         WHvRegisterPendingInterruption,
      WHvRegisterInterruptState};
  ExitRegisters registers{};
  static_assert(sizeof registers == std::size(kNames) * sizeof(softcpu_value));
  softcpu_value values[std::size(kNames)];
  RUNHV_CHECK(engine.get(vm, index, kNames, std::size(kNames), values) == SOFTCPU_OK);
  std::memcpy(&registers, values, sizeof registers);
  return registers;
}

void fill_vp_context(const ExitRegisters& registers, UINT32 instruction_length,
                     WHV_VP_EXIT_CONTEXT& context) {
  const bool protected_mode = (registers.cr0.Reg64 & 1) != 0;
  context.ExecutionState.Cpl =
      protected_mode ? registers.ss.Segment.DescriptorPrivilegeLevel & 3u : 0u;
  context.ExecutionState.Cr0Pe = protected_mode;
  context.ExecutionState.Cr0Am = (registers.cr0.Reg64 >> 18) & 1;
  context.ExecutionState.EferLma = (registers.efer.Reg64 >> 10) & 1;
  context.ExecutionState.InterruptionPending =
      registers.interruption.PendingInterruption.InterruptionPending & 1u;
  context.ExecutionState.InterruptShadow =
      registers.interrupt_state.InterruptState.InterruptShadow & 1u;
  context.InstructionLength = instruction_length & 15u;
  context.Cr8 = registers.cr8.Reg64 & 15u;
  context.Cs = registers.cs.Segment;
  context.Rip = registers.rip.Reg64;
  context.Rflags = registers.rflags.Reg64;
}

void fill_exit_context(const ExitRegisters& registers, const softcpu_exit& exit,
                       const std::uint32_t cpuid_default[4], WHV_RUN_VP_EXIT_CONTEXT& context) {
  std::memset(&context, 0, sizeof context);
  fill_vp_context(registers, exit.instruction_length, context.VpContext);
  switch (exit.reason) {
    case SOFTCPU_EXIT_IO:
      context.ExitReason = WHvRunVpExitReasonX64IoPortAccess;
      fill_io(registers, exit, context.IoPortAccess);
      break;
    case SOFTCPU_EXIT_MMIO:
      context.ExitReason = WHvRunVpExitReasonMemoryAccess;
      fill_memory(exit, context.MemoryAccess);
      break;
    case SOFTCPU_EXIT_CPUID:
      context.ExitReason = WHvRunVpExitReasonX64Cpuid;
      fill_cpuid(registers, cpuid_default, context.CpuidAccess);
      break;
    case SOFTCPU_EXIT_MSR:
      context.ExitReason = WHvRunVpExitReasonX64MsrAccess;
      fill_msr(registers, exit, context.MsrAccess);
      break;
    case SOFTCPU_EXIT_HALT:
      context.ExitReason = WHvRunVpExitReasonX64Halt;
      break;
    case SOFTCPU_EXIT_EOI:
      context.ExitReason = WHvRunVpExitReasonX64ApicEoi;
      context.ApicEoi.InterruptVector = exit.vector;
      break;
    case SOFTCPU_EXIT_WINDOW:
      context.ExitReason = WHvRunVpExitReasonX64InterruptWindow;
      context.InterruptWindow.DeliverableType = WHvX64PendingInterrupt;
      break;
    default:
      context.ExitReason = WHvRunVpExitReasonUnrecoverableException;
      break;
  }
}

}  // namespace runhv::winhv
