#include <cstring>
#include <initializer_list>
#include <vector>

#include "emu/mmio_instruction.h"
#include "gtest/gtest.h"

namespace runhv::emu {
namespace {

// A register of 8 bytes.
class Register final : public MmioOperand {
 public:
  explicit Register(std::uint64_t initial) : value(initial) {}
  std::uint64_t read(unsigned) override {
    ++reads;
    return value;
  }
  void write(unsigned size_bytes, std::uint64_t written) override {
    ++writes;
    std::memcpy(&value, &written, size_bytes);
  }
  std::uint64_t value;
  int reads = 0;
  int writes = 0;
};

MmioCpuState run(std::initializer_list<int> code, MmioCpuState before, Register& memory) {
  std::vector<std::byte> bytes;
  for (const int value : code) bytes.push_back(static_cast<std::byte>(value));
  const auto instruction = decode_mmio(bytes, CodeSize::k64);
  EXPECT_TRUE(instruction);
  return execute_mmio(*instruction, before, memory);
}

constexpr std::uint64_t kOnes = ~0ull;
constexpr std::uint64_t kCarry = 1;
constexpr std::uint64_t kZero = 1 << 6;
constexpr std::uint64_t kInterruptFlag = 1 << 9;

TEST(MmioExecute, MergesIntoTheRegisterAsTheWidthSays) {
  Register memory(0x8877665544332211);
  EXPECT_EQ(run({0x8b, 0x07}, {kOnes, 0}, memory).gpr_value, 0x44332211u);
  EXPECT_EQ(run({0x66, 0x8b, 0x07}, {kOnes, 0}, memory).gpr_value, 0xffffffffffff2211u);
  EXPECT_EQ(run({0x8a, 0x07}, {kOnes, 0}, memory).gpr_value, 0xffffffffffffff11u);
  EXPECT_EQ(run({0x8a, 0x27}, {kOnes, 0}, memory).gpr_value, 0xffffffffffff11ffu);
  EXPECT_EQ(run({0x48, 0x8b, 0x07}, {kOnes, 0}, memory).gpr_value, 0x8877665544332211u);
  EXPECT_EQ(memory.reads, 5);
  EXPECT_EQ(memory.writes, 0);
}

TEST(MmioExecute, ExtendsWithZeroOrSign) {
  Register memory(0xfffffff0);
  EXPECT_EQ(run({0x0f, 0xb6, 0x07}, {kOnes, 0}, memory).gpr_value, 0xf0u);
  EXPECT_EQ(run({0x0f, 0xbe, 0x07}, {0, 0}, memory).gpr_value, 0xfffffff0u);
  EXPECT_EQ(run({0x48, 0x0f, 0xbf, 0x07}, {0, 0}, memory).gpr_value, 0xfffffffffffffff0u);
  EXPECT_EQ(run({0x48, 0x63, 0x07}, {0, 0}, memory).gpr_value, 0xfffffffffffffff0u);
}

TEST(MmioExecute, StoresWithoutReading) {
  Register memory(0);
  run({0x89, 0x07}, {0x1122334455667788, 0}, memory);
  EXPECT_EQ(memory.value, 0x55667788u);
  run({0x88, 0x27}, {0xaabb, 0}, memory);
  EXPECT_EQ(memory.value, 0x556677aau);
  run({0x48, 0xc7, 0x07, 0xfe, 0xff, 0xff, 0xff}, {}, memory);
  EXPECT_EQ(memory.value, kOnes - 1);
  EXPECT_EQ(memory.reads, 0) << "a read can have an effect in a device";
}

TEST(MmioExecute, ExchangesBothWays) {
  Register memory(0x11);
  EXPECT_EQ(run({0x87, 0x07}, {0x22, 0}, memory).gpr_value, 0x11u);
  EXPECT_EQ(memory.value, 0x22u);
}

TEST(MmioExecute, KeepsTheOtherFlags) {
  Register memory(5);
  const MmioCpuState after = run({0x83, 0x3f, 0x05}, {0, kInterruptFlag | kCarry}, memory);
  EXPECT_EQ(after.rflags & (kInterruptFlag | kCarry | kZero), kInterruptFlag | kZero);
  EXPECT_EQ(memory.writes, 0);
}

TEST(MmioExecute, TestsOneBit) {
  Register memory(0x20);
  EXPECT_EQ(run({0x0f, 0xba, 0x27, 0x05}, {0, 0}, memory).rflags & kCarry, kCarry);
  EXPECT_EQ(run({0x0f, 0xba, 0x27, 0x04}, {0, kCarry}, memory).rflags & kCarry, 0u);
  EXPECT_EQ(run({0x0f, 0xa3, 0x07}, {32 + 5, 0}, memory).rflags & kCarry, kCarry);
}

// The processor that runs the test is the oracle: the same instruction on ordinary memory.
// LEA steps over the red zone, where the function may keep its variables, and changes no flag.
#define NATIVE(name, text)                                                     \
  void name(std::uint64_t& reg, std::uint64_t& memory, std::uint64_t& flags) { \
    asm volatile("lea -128(%%rsp), %%rsp\n push %1\n popf\n" text              \
                 "\n pushf\n pop %1\n lea 128(%%rsp), %%rsp"                   \
                 : "+a"(reg), "+r"(flags)                                      \
                 : "D"(&memory)                                                \
                 : "cc", "memory");                                            \
  }
#define ROWS(row)                                                                                 \
  row(add_b, "addb %%al, (%%rdi)", 0x00, 0x07) row(add_d, "addl %%eax, (%%rdi)", 0x01, 0x07) row( \
      add_r, "addl (%%rdi), %%eax", 0x03, 0x07) row(or_w, "orw %%ax, (%%rdi)", 0x66, 0x09, 0x07)  \
      row(and_q, "andq %%rax, (%%rdi)", 0x48, 0x21, 0x07) row(                                    \
          and_h, "andb (%%rdi), %%ah", 0x22, 0x27) row(sub_d, "subl %%eax, (%%rdi)", 0x29, 0x07)  \
          row(sub_r, "subq (%%rdi), %%rax", 0x48, 0x2b, 0x07)                                     \
              row(xor_d, "xorl %%eax, (%%rdi)", 0x31, 0x07)                                       \
                  row(cmp_b, "cmpb %%al, (%%rdi)", 0x38, 0x07)                                    \
                      row(cmp_r, "cmpw (%%rdi), %%ax", 0x66, 0x3b, 0x07)                          \
                          row(cmp_i, "cmpl $-1, (%%rdi)", 0x83, 0x3f, 0xff)                       \
                              row(test_d, "testl %%eax, (%%rdi)", 0x85, 0x07) row(                \
                                  movsx_w, "movsbw (%%rdi), %%ax", 0x66, 0x0f, 0xbe, 0x07)        \
                                  row(movzx_q, "movzwq (%%rdi), %%rax", 0x48, 0x0f, 0xb7, 0x07)   \
                                      row(mov_h, "movb %%ah, (%%rdi)", 0x88, 0x27)
#define DEFINE(name, text, ...) NATIVE(name, text)
ROWS(DEFINE)

TEST(MmioExecute, DoesWhatTheProcessorDoes) {
  struct Case {
    const char* text;
    void (*native)(std::uint64_t&, std::uint64_t&, std::uint64_t&);
    std::initializer_list<int> code;
  };
#define CASE(name, text, ...) {text, name, {__VA_ARGS__}},
  const Case cases[] = {ROWS(CASE)};
  constexpr std::uint64_t kStatusFlags = 0x8d5;
  const std::uint64_t values[] = {0,          1,
                                  0x7f,       0x80,
                                  0xff,       0x7fff,
                                  0x8000,     0x7fffffff,
                                  0x80000000, 0xffffffff,
                                  0x12345678, 0x8000ull << 48,
                                  kOnes,      0x0f0f0f0f0f0f0f0f};
  for (const Case& c : cases) {
    // SDM: TEST and the logical operations leave AF undefined; nothing else here does.
    const bool logical =
        std::strncmp(c.text, "or", 2) == 0 || std::strncmp(c.text, "and", 3) == 0 ||
        std::strncmp(c.text, "xor", 3) == 0 || std::strncmp(c.text, "test", 4) == 0;
    const std::uint64_t defined = kStatusFlags & (logical ? ~0x10ull : ~0ull);
    for (const std::uint64_t reg : values) {
      for (const std::uint64_t value : values) {
        SCOPED_TRACE(::testing::Message()
                     << c.text << std::hex << " reg " << reg << " mem " << value);
        std::uint64_t native_reg = reg;
        std::uint64_t native_memory = value;
        std::uint64_t native_flags = 0x202;
        c.native(native_reg, native_memory, native_flags);
        Register memory(value);
        const MmioCpuState after = run(c.code, {reg, 0x202}, memory);
        ASSERT_EQ(after.gpr_value, native_reg);
        ASSERT_EQ(memory.value, native_memory);
        ASSERT_EQ(after.rflags & defined, native_flags & defined);
      }
    }
  }
}

}  // namespace
}  // namespace runhv::emu
