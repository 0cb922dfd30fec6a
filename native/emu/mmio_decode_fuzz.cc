#include <algorithm>
#include <array>
#include <cstdint>

#include "emu/mmio_instruction.h"
#include "gtest/gtest.h"

namespace runhv {
namespace {

class AnyOperand final : public MmioOperand {
 public:
  std::uint64_t read(unsigned size_bytes) override {
    check(size_bytes);
    return ~0ull;
  }
  void write(unsigned size_bytes, std::uint64_t) override { check(size_bytes); }

 private:
  static void check(unsigned size_bytes) {
    EXPECT_TRUE(size_bytes == 1 || size_bytes == 2 || size_bytes == 4 || size_bytes == 8);
  }
};

// Any bytes: no crash, and what is decoded can be executed and stays within the bytes that were
// there.
TEST(MmioDecodeFuzz, AcceptsOrRefusesAnyBytes) {
  constexpr std::uint64_t kSeed = 0x5eed;
  std::uint64_t state = kSeed;
  const auto random = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  constexpr std::array<int, 16> kLikely{0x66, 0x67, 0x48, 0x44, 0xf0, 0x0f, 0x8b, 0x89,
                                        0xc7, 0x81, 0x83, 0xb6, 0xba, 0xa1, 0x24, 0x05};
  int decoded_count = 0;
  AnyOperand operand;
  for (int i = 0; i < 100000; ++i) {
    std::array<std::byte, 16> bytes;
    for (std::byte& byte : bytes) {
      const std::uint64_t value = random();
      byte = static_cast<std::byte>((value & 0x100) != 0 ? kLikely[value & 15]
                                                         : static_cast<int>(value & 0xff));
    }
    const std::size_t size = random() % 17;
    const auto code = static_cast<CodeSize>(random() % 3);
    const auto instruction = decode_mmio(std::span(bytes).first(size), code);
    if (!instruction) continue;
    ++decoded_count;
    ASSERT_LE(instruction->length, std::min<std::size_t>(size, 15)) << "iteration " << i;
    ASSERT_TRUE(!instruction->gpr || *instruction->gpr < 16) << "iteration " << i;
    (void)execute_mmio(*instruction, {random(), random()}, operand);
  }
  EXPECT_GT(decoded_count, 5000) << "the bytes are too random to test anything";
}

}  // namespace
}  // namespace runhv
