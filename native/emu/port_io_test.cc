#include "emu/port_io.h"

#include "gtest/gtest.h"

namespace runhv::emu {
namespace {

class Ports final : public PortOperand {
 public:
  std::uint32_t read(std::uint16_t port, unsigned) override {
    last_port = port;
    return 0xa1b2c3d4;
  }
  void write(std::uint16_t port, unsigned, std::uint32_t value) override {
    last_port = port;
    written = value;
  }
  std::uint16_t last_port = 0;
  std::uint32_t written = 0;
};

constexpr std::uint64_t kRax = 0x1122334455667788;

TEST(PortIo, InMergesAsTheWidthSays) {
  Ports ports;
  EXPECT_EQ(*execute_port({.port = 0x71, .size_bytes = 1, .rax = kRax}, ports),
            0x11223344556677d4u);
  EXPECT_EQ(*execute_port({.port = 0x71, .size_bytes = 2, .rax = kRax}, ports),
            0x112233445566c3d4u);
  EXPECT_EQ(*execute_port({.port = 0x71, .size_bytes = 4, .rax = kRax}, ports), 0xa1b2c3d4u);
  EXPECT_EQ(ports.last_port, 0x71);
}

TEST(PortIo, OutWritesTheLowBytesAndKeepsRax) {
  Ports ports;
  EXPECT_EQ(*execute_port({.port = 0xf4, .size_bytes = 1, .is_write = true, .rax = kRax}, ports),
            kRax);
  EXPECT_EQ(ports.written, 0x88u);
  EXPECT_EQ(ports.last_port, 0xf4);
}

TEST(PortIo, RefusesStringsAndOddSizes) {
  Ports ports;
  EXPECT_EQ(execute_port({.port = 1, .size_bytes = 1, .is_string = true}, ports).error().code,
            Code::kUnsupported);
  EXPECT_EQ(execute_port({.port = 1, .size_bytes = 3}, ports).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace runhv::emu
