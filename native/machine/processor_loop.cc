#include "machine/processor_loop.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <type_traits>
#include <variant>

#include "base/log.h"
#include "emu/mmio_instruction.h"
#include "emu/port_io.h"
#include "platform/clock.h"

namespace runhv {
namespace {

using hv::Register;
using hv::RegisterValue;
using hv::RegisterWrite;

constexpr std::uint64_t kSameHaltNs = 20'000;
constexpr std::uint32_t kMaxLoggedExits = 2000;  // a boot and some more, not a day of disk accesses

constexpr ExitReason reason_of(const hv::MemoryExit&) { return ExitReason::kMmio; }
constexpr ExitReason reason_of(const hv::PortExit&) { return ExitReason::kIoPort; }
constexpr ExitReason reason_of(const hv::CpuidExit&) { return ExitReason::kCpuid; }
constexpr ExitReason reason_of(const hv::MsrExit&) { return ExitReason::kMsr; }
constexpr ExitReason reason_of(const hv::HaltExit&) { return ExitReason::kHalt; }
constexpr ExitReason reason_of(const hv::InterruptWindowExit&) {
  return ExitReason::kInterruptWindow;
}
constexpr ExitReason reason_of(const hv::EoiExit&) { return ExitReason::kApicEoi; }
constexpr ExitReason reason_of(const hv::CanceledExit&) { return ExitReason::kCanceled; }
template <class Other>
constexpr ExitReason reason_of(const Other&) {
  return ExitReason::kOther;
}

class BusOperand final : public MmioOperand {
 public:
  BusOperand(Bus& bus, std::uint64_t address) : bus_(bus), address_(address) {}
  std::uint64_t read(unsigned size) override { return bus_.read(address_, size); }
  void write(unsigned size, std::uint64_t value) override {
    done_ = bus_.write(address_, size, value);
  }
  bool done() const { return done_; }

 private:
  Bus& bus_;
  std::uint64_t address_;
  bool done_ = true;
};

class PortBusOperand final : public PortOperand {
 public:
  explicit PortBusOperand(Bus& bus) : bus_(bus) {}
  std::uint32_t read(std::uint16_t port, unsigned size) override {
    return static_cast<std::uint32_t>(bus_.read(port, size));
  }
  void write(std::uint16_t port, unsigned size, std::uint32_t value) override {
    bus_.write(port, size, value);
  }

 private:
  Bus& bus_;
};

const char* name(hv::Access access) {
  switch (access) {
    case hv::Access::kRead:
      return "read";
    case hv::Access::kWrite:
      return "write";
    case hv::Access::kExecute:
      break;
  }
  return "execute";
}

// For people who count exits (docs/adr/0005): which address each of them was at.
void log_exit(const hv::Exit& exit) {
  if (const auto* memory = std::get_if<hv::MemoryExit>(&exit.reason)) {
    debug_log("exit", "mmio %s 0x%" PRIx64, name(memory->access), memory->gpa.value);
  } else if (const auto* port = std::get_if<hv::PortExit>(&exit.reason)) {
    debug_log("exit", "port %s 0x%x", port->is_write ? "out" : "in", port->port);
  } else if (const auto* msr = std::get_if<hv::MsrExit>(&exit.reason)) {
    debug_log("exit", "msr %s 0x%x", msr->is_write ? "write" : "read", msr->msr);
  }
}

std::string hex(std::uint64_t value) {
  std::array<char, 24> text;
  std::snprintf(text.data(), text.size(), "0x%" PRIx64, value);
  return text.data();
}

// The guest did something that no machine of ours can go on from.
Fail<Error> guest_failure(const hv::ExitState& state, const std::string& detail,
                          const std::string& hint = "") {
  return Fail{
      Error{Code::kGuestFailed, "run the guest", detail + " at RIP " + hex(state.rip) + hint}};
}

CodeSize code_size(const hv::ExitState& state) {
  if (state.long_mode && (state.cs.attributes & 1u << 13) != 0) return CodeSize::k64;
  return (state.cs.attributes & 1u << 14) != 0 ? CodeSize::k32 : CodeSize::k16;
}

RegisterWrite advance(const hv::ExitState& state, unsigned length) {
  return {Register::kRip, RegisterValue::of(state.rip + length)};
}

bool needs_register(const MmioInstruction& instruction) {
  // A load into 32 or 64 bits replaces the whole register.
  const bool replaces = (instruction.operation == MmioOperation::kMov ||
                         instruction.operation == MmioOperation::kMovSignExtend) &&
                        !instruction.memory_is_destination && instruction.register_size >= 4;
  return instruction.gpr.has_value() && !replaces;
}

}  // namespace

ProcessorLoop::ProcessorLoop(const Parts& parts) : parts_(parts) {}

void ProcessorLoop::run() {
  while (!parts_.state.ending()) {
    halt_ticket_ = parts_.state.halt_gate().ticket();
    const auto exit = parts_.processor.run();
    parts_.counts.set_instructions(parts_.processor.instruction_count());
    if (!exit) {
      parts_.state.end(MachineEnd::kFailed, exit.error());
      return;
    }
    parts_.counts.add_exit(
        std::visit([](const auto& reason) { return reason_of(reason); }, exit->reason));
    if (logged_exits_ < kMaxLoggedExits) {
      ++logged_exits_;
      log_exit(*exit);
    }
    if (auto handled = handle(*exit); !handled) {
      const bool by_guest = handled.error().code == Code::kGuestFailed;
      parts_.state.end(by_guest ? MachineEnd::kTripleFault : MachineEnd::kFailed,
                       std::move(handled).error());
    }
  }
}

Result<void> ProcessorLoop::handle(const hv::Exit& exit) {
  return std::visit(
      [&](const auto& reason) -> Result<void> {
        using Reason = std::decay_t<decltype(reason)>;
        if constexpr (std::is_same_v<Reason, hv::MemoryExit>) {
          return on_memory(exit.state, reason);
        } else if constexpr (std::is_same_v<Reason, hv::PortExit>) {
          return on_port(exit.state, reason);
        } else if constexpr (std::is_same_v<Reason, hv::CpuidExit>) {
          return on_cpuid(exit.state, reason);
        } else if constexpr (std::is_same_v<Reason, hv::MsrExit>) {
          return on_msr(exit.state, reason);
        } else if constexpr (std::is_same_v<Reason, hv::HaltExit>) {
          on_halt();
          return {};
        } else if constexpr (std::is_same_v<Reason, hv::EoiExit>) {
          parts_.io_apic.end_of_interrupt(static_cast<std::uint8_t>(reason.vector));
          return {};
        } else if constexpr (std::is_same_v<Reason, hv::UnrecoverableExit>) {
          // With reboot=t, which machine.cc asks for, Linux comes here when it panics.
          return guest_failure(exit.state, "triple fault",
                               ": so ends a kernel that panics; --debug shows what it says");
        } else if constexpr (std::is_same_v<Reason, hv::InvalidStateExit>) {
          return guest_failure(exit.state, "a processor state that cannot be run");
        } else if constexpr (std::is_same_v<Reason, hv::OtherExit>) {
          return Fail{Error{Code::kHostFailed, "run the guest",
                            "the hypervisor gave exit reason " + hex(reason.reason)}};
        } else {
          return {};  // Canceled, spurious, interrupt window: run() looks whether to go on
        }
      },
      exit.reason);
}

Result<void> ProcessorLoop::on_memory(const hv::ExitState& state, const hv::MemoryExit& exit) {
  if (exit.access == hv::Access::kExecute) {
    return guest_failure(state, "instruction fetch from " + hex(exit.gpa.value));
  }
  if (!exit.unmapped) {
    return Fail{Error{Code::kHostFailed, "give the guest its memory",
                      "the hypervisor refused the page at " + hex(exit.gpa.value)}};
  }
  auto instruction = decode_mmio(exit.instruction.view(), code_size(state));
  if (!instruction && instruction.error().code == Code::kCorruptInput) {
    // Captured in part or not at all.
    instruction = decode_mmio(fetch_instruction(state).view(), code_size(state));
  }
  if (!instruction) {
    return guest_failure(
        state, "access to " + hex(exit.gpa.value) + ": " + to_string(instruction.error()));
  }

  MmioCpuState before{.gpr_value = 0, .rflags = state.rflags};
  if (needs_register(*instruction)) {
    RUNHV_TRY_ASSIGN(before.gpr_value, read_register(hv::general_register(*instruction->gpr)));
  }
  BusOperand operand(parts_.mmio, exit.gpa.value);
  const MmioCpuState after = execute_mmio(*instruction, before, operand);
  if (!operand.done()) return {};  // RIP stays: the guest executes it again

  std::array<RegisterWrite, 3> writes{advance(state, instruction->length)};
  std::size_t count = 1;
  const bool writes_register = instruction->gpr && (!instruction->memory_is_destination ||
                                                    instruction->operation == MmioOperation::kXchg);
  if (writes_register) {
    writes[count++] = {hv::general_register(*instruction->gpr), RegisterValue::of(after.gpr_value)};
  }
  if (instruction->uses_flags()) {
    writes[count++] = {Register::kRflags, RegisterValue::of(after.rflags)};
  }
  return parts_.processor.write(std::span(writes).first(count));
}

Result<void> ProcessorLoop::on_port(const hv::ExitState& state, const hv::PortExit& exit) {
  PortBusOperand operand(parts_.ports);
  const auto rax = execute_port({.port = exit.port,
                                 .size_bytes = exit.size,
                                 .is_write = exit.is_write,
                                 .is_string = exit.is_string,
                                 .rax = exit.rax},
                                operand);
  if (!rax) return guest_failure(state, to_string(rax.error()));
  if (exit.is_write) return parts_.processor.write({advance(state, state.instruction_length)});
  return parts_.processor.write(
      {advance(state, state.instruction_length), {Register::kRax, RegisterValue::of(*rax)}});
}

Result<void> ProcessorLoop::on_cpuid(const hv::ExitState& state, const hv::CpuidExit& exit) {
  return parts_.processor.write({advance(state, state.instruction_length),
                                 {Register::kRax, RegisterValue::of(exit.default_rax)},
                                 {Register::kRbx, RegisterValue::of(exit.default_rbx)},
                                 {Register::kRcx, RegisterValue::of(exit.default_rcx)},
                                 {Register::kRdx, RegisterValue::of(exit.default_rdx)}});
}

// A register that the hypervisor does not have: reads zero, ignores writes, as Linux expects of
// registers that it touches without asking first.
Result<void> ProcessorLoop::on_msr(const hv::ExitState& state, const hv::MsrExit& exit) {
  if (state.privilege_level != 0) {
    // SDM Vol.2 RDMSR: #GP(0). WHV_X64_PENDING_EXCEPTION_EVENT: pending, with an error code.
    constexpr std::uint64_t kGeneralProtection = 1 | 1u << 8 | 13u << 16;
    return parts_.processor.write(
        {{Register::kPendingEvent, RegisterValue::of(kGeneralProtection)}});
  }
  constexpr unsigned kLength = 2;  // RDMSR, WRMSR
  if (exit.is_write) return parts_.processor.write({advance(state, kLength)});
  return parts_.processor.write({advance(state, kLength),
                                 {Register::kRax, RegisterValue::of(0)},
                                 {Register::kRdx, RegisterValue::of(0)}});
}

void ProcessorLoop::on_halt() {
  const std::uint64_t now = monotonic_ns();
  const bool again = now - last_halt_ns_ < kSameHaltNs;
  if (again) parts_.state.halt_gate().wait(halt_ticket_);
  last_halt_ns_ = monotonic_ns();
}

Result<std::uint64_t> ProcessorLoop::read_register(hv::Register name) const {
  RegisterValue value;
  RUNHV_TRY(parts_.processor.read(std::span(&name, 1), std::span(&value, 1)));
  return value.low;
}

// From guest memory, page by page; as many bytes as the guest's tables give.
hv::InstructionBytes ProcessorLoop::fetch_instruction(const hv::ExitState& state) const {
  hv::InstructionBytes result;
  const std::uint64_t first = state.rip + (code_size(state) == CodeSize::k64 ? 0 : state.cs.base);
  while (result.count < result.bytes.size()) {
    const std::uint64_t gva = first + result.count;
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>(result.bytes.size() - result.count, kPageSize - gva % kPageSize));
    const auto gpa = parts_.processor.translate(gva, hv::Access::kExecute);
    if (!gpa || !*gpa) break;
    const auto bytes = parts_.memory.view(**gpa, size);
    if (!bytes) break;
    std::ranges::copy(*bytes, result.bytes.begin() + result.count);
    result.count = static_cast<std::uint8_t>(result.count + size);
  }
  return result;
}

}  // namespace runhv
