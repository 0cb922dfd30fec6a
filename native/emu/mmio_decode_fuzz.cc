// Any bytes: what is decoded stays within the bytes that were there, and can be executed.

#include <algorithm>

#include "base/check.h"
#include "emu/mmio_instruction.h"
#include "emu/port_io.h"
#include "emu/string_instruction.h"
#include "testing/fuzz.h"

namespace runhv::emu {
namespace {

class AnyOperand final : public MmioOperand, public PortOperand, public StringOperands {
 public:
  std::uint64_t read(unsigned size_bytes) override { return check(size_bytes); }
  void write(unsigned size_bytes, std::uint64_t) override { check(size_bytes); }
  std::uint32_t read(std::uint16_t, unsigned size_bytes) override {
    return static_cast<std::uint32_t>(check(size_bytes));
  }
  void write(std::uint16_t, unsigned size_bytes, std::uint32_t) override { check(size_bytes); }
  bool read(std::uint64_t, unsigned size_bytes, std::uint64_t& value) override {
    value = check(size_bytes);
    return true;
  }
  bool write(std::uint64_t, unsigned size_bytes, std::uint64_t) override {
    return check(size_bytes) != 0;
  }
  bool in(unsigned size_bytes, std::uint64_t& value) override {
    value = check(size_bytes);
    return true;
  }
  bool out(unsigned size_bytes, std::uint64_t) override { return check(size_bytes) != 0; }
  int accesses() const { return accesses_; }

 private:
  std::uint64_t check(unsigned size_bytes) {
    ++accesses_;
    RUNHV_CHECK(size_bytes == 1 || size_bytes == 2 || size_bytes == 4 || size_bytes == 8);
    return ~0ull;
  }
  int accesses_ = 0;
};

}  // namespace
}  // namespace runhv::emu

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  const auto code = static_cast<emu::CodeSize>(input.below(3));
  const emu::MmioCpuState before{input.take<std::uint64_t>(), input.take<std::uint64_t>()};
  emu::AnyOperand port;
  (void)emu::execute_port({.port = input.take<std::uint16_t>(),
                           .size_bytes = input.byte(),
                           .is_write = input.below(2) == 1,
                           .is_string = input.below(2) == 1,
                           .rax = before.gpr_value},
                          port);
  RUNHV_CHECK(port.accesses() <= 1);

  while (!input.empty()) {
    const auto instruction_bytes = input.take_bytes(input.below(17));
    if (const auto string = emu::decode_string(instruction_bytes, code)) {
      constexpr std::size_t kElements = 5;
      RUNHV_CHECK(string->length >= 1 && string->length <= instruction_bytes.size());
      emu::StringState state{.rcx = before.gpr_value, .rflags = before.rflags};
      emu::AnyOperand operand;
      (void)emu::execute_string(*string, code, kElements, state, operand);
      RUNHV_CHECK(operand.accesses() <= int{2 * kElements});
    }
    const auto instruction = emu::decode_mmio(instruction_bytes, code);
    if (!instruction) {
      RUNHV_CHECK(!instruction.error().operation.empty());
      continue;
    }
    RUNHV_CHECK(instruction->length >= 1 &&
                instruction->length <= std::min<std::size_t>(instruction_bytes.size(), 15));
    RUNHV_CHECK(!instruction->gpr || *instruction->gpr < 16);
    emu::AnyOperand operand;
    (void)emu::execute_mmio(*instruction, before, operand);
    RUNHV_CHECK(operand.accesses() >= 1 && operand.accesses() <= 2);
  }
}
