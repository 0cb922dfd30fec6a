#include "devices/virtio/mmio_transport.h"

#include <array>
#include <memory>

#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using namespace virtio::mmio;
using testing::Buffer;
using testing::FakeIrqLine;
using testing::make_guest_memory;
using testing::VirtioDriver;

constexpr Gpa kRings{1 << 20};
constexpr Gpa kBuffer{0x8000};
constexpr std::uint32_t kNegotiated =
    virtio::kStatusAcknowledge | virtio::kStatusDriver | virtio::kStatusFeaturesOk;

// Returns what it is given, and has 6 bytes of configuration.
class EchoDevice final : public VirtioDevice {
 public:
  explicit EchoDevice(int& running) : running_(running) {}
  VirtioTraits traits() const override { return {42, 1ull << 3, 6, kQueueSizes}; }
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = config_[offset + i];
  }
  void write_config(std::uint32_t offset, std::span<const std::byte> in) override {
    for (std::size_t i = 0; i < in.size(); ++i) config_[offset + i] = in[i];
  }
  Result<void> start(const Activation& activation) override {
    queue_ = &activation.queues[0];
    ++running_;
    return {};
  }
  void stop() override {
    queue_ = nullptr;
    --running_;
  }
  void on_notify(std::uint16_t) override {
    while (queue_->pop(chain_)) queue_->push(chain_, 1);
  }

 private:
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{16};
  int& running_;
  std::array<std::byte, 6> config_{std::byte{1}, std::byte{2}, std::byte{3},
                                   std::byte{4}, std::byte{5}, std::byte{6}};
  Virtqueue* queue_ = nullptr;
  DescriptorChain chain_;
};

class MmioTransportTest : public ::testing::Test {
 protected:
  int running = 0;
  FakeIrqLine irq;
  testing::HeldJobs later;
  std::shared_ptr<memory::GuestMemory> memory = make_guest_memory();
  MmioTransport transport{std::make_unique<EchoDevice>(running), memory, irq, later};
  VirtioDriver driver{transport, *memory, kRings};
};

TEST_F(MmioTransportTest, NamesItself) {
  EXPECT_EQ(driver.read(kMagicValue), 0x74726976u);
  EXPECT_EQ(driver.read(kVersion), 2u);
  EXPECT_EQ(driver.read(kDeviceId), 42u);
  EXPECT_EQ(driver.features(), virtio::kFeatureVersion1 | virtio::kFeatureEventIdx |
                                   virtio::kFeatureIndirectDesc | 8u);
  driver.write(kDeviceFeaturesSel, 2);
  EXPECT_EQ(driver.read(kDeviceFeatures), 0u);
  EXPECT_EQ(driver.read(kShmLenLow), UINT32_MAX);
}

// Has a shared memory region, and does nothing with it.
class WideDevice final : public VirtioDevice {
 public:
  VirtioTraits traits() const override {
    return {.device_id = 42,
            .features = 0,
            .config_size = 0,
            .queue_sizes = {},
            .shared_memory = 0x1'2340'0000,
            .shared_memory_bytes = 0x2'0060'0000};
  }
  void read_config(std::uint32_t, std::span<std::byte>) const override {}
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  Result<void> start(const Activation&) override { return {}; }
  void stop() override {}
  void on_notify(std::uint16_t) override {}
};

TEST_F(MmioTransportTest, TellsOfItsSharedMemory) {
  MmioTransport wide(std::make_unique<WideDevice>(), memory, irq, later);
  EXPECT_EQ(wide.read(kShmLenLow, 4), 0x0060'0000u);
  EXPECT_EQ(wide.read(kShmLenHigh, 4), 2u);
  EXPECT_EQ(wide.read(kShmBaseLow, 4), 0x2340'0000u);
  EXPECT_EQ(wide.read(kShmBaseHigh, 4), 1u);
  for (const std::uint32_t other : {1u, 255u, UINT32_MAX}) {
    wide.write(kShmSel, 4, other);
    for (const auto at : {kShmLenLow, kShmLenHigh, kShmBaseLow, kShmBaseHigh}) {
      EXPECT_EQ(wide.read(at, 4), UINT32_MAX);
    }
  }
  wide.write(kShmSel, 4, 0);
  EXPECT_EQ(wide.read(kShmLenHigh, 4), 2u);
}

TEST_F(MmioTransportTest, AnswersOnlyAlignedWords) {
  EXPECT_EQ(transport.read(kMagicValue, 1), 0u);
  EXPECT_EQ(transport.read(kMagicValue, 8), 0u);
  EXPECT_EQ(transport.read(kMagicValue + 2, 4), 0u);
  EXPECT_EQ(transport.read(UINT64_MAX, 4), 0u);
}

TEST_F(MmioTransportTest, ChecksTheEndOfTheConfiguration) {
  EXPECT_EQ(transport.read(kConfig, 4), 0x04030201u);
  EXPECT_EQ(transport.read(kConfig + 5, 1), 6u);
  EXPECT_EQ(transport.read(kConfig + 5, 2), 0u);
  EXPECT_EQ(transport.read(kConfig, 8), 0u);
  transport.write(kConfig + 4, 2, 0xbbaa);
  transport.write(kConfig + 5, 2, 0xffff);
  EXPECT_EQ(transport.read(kConfig + 4, 2), 0xbbaau);
}

TEST_F(MmioTransportTest, StartsOnceAndStopsOnReset) {
  ASSERT_TRUE(driver.start(UINT64_MAX));
  EXPECT_EQ(running, 1);
  driver.write(kStatus, kNegotiated | virtio::kStatusDriverOk);
  EXPECT_EQ(running, 1);

  driver.write(kStatus, 0);

  EXPECT_EQ(running, 0);
  EXPECT_EQ(driver.read(kStatus), 0u);
  driver.write(kQueueSel, 0);
  EXPECT_EQ(driver.read(kQueueReady), 0u);
  EXPECT_TRUE(driver.start(0));
}

TEST_F(MmioTransportTest, RefusesFeaturesThatAreNotOffered) {
  driver.write(kStatus, virtio::kStatusAcknowledge | virtio::kStatusDriver);
  driver.write(kDriverFeaturesSel, 1);
  driver.write(kDriverFeatures, 1 | 2);
  driver.write(kStatus, kNegotiated);
  EXPECT_EQ(driver.read(kStatus), virtio::kStatusAcknowledge | virtio::kStatusDriver);
}

TEST_F(MmioTransportTest, RefusesADriverOfTheOldKind) {
  driver.write(kStatus, virtio::kStatusAcknowledge | virtio::kStatusDriver);
  driver.write(kStatus, kNegotiated);
  EXPECT_EQ(driver.read(kStatus) & virtio::kStatusFeaturesOk, 0u) << "without VERSION_1";
}

TEST_F(MmioTransportTest, DoesNotStartWithoutFeaturesOk) {
  driver.write(kStatus, virtio::kStatusAcknowledge | virtio::kStatusDriver);
  driver.write(kStatus, 7);
  EXPECT_EQ(running, 0);
  EXPECT_EQ(driver.read(kStatus) & virtio::kStatusDriverOk, 0u);
}

TEST_F(MmioTransportTest, RefusesAQueueThatIsTooLarge) {
  ASSERT_TRUE(driver.start(0));
  driver.write(kStatus, 0);
  driver.write(kStatus, 3);
  driver.write(kDriverFeaturesSel, 1);
  driver.write(kDriverFeatures, 1);
  driver.write(kStatus, kNegotiated);
  driver.write(kQueueNum, 32);
  driver.write(kQueueDescLow, 0x1000);
  driver.write(kQueueDriverLow, 0x2000);
  driver.write(kQueueDeviceLow, 0x3000);
  driver.write(kQueueReady, 1);
  EXPECT_EQ(driver.read(kQueueReady), 0u);
  driver.write(kQueueNum, 16);
  driver.write(kQueueReady, 1);
  EXPECT_EQ(driver.read(kQueueReady), 1u);
}

TEST_F(MmioTransportTest, IgnoresAQueueThatDoesNotExist) {
  ASSERT_TRUE(driver.start(0));
  for (const std::uint32_t queue : {1u, 2u, UINT32_MAX}) {
    driver.write(kQueueSel, queue);
    EXPECT_EQ(driver.read(kQueueNumMax), 0u);
    EXPECT_EQ(driver.read(kQueueReady), 0u);
    driver.write(kQueueNum, 16);
    driver.write(kQueueReady, 1);
    driver.write(kQueueDescLow, 0x1000);
    EXPECT_TRUE(transport.write(kQueueNotify, 4, queue));
    EXPECT_EQ(driver.read(kQueueReady), 0u);
  }
  EXPECT_EQ(running, 1);
}

TEST_F(MmioTransportTest, AQueueInUseDoesNotMove) {
  ASSERT_TRUE(driver.start(0));
  driver.write(kQueueSel, 0);
  driver.write(kQueueNum, 8);
  for (const std::uint32_t area : {kQueueDescLow, kQueueDriverLow, kQueueDeviceLow}) {
    driver.write(area, 0xfffff000);
  }
  driver.write(kQueueReady, 1);

  const Buffer buffer{kBuffer, 8, true};
  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();

  EXPECT_TRUE(driver.queue(0).take_used());
  EXPECT_EQ(driver.read(kStatus) & virtio::kStatusNeedsReset, 0u);
}

TEST_F(MmioTransportTest, ServesAndInterruptsOnceUntilAcknowledged) {
  ASSERT_TRUE(driver.start(0));
  const Buffer buffer{kBuffer, 8, true};
  driver.queue(0).add({&buffer, 1});
  EXPECT_TRUE(driver.queue(0).kick());
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 1u);
  EXPECT_EQ(irq.pulses, 1);
  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();
  EXPECT_EQ(irq.pulses, 1) << "the driver has not looked yet";

  EXPECT_EQ(driver.take_interrupt_status(), kInterruptUsedBuffer);

  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();
  EXPECT_EQ(irq.pulses, 2);
}

TEST_F(MmioTransportTest, ABrokenRingStopsTheDeviceAndTellsTheDriver) {
  ASSERT_TRUE(driver.start(0));
  driver.queue(0).offer(999);
  driver.queue(0).force_kick();
  EXPECT_EQ(running, 0);
  EXPECT_NE(driver.read(kStatus) & virtio::kStatusNeedsReset, 0u);
  EXPECT_EQ(driver.take_interrupt_status(), kInterruptConfigChange);
  EXPECT_EQ(irq.pulses, 1);
  driver.queue(0).force_kick();
  EXPECT_EQ(irq.pulses, 1);
  EXPECT_TRUE(driver.start(0));
}

// The guest's other processor offers a buffer for each that the device returns.
class Refiller final : public memory::MemoryWriteObserver {
 public:
  void written(Gpa first, std::uint64_t) override {
    if (queue == nullptr || first.value != queue->device_area().value) return;
    if (left == 0) return;
    --left;
    queue->offer(0);
  }
  testing::DriverQueue* queue = nullptr;
  int left = 0;
};

TEST(MmioTransportTurns, AGuestThatRefillsTheRingIsServedInManyShortCalls) {
  int running = 0;
  FakeIrqLine irq;
  testing::HeldJobs later;
  Refiller guest;
  const auto memory = make_guest_memory(&guest);
  MmioTransport transport(std::make_unique<EchoDevice>(running), memory, irq, later);
  VirtioDriver driver(transport, *memory, kRings);
  ASSERT_TRUE(driver.start(0));
  const Buffer buffer{kBuffer, 8, true};
  driver.queue(0).add({&buffer, 1});
  guest.queue = &driver.queue(0);
  guest.left = 99;  // 100 buffers in all, 16 a call

  int calls = 1;
  while (!transport.write(kQueueNotify, 4, 0)) ++calls;

  EXPECT_EQ(calls, 7);
  int served = 0;
  while (driver.queue(0).take_used()) ++served;
  EXPECT_EQ(served, 100);
  EXPECT_TRUE(transport.write(kQueueNotify, 4, 0));
}

TEST_F(MmioTransportTest, StopIsForGood) {
  ASSERT_TRUE(driver.start(0));
  EXPECT_TRUE(transport.stop(0));
  EXPECT_TRUE(transport.stop(0));
  EXPECT_EQ(running, 0);
  EXPECT_FALSE(driver.start(0));
}

}  // namespace
}  // namespace runhv::devices
