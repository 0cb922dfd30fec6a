#include "winhv_linux/emulator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "emu/mmio_instruction.h"
#include "emu/port_io.h"
#include "emu/string_instruction.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT8 kRead = 0;
constexpr UINT8 kWrite = 1;
// Of a repeated string instruction, in one call; the guest goes on with it.
constexpr std::size_t kMostElements = 4096;

WHV_EMULATOR_STATUS internal_failure() {
  WHV_EMULATOR_STATUS status{};
  status.InternalEmulationFailure = 1;
  return status;
}

// The client's calls. Each is false where it failed, and the status tells which did.
class Client {
 public:
  Client(const WHV_EMULATOR_CALLBACKS& callbacks, void* context)
      : callbacks_(callbacks), context_(context) {}

  bool get(std::span<const WHV_REGISTER_NAME> names, WHV_REGISTER_VALUE* values) {
    const HRESULT result = callbacks_.WHvEmulatorGetVirtualProcessorRegisters(
        context_, names.data(), static_cast<UINT32>(names.size()), values);
    status_.GetVirtualProcessorRegistersCallbackFailed = FAILED(result);
    return SUCCEEDED(result);
  }
  // The last act.
  WHV_EMULATOR_STATUS set(std::span<const WHV_REGISTER_NAME> names,
                          const WHV_REGISTER_VALUE* values) {
    const HRESULT result = callbacks_.WHvEmulatorSetVirtualProcessorRegisters(
        context_, names.data(), static_cast<UINT32>(names.size()), values);
    WHV_EMULATOR_STATUS status{};
    status.SetVirtualProcessorRegistersCallbackFailed = FAILED(result);
    status.EmulationSuccessful = SUCCEEDED(result);
    return status;
  }
  bool port(UINT8 direction, UINT16 port, unsigned size, UINT32& data) {
    WHV_EMULATOR_IO_ACCESS_INFO access{direction, port, static_cast<UINT16>(size), data};
    const HRESULT result = callbacks_.WHvEmulatorIoPortCallback(context_, &access);
    status_.IoPortCallbackFailed = FAILED(result);
    data = access.Data;
    return SUCCEEDED(result);
  }
  // 1 to 8 bytes in one page.
  bool memory(UINT8 direction, UINT64 gpa, unsigned size, UINT64& value) {
    WHV_EMULATOR_MEMORY_ACCESS_INFO access{};
    access.GpaAddress = gpa;
    access.Direction = direction;
    access.AccessSize = static_cast<UINT8>(size);
    std::memcpy(access.Data, &value, sizeof access.Data);
    const HRESULT result = callbacks_.WHvEmulatorMemoryCallback(context_, &access);
    status_.MemoryCallbackFailed = FAILED(result);
    std::memcpy(&value, access.Data, sizeof access.Data);
    return SUCCEEDED(result);
  }
  bool translate(UINT64 linear, UINT8 direction, UINT64& gpa) {
    const auto flags =
        direction == kWrite ? WHvTranslateGvaFlagValidateWrite : WHvTranslateGvaFlagValidateRead;
    WHV_TRANSLATE_GVA_RESULT_CODE code = WHvTranslateGvaResultSuccess;
    WHV_GUEST_PHYSICAL_ADDRESS page = 0;
    const UINT64 offset = linear % kPageBytes;
    const HRESULT result =
        callbacks_.WHvEmulatorTranslateGvaPage(context_, linear - offset, flags, &code, &page);
    status_.TranslateGvaPageCallbackFailed = FAILED(result);
    status_.TranslateGvaPageCallbackGpaIsNotAligned = SUCCEEDED(result) && page % kPageBytes != 0;
    // The fault would be the guest's: that of the processor when it comes there, not ours to raise.
    status_.GuestCannotBeFaulted = SUCCEEDED(result) && code != WHvTranslateGvaResultSuccess;
    gpa = page + offset;
    return SUCCEEDED(result) && code == WHvTranslateGvaResultSuccess && page % kPageBytes == 0;
  }

  WHV_EMULATOR_STATUS status() const { return status_; }

 private:
  const WHV_EMULATOR_CALLBACKS& callbacks_;
  void* const context_;
  WHV_EMULATOR_STATUS status_{};
};

struct Part {  // in one page
  UINT64 gpa = 0;
  unsigned size = 0;
};

// A memory operand of up to 8 bytes: in one page, or its first bytes in one and the rest in
// another.
class Operand {
 public:
  explicit Operand(Part first, Part second = {}) : parts_{first, second} {}

  bool read(Client& client, UINT64& value) const {
    UINT64 low = 0;
    UINT64 high = 0;
    if (!client.memory(kRead, parts_[0].gpa, parts_[0].size, low)) return false;
    if (parts_[1].size == 0) {
      value = low;
      return true;
    }
    if (!client.memory(kRead, parts_[1].gpa, parts_[1].size, high)) return false;
    const unsigned shift = 8 * parts_[0].size;
    value = (low & ((UINT64{1} << shift) - 1)) | high << shift;
    return true;
  }
  bool write(Client& client, UINT64 value) const {
    UINT64 low = value;
    if (!client.memory(kWrite, parts_[0].gpa, parts_[0].size, low)) return false;
    if (parts_[1].size == 0) return true;
    UINT64 high = value >> (8 * parts_[0].size);
    return client.memory(kWrite, parts_[1].gpa, parts_[1].size, high);
  }

 private:
  std::array<Part, 2> parts_;
};

// By the guest's own tables.
std::optional<Operand> operand_at(Client& client, UINT64 linear, unsigned size, UINT8 direction) {
  Part first{.size =
                 static_cast<unsigned>(std::min<UINT64>(size, kPageBytes - linear % kPageBytes))};
  Part second{.size = size - first.size};
  if (!client.translate(linear, direction, first.gpa)) return std::nullopt;
  if (second.size != 0 && !client.translate(linear + first.size, direction, second.gpa)) {
    return std::nullopt;
  }
  return Operand(first, second);
}

class Port final : public emu::PortOperand {
 public:
  explicit Port(Client& client) : client_(client) {}

  std::uint32_t read(std::uint16_t port, unsigned size_bytes) override {
    UINT32 data = 0;
    failed_ = !client_.port(kRead, port, size_bytes, data);
    return data;
  }
  void write(std::uint16_t port, unsigned size_bytes, std::uint32_t value) override {
    failed_ = !client_.port(kWrite, port, size_bytes, value);
  }
  bool failed() const { return failed_; }

 private:
  Client& client_;
  bool failed_ = false;
};

class Memory final : public emu::MmioOperand {
 public:
  Memory(Client& client, const Operand& operand) : client_(client), operand_(operand) {}

  std::uint64_t read(unsigned) override {
    UINT64 value = 0;
    failed_ = !operand_.read(client_, value);
    return value;
  }
  void write(unsigned, std::uint64_t value) override {
    // What was to be read is not written.
    if (!failed_) failed_ = !operand_.write(client_, value);
  }
  bool failed() const { return failed_; }

 private:
  Client& client_;
  const Operand operand_;
  bool failed_ = false;
};

class Strings final : public emu::StringOperands {
 public:
  Strings(Client& client, UINT16 port) : client_(client), port_(port) {}

  bool read(std::uint64_t linear, unsigned size, std::uint64_t& value) override {
    const auto operand = operand_at(client_, linear, size, kRead);
    return operand && operand->read(client_, value);
  }
  bool write(std::uint64_t linear, unsigned size, std::uint64_t value) override {
    const auto operand = operand_at(client_, linear, size, kWrite);
    return operand && operand->write(client_, value);
  }
  bool in(unsigned size, std::uint64_t& value) override {
    UINT32 data = 0;
    const bool done = client_.port(kRead, port_, size, data);
    value = data;
    return done;
  }
  bool out(unsigned size, std::uint64_t value) override {
    auto data = static_cast<UINT32>(value & ((UINT64{1} << (8 * size)) - 1));
    return client_.port(kWrite, port_, size, data);
  }

 private:
  Client& client_;
  const UINT16 port_;
};

// The registers that an instruction leaves.
class Changes {
 public:
  void add(WHV_REGISTER_NAME name, UINT64 value) {
    names_[count_] = name;
    values_[count_++].Reg64 = value;
  }
  WHV_EMULATOR_STATUS set(Client& client) const {
    return client.set(std::span(names_).first(count_), values_.data());
  }

 private:
  std::size_t count_ = 0;
  std::array<WHV_REGISTER_NAME, 5> names_{};
  alignas(16) std::array<WHV_REGISTER_VALUE, 5> values_{};  // as WHP wants them
};

emu::CodeSize code_size(const WHV_X64_SEGMENT_REGISTER& cs) {
  if (cs.Long != 0) return emu::CodeSize::k64;
  return cs.Default != 0 ? emu::CodeSize::k32 : emu::CodeSize::k16;
}

template <class Context>
std::span<const std::byte> code_of(const Context& access) {
  const std::size_t bytes =
      std::min<std::size_t>(access.InstructionByteCount, sizeof access.InstructionBytes);
  return std::as_bytes(std::span(access.InstructionBytes).first(bytes));
}

// 0..15 = RAX, RCX, …; 0..5 = ES, CS, …: as the instruction has them.
WHV_REGISTER_NAME general_register(unsigned number) {
  return static_cast<WHV_REGISTER_NAME>(WHvX64RegisterRax + number);
}
WHV_REGISTER_NAME segment_register(unsigned number) {
  return static_cast<WHV_REGISTER_NAME>(WHvX64RegisterEs + number);
}

WHV_EMULATOR_STATUS run_string(Client& client, const WHV_VP_EXIT_CONTEXT& vp,
                               const emu::StringInstruction& instruction, UINT16 port) {
  const std::array names{WHvX64RegisterRax,
                         WHvX64RegisterRcx,
                         WHvX64RegisterRsi,
                         WHvX64RegisterRdi,
                         segment_register(instruction.source_segment),
                         WHvX64RegisterEs};
  alignas(16) std::array<WHV_REGISTER_VALUE, names.size()> values{};
  if (!client.get(names, values.data())) return client.status();
  emu::StringState state{.rax = values[0].Reg64,
                         .rcx = values[1].Reg64,
                         .rsi = values[2].Reg64,
                         .rdi = values[3].Reg64,
                         .rflags = vp.Rflags,
                         .source_base = values[4].Segment.Base,
                         .destination_base = values[5].Segment.Base};
  Strings operands(client, port);
  const emu::StringEnd end =
      emu::execute_string(instruction, code_size(vp.Cs), kMostElements, state, operands);
  if (end == emu::StringEnd::kFailed) return client.status();
  Changes changes;
  changes.add(WHvX64RegisterRip, vp.Rip + (end == emu::StringEnd::kDone ? instruction.length : 0));
  const std::array left{state.rax, state.rcx, state.rsi, state.rdi};
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] != values[i].Reg64) changes.add(names[i], left[i]);
  }
  return changes.set(client);
}

// The exit names the page where nothing is, not where the access began: where it may span two, the
// instruction is asked. None: a call of the client failed.
std::optional<Operand> operand_of(Client& client, const WHV_VP_EXIT_CONTEXT& vp,
                                  const WHV_MEMORY_ACCESS_CONTEXT& access,
                                  const emu::MmioInstruction& instruction, UINT64 gpr_value) {
  const unsigned size = instruction.memory_size;
  const UINT64 offset = access.Gpa % kPageBytes;
  const bool goes_on = offset + size > kPageBytes;
  const bool may_have_begun_before = offset == 0 && size > 1;
  const Operand whole({access.Gpa, size});
  if (!goes_on && !may_have_begun_before) return whole;

  const emu::MmioAddress& address = instruction.address;
  const std::array names{segment_register(address.segment),
                         general_register(address.base.value_or(0)),
                         general_register(address.index.value_or(0))};
  alignas(16) std::array<WHV_REGISTER_VALUE, names.size()> values{};
  if (!client.get(names, values.data())) return std::nullopt;
  const UINT64 linear = emu::linear_address(instruction,
                                            {.rip = vp.Rip,
                                             .segment_base = values[0].Segment.Base,
                                             .base = values[1].Reg64,
                                             .index = values[2].Reg64,
                                             .gpr_value = gpr_value},
                                            code_size(vp.Cs));
  const auto in_first = static_cast<unsigned>(kPageBytes - linear % kPageBytes);
  if (in_first >= size) return whole;
  const UINT8 direction = access.AccessInfo.AccessType == WHvMemoryAccessWrite ? kWrite : kRead;
  Part first{access.Gpa, in_first};
  Part second{access.Gpa, size - in_first};
  const bool found = goes_on ? client.translate(linear + in_first, direction, second.gpa)
                             : client.translate(linear, direction, first.gpa);
  if (!found) return std::nullopt;
  return Operand(first, second);
}

}  // namespace

WHV_EMULATOR_STATUS Emulator::run_port(void* context, const WHV_VP_EXIT_CONTEXT& vp,
                                       const WHV_X64_IO_PORT_ACCESS_CONTEXT& access) const {
  Client client(callbacks_, context);
  if (access.AccessInfo.StringOp != 0) {
    const auto instruction = emu::decode_string(code_of(access), code_size(vp.Cs));
    if (!instruction) return internal_failure();
    return run_string(client, vp, *instruction, access.PortNumber);
  }
  Port port(client);
  const auto rax = emu::execute_port({.port = access.PortNumber,
                                      .size_bytes = access.AccessInfo.AccessSize,
                                      .is_write = access.AccessInfo.IsWrite != 0,
                                      .is_string = false,
                                      .rax = access.Rax},
                                     port);
  if (!rax) return internal_failure();
  if (port.failed()) return client.status();
  Changes changes;
  changes.add(WHvX64RegisterRip, vp.Rip + vp.InstructionLength);
  if (access.AccessInfo.IsWrite == 0) changes.add(WHvX64RegisterRax, *rax);
  return changes.set(client);
}

WHV_EMULATOR_STATUS Emulator::run_memory(void* context, const WHV_VP_EXIT_CONTEXT& vp,
                                         const WHV_MEMORY_ACCESS_CONTEXT& access) const {
  Client client(callbacks_, context);
  const auto instruction = emu::decode_mmio(code_of(access), code_size(vp.Cs));
  if (!instruction) {
    const auto string = emu::decode_string(code_of(access), code_size(vp.Cs));
    if (!string || emu::uses_port(*string)) return internal_failure();
    return run_string(client, vp, *string, 0);
  }

  emu::MmioCpuState before{.rflags = vp.Rflags};
  const WHV_REGISTER_NAME gpr = general_register(instruction->gpr.value_or(0));
  if (instruction->gpr) {
    alignas(16) WHV_REGISTER_VALUE value{};
    if (!client.get(std::span(&gpr, 1), &value)) return client.status();
    before.gpr_value = value.Reg64;
  }
  const auto operand = operand_of(client, vp, access, *instruction, before.gpr_value);
  if (!operand) return client.status();
  Memory memory(client, *operand);
  const emu::MmioCpuState after = emu::execute_mmio(*instruction, before, memory);
  if (memory.failed()) return client.status();
  Changes changes;
  changes.add(WHvX64RegisterRip, vp.Rip + instruction->length);
  if (after.gpr_value != before.gpr_value) changes.add(gpr, after.gpr_value);
  if (after.rflags != before.rflags) changes.add(WHvX64RegisterRflags, after.rflags);
  return changes.set(client);
}

}  // namespace runhv::winhv_linux
