#include "devices/rtc/rtc.h"

#include "gtest/gtest.h"

namespace runhv::devices {
namespace {

class RtcTest : public ::testing::Test {
 protected:
  std::uint64_t get(std::uint8_t index) {
    rtc.write(0, 1, index);
    return rtc.read(1, 1);
  }
  // 2024-02-29 23:59:58.9, a Thursday.
  std::uint64_t now = 1709251198'900'000'000;
  Rtc rtc{[this] { return now; }};
};

TEST_F(RtcTest, TellsTheTimeInBcd) {
  EXPECT_EQ(get(0), 0x58u);
  EXPECT_EQ(get(2), 0x59u);
  EXPECT_EQ(get(4), 0x23u);
  EXPECT_EQ(get(6), 5u);
  EXPECT_EQ(get(7), 0x29u);
  EXPECT_EQ(get(8), 0x02u);
  EXPECT_EQ(get(9), 0x24u);
  EXPECT_EQ(get(0x32), 0x20u);
  now += 2'000'000'000;
  EXPECT_EQ(get(8), 0x03u);
  EXPECT_EQ(get(7), 0x01u);
}

TEST_F(RtcTest, IsNeverInTheMiddleOfAnUpdateAndAlwaysValid) {
  EXPECT_EQ(get(0x0a) & 0x80, 0u);
  EXPECT_EQ(get(0x0b), 0x02u) << "24 hours, BCD, no interrupts";
  EXPECT_EQ(get(0x0c), 0u);
  EXPECT_EQ(get(0x0d), 0x80u);
}

TEST_F(RtcTest, TheNmiBitIsNoPartOfTheIndex) { EXPECT_EQ(get(0x80 | 2), 0x59u); }

TEST_F(RtcTest, CannotBeSet) {
  rtc.write(0, 1, 9);
  rtc.write(1, 1, 0x99);
  EXPECT_EQ(get(9), 0x24u);
}

}  // namespace
}  // namespace runhv::devices
