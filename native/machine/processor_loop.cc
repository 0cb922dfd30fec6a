#include "machine/processor_loop.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <variant>

#include "base/log.h"
#include "emu/mmio_instruction.h"
#include "emu/port_io.h"
#include "machine/memory_operand.h"
#include "platform/clock.h"

namespace runhv::machine {
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
constexpr ExitReason reason_of(const hv::SpuriousExit&) { return ExitReason::kOther; }
constexpr ExitReason reason_of(const hv::UnrecoverableExit&) { return ExitReason::kOther; }
constexpr ExitReason reason_of(const hv::InvalidStateExit&) { return ExitReason::kOther; }
constexpr ExitReason reason_of(const hv::OtherExit&) { return ExitReason::kOther; }

class PortBusOperand final : public emu::PortOperand {
 public:
  explicit PortBusOperand(devices::Bus& bus) : bus_(bus) {}
  std::uint32_t read(std::uint16_t port, unsigned size) override {
    return static_cast<std::uint32_t>(bus_.read(port, size));
  }
  void write(std::uint16_t port, unsigned size, std::uint32_t value) override {
    bus_.write(port, size, value);
  }

 private:
  devices::Bus& bus_;
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

emu::CodeSize code_size(const hv::ExitState& state) {
  if (state.long_mode && (state.cs.attributes & 1u << 13) != 0) return emu::CodeSize::k64;
  return (state.cs.attributes & 1u << 14) != 0 ? emu::CodeSize::k32 : emu::CodeSize::k16;
}

RegisterWrite advance(const hv::ExitState& state, unsigned length) {
  return {Register::kRip, RegisterValue::of(state.rip + length)};
}

bool needs_register(const emu::MmioInstruction& instruction) {
  // A load into 32 or 64 bits replaces the whole register.
  const bool replaces = (instruction.operation == emu::MmioOperation::kMov ||
                         instruction.operation == emu::MmioOperation::kMovSignExtend) &&
                        !instruction.memory_is_destination && instruction.register_size >= 4;
  return instruction.gpr.has_value() && !replaces;
}

}  // namespace

ProcessorLoop::ProcessorLoop(const Parts& parts) : parts_(parts) {}

void ProcessorLoop::run() {
  while (parts_.state.may_run()) {
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
    auto handled =
        std::visit([&](const auto& reason) { return on(exit->state, reason); }, exit->reason);
    if (!handled) {
      const bool by_guest = handled.error().code == Code::kGuestFailed;
      parts_.state.end(by_guest ? MachineEnd::kGuestStuck : MachineEnd::kFailed,
                       std::move(handled).error());
    }
  }
}

Result<void> ProcessorLoop::on(const hv::ExitState& state, const hv::MemoryExit& exit) {
  if (exit.access == hv::Access::kExecute) {
    return guest_failure(state, "instruction fetch from " + hex(exit.gpa.value));
  }
  if (!exit.unmapped) {
    return Fail{Error{Code::kHostFailed, "give the guest its memory",
                      "the hypervisor refused the page at " + hex(exit.gpa.value)}};
  }
  auto instruction = emu::decode_mmio(exit.instruction.view(), code_size(state));
  if (!instruction && instruction.error().code == Code::kCorruptInput) {
    // Captured in part or not at all.
    instruction = emu::decode_mmio(fetch_instruction(state).view(), code_size(state));
  }
  if (!instruction) {
    return guest_failure(
        state, "access to " + hex(exit.gpa.value) + ": " + to_string(instruction.error()));
  }

  emu::MmioCpuState before{.gpr_value = 0, .rflags = state.rflags};
  if (needs_register(*instruction)) {
    RUNHV_TRY_ASSIGN(before.gpr_value, read_register(hv::general_register(*instruction->gpr)));
  }
  RUNHV_TRY_ASSIGN(MemoryOperand operand, operand_of(state, exit, *instruction, before.gpr_value));
  const emu::MmioCpuState after = emu::execute_mmio(*instruction, before, operand);
  if (!operand.done()) return {};  // RIP stays: the guest executes it again

  std::array<RegisterWrite, 3> writes{advance(state, instruction->length)};
  std::size_t count = 1;
  const bool writes_register =
      instruction->gpr &&
      (!instruction->memory_is_destination || instruction->operation == emu::MmioOperation::kXchg);
  if (writes_register) {
    writes[count++] = {hv::general_register(*instruction->gpr), RegisterValue::of(after.gpr_value)};
  }
  if (instruction->uses_flags()) {
    writes[count++] = {Register::kRflags, RegisterValue::of(after.rflags)};
  }
  return parts_.processor.write(std::span(writes).first(count));
}

Result<void> ProcessorLoop::on(const hv::ExitState& state, const hv::PortExit& exit) {
  PortBusOperand operand(parts_.ports);
  const auto rax = emu::execute_port({.port = exit.port,
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

Result<void> ProcessorLoop::on(const hv::ExitState& state, const hv::CpuidExit& exit) {
  return parts_.processor.write({advance(state, state.instruction_length),
                                 {Register::kRax, RegisterValue::of(exit.default_rax)},
                                 {Register::kRbx, RegisterValue::of(exit.default_rbx)},
                                 {Register::kRcx, RegisterValue::of(exit.default_rcx)},
                                 {Register::kRdx, RegisterValue::of(exit.default_rdx)}});
}

// A register that the hypervisor does not have: reads zero, ignores writes, as Linux expects of
// registers that it touches without asking first.
Result<void> ProcessorLoop::on(const hv::ExitState& state, const hv::MsrExit& exit) {
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

Result<void> ProcessorLoop::on(const hv::ExitState&, const hv::HaltExit&) {
  const std::uint64_t now = platform::monotonic_ns();
  const bool again = now - last_halt_ns_ < kSameHaltNs;
  if (again) parts_.state.halt_gate().wait(halt_ticket_);
  last_halt_ns_ = platform::monotonic_ns();
  return {};
}

Result<void> ProcessorLoop::on(const hv::ExitState&, const hv::EoiExit& exit) {
  parts_.io_apic.end_of_interrupt(static_cast<std::uint8_t>(exit.vector));
  return {};
}

// Of these nothing is to be done: run() looks whether to go on.
Result<void> ProcessorLoop::on(const hv::ExitState&, const hv::InterruptWindowExit&) { return {}; }
Result<void> ProcessorLoop::on(const hv::ExitState&, const hv::CanceledExit&) { return {}; }
Result<void> ProcessorLoop::on(const hv::ExitState&, const hv::SpuriousExit&) { return {}; }

Result<void> ProcessorLoop::on(const hv::ExitState& state, const hv::UnrecoverableExit&) {
  // With reboot=t, which machine.cc asks for, Linux comes here when it panics.
  parts_.state.end(MachineEnd::kTripleFault,
                   guest_failure(state, "triple fault",
                                 ": so ends a kernel that panics; --debug shows what it says")
                       .error);
  return {};
}

Result<void> ProcessorLoop::on(const hv::ExitState& state, const hv::InvalidStateExit&) {
  return guest_failure(state, "a processor state that cannot be run");
}

Result<void> ProcessorLoop::on(const hv::ExitState&, const hv::OtherExit& exit) {
  return Fail{Error{Code::kHostFailed, "run the guest",
                    "the hypervisor gave exit reason " + hex(exit.reason)}};
}

// The exit names the page where nothing is, not where the access began: where it may span two, the
// instruction is asked.
Result<MemoryOperand> ProcessorLoop::operand_of(const hv::ExitState& state,
                                                const hv::MemoryExit& exit,
                                                const emu::MmioInstruction& instruction,
                                                std::uint64_t gpr_value) const {
  const unsigned size = instruction.memory_size;
  const std::uint64_t offset = exit.gpa.value % kPageSize;
  const bool goes_on = offset + size > kPageSize;  // from the page of the exit into the next
  const bool may_have_begun_before = offset == 0 && size > 1;
  const MemoryOperand whole(parts_.memory, parts_.mmio, {exit.gpa, size});
  if (!goes_on && !may_have_begun_before) return whole;

  RUNHV_TRY_ASSIGN(const std::uint64_t linear, operand_address(state, instruction, gpr_value));
  const auto in_first = static_cast<unsigned>(kPageSize - linear % kPageSize);
  if (in_first >= size) return whole;
  const auto access = exit.access;
  std::optional<Gpa> first = exit.gpa;
  std::optional<Gpa> second = exit.gpa;
  if (goes_on) {
    RUNHV_TRY_ASSIGN(second, parts_.processor.translate(linear + in_first, access));
  } else {
    RUNHV_TRY_ASSIGN(first, parts_.processor.translate(linear, access));
  }
  return MemoryOperand(parts_.memory, parts_.mmio, {first, in_first}, {second, size - in_first});
}

Result<std::uint64_t> ProcessorLoop::operand_address(const hv::ExitState& state,
                                                     const emu::MmioInstruction& instruction,
                                                     std::uint64_t gpr_value) const {
  constexpr std::array kSegments{Register::kEs, Register::kCs, Register::kSs,
                                 Register::kDs, Register::kFs, Register::kGs};
  const emu::MmioAddress& address = instruction.address;
  const std::array names{kSegments[address.segment], hv::general_register(address.base.value_or(0)),
                         hv::general_register(address.index.value_or(0))};
  std::array<RegisterValue, names.size()> values;
  RUNHV_TRY(parts_.processor.read(names, values));
  return emu::linear_address(instruction,
                             {.rip = state.rip,
                              .segment_base = values[0].low,
                              .base = values[1].low,
                              .index = values[2].low,
                              .gpr_value = gpr_value},
                             code_size(state));
}

Result<std::uint64_t> ProcessorLoop::read_register(hv::Register name) const {
  RegisterValue value;
  RUNHV_TRY(parts_.processor.read(std::span(&name, 1), std::span(&value, 1)));
  return value.low;
}

// From guest memory, page by page; as many bytes as the guest's tables give.
hv::InstructionBytes ProcessorLoop::fetch_instruction(const hv::ExitState& state) const {
  hv::InstructionBytes result;
  const std::uint64_t first =
      state.rip + (code_size(state) == emu::CodeSize::k64 ? 0 : state.cs.base);
  while (result.count < result.bytes.size()) {
    const std::uint64_t gva = first + result.count;
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>(result.bytes.size() - result.count, kPageSize - gva % kPageSize));
    const auto gpa = parts_.processor.translate(gva, hv::Access::kExecute);
    if (!gpa || !*gpa) break;
    const auto bytes = parts_.memory.read_view(**gpa, size);
    if (!bytes) break;
    std::ranges::copy(*bytes, result.bytes.begin() + result.count);
    result.count = static_cast<std::uint8_t>(result.count + size);
  }
  return result;
}

}  // namespace runhv::machine
