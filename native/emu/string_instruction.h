// MOVS, STOS, LODS, INS and OUTS, with or without a repeat prefix: decoded from the bytes of an
// exit, then executed against memory and a port, both of the caller's. Their memory operands are
// linear addresses, any of which may be RAM.
//
// Reference: Intel SDM Vol.1 §7.3.9, Vol.2 (each of them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "emu/mmio_instruction.h"

namespace runhv::emu {

enum class StringOperation : std::uint8_t { kMovs, kStos, kLods, kIns, kOuts };

struct StringInstruction {
  StringOperation operation = StringOperation::kMovs;
  std::uint8_t length = 0;          // bytes, 1..15
  std::uint8_t size = 0;            // of an element: 1, 2, 4; of memory alone also 8
  bool repeats = false;             // as often as (R|E)CX says
  std::uint8_t source_segment = 3;  // 0..5 = ES, CS, SS, DS, FS, GS
  std::uint8_t address_size = 8;    // bytes: 2, 4, 8
};

inline bool uses_port(const StringInstruction& instruction) {
  return instruction.operation == StringOperation::kIns ||
         instruction.operation == StringOperation::kOuts;
}

// Errors: as decode_mmio.
Result<StringInstruction> decode_string(std::span<const std::byte> bytes, CodeSize code_size);

struct StringState {
  std::uint64_t rax = 0;
  std::uint64_t rcx = 0;
  std::uint64_t rsi = 0;
  std::uint64_t rdi = 0;
  std::uint64_t rflags = 0;            // of which DF is looked at
  std::uint64_t source_base = 0;       // of source_segment; not used for ES to DS in 64-bit mode
  std::uint64_t destination_base = 0;  // of ES; not used in 64-bit mode
};

// False: it could not be done, and nothing of it was. Sizes are bytes, 1 to 8.
class StringOperands {
 public:
  virtual ~StringOperands() = default;
  virtual bool read(std::uint64_t linear, unsigned size, std::uint64_t& value) = 0;
  virtual bool write(std::uint64_t linear, unsigned size, std::uint64_t value) = 0;
  virtual bool in(unsigned size, std::uint64_t& value) = 0;
  virtual bool out(unsigned size, std::uint64_t value) = 0;
};

enum class StringEnd {
  kDone,   // RIP goes on behind the instruction
  kMore,   // the guest has to execute the rest: RIP stays
  kFailed  // the first element could not be done; `state` is as before
};

// Executes at most `elements` of them, 1 or more, and changes `state` as far as they got: one that
// cannot be done behind others is left to the guest.
StringEnd execute_string(const StringInstruction& instruction, CodeSize code_size,
                         std::size_t elements, StringState& state, StringOperands& operands);

}  // namespace runhv::emu
