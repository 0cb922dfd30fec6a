#include "devices/console/console.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "devices/virtio/mmio_transport.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using testing::Buffer;

class TextSink final : public ConsoleSink {
 public:
  void write(std::span<const std::byte> bytes) override {
    largest = std::max(largest, bytes.size());
    for (const std::byte byte : bytes) text.push_back(static_cast<char>(byte));
  }
  std::string text;
  std::size_t largest = 0;
};

class ConsoleTest : public ::testing::Test {
 protected:
  TextSink sink;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory();
  MmioTransport transport{std::make_unique<ConsoleDevice>(sink), memory, irq, later};
  testing::VirtioDriver driver{transport, *memory, Gpa{1 << 20}};
};

TEST_F(ConsoleTest, PassesOutputOnInOrder) {
  ASSERT_TRUE(driver.start(UINT64_MAX));
  testing::put(*memory, Gpa{0x8000}, "Hello, ");
  testing::put(*memory, Gpa{0x9000}, "world\n");
  const std::array<Buffer, 2> buffers{Buffer{Gpa{0x8000}, 7, false}, Buffer{Gpa{0x9000}, 6, false}};
  driver.queue(1).add(buffers);
  EXPECT_TRUE(driver.queue(1).kick());
  EXPECT_EQ(sink.text, "Hello, world\n");
  EXPECT_EQ(driver.queue(1).take_used()->written_bytes, 0u);
}

TEST_F(ConsoleTest, CutsLargeOutputIntoPieces) {
  ASSERT_TRUE(driver.start(UINT64_MAX));
  const Buffer buffer{Gpa{2 << 20}, 60000, false};
  driver.queue(1).add({&buffer, 1});
  driver.queue(1).kick();
  EXPECT_EQ(sink.text.size(), 60000u);
  EXPECT_LE(sink.largest, 4096u);
}

TEST_F(ConsoleTest, LeavesInputBuffersAlone) {
  ASSERT_TRUE(driver.start(UINT64_MAX));
  const Buffer buffer{Gpa{0x8000}, 64, true};
  driver.queue(0).add({&buffer, 1});
  EXPECT_FALSE(driver.queue(0).kick());
  driver.queue(0).force_kick();
  EXPECT_FALSE(driver.queue(0).take_used());
}

TEST_F(ConsoleTest, TakesSoMuchTextOfAChainAndNoMore) {
  ASSERT_TRUE(driver.start(UINT64_MAX));
  const Buffer large{Gpa{2 << 20}, 100 * 1024, false};
  driver.queue(1).add({&large, 1});
  driver.queue(1).kick();
  EXPECT_TRUE(driver.queue(1).take_used());
  EXPECT_EQ(sink.text.size(), ConsoleDevice::kMaxTextBytes);
}

}  // namespace
}  // namespace runhv::devices
