#include <bit>

#include "emu/mmio_instruction.h"

namespace runhv::emu {
namespace {

constexpr std::uint64_t kCarry = 1u << 0;
constexpr std::uint64_t kParity = 1u << 2;
constexpr std::uint64_t kAdjust = 1u << 4;
constexpr std::uint64_t kZero = 1u << 6;
constexpr std::uint64_t kSign = 1u << 7;
constexpr std::uint64_t kOverflow = 1u << 11;
constexpr std::uint64_t kArithmeticFlags = kCarry | kParity | kAdjust | kZero | kSign | kOverflow;

std::uint64_t mask_of(unsigned size) {
  return size >= 8 ? UINT64_MAX : (std::uint64_t{1} << (8 * size)) - 1;
}

std::uint64_t sign_extend(std::uint64_t value, unsigned size) {
  const unsigned unused = 64 - 8 * size;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused) >> unused);
}

std::uint64_t register_operand(const MmioInstruction& instruction, std::uint64_t gpr_value) {
  if (!instruction.gpr) return instruction.immediate & mask_of(instruction.register_size);
  return (gpr_value >> (instruction.high_byte ? 8 : 0)) & mask_of(instruction.register_size);
}

// SDM Vol.1 §3.4.1.1: 32-bit results clear the upper half, smaller ones keep the rest.
std::uint64_t merge(const MmioInstruction& instruction, std::uint64_t before, std::uint64_t value) {
  if (instruction.register_size >= 4) return value & mask_of(instruction.register_size);
  const unsigned shift = instruction.high_byte ? 8 : 0;
  const std::uint64_t mask = mask_of(instruction.register_size) << shift;
  return (before & ~mask) | ((value << shift) & mask);
}

struct Arithmetic {
  std::uint64_t value;
  std::uint64_t flags;
};

// SDM Vol.1 §3.4.3.1. `left` and `right` fit in `size` bytes.
Arithmetic compute(MmioOperation operation, std::uint64_t left, std::uint64_t right,
                   unsigned size) {
  using enum MmioOperation;
  const std::uint64_t mask = mask_of(size);
  const std::uint64_t sign = std::uint64_t{1} << (8 * size - 1);
  std::uint64_t value = 0;
  std::uint64_t flags = 0;
  switch (operation) {
    case kAdd:
      value = (left + right) & mask;
      if (value < left) flags |= kCarry;
      if (((left ^ value) & (right ^ value) & sign) != 0) flags |= kOverflow;
      if (((left ^ right ^ value) & 0x10) != 0) flags |= kAdjust;
      break;
    case kSub:
    case kCmp:
      value = (left - right) & mask;
      if (left < right) flags |= kCarry;
      if (((left ^ right) & (left ^ value) & sign) != 0) flags |= kOverflow;
      if (((left ^ right ^ value) & 0x10) != 0) flags |= kAdjust;
      break;
    case kOr:
      value = left | right;
      break;
    case kXor:
      value = left ^ right;
      break;
    default:  // kAnd, kTest
      value = left & right;
      break;
  }
  if (value == 0) flags |= kZero;
  if ((value & sign) != 0) flags |= kSign;
  if (std::popcount(value & 0xff) % 2 == 0) flags |= kParity;
  return {value, flags};
}

}  // namespace

std::uint64_t linear_address(const MmioInstruction& instruction, const MmioAddressState& state,
                             CodeSize code_size) {
  const MmioAddress& address = instruction.address;
  std::uint64_t offset = address.displacement;
  if (address.rip_relative) offset += state.rip + instruction.length;
  if (address.base) offset += state.base;
  if (address.index) offset += state.index * address.scale;
  if (instruction.operation == MmioOperation::kBt && instruction.gpr) {
    // SDM Vol.2, BT: a register may name a bit outside of the operand.
    const auto bit =
        static_cast<std::int64_t>(sign_extend(state.gpr_value, instruction.memory_size));
    const int shift = std::countr_zero(8u * instruction.memory_size);
    offset += static_cast<std::uint64_t>(bit >> shift) * instruction.memory_size;
  }
  offset &= mask_of(address.size);
  constexpr std::uint8_t kFs = 4;
  if (code_size == CodeSize::k64) {
    return offset + (address.segment >= kFs ? state.segment_base : 0);
  }
  return (offset + state.segment_base) & mask_of(4);
}

MmioCpuState execute_mmio(const MmioInstruction& instruction, MmioCpuState before,
                          MmioOperand& operand) {
  using enum MmioOperation;
  const unsigned size = instruction.memory_size;
  const std::uint64_t reg = register_operand(instruction, before.gpr_value);
  MmioCpuState after = before;

  if (instruction.operation == kMov && instruction.memory_is_destination) {
    operand.write(size, reg);
    return after;
  }
  const std::uint64_t memory = operand.read(size) & mask_of(size);
  switch (instruction.operation) {
    case kMov:
      after.gpr_value = merge(instruction, before.gpr_value, memory);
      return after;
    case kMovSignExtend:
      after.gpr_value = merge(instruction, before.gpr_value, sign_extend(memory, size));
      return after;
    case kXchg:
      operand.write(size, reg);
      after.gpr_value = merge(instruction, before.gpr_value, memory);
      return after;
    case kBt:
      after.rflags &= ~kCarry;
      // The exit's address is that of the accessed word, so only the bit within it is left.
      if (((memory >> (reg % (8 * size))) & 1) != 0) after.rflags |= kCarry;
      return after;
    default:
      break;
  }
  const bool to_memory = instruction.memory_is_destination;
  const Arithmetic result =
      compute(instruction.operation, to_memory ? memory : reg, to_memory ? reg : memory, size);
  after.rflags = (before.rflags & ~kArithmeticFlags) | result.flags;
  if (instruction.operation == kCmp || instruction.operation == kTest) return after;
  if (to_memory) {
    operand.write(size, result.value);
  } else {
    after.gpr_value = merge(instruction, before.gpr_value, result.value);
  }
  return after;
}

}  // namespace runhv::emu
