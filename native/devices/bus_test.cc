#include "devices/bus.h"

#include "gtest/gtest.h"

namespace runhv::devices {
namespace {

class Latch final : public BusDevice {
 public:
  std::uint64_t read(std::uint64_t offset, unsigned) override { return 0x1000 + offset; }
  bool write(std::uint64_t offset, unsigned, std::uint64_t value) override {
    last_offset = offset;
    last_value = value;
    return !more_to_do;
  }
  bool more_to_do = false;
  std::uint64_t last_offset = 0;
  std::uint64_t last_value = 0;
};

TEST(Bus, FindsTheDeviceOfAnAddress) {
  Bus bus;
  Latch low;
  Latch high;
  ASSERT_TRUE(bus.add(0x2000, 0x100, high));
  ASSERT_TRUE(bus.add(0x70, 2, low));

  EXPECT_EQ(bus.read(0x71, 1), 0x1001u);
  bus.write(0x20fc, 4, 0x11223344'55667788);

  EXPECT_EQ(high.last_offset, 0xfcu);
  EXPECT_EQ(high.last_value, 0x55667788u);
}

TEST(Bus, ReadsAllOnesWhereNothingIs) {
  Bus bus;
  Latch device;
  ASSERT_TRUE(bus.add(0x70, 2, device));
  EXPECT_EQ(bus.read(0x6f, 1), UINT64_MAX);
  EXPECT_EQ(bus.read(0x71, 2), UINT64_MAX) << "across the end";
  EXPECT_EQ(bus.read(UINT64_MAX, 8), UINT64_MAX);
  bus.write(0x72, 1, 5);
  EXPECT_EQ(device.last_value, 0u);
}

TEST(Bus, SaysWhetherTheDeviceIsDone) {
  Bus bus;
  Latch device;
  ASSERT_TRUE(bus.add(0x70, 2, device));
  EXPECT_TRUE(bus.write(0x70, 1, 0));
  EXPECT_TRUE(bus.write(0x72, 1, 0)) << "nothing is there";
  device.more_to_do = true;
  EXPECT_FALSE(bus.write(0x70, 1, 0));
}

TEST(Bus, RefusesRangesThatOverlapOrWrap) {
  Bus bus;
  Latch device;
  ASSERT_TRUE(bus.add(0x100, 0x10, device));
  EXPECT_FALSE(bus.add(0x10f, 1, device));
  EXPECT_FALSE(bus.add(0xff, 2, device));
  EXPECT_FALSE(bus.add(0x100, 0x10, device));
  EXPECT_FALSE(bus.add(UINT64_MAX, 2, device));
  EXPECT_FALSE(bus.add(0x200, 0, device));
  EXPECT_TRUE(bus.add(0x110, 1, device));
  EXPECT_TRUE(bus.add(UINT64_MAX, 1, device));
}

}  // namespace
}  // namespace runhv::devices
