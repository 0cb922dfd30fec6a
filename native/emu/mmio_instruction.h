// The x86-64 instructions with which a guest touches a device's registers in memory: decoded from
// the bytes of a memory exit, then executed against the device. The exit gives the address; only
// the instruction's length, width, direction and its one general register are needed.
//
// Reference: Intel SDM Vol.2, chapter 2 (formats) and appendix A (opcode maps).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace runhv {

// Default operand and address size of the code segment: CS.L ? k64 : CS.D ? k32 : k16.
enum class CodeSize : std::uint8_t { k16, k32, k64 };

enum class MmioOperation : std::uint8_t {
  kMov,
  kMovSignExtend,
  kAdd,
  kOr,
  kAnd,
  kSub,
  kXor,
  kCmp,
  kTest,
  kXchg,
  kBt
};

struct MmioInstruction {
  MmioOperation operation = MmioOperation::kMov;
  std::uint8_t length = 0;         // bytes, 1..15
  std::uint8_t memory_size = 0;    // bytes of the memory operand: 1, 2, 4, 8
  std::uint8_t register_size = 0;  // bytes of the register operand; differs for MOVZX and MOVSX
  bool memory_is_destination = false;
  std::optional<std::uint8_t> gpr;  // 0..15 = RAX, RCX, RDX, RBX, RSP, …; none with an immediate
  bool high_byte = false;           // AH, CH, DH, BH: bits 8..15 of gpr
  std::uint64_t immediate = 0;      // sign-extended

  // MOV needs no RFLAGS: a caller that fetches registers one by one can leave it.
  bool uses_flags() const {
    return operation != MmioOperation::kMov && operation != MmioOperation::kMovSignExtend &&
           operation != MmioOperation::kXchg;
  }
};

// `bytes` from RIP, as many as there are. Errors: kUnsupported (another instruction, string moves
// included; the detail shows the bytes), kCorruptInput (the bytes end before the instruction).
Result<MmioInstruction> decode_mmio(std::span<const std::byte> bytes, CodeSize code_size);

// What the instruction reads and changes, besides the memory operand.
struct MmioCpuState {
  std::uint64_t gpr_value = 0;  // of MmioInstruction::gpr
  std::uint64_t rflags = 0;
};

// The memory operand.
class MmioOperand {
 public:
  virtual ~MmioOperand() = default;
  virtual std::uint64_t read(unsigned size_bytes) = 0;
  virtual void write(unsigned size_bytes, std::uint64_t value) = 0;
};

// Executes; the result is the register and the flags afterwards. RIP advances by `length`.
MmioCpuState execute_mmio(const MmioInstruction& instruction, MmioCpuState before,
                          MmioOperand& operand);

}  // namespace runhv
