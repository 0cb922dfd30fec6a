#include "machine/memory_operand.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace runhv::machine {
namespace {

std::uint64_t low_bytes(std::uint64_t value, unsigned size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

// A device's registers have 1, 2, 4 or 8 bytes: odd parts reach it as aligned pieces.
unsigned piece_of(std::uint64_t address, unsigned left) {
  if (std::has_single_bit(left)) return left;
  unsigned piece = std::bit_floor(left);
  while (address % piece != 0) piece /= 2;
  return piece;
}

}  // namespace

std::uint64_t MemoryOperand::read(unsigned size_bytes) {
  RUNHV_CHECK(parts_[0].size + parts_[1].size == size_bytes);
  const std::uint64_t low = low_bytes(read_part(parts_[0]), parts_[0].size);
  if (parts_[1].size == 0) return low;
  return low | read_part(parts_[1]) << (8 * parts_[0].size);
}

void MemoryOperand::write(unsigned size_bytes, std::uint64_t value) {
  RUNHV_CHECK(parts_[0].size + parts_[1].size == size_bytes);
  write_part(parts_[0], value);
  if (parts_[1].size != 0) write_part(parts_[1], value >> (8 * parts_[0].size));
}

std::uint64_t MemoryOperand::read_part(const OperandPart& part) {
  if (!part.gpa) return UINT64_MAX;
  if (const auto bytes = memory_.read_view(*part.gpa, part.size)) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes->data(), part.size);
    return value;
  }
  std::uint64_t value = 0;
  for (unsigned at = 0; at < part.size;) {
    const std::uint64_t address = part.gpa->value + at;
    const unsigned piece = piece_of(address, part.size - at);
    value |= low_bytes(bus_.read(address, piece), piece) << (8 * at);
    at += piece;
  }
  return value;
}

void MemoryOperand::write_part(const OperandPart& part, std::uint64_t value) {
  if (!part.gpa) return;
  if (const auto bytes = memory_.write_view(*part.gpa, part.size)) {
    std::memcpy(bytes->data(), &value, part.size);
    memory_.written(*part.gpa, part.size);
    return;
  }
  for (unsigned at = 0; at < part.size;) {
    const std::uint64_t address = part.gpa->value + at;
    const unsigned piece = piece_of(address, part.size - at);
    if (!bus_.write(address, piece, low_bytes(value >> (8 * at), piece))) done_ = false;
    at += piece;
  }
}

}  // namespace runhv::machine
