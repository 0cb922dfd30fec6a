// The x86-64 instructions with which a guest touches a device's registers in memory: decoded from
// the bytes of a memory exit, then executed against the device. The exit gives the address of the
// page that has no memory; where the operand begins matters only where it may span two pages.
//
// Reference: Intel SDM Vol.2, chapter 2 (formats) and appendix A (opcode maps).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace runhv::emu {

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

// How an instruction says where its memory operand is: segment:base + index * scale + displacement.
struct MmioAddress {
  std::uint8_t segment = 3;           // 0..5 = ES, CS, SS, DS, FS, GS
  std::optional<std::uint8_t> base;   // 0..15, as MmioInstruction::gpr
  std::optional<std::uint8_t> index;  // the same
  std::uint8_t scale = 1;             // 1, 2, 4, 8
  bool rip_relative = false;          // to the next instruction
  std::uint64_t displacement = 0;     // sign-extended
  std::uint8_t size = 8;              // of an address, in bytes: 2, 4, 8
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
  MmioAddress address;

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

// What the address of the operand is made of, besides what the instruction says.
struct MmioAddressState {
  std::uint64_t rip = 0;           // of the instruction
  std::uint64_t segment_base = 0;  // of MmioAddress::segment; not used for ES to DS in 64-bit mode
  std::uint64_t base = 0;          // of MmioAddress::base, where there is one
  std::uint64_t index = 0;         // of MmioAddress::index, where there is one
  std::uint64_t gpr_value = 0;     // of MmioInstruction::gpr, for BT only
};

// The linear address of the operand's first byte (SDM Vol.1 §3.7.5).
std::uint64_t linear_address(const MmioInstruction& instruction, const MmioAddressState& state,
                             CodeSize code_size);

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

}  // namespace runhv::emu
