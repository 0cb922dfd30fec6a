#include "emu/string_instruction.h"

#include <initializer_list>
#include <map>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::emu {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

StringInstruction string_of(std::initializer_list<int> code, CodeSize size = CodeSize::k64) {
  const auto instruction = decode_string(bytes_of(code), size);
  EXPECT_TRUE(instruction);
  return instruction ? *instruction : StringInstruction{};
}

// Memory that has any byte, and a port; addresses from `end` on cannot be reached.
class Scene final : public StringOperands {
 public:
  bool read(std::uint64_t linear, unsigned size, std::uint64_t& value) override {
    if (linear >= end) return false;
    value = 0;
    for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{memory[linear + i]} << (8 * i);
    return true;
  }
  bool write(std::uint64_t linear, unsigned size, std::uint64_t value) override {
    if (linear >= end) return false;
    for (unsigned i = 0; i < size; ++i) {
      memory[linear + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    return true;
  }
  bool in(unsigned, std::uint64_t& value) override {
    value = ++port_value;
    return true;
  }
  bool out(unsigned size, std::uint64_t value) override {
    sizes.push_back(size);
    sent.push_back(value);
    return true;
  }

  std::map<std::uint64_t, std::uint8_t> memory;
  std::uint64_t end = UINT64_MAX;
  std::uint64_t port_value = 0;
  std::vector<std::uint64_t> sent;
  std::vector<unsigned> sizes;
};

TEST(StringInstruction, IsDecoded) {
  const StringInstruction movsq = string_of({0xF3, 0x48, 0xA5});
  EXPECT_EQ(movsq.operation, StringOperation::kMovs);
  EXPECT_EQ(movsq.size, 8);
  EXPECT_EQ(movsq.length, 3);
  EXPECT_TRUE(movsq.repeats);
  const StringInstruction stosw = string_of({0x66, 0xAB});
  EXPECT_EQ(stosw.operation, StringOperation::kStos);
  EXPECT_EQ(stosw.size, 2);
  EXPECT_FALSE(stosw.repeats);
  const StringInstruction lodsb = string_of({0x64, 0x67, 0xAC});
  EXPECT_EQ(lodsb.operation, StringOperation::kLods);
  EXPECT_EQ(lodsb.size, 1);
  EXPECT_EQ(lodsb.source_segment, 4);
  EXPECT_EQ(lodsb.address_size, 4);
  EXPECT_EQ(string_of({0x6C}).operation, StringOperation::kIns);
  EXPECT_EQ(string_of({0x48, 0x6F}).size, 4);  // OUTS has no 64-bit form
  EXPECT_EQ(string_of({0xA5}, CodeSize::k16).size, 2);
  EXPECT_EQ(string_of({0xA5}, CodeSize::k16).address_size, 2);
  EXPECT_EQ(string_of({0x26, 0xA4}, CodeSize::k32).source_segment, 0);
}

TEST(StringInstruction, NothingElseIsDecoded) {
  EXPECT_EQ(decode_string(bytes_of({0xA6}), CodeSize::k64).error().code, Code::kUnsupported);
  EXPECT_EQ(decode_string(bytes_of({0xF0, 0xA4}), CodeSize::k64).error().code, Code::kUnsupported);
  EXPECT_EQ(decode_string(bytes_of({0xF3}), CodeSize::k64).error().code, Code::kCorruptInput);
  EXPECT_EQ(decode_string({}, CodeSize::k64).error().code, Code::kCorruptInput);
}

TEST(StringInstruction, ARepeatedMoveCopiesForwardsAndBackwards) {
  Scene scene;
  for (std::uint64_t i = 0; i < 8; ++i) scene.memory[0x100 + i] = static_cast<std::uint8_t>(i + 1);
  StringState state{.rcx = 2, .rsi = 0x100, .rdi = 0x200};
  EXPECT_EQ(execute_string(string_of({0xF3, 0xA5}), CodeSize::k64, 100, state, scene),
            StringEnd::kDone);
  EXPECT_EQ(scene.memory[0x200], 1);
  EXPECT_EQ(scene.memory[0x207], 8);
  EXPECT_EQ(state.rcx, 0u);
  EXPECT_EQ(state.rsi, 0x108u);
  EXPECT_EQ(state.rdi, 0x208u);

  state = {.rcx = 2, .rsi = 0x107, .rdi = 0x301, .rflags = 1u << 10};
  EXPECT_EQ(execute_string(string_of({0xF3, 0xA4}), CodeSize::k64, 100, state, scene),
            StringEnd::kDone);
  EXPECT_EQ(scene.memory[0x301], 8);
  EXPECT_EQ(scene.memory[0x300], 7);
  EXPECT_EQ(state.rsi, 0x105u);
}

TEST(StringInstruction, NoMoreElementsThanAllowedAreDoneAtOnce) {
  Scene scene;
  StringState state{.rax = 0xAB, .rcx = 5, .rdi = 0x10};
  const StringInstruction stosb = string_of({0xF3, 0xAA});
  EXPECT_EQ(execute_string(stosb, CodeSize::k64, 3, state, scene), StringEnd::kMore);
  EXPECT_EQ(state.rcx, 2u);
  EXPECT_EQ(execute_string(stosb, CodeSize::k64, 3, state, scene), StringEnd::kDone);
  EXPECT_EQ(scene.memory.size(), 5u);
  EXPECT_EQ(state.rdi, 0x15u);
}

TEST(StringInstruction, WhatCannotBeReachedIsLeftToTheGuest) {
  Scene scene;
  scene.end = 0x12;
  StringState state{.rcx = 5, .rdi = 0x10};
  const StringInstruction stosb = string_of({0xF3, 0xAA});
  EXPECT_EQ(execute_string(stosb, CodeSize::k64, 100, state, scene), StringEnd::kMore);
  EXPECT_EQ(state.rcx, 3u);
  EXPECT_EQ(state.rdi, 0x12u);
  EXPECT_EQ(execute_string(stosb, CodeSize::k64, 100, state, scene), StringEnd::kFailed);
  EXPECT_EQ(state.rcx, 3u);
}

TEST(StringInstruction, ACountOfZeroTouchesNothing) {
  Scene scene;
  StringState state{.rcx = 0x1'0000'0000, .rdi = 0x10};  // ECX is 0
  EXPECT_EQ(execute_string(string_of({0xF3, 0x67, 0xAA}), CodeSize::k64, 100, state, scene),
            StringEnd::kDone);
  EXPECT_TRUE(scene.memory.empty());
}

TEST(StringInstruction, ALoadKeepsTheRestOfASmallRegister) {
  Scene scene;
  scene.memory[0x10] = 0x55;
  scene.memory[0x13] = 0x80;
  StringState state{.rax = UINT64_MAX, .rsi = 0x10};
  EXPECT_EQ(execute_string(string_of({0xAC}), CodeSize::k64, 1, state, scene), StringEnd::kDone);
  EXPECT_EQ(state.rax, 0xFFFF'FFFF'FFFF'FF55u);
  state.rsi = 0x10;
  EXPECT_EQ(execute_string(string_of({0xAD}), CodeSize::k64, 1, state, scene), StringEnd::kDone);
  EXPECT_EQ(state.rax, 0x8000'0055u);
}

TEST(StringInstruction, AddressesAreThoseOfTheirSegments) {
  Scene scene;
  StringState state{.rax = 1, .rdi = 0x1'0010, .destination_base = 0x2'0000};
  EXPECT_EQ(execute_string(string_of({0xAA}, CodeSize::k16), CodeSize::k16, 1, state, scene),
            StringEnd::kDone);
  EXPECT_EQ(scene.memory[0x2'0010], 1);
  EXPECT_EQ(state.rdi, 0x1'0011u);  // DI alone has moved
  scene.memory.clear();
  state = {.rax = 2, .rdi = 0x10, .destination_base = 0x2'0000};
  EXPECT_EQ(execute_string(string_of({0xAA}), CodeSize::k64, 1, state, scene), StringEnd::kDone);
  EXPECT_EQ(scene.memory[0x10], 2);  // 64-bit mode has no base of ES
}

TEST(StringInstruction, PortsAreReadAndWritten) {
  Scene scene;
  StringState state{.rcx = 3, .rdi = 0x40};
  EXPECT_EQ(execute_string(string_of({0xF3, 0x6C}), CodeSize::k64, 100, state, scene),
            StringEnd::kDone);
  EXPECT_EQ(scene.memory[0x42], 3);
  state = {.rcx = 2, .rsi = 0x40};
  EXPECT_EQ(execute_string(string_of({0xF3, 0x66, 0x6F}), CodeSize::k64, 100, state, scene),
            StringEnd::kDone);
  EXPECT_EQ(scene.sent, (std::vector<std::uint64_t>{0x0201, 0x0003}));
  EXPECT_EQ(scene.sizes, (std::vector<unsigned>{2, 2}));
  EXPECT_EQ(state.rsi, 0x44u);
}

}  // namespace
}  // namespace runhv::emu
