#include "emu/prefixes.h"

namespace runhv::emu {

Prefixes read_prefixes(std::span<const std::byte> bytes, CodeSize code_size) {
  Prefixes prefixes;
  prefixes.code_size = code_size;
  for (; prefixes.length < bytes.size(); ++prefixes.length) {
    const auto prefix = std::to_integer<std::uint8_t>(bytes[prefixes.length]);
    if (code_size == CodeSize::k64 && (prefix & 0xf0) == 0x40) {
      prefixes.rex = prefix;
      continue;
    }
    switch (prefix) {
      case 0x66:
        prefixes.operand_override = true;
        break;
      case 0x67:
        prefixes.address_override = true;
        break;
      case 0xf0:
        prefixes.lock = true;
        break;
      case 0xf2:
      case 0xf3:
        prefixes.repeat = true;
        break;
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
        // SDM Vol.2 §2.2.1.3: 64-bit mode has no bases but those of FS and GS.
        if (code_size != CodeSize::k64) prefixes.segment = (prefix >> 3) & 3;
        break;
      case 0x64:
      case 0x65:
        prefixes.segment = prefix & 7;
        break;
      default:
        return prefixes;
    }
    prefixes.rex = 0;  // it counts only right before the opcode
  }
  return prefixes;
}

std::uint8_t Prefixes::operand_size() const {
  if ((rex & 8) != 0) return 8;
  const bool default_16 = code_size == CodeSize::k16;
  return default_16 != operand_override ? 2 : 4;
}

std::uint8_t Prefixes::address_size() const {
  if (code_size == CodeSize::k64) return address_override ? 4 : 8;
  return (code_size == CodeSize::k16) != address_override ? 2 : 4;
}

}  // namespace runhv::emu
