// Where the memory operand is: what the decoder reads, and the address that comes of it.
#include <initializer_list>
#include <vector>

#include "emu/mmio_instruction.h"
#include "gtest/gtest.h"

namespace runhv::emu {
namespace {

using enum CodeSize;

struct Row {
  const char* text;
  CodeSize size;
  std::initializer_list<int> bytes;
  int segment;
  std::optional<std::uint8_t> base;
  std::optional<std::uint8_t> index;
  // With RIP 0x1000, segment base 0x100000, base register 0x10000, index register 0x20.
  std::uint64_t linear;
};

constexpr int kSs = 2;
constexpr int kDs = 3;
constexpr int kFs = 4;
constexpr int kGs = 5;

const Row kRows[] = {
    {"[rdi]", k64, {0x8b, 0x07}, kDs, 7, {}, 0x10000},
    {"[rdi-8]", k64, {0x8b, 0x47, 0xf8}, kDs, 7, {}, 0xfff8},
    {"[rdi+0x12345678]", k64, {0x8b, 0x87, 0x78, 0x56, 0x34, 0x12}, kDs, 7, {}, 0x12355678},
    {"[r13]", k64, {0x41, 0x8b, 0x45, 0x00}, kDs, 13, {}, 0x10000},
    {"[r12+r9*2]", k64, {0x43, 0x8b, 0x04, 0x4c}, kDs, 12, 9, 0x10040},
    {"[rsp]", k64, {0x8b, 0x04, 0x24}, kSs, 4, {}, 0x10000},
    {"[rbp+rcx*8+1]", k64, {0x8b, 0x44, 0xcd, 0x01}, kSs, 5, 1, 0x10101},
    {"[rcx*4-1] without a base", k64, {0x8b, 0x04, 0x8d, 0xff, 0xff, 0xff, 0xff}, kDs, {}, 1, 0x7f},
    {"[-1] by SIB", k64, {0x8b, 0x04, 0x25, 0xff, 0xff, 0xff, 0xff}, kDs, {}, {}, ~0ull},
    {"[rip+0x10]", k64, {0x8b, 0x05, 0x10, 0, 0, 0}, kDs, {}, {}, 0x1016},
    {"[eip+0x10]", k64, {0x67, 0x8b, 0x05, 0x10, 0, 0, 0}, kDs, {}, {}, 0x1017},
    {"[rip+4], imm8", k64, {0x80, 0x3d, 4, 0, 0, 0, 1}, kDs, {}, {}, 0x100b},
    {"gs:[rdi]", k64, {0x65, 0x8b, 0x07}, kGs, 7, {}, 0x110000},
    {"es:[rdi] means nothing", k64, {0x26, 0x8b, 0x07}, kDs, 7, {}, 0x10000},
    {"moffs64", k64, {0xa1, 8, 7, 6, 5, 4, 3, 2, 0x81}, kDs, {}, {}, 0x8102030405060708},
    {"[edi-0x10001] wraps",
     k64,
     {0x67, 0x8b, 0x87, 0xff, 0xff, 0xfe, 0xff},
     kDs,
     7,
     {},
     0xffffffff},
    {"[edi] in 32 bits", k32, {0x8b, 0x07}, kDs, 7, {}, 0x110000},
    {"fs:[edi] in 32 bits", k32, {0x64, 0x8b, 0x07}, kFs, 7, {}, 0x110000},
    {"[disp32] in 32 bits", k32, {0x8b, 0x05, 0xff, 0xff, 0xff, 0xff}, kDs, {}, {}, 0xfffff},
    {"[bx+si]", k16, {0x8b, 0x00}, kDs, 3, 6, 0x100020},
    {"[bp+di+1]", k16, {0x8b, 0x43, 0x01}, kSs, 5, 7, 0x100021},
    {"[di]", k16, {0x8b, 0x05}, kDs, 7, {}, 0x100000},
    {"[disp16]", k16, {0x8b, 0x06, 0x34, 0x12}, kDs, {}, {}, 0x101234},
    {"ss:[bx]", k16, {0x36, 0x8b, 0x07}, kSs, 3, {}, 0x100000},
};

MmioInstruction decoded(std::initializer_list<int> values, CodeSize size) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  const auto instruction = decode_mmio(bytes, size);
  EXPECT_TRUE(instruction);
  EXPECT_EQ(instruction->length, bytes.size());
  return *instruction;
}

TEST(MmioAddress, IsReadAndComputedForEveryForm) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.text);

    const MmioInstruction instruction = decoded(row.bytes, row.size);
    const std::uint64_t linear = linear_address(
        instruction,
        {.rip = 0x1000, .segment_base = 0x100000, .base = 0x10000, .index = 0x20, .gpr_value = 0},
        row.size);

    EXPECT_EQ(instruction.address.segment, row.segment);
    EXPECT_EQ(instruction.address.base, row.base);
    EXPECT_EQ(instruction.address.index, row.index);
    EXPECT_EQ(linear, row.linear);
  }
}

TEST(MmioAddress, BitTestOfARegisterReachesOutsideOfTheOperand) {
  const MmioInstruction bt = decoded({0x0f, 0xa3, 0x07}, k64);  // bt [rdi], eax
  const auto at = [&](std::uint64_t bit) {
    return linear_address(bt, {.base = 0x10000, .gpr_value = bit}, k64);
  };
  EXPECT_EQ(at(31), 0x10000u);
  EXPECT_EQ(at(32), 0x10004u);
  EXPECT_EQ(at(0xffffffff), 0xfffcu);  // -1
}

TEST(MmioAddress, BitTestOfAnImmediateDoesNot) {
  const MmioInstruction bt = decoded({0x0f, 0xba, 0x27, 0x25}, k64);  // bt dword [rdi], 37
  EXPECT_EQ(linear_address(bt, {.base = 0x10000}, k64), 0x10000u);
}

}  // namespace
}  // namespace runhv::emu
