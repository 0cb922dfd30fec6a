#include "devices/rng/rng.h"

#include <array>
#include <memory>
#include <string>

#include "base/check.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using testing::Buffer;

class RngTest : public ::testing::Test {
 protected:
  RngTest() { RUNHV_CHECK(driver.start(UINT64_MAX)); }

  testing::CountingRandomSource random;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory();
  MmioTransport transport{std::make_unique<RngDevice>(random), memory, irq, later};
  testing::VirtioDriver driver{transport, *memory, Gpa{1 << 20}};
};

TEST_F(RngTest, FillsEveryPartOfABuffer) {
  const std::array<Buffer, 2> buffers{Buffer{Gpa{0x8000}, 3, true}, Buffer{Gpa{0x9000}, 2, true}};
  driver.queue(0).add(buffers);
  driver.queue(0).kick();

  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 5u);
  EXPECT_EQ(testing::get_text(*memory, Gpa{0x8000}, 4), std::string("\1\2\3\0", 4));
  EXPECT_EQ(testing::get_text(*memory, Gpa{0x9000}, 3), std::string("\4\5\0", 3));
  EXPECT_EQ(irq.pulses, 1);
}

TEST_F(RngTest, GivesAtMost64KiBForARequest) {
  const Buffer buffer{Gpa{2 << 20}, 1 << 20, true};
  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 65536u);
  EXPECT_EQ(testing::get(*memory, Gpa{(2 << 20) + 65536}, 1)[0], std::byte{0});
}

TEST_F(RngTest, ReturnsABufferThatItMayNotWrite) {
  const Buffer buffer{Gpa{0x8000}, 16, false};
  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 0u);
}

}  // namespace
}  // namespace runhv::devices
