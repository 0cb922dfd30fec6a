// The bytes before an opcode, and the sizes that follow from them (SDM Vol.2 §2.1.1, §2.2.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "emu/mmio_instruction.h"

namespace runhv::emu {

inline constexpr std::size_t kMaxInstructionBytes = 15;

struct Prefixes {
  CodeSize code_size = CodeSize::k64;
  std::size_t length = 0;  // bytes
  std::uint8_t rex = 0;    // 0: none that counts
  bool operand_override = false;
  bool address_override = false;
  bool lock = false;
  bool repeat = false;                  // F2 or F3
  std::optional<std::uint8_t> segment;  // 0..5 = ES, CS, SS, DS, FS, GS; of those that have a base

  std::uint8_t operand_size() const;  // 2, 4, 8
  std::uint8_t address_size() const;  // 2, 4, 8
};

Prefixes read_prefixes(std::span<const std::byte> bytes, CodeSize code_size);

}  // namespace runhv::emu
