#include "emu/string_instruction.h"

#include <algorithm>

#include "emu/prefixes.h"

namespace runhv::emu {
namespace {

constexpr std::uint64_t kDirection = 1u << 10;

// The part of a register that an address or a counter of `size` bytes is.
std::uint64_t part_of(std::uint64_t value, unsigned size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

// SDM Vol.1 §3.4.1.1: 32-bit results clear the upper half, smaller ones keep the rest.
std::uint64_t with_part(std::uint64_t before, std::uint64_t value, unsigned size) {
  if (size >= 4) return part_of(value, size);
  return (before - part_of(before, size)) | part_of(value, size);
}

class Element {
 public:
  Element(const StringInstruction& instruction, CodeSize code_size, StringState& state,
          StringOperands& operands)
      : instruction_(instruction), code_size_(code_size), state_(state), operands_(operands) {}

  bool run() {
    std::uint64_t value = 0;
    if (!take(value) || !put(value)) return false;
    const std::uint64_t step = (state_.rflags & kDirection) != 0
                                   ? std::uint64_t{0} - instruction_.size
                                   : std::uint64_t{instruction_.size};
    if (reads_memory()) state_.rsi = moved(state_.rsi, step);
    if (writes_memory()) state_.rdi = moved(state_.rdi, step);
    return true;
  }

 private:
  using enum StringOperation;
  bool reads_memory() const {
    return instruction_.operation == kMovs || instruction_.operation == kLods ||
           instruction_.operation == kOuts;
  }
  bool writes_memory() const {
    return instruction_.operation == kMovs || instruction_.operation == kStos ||
           instruction_.operation == kIns;
  }
  bool take(std::uint64_t& value) {
    if (reads_memory()) {
      const std::uint64_t at = linear(state_.rsi, instruction_.source_segment, state_.source_base);
      return operands_.read(at, instruction_.size, value);
    }
    if (instruction_.operation == kIns) return operands_.in(instruction_.size, value);
    value = part_of(state_.rax, instruction_.size);
    return true;
  }
  bool put(std::uint64_t value) {
    constexpr std::uint8_t kEs = 0;
    if (writes_memory()) {
      return operands_.write(linear(state_.rdi, kEs, state_.destination_base), instruction_.size,
                             value);
    }
    if (instruction_.operation == kOuts) return operands_.out(instruction_.size, value);
    state_.rax = with_part(state_.rax, value, instruction_.size);
    return true;
  }
  std::uint64_t linear(std::uint64_t index, std::uint8_t segment, std::uint64_t base) const {
    constexpr std::uint8_t kFs = 4;
    const std::uint64_t offset = part_of(index, instruction_.address_size);
    if (code_size_ == CodeSize::k64) return offset + (segment >= kFs ? base : 0);
    return part_of(offset + base, 4);
  }
  std::uint64_t moved(std::uint64_t index, std::uint64_t step) const {
    return with_part(index, index + step, instruction_.address_size);
  }

  const StringInstruction& instruction_;
  const CodeSize code_size_;
  StringState& state_;
  StringOperands& operands_;
};

}  // namespace

Result<StringInstruction> decode_string(std::span<const std::byte> bytes, CodeSize code_size) {
  using enum StringOperation;
  constexpr const char* kWhat = "decode a string instruction";
  bytes = bytes.first(std::min(bytes.size(), kMaxInstructionBytes));
  const Prefixes prefixes = read_prefixes(bytes, code_size);
  if (prefixes.length == bytes.size()) {
    return Fail{Error{Code::kCorruptInput, kWhat, "the bytes end before the instruction does"}};
  }
  StringInstruction result{.length = static_cast<std::uint8_t>(prefixes.length + 1),
                           .repeats = prefixes.repeat,
                           .source_segment = prefixes.segment.value_or(3),
                           .address_size = prefixes.address_size()};
  const auto opcode = std::to_integer<std::uint8_t>(bytes[prefixes.length]);
  std::uint8_t largest = 8;
  switch (opcode & 0xfe) {
    case 0xa4:
      result.operation = kMovs;
      break;
    case 0xaa:
      result.operation = kStos;
      break;
    case 0xac:
      result.operation = kLods;
      break;
    case 0x6c:
    case 0x6e:
      result.operation = (opcode & 0xfe) == 0x6c ? kIns : kOuts;
      largest = 4;
      break;
    default:
      return Fail{Error{Code::kUnsupported, kWhat, "it is another one"}};
  }
  if (prefixes.lock) return Fail{Error{Code::kUnsupported, kWhat, "LOCK is invalid there"}};
  result.size = (opcode & 1) != 0 ? std::min(prefixes.operand_size(), largest) : std::uint8_t{1};
  return result;
}

StringEnd execute_string(const StringInstruction& instruction, CodeSize code_size,
                         std::size_t elements, StringState& state, StringOperands& operands) {
  Element element(instruction, code_size, state, operands);
  if (!instruction.repeats) return element.run() ? StringEnd::kDone : StringEnd::kFailed;
  std::size_t done = 0;
  while (part_of(state.rcx, instruction.address_size) != 0) {
    if (done == elements) return StringEnd::kMore;
    if (!element.run()) return done == 0 ? StringEnd::kFailed : StringEnd::kMore;
    state.rcx = with_part(state.rcx, state.rcx - 1, instruction.address_size);
    ++done;
  }
  return StringEnd::kDone;
}

}  // namespace runhv::emu
