#include "winhv_linux/emulator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "emu/mmio_instruction.h"
#include "emu/port_io.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT8 kRead = 0;
constexpr UINT8 kWrite = 1;

WHV_EMULATOR_STATUS internal_failure() {
  WHV_EMULATOR_STATUS status{};
  status.InternalEmulationFailure = 1;
  return status;
}

class Port final : public emu::PortOperand {
 public:
  Port(WHV_EMULATOR_IO_PORT_CALLBACK callback, void* context)
      : callback_(callback), context_(context) {}

  std::uint32_t read(std::uint16_t port, unsigned size_bytes) override {
    return call(kRead, port, size_bytes, 0);
  }
  void write(std::uint16_t port, unsigned size_bytes, std::uint32_t value) override {
    call(kWrite, port, size_bytes, value);
  }
  bool failed() const { return failed_; }

 private:
  UINT32 call(UINT8 direction, UINT16 port, unsigned size_bytes, UINT32 value) {
    WHV_EMULATOR_IO_ACCESS_INFO access{direction, port, static_cast<UINT16>(size_bytes), value};
    failed_ = FAILED(callback_(context_, &access));
    return access.Data;
  }

  const WHV_EMULATOR_IO_PORT_CALLBACK callback_;
  void* const context_;
  bool failed_ = false;
};

class Memory final : public emu::MmioOperand {
 public:
  Memory(WHV_EMULATOR_MEMORY_CALLBACK callback, void* context, UINT64 gpa)
      : callback_(callback), context_(context), gpa_(gpa) {}

  std::uint64_t read(unsigned size_bytes) override { return call(kRead, size_bytes, 0); }
  void write(unsigned size_bytes, std::uint64_t value) override { call(kWrite, size_bytes, value); }
  bool failed() const { return failed_; }

 private:
  UINT64 call(UINT8 direction, unsigned size_bytes, UINT64 value) {
    if (failed_) return 0;  // what was to be read is not written
    WHV_EMULATOR_MEMORY_ACCESS_INFO access{};
    access.GpaAddress = gpa_;
    access.Direction = direction;
    access.AccessSize = static_cast<UINT8>(size_bytes);
    std::memcpy(access.Data, &value, sizeof access.Data);
    failed_ = FAILED(callback_(context_, &access));
    std::memcpy(&value, access.Data, sizeof access.Data);
    return value;
  }

  const WHV_EMULATOR_MEMORY_CALLBACK callback_;
  void* const context_;
  const UINT64 gpa_;
  bool failed_ = false;
};

// The registers that an instruction leaves.
class Changes {
 public:
  void add(WHV_REGISTER_NAME name, UINT64 value) {
    names_[count_] = name;
    values_[count_++].Reg64 = value;
  }
  WHV_EMULATOR_STATUS set(const WHV_EMULATOR_CALLBACKS& callbacks, void* context) const {
    WHV_EMULATOR_STATUS status{};
    const HRESULT result = callbacks.WHvEmulatorSetVirtualProcessorRegisters(
        context, names_.data(), count_, values_.data());
    status.SetVirtualProcessorRegistersCallbackFailed = FAILED(result);
    status.EmulationSuccessful = SUCCEEDED(result);
    return status;
  }

 private:
  UINT32 count_ = 0;
  std::array<WHV_REGISTER_NAME, 3> names_{};
  alignas(16) std::array<WHV_REGISTER_VALUE, 3> values_{};  // as WHP wants them
};

emu::CodeSize code_size(const WHV_X64_SEGMENT_REGISTER& cs) {
  if (cs.Long != 0) return emu::CodeSize::k64;
  return cs.Default != 0 ? emu::CodeSize::k32 : emu::CodeSize::k16;
}

}  // namespace

WHV_EMULATOR_STATUS Emulator::run_port(void* context, const WHV_VP_EXIT_CONTEXT& vp,
                                       const WHV_X64_IO_PORT_ACCESS_CONTEXT& access) const {
  Port port(callbacks_.WHvEmulatorIoPortCallback, context);
  const auto rax = emu::execute_port({.port = access.PortNumber,
                                      .size_bytes = access.AccessInfo.AccessSize,
                                      .is_write = access.AccessInfo.IsWrite != 0,
                                      .is_string = access.AccessInfo.StringOp != 0,
                                      .rax = access.Rax},
                                     port);
  if (!rax) return internal_failure();
  if (port.failed()) {
    WHV_EMULATOR_STATUS status{};
    status.IoPortCallbackFailed = 1;
    return status;
  }
  Changes changes;
  changes.add(WHvX64RegisterRip, vp.Rip + vp.InstructionLength);
  if (access.AccessInfo.IsWrite == 0) changes.add(WHvX64RegisterRax, *rax);
  return changes.set(callbacks_, context);
}

WHV_EMULATOR_STATUS Emulator::run_memory(void* context, const WHV_VP_EXIT_CONTEXT& vp,
                                         const WHV_MEMORY_ACCESS_CONTEXT& access) const {
  const std::size_t bytes =
      std::min<std::size_t>(access.InstructionByteCount, sizeof access.InstructionBytes);
  const auto instruction = emu::decode_mmio(
      std::as_bytes(std::span(access.InstructionBytes).first(bytes)), code_size(vp.Cs));
  if (!instruction) return internal_failure();
  if (access.Gpa % kPageBytes + instruction->memory_size > kPageBytes) return internal_failure();

  emu::MmioCpuState before{.rflags = vp.Rflags};
  const auto gpr = static_cast<WHV_REGISTER_NAME>(instruction->gpr.value_or(0));
  if (instruction->gpr) {
    alignas(16) WHV_REGISTER_VALUE value{};
    if (FAILED(callbacks_.WHvEmulatorGetVirtualProcessorRegisters(context, &gpr, 1, &value))) {
      WHV_EMULATOR_STATUS status{};
      status.GetVirtualProcessorRegistersCallbackFailed = 1;
      return status;
    }
    before.gpr_value = value.Reg64;
  }
  Memory memory(callbacks_.WHvEmulatorMemoryCallback, context, access.Gpa);
  const emu::MmioCpuState after = emu::execute_mmio(*instruction, before, memory);
  if (memory.failed()) {
    WHV_EMULATOR_STATUS status{};
    status.MemoryCallbackFailed = 1;
    return status;
  }
  Changes changes;
  changes.add(WHvX64RegisterRip, vp.Rip + instruction->length);
  if (after.gpr_value != before.gpr_value) changes.add(gpr, after.gpr_value);
  if (after.rflags != before.rflags) changes.add(WHvX64RegisterRflags, after.rflags);
  return changes.set(callbacks_, context);
}

}  // namespace runhv::winhv_linux
