// Runs one virtual processor until the machine ends: every exit becomes an access to a bus, an
// answer, or the end.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "devices/bus.h"
#include "devices/ioapic/ioapic.h"
#include "emu/mmio_instruction.h"
#include "hv/virtual_processor.h"
#include "machine/memory_operand.h"
#include "machine/processor_counts.h"
#include "machine/run_state.h"
#include "memory/guest_memory.h"

namespace runhv::machine {

class ProcessorLoop {
 public:
  // All outlive it.
  struct Parts {
    hv::VirtualProcessor& processor;
    const memory::GuestMemory& memory;
    devices::Bus& ports;
    devices::Bus& mmio;
    devices::IoApic& io_apic;
    RunState& state;
    ProcessorCounts& counts;  // its own
  };
  explicit ProcessorLoop(const Parts& parts);

  // Returns when state.ending(); ends the machine itself where the guest or the host fails.
  void run();

 private:
  // One for each alternative of hv::ExitReason: a new exit does not compile until it has its own.
  Result<void> on(const hv::ExitState& state, const hv::MemoryExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::PortExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::CpuidExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::MsrExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::HaltExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::InterruptWindowExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::EoiExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::CanceledExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::SpuriousExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::UnrecoverableExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::InvalidStateExit& exit);
  Result<void> on(const hv::ExitState& state, const hv::OtherExit& exit);
  Result<MemoryOperand> operand_of(const hv::ExitState& state, const hv::MemoryExit& exit,
                                   const emu::MmioInstruction& instruction,
                                   std::uint64_t gpr_value) const;
  Result<std::uint64_t> operand_address(const hv::ExitState& state,
                                        const emu::MmioInstruction& instruction,
                                        std::uint64_t gpr_value) const;
  Result<std::uint64_t> read_register(hv::Register name) const;
  hv::InstructionBytes fetch_instruction(const hv::ExitState& state) const;

  Parts parts_;
  std::uint64_t halt_ticket_ = 0;
  std::uint64_t last_halt_ns_ = 0;
  std::uint32_t logged_exits_ = 0;
};

}  // namespace runhv::machine
