#include "winhv_linux/exit_context.h"

#include <algorithm>
#include <cstring>

namespace runhv::winhv_linux {
namespace {

template <class Context>
void fill_instruction(const EngineExit& exit, Context& context) {
  context.InstructionByteCount = static_cast<UINT8>(
      std::min<std::uint32_t>(exit.instruction_bytes, sizeof context.InstructionBytes));
  std::memcpy(context.InstructionBytes, exit.instruction.data(), context.InstructionByteCount);
}

void fill_memory(const EngineExit& exit, WHV_MEMORY_ACCESS_CONTEXT& context) {
  fill_instruction(exit, context);
  context.AccessInfo.AccessType = exit.access & 3u;
  context.AccessInfo.GpaUnmapped = exit.unmapped;
  context.AccessInfo.GvaValid = exit.gva_valid;
  context.Gpa = exit.address;
  context.Gva = exit.gva_valid ? exit.gva : 0;
}

void fill_port(const EngineExit& exit, WHV_X64_IO_PORT_ACCESS_CONTEXT& context) {
  const ExitRegisters& registers = exit.registers;
  fill_instruction(exit, context);
  context.AccessInfo.IsWrite = exit.access == WHvMemoryAccessWrite;
  context.AccessInfo.AccessSize = exit.size & 7u;
  context.AccessInfo.StringOp = exit.is_string;
  context.AccessInfo.RepPrefix = exit.has_rep;
  context.PortNumber = static_cast<UINT16>(exit.address);
  context.Rax = registers.rax.Reg64;
  context.Rcx = registers.rcx.Reg64;
  context.Rsi = registers.rsi.Reg64;
  context.Rdi = registers.rdi.Reg64;
  context.Ds = registers.ds.Segment;
  context.Es = registers.es.Segment;
}

void fill_cpuid(const EngineExit& exit, WHV_X64_CPUID_ACCESS_CONTEXT& context) {
  const ExitRegisters& registers = exit.registers;
  context.Rax = registers.rax.Reg64;
  context.Rcx = registers.rcx.Reg64;
  context.Rdx = registers.rdx.Reg64;
  context.Rbx = registers.rbx.Reg64;
  context.DefaultResultRax = exit.cpuid_default[0];
  context.DefaultResultRbx = exit.cpuid_default[1];
  context.DefaultResultRcx = exit.cpuid_default[2];
  context.DefaultResultRdx = exit.cpuid_default[3];
}

void fill_msr(const EngineExit& exit, WHV_X64_MSR_ACCESS_CONTEXT& context) {
  context.AccessInfo.IsWrite = exit.access == WHvMemoryAccessWrite;
  context.MsrNumber = static_cast<UINT32>(exit.address);
  context.Rax = exit.registers.rax.Reg64;
  context.Rdx = exit.registers.rdx.Reg64;
}

void fill_exception(const EngineExit& exit, WHV_VP_EXCEPTION_CONTEXT& context) {
  fill_instruction(exit, context);
  context.ExceptionInfo.ErrorCodeValid = exit.has_error_code;
  context.ExceptionInfo.SoftwareException = exit.is_software;
  context.ExceptionType = static_cast<UINT8>(exit.vector);
  context.ErrorCode = exit.error_code;
  context.ExceptionParameter = exit.parameter;
}

}  // namespace

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

void fill_exit_context(const EngineExit& exit, WHV_RUN_VP_EXIT_CONTEXT& context) {
  std::memset(&context, 0, sizeof context);
  fill_vp_context(exit.registers, exit.instruction_length, context.VpContext);
  switch (exit.reason) {
    case EngineExitReason::kPort:
      context.ExitReason = WHvRunVpExitReasonX64IoPortAccess;
      fill_port(exit, context.IoPortAccess);
      break;
    case EngineExitReason::kMemory:
      context.ExitReason = WHvRunVpExitReasonMemoryAccess;
      fill_memory(exit, context.MemoryAccess);
      break;
    case EngineExitReason::kCpuid:
      context.ExitReason = WHvRunVpExitReasonX64Cpuid;
      fill_cpuid(exit, context.CpuidAccess);
      break;
    case EngineExitReason::kMsr:
      context.ExitReason = WHvRunVpExitReasonX64MsrAccess;
      fill_msr(exit, context.MsrAccess);
      break;
    case EngineExitReason::kHalt:
      context.ExitReason = WHvRunVpExitReasonX64Halt;
      break;
    case EngineExitReason::kEoi:
      context.ExitReason = WHvRunVpExitReasonX64ApicEoi;
      context.ApicEoi.InterruptVector = exit.vector;
      break;
    case EngineExitReason::kWindow:
      context.ExitReason = WHvRunVpExitReasonX64InterruptWindow;
      context.InterruptWindow.DeliverableType = WHvX64PendingInterrupt;
      break;
    case EngineExitReason::kException:
      context.ExitReason = WHvRunVpExitReasonException;
      fill_exception(exit, context.VpException);
      break;
    case EngineExitReason::kShutdown:
      context.ExitReason = WHvRunVpExitReasonUnrecoverableException;
      break;
    case EngineExitReason::kCanceled:
      context.ExitReason = WHvRunVpExitReasonCanceled;
      context.CancelReason.CancelReason = WhvRunVpCancelReasonUser;
      break;
  }
}

}  // namespace runhv::winhv_linux
