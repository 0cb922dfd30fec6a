#include <algorithm>
#include <cstdio>
#include <string>

#include "emu/mmio_instruction.h"
#include "emu/prefixes.h"

namespace runhv::emu {
namespace {

// Where the other operand of an opcode is. SDM Vol.2 §A.2: E is the memory operand, G the register
// of ModRM, I an immediate, O an absolute address.
enum class Form : std::uint8_t {
  kMemoryRegister,   // E, G
  kRegisterMemory,   // G, E
  kMemoryImmediate,  // E, I of the operand size, at most 4 bytes
  kMemoryByte,       // E, Ib
  kAccumulatorOffset,
  kOffsetAccumulator
};

struct Opcode {
  MmioOperation operation;
  Form form;
  std::uint8_t memory_size = 0;  // 0 = operand size
  bool extends = false;          // the register has the operand size all the same
};

class Decoder {
 public:
  Decoder(std::span<const std::byte> bytes, CodeSize code_size)
      : bytes_(bytes.first(std::min(bytes.size(), kMaxInstructionBytes))),
        available_(bytes.size()),
        code_size_(code_size),
        prefixes_(read_prefixes(bytes_, code_size)),
        position_(prefixes_.length) {}

  Result<MmioInstruction> decode() {
    const std::uint8_t first = byte();
    const std::optional<Opcode> opcode = first == 0x0f ? two_bytes(byte()) : one_byte(first);
    if (!ended_ && (!opcode || unsupported_)) return unsupported();
    if (!ended_) finish(*opcode);
    if (!ended_ && unsupported_) return unsupported();
    if (!ended_) {
      result_.length = static_cast<std::uint8_t>(position_);
      return result_;
    }
    if (available_ > kMaxInstructionBytes) return unsupported();
    return Fail{Error{Code::kCorruptInput, "decode instruction " + hex(),
                      "the bytes end before the instruction does"}};
  }

 private:
  std::uint8_t byte() {
    if (position_ == bytes_.size()) {
      ended_ = true;
      return 0;
    }
    return std::to_integer<std::uint8_t>(bytes_[position_++]);
  }

  // Sign-extended. 1 <= size <= 8.
  std::uint64_t immediate(unsigned size) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{byte()} << (8 * i);
    const unsigned unused = 64 - 8 * size;
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused) >> unused);
  }

  std::optional<Opcode> one_byte(std::uint8_t opcode) {
    using enum MmioOperation;
    // The arithmetic block: 0x00..0x3b in steps of 8; ADC and SBB are not emulated.
    if (opcode < 0x40 && (opcode & 7) < 4) {
      const auto operation = arithmetic(opcode >> 3);
      if (!operation) return std::nullopt;
      return Opcode{*operation, (opcode & 2) != 0 ? Form::kRegisterMemory : Form::kMemoryRegister,
                    byte_or_operand(opcode)};
    }
    switch (opcode) {
      case 0x63:  // MOVSXD; another instruction outside 64-bit mode
        if (code_size_ != CodeSize::k64) return std::nullopt;
        return Opcode{kMovSignExtend, Form::kRegisterMemory,
                      static_cast<std::uint8_t>(prefixes_.operand_size() == 2 ? 2 : 4), true};
      case 0x80:
      case 0x81:
      case 0x83: {
        const auto operation = arithmetic(peek_reg_field());
        if (!operation) return std::nullopt;
        return Opcode{*operation, opcode == 0x81 ? Form::kMemoryImmediate : Form::kMemoryByte,
                      byte_or_operand(opcode)};
      }
      case 0x84:
      case 0x85:
        return Opcode{kTest, Form::kMemoryRegister, byte_or_operand(opcode)};
      case 0x86:
      case 0x87:
        return Opcode{kXchg, Form::kMemoryRegister, byte_or_operand(opcode)};
      case 0x88:
      case 0x89:
        return Opcode{kMov, Form::kMemoryRegister, byte_or_operand(opcode)};
      case 0x8a:
      case 0x8b:
        return Opcode{kMov, Form::kRegisterMemory, byte_or_operand(opcode)};
      case 0xa0:
      case 0xa1:
        return Opcode{kMov, Form::kAccumulatorOffset, byte_or_operand(opcode)};
      case 0xa2:
      case 0xa3:
        return Opcode{kMov, Form::kOffsetAccumulator, byte_or_operand(opcode)};
      case 0xc6:
      case 0xc7:
        if (peek_reg_field() != 0) return std::nullopt;
        return Opcode{kMov, Form::kMemoryImmediate, byte_or_operand(opcode)};
      case 0xf6:
      case 0xf7:
        if (peek_reg_field() != 0) return std::nullopt;
        return Opcode{kTest, Form::kMemoryImmediate, byte_or_operand(opcode)};
      default:
        return std::nullopt;
    }
  }

  std::optional<Opcode> two_bytes(std::uint8_t opcode) {
    using enum MmioOperation;
    switch (opcode) {
      case 0xa3:
        return Opcode{kBt, Form::kMemoryRegister};
      case 0xb6:
        return Opcode{kMov, Form::kRegisterMemory, 1, true};
      case 0xb7:
        return Opcode{kMov, Form::kRegisterMemory, 2, true};
      case 0xba:
        if (peek_reg_field() != 4) return std::nullopt;
        return Opcode{kBt, Form::kMemoryByte};
      case 0xbe:
        return Opcode{kMovSignExtend, Form::kRegisterMemory, 1, true};
      case 0xbf:
        return Opcode{kMovSignExtend, Form::kRegisterMemory, 2, true};
      default:
        return std::nullopt;
    }
  }

  static std::uint8_t byte_or_operand(std::uint8_t opcode) { return (opcode & 1) != 0 ? 0 : 1; }

  static std::optional<MmioOperation> arithmetic(unsigned number) {
    using enum MmioOperation;
    constexpr std::array<std::optional<MmioOperation>, 8> kOperations{
        kAdd, kOr, std::nullopt, std::nullopt, kAnd, kSub, kXor, kCmp};
    return kOperations[number];
  }

  unsigned peek_reg_field() {
    if (position_ == bytes_.size()) {
      ended_ = true;
      return 0;
    }
    return (std::to_integer<unsigned>(bytes_[position_]) >> 3) & 7;
  }

  void finish(const Opcode& opcode) {
    result_.operation = opcode.operation;
    const std::uint8_t operand = prefixes_.operand_size();
    result_.memory_size = opcode.memory_size == 0 ? operand : opcode.memory_size;
    result_.register_size = opcode.extends ? operand : result_.memory_size;
    switch (opcode.form) {
      case Form::kMemoryRegister:
      case Form::kRegisterMemory:
        set_register(read_modrm());
        result_.memory_is_destination = opcode.form == Form::kMemoryRegister;
        break;
      case Form::kMemoryImmediate:
        read_modrm();
        result_.immediate = immediate(std::min<unsigned>(result_.memory_size, 4));
        result_.memory_is_destination = true;
        break;
      case Form::kMemoryByte:
        read_modrm();
        result_.immediate = immediate(1);
        result_.memory_is_destination = true;
        break;
      case Form::kAccumulatorOffset:
      case Form::kOffsetAccumulator:
        result_.address.displacement = immediate(prefixes_.address_size());
        result_.gpr = 0;
        result_.memory_is_destination = opcode.form == Form::kOffsetAccumulator;
        break;
    }
    result_.address.segment = prefixes_.segment.value_or(default_segment_);
    result_.address.size = prefixes_.address_size();
    // SDM Vol.2, LOCK: #UD unless memory is read and written.
    if (prefixes_.lock && !(result_.memory_is_destination && is_read_modify_write()))
      unsupported_ = true;
  }

  bool is_read_modify_write() const {
    using enum MmioOperation;
    switch (result_.operation) {
      case kMov:
      case kMovSignExtend:
      case kCmp:
      case kTest:
      case kBt:
        return false;
      default:
        return true;
    }
  }

  // The register field of ModRM; the memory operand goes into result_.address. SDM Vol.2 tables
  // 2-1, 2-2 and 2-3.
  unsigned read_modrm() {
    const std::uint8_t modrm = byte();
    const unsigned mod = modrm >> 6;
    const unsigned rm = modrm & 7;
    if (mod == 3) {
      unsupported_ = !ended_;  // no memory operand
      return 0;
    }
    if (prefixes_.address_size() == 2) {
      read_address_16(mod, rm);
    } else {
      read_address(mod, rm);
    }
    return (modrm >> 3) & 7;
  }

  void read_address_16(unsigned mod, unsigned rm) {
    constexpr std::uint8_t kBx = 3, kBp = 5, kSi = 6, kDi = 7;
    constexpr std::array<std::uint8_t, 8> kBases{kBx, kBx, kBp, kBp, kSi, kDi, kBp, kBx};
    MmioAddress& address = result_.address;
    const bool absolute = mod == 0 && rm == 6;
    if (!absolute) address.base = kBases[rm];
    if (rm < 4) address.index = (rm & 1) != 0 ? kDi : kSi;
    if (address.base == kBp) default_segment_ = kStackSegment;
    if (mod == 1) address.displacement = immediate(1);
    if (mod == 2 || absolute) address.displacement = immediate(2);
  }

  void read_address(unsigned mod, unsigned rm) {
    MmioAddress& address = result_.address;
    const auto extended = [&](unsigned field, unsigned rex_bit) {
      return static_cast<std::uint8_t>(field + ((prefixes_.rex & rex_bit) != 0 ? 8 : 0));
    };
    unsigned base = rm;
    if (rm == 4) {
      const std::uint8_t sib = byte();
      base = sib & 7;
      const std::uint8_t index = extended((sib >> 3) & 7, 2);
      address.scale = static_cast<std::uint8_t>(1u << (sib >> 6));
      if (index != 4) address.index = index;  // RSP is none
    }
    const bool absolute = mod == 0 && base == 5;
    if (!absolute) {
      address.base = extended(base, 1);
      if (*address.base == 4 || *address.base == 5) default_segment_ = kStackSegment;
    }
    address.rip_relative = absolute && rm == 5 && code_size_ == CodeSize::k64;
    if (mod == 1) address.displacement = immediate(1);
    if (mod == 2 || absolute) address.displacement = immediate(4);
  }

  void set_register(unsigned field) {
    // SDM Vol.2 §3.1.1.1: without REX, byte registers 4..7 are AH, CH, DH, BH.
    if (result_.register_size == 1 && prefixes_.rex == 0 && field >= 4) {
      result_.high_byte = true;
      field -= 4;
    } else if ((prefixes_.rex & 4) != 0) {
      field += 8;
    }
    result_.gpr = static_cast<std::uint8_t>(field);
  }

  std::string hex() const {
    std::string text;
    for (const std::byte value : bytes_) {
      char digits[4];
      std::snprintf(digits, sizeof digits, "%02x ", std::to_integer<unsigned>(value));
      text += digits;
    }
    if (!text.empty()) text.pop_back();
    return text;
  }

  Result<MmioInstruction> unsupported() const {
    return Fail{Error{Code::kUnsupported, "decode instruction " + hex(),
                      "no instruction that is emulated for device registers"}};
  }

  const std::span<const std::byte> bytes_;
  const std::size_t available_;
  const CodeSize code_size_;
  const Prefixes prefixes_;
  std::size_t position_;
  static constexpr std::uint8_t kStackSegment = 2;
  std::uint8_t default_segment_ = 3;  // DS
  bool ended_ = false;
  bool unsupported_ = false;
  MmioInstruction result_;
};

}  // namespace

Result<MmioInstruction> decode_mmio(std::span<const std::byte> bytes, CodeSize code_size) {
  return Decoder(bytes, code_size).decode();
}

}  // namespace runhv::emu
