#include <initializer_list>
#include <string>
#include <vector>

#include "emu/mmio_instruction.h"
#include "gtest/gtest.h"

namespace runhv::emu {
namespace {

using enum MmioOperation;

std::vector<std::byte> bytes_of(std::initializer_list<int> list) {
  std::vector<std::byte> bytes;
  for (const int value : list) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

struct Row {
  const char* text;
  CodeSize code;
  std::initializer_list<int> bytes;  // exactly the instruction
  MmioOperation operation;
  int memory_size;
  int register_size;
  bool to_memory;
  int gpr;  // -1 = immediate
  bool high_byte = false;
  std::uint64_t immediate = 0;
};

constexpr CodeSize k16 = CodeSize::k16;
constexpr CodeSize k32 = CodeSize::k32;
constexpr CodeSize k64 = CodeSize::k64;

const Row kRows[] = {
    // The forms of MOV.
    {"mov [rdi], eax", k64, {0x89, 0x07}, kMov, 4, 4, true, 0},
    {"mov eax, [rdi]", k64, {0x8b, 0x07}, kMov, 4, 4, false, 0},
    {"mov [rdi], al", k64, {0x88, 0x07}, kMov, 1, 1, true, 0},
    {"mov al, [rdi]", k64, {0x8a, 0x07}, kMov, 1, 1, false, 0},
    {"mov [rdi], ax", k64, {0x66, 0x89, 0x07}, kMov, 2, 2, true, 0},
    {"mov r9, [r8]", k64, {0x4d, 0x8b, 0x08}, kMov, 8, 8, false, 9},
    {"mov [rdi], r15d", k64, {0x44, 0x89, 0x3f}, kMov, 4, 4, true, 15},
    {"mov ah, [rdi]", k64, {0x8a, 0x27}, kMov, 1, 1, false, 0, true},
    {"mov [rdi], bh", k64, {0x88, 0x3f}, kMov, 1, 1, true, 3, true},
    {"mov spl, [rdi]", k64, {0x40, 0x8a, 0x27}, kMov, 1, 1, false, 4},
    {"mov r12b, [rdi]", k64, {0x44, 0x8a, 0x27}, kMov, 1, 1, false, 12},
    {"mov byte [rdi], 7f", k64, {0xc6, 0x07, 0x7f}, kMov, 1, 1, true, -1, false, 0x7f},
    {"mov dword [rdi], imm",
     k64,
     {0xc7, 0x07, 4, 3, 2, 1},
     kMov,
     4,
     4,
     true,
     -1,
     false,
     0x01020304},
    {"mov word [rdi], imm", k64, {0x66, 0xc7, 0x07, 2, 1}, kMov, 2, 2, true, -1, false, 0x0102},
    {"mov qword [rdi], -2",
     k64,
     {0x48, 0xc7, 0x07, 0xfe, 0xff, 0xff, 0xff},
     kMov,
     8,
     8,
     true,
     -1,
     false,
     ~1ull},
    {"mov eax, moffs64", k64, {0xa1, 0, 0, 0, 0xd0, 0, 0, 0, 0}, kMov, 4, 4, false, 0},
    {"mov moffs64, rax", k64, {0x48, 0xa3, 0, 0, 0, 0xd0, 0, 0, 0, 0}, kMov, 8, 8, true, 0},
    {"mov al, moffs32", k64, {0x67, 0xa0, 0, 0, 0, 0xd0}, kMov, 1, 1, false, 0},
    {"mov moffs32, al", k32, {0xa2, 0, 0, 0, 0xd0}, kMov, 1, 1, true, 0},
    {"mov moffs16, ax", k16, {0xa3, 0, 0xd0}, kMov, 2, 2, true, 0},
    // Extension.
    {"movzx eax, byte [rdi]", k64, {0x0f, 0xb6, 0x07}, kMov, 1, 4, false, 0},
    {"movzx eax, word [rdi]", k64, {0x0f, 0xb7, 0x07}, kMov, 2, 4, false, 0},
    {"movzx rax, word [rdi]", k64, {0x48, 0x0f, 0xb7, 0x07}, kMov, 2, 8, false, 0},
    {"movzx esp, byte [rdi]", k64, {0x0f, 0xb6, 0x27}, kMov, 1, 4, false, 4},
    {"movzx cx, byte [rdi]", k64, {0x66, 0x0f, 0xb6, 0x0f}, kMov, 1, 2, false, 1},
    {"movsx eax, byte [rdi]", k64, {0x0f, 0xbe, 0x07}, kMovSignExtend, 1, 4, false, 0},
    {"movsx r10, word [rdi]", k64, {0x4c, 0x0f, 0xbf, 0x17}, kMovSignExtend, 2, 8, false, 10},
    {"movsxd rax, dword [rdi]", k64, {0x48, 0x63, 0x07}, kMovSignExtend, 4, 8, false, 0},
    // Every length of an address.
    {"[rdi+8]", k64, {0x8b, 0x47, 0x08}, kMov, 4, 4, false, 0},
    {"[rdi+disp32]", k64, {0x8b, 0x87, 0, 1, 0, 0}, kMov, 4, 4, false, 0},
    {"[rip+disp32]", k64, {0x8b, 0x05, 0, 1, 0, 0}, kMov, 4, 4, false, 0},
    {"[rsp]", k64, {0x8b, 0x04, 0x24}, kMov, 4, 4, false, 0},
    {"[rax+rcx*4]", k64, {0x8b, 0x04, 0x88}, kMov, 4, 4, false, 0},
    {"[rax+rcx*4+8]", k64, {0x8b, 0x44, 0x88, 0x08}, kMov, 4, 4, false, 0},
    {"[rax+rcx*4+disp32]", k64, {0x8b, 0x84, 0x88, 0, 1, 0, 0}, kMov, 4, 4, false, 0},
    {"[disp32] by SIB", k64, {0x8b, 0x04, 0x25, 0, 0, 0, 0xd0}, kMov, 4, 4, false, 0},
    {"[r13]", k64, {0x41, 0x8b, 0x45, 0x00}, kMov, 4, 4, false, 0},
    {"[edi]", k64, {0x67, 0x8b, 0x07}, kMov, 4, 4, false, 0},
    {"gs:[rdi]", k64, {0x65, 0x8b, 0x07}, kMov, 4, 4, false, 0},
    {"[bx+si]", k16, {0x8b, 0x00}, kMov, 2, 2, false, 0},
    {"[disp16]", k16, {0x8b, 0x06, 0, 0xd0}, kMov, 2, 2, false, 0},
    {"[bp+8]", k16, {0x8b, 0x46, 0x08}, kMov, 2, 2, false, 0},
    {"[bx+disp16]", k16, {0x8b, 0x87, 0, 1}, kMov, 2, 2, false, 0},
    {"eax, [edi] in 16 bits", k16, {0x66, 0x67, 0x8b, 0x07}, kMov, 4, 4, false, 0},
    {"[disp32] in 32 bits", k32, {0x8b, 0x05, 0, 0, 0, 0xd0}, kMov, 4, 4, false, 0},
    {"[bx+si] in 32 bits", k32, {0x67, 0x8b, 0x00}, kMov, 4, 4, false, 0},
    // A REX prefix that is not the last one does not count.
    {"mov ax, [rdi], stale REX.W", k64, {0x48, 0x66, 0x8b, 0x07}, kMov, 2, 2, false, 0},
    // Arithmetic.
    {"add [rdi], eax", k64, {0x01, 0x07}, kAdd, 4, 4, true, 0},
    {"or al, [rdi]", k64, {0x0a, 0x07}, kOr, 1, 1, false, 0},
    {"and eax, [rdi]", k64, {0x23, 0x07}, kAnd, 4, 4, false, 0},
    {"sub [rdi], cl", k64, {0x28, 0x0f}, kSub, 1, 1, true, 1},
    {"xor rax, [rdi]", k64, {0x48, 0x33, 0x07}, kXor, 8, 8, false, 0},
    {"cmp [rdi], eax", k64, {0x39, 0x07}, kCmp, 4, 4, true, 0},
    {"cmp dword [rdi+4], -1", k64, {0x83, 0x7f, 0x04, 0xff}, kCmp, 4, 4, true, -1, false, ~0ull},
    {"cmp byte [rdi], 1", k64, {0x80, 0x3f, 0x01}, kCmp, 1, 1, true, -1, false, 1},
    {"or dword [rdi], imm", k64, {0x81, 0x0f, 0, 0, 1, 0}, kOr, 4, 4, true, -1, false, 0x10000},
    {"lock and dword [rdi], 1", k64, {0xf0, 0x83, 0x27, 0x01}, kAnd, 4, 4, true, -1, false, 1},
    {"test [rdi], al", k64, {0x84, 0x07}, kTest, 1, 1, true, 0},
    {"test dword [rdi], imm", k64, {0xf7, 0x07, 1, 0, 0, 0}, kTest, 4, 4, true, -1, false, 1},
    {"test byte [rdi], 1", k64, {0xf6, 0x07, 1}, kTest, 1, 1, true, -1, false, 1},
    {"xchg [rdi], eax", k64, {0x87, 0x07}, kXchg, 4, 4, true, 0},
    {"bt [rdi], eax", k64, {0x0f, 0xa3, 0x07}, kBt, 4, 4, true, 0},
    {"bt dword [rdi], 5", k64, {0x0f, 0xba, 0x27, 0x05}, kBt, 4, 4, true, -1, false, 5},
};

TEST(MmioDecode, ReadsEveryForm) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.text);
    auto bytes = bytes_of(row.bytes);
    const std::size_t length = bytes.size();
    bytes.resize(16, std::byte{0x90});

    const auto decoded = decode_mmio(bytes, row.code);

    ASSERT_TRUE(decoded) << to_string(decoded.error());
    EXPECT_EQ(decoded->length, length);
    EXPECT_EQ(decoded->operation, row.operation);
    EXPECT_EQ(decoded->memory_size, row.memory_size);
    EXPECT_EQ(decoded->register_size, row.register_size);
    EXPECT_EQ(decoded->memory_is_destination, row.to_memory);
    EXPECT_EQ(decoded->gpr ? *decoded->gpr : -1, row.gpr);
    EXPECT_EQ(decoded->high_byte, row.high_byte);
    EXPECT_EQ(decoded->immediate, row.immediate);
  }
}

TEST(MmioDecode, AsksForTheWholeInstruction) {
  for (const Row& row : kRows) {
    const auto bytes = bytes_of(row.bytes);
    EXPECT_TRUE(decode_mmio(bytes, row.code)) << row.text;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      SCOPED_TRACE(std::string(row.text) + " cut to " + std::to_string(size));
      const auto cut = decode_mmio(std::span(bytes).first(size), row.code);
      ASSERT_FALSE(cut);
      EXPECT_EQ(cut.error().code, Code::kCorruptInput);
    }
  }
}

TEST(MmioDecode, RefusesOtherInstructionsAndShowsThem) {
  struct Other {
    const char* text;
    CodeSize code;
    std::initializer_list<int> bytes;
  };
  const Other others[] = {
      {"rep movsb", k64, {0xf3, 0xa4}},
      {"movsd", k64, {0xa5}},
      {"rep stosd", k64, {0xf3, 0xab}},
      {"adc [rdi], eax", k64, {0x11, 0x07}},
      {"mov eax, edi", k64, {0x89, 0xf8}},
      {"lock mov [rdi], eax", k64, {0xf0, 0x89, 0x07}},
      {"lock add eax, [rdi]", k64, {0xf0, 0x03, 0x07}},
      {"push [rdi]", k64, {0xff, 0x37}},
      {"movups xmm0, [rdi]", k64, {0x0f, 0x10, 0x07}},
      {"arpl", k32, {0x63, 0x07}},
      {"c7 /1", k64, {0xc7, 0x0f, 0, 0, 0, 0}},
      {"not dword [rdi]", k64, {0xf7, 0x17}},
      {"bts dword [rdi], 5", k64, {0x0f, 0xba, 0x2f, 0x05}},
  };
  for (const Other& other : others) {
    SCOPED_TRACE(other.text);
    const auto decoded = decode_mmio(bytes_of(other.bytes), other.code);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, Code::kUnsupported);
  }
  EXPECT_EQ(decode_mmio(bytes_of({0xf3, 0xa4}), k64).error().operation, "decode instruction f3 a4");
}

TEST(MmioDecode, RefusesMoreThanFifteenBytes) {
  std::vector<std::byte> bytes(14, std::byte{0x66});
  bytes.push_back(std::byte{0x8b});
  bytes.push_back(std::byte{0x07});
  EXPECT_EQ(decode_mmio(bytes, k64).error().code, Code::kUnsupported);
  bytes.erase(bytes.begin());
  EXPECT_EQ(decode_mmio(bytes, k64)->length, 15);
}

}  // namespace
}  // namespace runhv::emu
