// Runs one virtual processor until the machine ends: every exit becomes an access to a bus, an
// answer, or the end.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "devices/bus.h"
#include "devices/ioapic/ioapic.h"
#include "hv/virtual_processor.h"
#include "machine/run_state.h"
#include "machine/timeline.h"
#include "memory/guest_memory.h"

namespace runhv {

class ProcessorLoop {
 public:
  // All outlive it.
  struct Parts {
    hv::VirtualProcessor& processor;
    const GuestMemory& memory;
    Bus& ports;
    Bus& mmio;
    IoApic& io_apic;
    RunState& state;
    ProcessorCounts counts;  // its own
  };
  explicit ProcessorLoop(const Parts& parts);

  // Returns when state.ending(); ends the machine itself where the guest or the host fails.
  void run();

 private:
  Result<void> handle(const hv::Exit& exit);
  Result<void> on_memory(const hv::ExitState& state, const hv::MemoryExit& exit);
  Result<void> on_port(const hv::ExitState& state, const hv::PortExit& exit);
  Result<void> on_cpuid(const hv::ExitState& state, const hv::CpuidExit& exit);
  Result<void> on_msr(const hv::ExitState& state, const hv::MsrExit& exit);
  void on_halt();
  Result<std::uint64_t> read_register(hv::Register name) const;
  hv::InstructionBytes fetch_instruction(const hv::ExitState& state) const;

  Parts parts_;
  std::uint64_t halt_ticket_ = 0;
  std::uint64_t last_halt_ns_ = 0;
  std::uint32_t logged_exits_ = 0;
};

}  // namespace runhv
