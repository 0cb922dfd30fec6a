// WHV_RUN_VP_EXIT_CONTEXT from an exit of the engine.
#pragma once

#include "whpapi/whp.h"
#include "winhv_linux/engine.h"

namespace runhv::winhv {

// The registers that exit contexts carry.
struct ExitRegisters {
  WHV_REGISTER_VALUE rip, rflags, cs, cr0, cr8, efer, rax, rbx, rcx, rdx, rsi, rdi, ds, es, ss;
  WHV_REGISTER_VALUE interruption, interrupt_state;

  // Threads: under the baton.
  static ExitRegisters read(const Engine& engine, softcpu_vm* vm, UINT32 index);
};

void fill_vp_context(const ExitRegisters& registers, UINT32 instruction_length,
                     WHV_VP_EXIT_CONTEXT& context);

// `cpuid_default`: eax, ebx, ecx, edx that the guest would get without the exit.
void fill_exit_context(const ExitRegisters& registers, const softcpu_exit& exit,
                       const std::uint32_t cpuid_default[4], WHV_RUN_VP_EXIT_CONTEXT& context);

}  // namespace runhv::winhv
