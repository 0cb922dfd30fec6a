#include "winhv_linux/engines/guest_code.h"

#include <algorithm>
#include <array>

namespace runhv::winhv_linux {
namespace {

constexpr UINT32 kMaxInstructionBytes = 15;

UINT64 general(const kvm_regs& r, unsigned index) {
  const UINT64 values[] = {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
                           r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
  return values[index & 15];
}

UINT64 segment_base(const kvm_sregs& s, unsigned index) {
  const UINT64 bases[] = {s.es.base, s.cs.base, s.ss.base, s.ds.base, s.fs.base, s.gs.base};
  return index < std::size(bases) ? bases[index] : 0;
}

// IN, OUT, INS, OUTS and their prefixes (SDM Vol.2 §2.1.1, appendix A).
std::optional<PortInstruction> decode_port(std::span<const std::byte> bytes, emu::CodeSize code,
                                           UINT16 dx, const PortAccess& access) {
  PortInstruction result;
  bool other_size = false;
  std::size_t at = 0;
  for (bool is_prefix = true; is_prefix && at < bytes.size();) {
    const auto prefix = std::to_integer<UINT8>(bytes[at]);
    switch (prefix) {
      case 0x66:
        other_size = true;
        break;
      case 0xF2:
      case 0xF3:
        result.has_rep = true;
        break;
      case 0x26:
      case 0x2E:
      case 0x36:
      case 0x3E:
      case 0x64:
      case 0x65:
      case 0x67:
        break;
      default:
        is_prefix = code == emu::CodeSize::k64 && (prefix & 0xF0) == 0x40;
    }
    at += is_prefix ? 1 : 0;
  }
  if (at == bytes.size()) return std::nullopt;
  const auto opcode = std::to_integer<UINT8>(bytes[at++]);
  const bool by_immediate = opcode >= 0xE4 && opcode <= 0xE7;
  const bool by_dx = opcode >= 0xEC && opcode <= 0xEF;
  result.is_string = opcode >= 0x6C && opcode <= 0x6F;
  if (!by_immediate && !by_dx && !result.is_string) return std::nullopt;
  UINT16 port = dx;
  if (by_immediate) {
    if (at == bytes.size()) return std::nullopt;
    port = std::to_integer<UINT8>(bytes[at++]);
  }
  const bool is_write = (opcode & 2) != 0;
  const bool is_word = other_size != (code == emu::CodeSize::k16);
  const UINT32 size = (opcode & 1) == 0 ? 1 : is_word ? 2 : 4;
  if (port != access.port || is_write != access.is_write || size != access.size) {
    return std::nullopt;
  }
  result.length = static_cast<UINT32>(at);
  result.has_rep = result.has_rep && result.is_string;
  return result;
}

}  // namespace

emu::CodeSize GuestCode::code_size() const {
  constexpr UINT64 kEferLma = UINT64{1} << 10;
  const kvm_segment& cs = registers_.sregs.cs;
  if ((paging_.efer & kEferLma) != 0 && cs.l != 0) return emu::CodeSize::k64;
  return cs.db != 0 ? emu::CodeSize::k32 : emu::CodeSize::k16;
}

UINT64 GuestCode::linear(UINT64 rip) const {
  if (is_64_bit()) return rip;
  return (registers_.sregs.cs.base + rip) & 0xFFFF'FFFF;
}

std::optional<UINT64> GuestCode::address_of(UINT64 rip) const {
  return walk_page_tables(paging_, linear(rip), WHvMemoryAccessExecute, memory_);
}

std::size_t GuestCode::fetch(UINT64 rip, std::span<std::byte> to) const {
  std::size_t fetched = 0;
  while (fetched < to.size()) {
    const UINT64 in_page = (linear(rip) + fetched) % kPageBytes;
    const auto size = std::min<std::size_t>(to.size() - fetched, kPageBytes - in_page);
    const auto gpa = address_of(rip + fetched);
    if (!gpa || !memory_.read(*gpa, to.subspan(fetched, size))) break;
    fetched += size;
  }
  return fetched;
}

std::optional<PortInstruction> GuestCode::port_at(UINT64 rip, const PortAccess& access) const {
  std::array<std::byte, kMaxInstructionBytes> bytes;
  const std::size_t count = fetch(rip, bytes);
  return decode_port(std::span(bytes).first(count), code_size(),
                     static_cast<UINT16>(registers_.regs.rdx), access);
}

std::optional<PortInstruction> GuestCode::port_before(UINT64 rip, const PortAccess& access) const {
  for (UINT32 length = 1; length <= kMaxInstructionBytes; ++length) {
    const auto instruction = port_at(rip - length, access);
    if (instruction && instruction->length == length) return instruction;
  }
  return std::nullopt;
}

std::optional<UINT32> GuestCode::store_before(UINT64 rip, const StoredPart& part) const {
  for (UINT32 length = 1; length <= kMaxInstructionBytes; ++length) {
    std::array<std::byte, kMaxInstructionBytes> bytes;
    const auto candidate = std::span(bytes).first(length);
    if (fetch(rip - length, candidate) != length) continue;
    const auto instruction = emu::decode_mmio(candidate, code_size());
    if (instruction && instruction->length == length && stores(*instruction, rip - length, part)) {
      return length;
    }
  }
  return std::nullopt;
}

bool GuestCode::stores(const emu::MmioInstruction& instruction, UINT64 rip,
                       const StoredPart& part) const {
  if (instruction.operation != emu::MmioOperation::kMov || !instruction.memory_is_destination) {
    return false;
  }
  const emu::MmioAddress& address = instruction.address;
  const kvm_regs& regs = registers_.regs;
  const UINT64 begin =
      emu::linear_address(instruction,
                          {.rip = rip,
                           .segment_base = segment_base(registers_.sregs, address.segment),
                           .base = address.base ? general(regs, *address.base) : 0,
                           .index = address.index ? general(regs, *address.index) : 0,
                           .gpr_value = 0},
                          code_size());
  // Of a store that spans two pages the part may be the second.
  const UINT64 in_first =
      std::min<UINT64>(instruction.memory_size, kPageBytes - begin % kPageBytes);
  const auto is_at = [&](UINT64 offset) {
    const auto gpa = walk_page_tables(paging_, begin + offset, WHvMemoryAccessWrite, memory_);
    return gpa && *gpa == part.gpa && offset + part.data.size() <= instruction.memory_size;
  };
  UINT64 offset = 0;
  if (!is_at(0)) {
    offset = in_first;
    if (in_first == instruction.memory_size || !is_at(in_first)) return false;
  }
  UINT64 value = instruction.immediate;
  if (instruction.gpr) {
    value = general(regs, *instruction.gpr) >> (instruction.high_byte ? 8 : 0);
  }
  for (std::size_t i = 0; i < part.data.size(); ++i) {
    const auto byte = static_cast<UINT8>(value >> (8 * (offset + i)));
    if (std::byte{byte} != part.data[i]) return false;
  }
  return true;
}

}  // namespace runhv::winhv_linux
