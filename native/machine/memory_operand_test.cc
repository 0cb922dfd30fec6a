#include "machine/memory_operand.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

namespace runhv::machine {
namespace {

constexpr Gpa kRamEnd{0x2000};
constexpr Gpa kDevice{0x10000};

// Registers that say which of their bytes were read: the byte at offset n is 0xd0 + n.
class Device final : public devices::BusDevice {
 public:
  std::uint64_t read(std::uint64_t offset, unsigned size) override {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= (0xd0 + offset + i) << (8 * i);
    reads.push_back({offset, size});
    return value;
  }
  bool write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    writes.push_back({offset, size});
    written.push_back(value);
    return takes;
  }
  std::vector<std::pair<std::uint64_t, unsigned>> reads, writes;
  std::vector<std::uint64_t> written;
  bool takes = true;
};

class Written final : public memory::MemoryWriteObserver {
 public:
  void written(Gpa first, std::uint64_t size) override { ranges.push_back({first.value, size}); }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
};

class MemoryOperandTest : public ::testing::Test {
 protected:
  MemoryOperandTest() {
    std::vector<memory::GuestRange> ranges;
    ranges.push_back({Gpa{0}, std::move(*platform::MemoryRegion::reserve(kRamEnd.value))});
    memory_ = std::move(*memory::GuestMemory::create(std::move(ranges), &observer_));
    EXPECT_TRUE(bus_.add(kDevice.value, 0x1000, device_));
    for (unsigned i = 0; i < 8; ++i) ram()[kRamEnd.value - 8 + i] = std::byte(0xa0 + i);
  }
  std::byte* ram() { return memory_->ranges().front().region.bytes().data(); }
  MemoryOperand operand(OperandPart first, OperandPart second = {}) {
    return MemoryOperand(*memory_, bus_, first, second);
  }
  static Gpa before_end(unsigned bytes) { return Gpa{kRamEnd.value - bytes}; }

  Written observer_;
  std::shared_ptr<memory::GuestMemory> memory_;
  Device device_;
  devices::Bus bus_;
};

TEST_F(MemoryOperandTest, ReadsRamAndOnesBehindIt) {
  auto nothing = operand({before_end(3), 3}, {kRamEnd, 5});
  EXPECT_EQ(nothing.read(8), 0xffffffffffa7a6a5u);
  auto no_page = operand({before_end(3), 3}, {std::nullopt, 1});
  EXPECT_EQ(no_page.read(4) & 0xffffffff, 0xffa7a6a5u);
}

TEST_F(MemoryOperandTest, WritesRamAndDropsTheRest) {
  auto nothing = operand({before_end(3), 3}, {kRamEnd, 5});
  nothing.write(8, 0x0807060504030201);
  EXPECT_EQ(ram()[kRamEnd.value - 4], std::byte{0xa4});
  EXPECT_EQ(ram()[kRamEnd.value - 3], std::byte{1});
  EXPECT_EQ(ram()[kRamEnd.value - 1], std::byte{3});
  EXPECT_EQ(observer_.ranges,
            (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{kRamEnd.value - 3, 3}}));
  EXPECT_TRUE(nothing.done());
}

TEST_F(MemoryOperandTest, ADeviceSeesItsPartOnly) {
  auto across = operand({before_end(1), 1}, {kDevice, 7});
  EXPECT_EQ(across.read(8), 0xd6d5d4d3d2d1d0a7u);
  EXPECT_EQ(device_.reads,
            (std::vector<std::pair<std::uint64_t, unsigned>>{{0, 4}, {4, 2}, {6, 1}}));
  across.write(8, 0x0807060504030201);
  EXPECT_EQ(ram()[kRamEnd.value - 1], std::byte{1});
  EXPECT_EQ(device_.written, (std::vector<std::uint64_t>{0x05040302, 0x0706, 0x08}));
}

TEST_F(MemoryOperandTest, ADeviceBeforeRam) {
  auto across = operand({Gpa{kDevice.value + 0xffd}, 3}, {before_end(8), 1});
  EXPECT_EQ(across.read(4) >> 24, 0xa0u);
  EXPECT_EQ(device_.reads,
            (std::vector<std::pair<std::uint64_t, unsigned>>{{0xffd, 1}, {0xffe, 2}}));
}

TEST_F(MemoryOperandTest, OneRegisterIsOneAccess) {
  auto one = operand({Gpa{kDevice.value + 4}, 4});
  EXPECT_EQ(one.read(4), 0xd7d6d5d4u);
  one.write(4, 7);
  EXPECT_EQ(device_.reads.size(), 1u);
  EXPECT_EQ(device_.writes, (std::vector<std::pair<std::uint64_t, unsigned>>{{4, 4}}));
}

TEST_F(MemoryOperandTest, SaysWhereADeviceHasMoreToDo) {
  device_.takes = false;
  auto one = operand({kDevice, 4});
  one.write(4, 7);
  EXPECT_FALSE(one.done());
}

}  // namespace
}  // namespace runhv::machine
