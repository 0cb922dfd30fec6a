// Devices that finish later (docs/adr/0008): chains in flight, reset, stop and pause meanwhile.
#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/later_device.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using namespace virtio::mmio;
using testing::Buffer;

constexpr Gpa kRings{1 << 20};
constexpr std::uint64_t kBuffers = 0x8000;
constexpr std::byte kServed{0x77};

class FinishLater : public ::testing::Test {
 protected:
  explicit FinishLater(std::uint64_t notification_waits_ns = 0)
      : transport(std::make_unique<MmioTransport>(
            std::make_unique<testing::LaterDevice>(work, notification_waits_ns), memory, irq,
            later)) {}
  void SetUp() override { ASSERT_TRUE(driver.start(UINT64_MAX)); }

  // Makes `count` chains available, each of one byte of its own; the first at kBuffers.
  void ask(int count) {
    for (int i = 0; i < count; ++i) {
      const Buffer buffer{Gpa{kBuffers + asked_++}, 1, true};
      driver.queue(0).add({&buffer, 1});
    }
    driver.queue(0).kick();
  }
  std::byte byte(int index) const {
    return testing::get(*memory, Gpa{kBuffers + static_cast<unsigned>(index)}, 1)[0];
  }
  std::optional<std::uint32_t> used() {
    const auto next = driver.queue(0).take_used();
    return next ? std::optional(next->head) : std::nullopt;
  }

  testing::LaterWork work;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  testing::RecordingObserver observer;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory(&observer);
  std::unique_ptr<MmioTransport> transport;
  testing::VirtioDriver driver{*transport, *memory, kRings};

 private:
  std::uint64_t asked_ = 0;
};

TEST_F(FinishLater, InAnyOrderFromAnyThread) {
  ask(3);
  EXPECT_EQ(work.size(), 3u);
  EXPECT_FALSE(used());
  EXPECT_EQ(irq.pulses, 0);

  std::thread worker([this] { EXPECT_TRUE(work.serve(2)); });
  worker.join();

  EXPECT_EQ(used(), 2u);
  EXPECT_EQ(byte(2), kServed);
  EXPECT_EQ(byte(0), std::byte{0});
  EXPECT_EQ(irq.pulses, 1);
  EXPECT_TRUE(observer.saw(Gpa{kBuffers + 2}));
  EXPECT_EQ(driver.take_interrupt_status(), kInterruptUsedBuffer);
  driver.queue(0).ask_interrupt_after(1);
  EXPECT_TRUE(work.serve(1));
  EXPECT_TRUE(work.serve(0));
  EXPECT_EQ(used(), 1u);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(irq.pulses, 2) << "the driver has not looked yet";
}

// A device whose driver is worth waiting for, for longer than any test takes.
class NotificationWaits : public FinishLater {
 protected:
  static constexpr std::uint64_t kForEver = 3'600'000'000'000;
  NotificationWaits() : FinishLater(kForEver) {}
  // Makes a chain available; the device's worker finishes it when it comes.
  void ask_and_serve() {
    std::thread worker([this] {
      while (!work.serve(0)) std::this_thread::yield();
    });
    ask(1);
    worker.join();
  }
};

TEST_F(NotificationWaits, ForAChainWhereTheDriverWantsNoInterrupt) {
  driver.queue(0).ask_interrupt_after(0);
  ask_and_serve();
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(irq.pulses, 0);
}

TEST_F(NotificationWaits, NotWhereTheDriverWantsAnInterrupt) {
  ask(1);
  EXPECT_FALSE(used());
  EXPECT_TRUE(work.serve(0));
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(irq.pulses, 1);
}

TEST_F(NotificationWaits, NoLongerThanUntilAPause) {
  driver.queue(0).ask_interrupt_after(0);
  std::thread pauses([this] {
    while (work.size() == 0) std::this_thread::yield();
    EXPECT_TRUE(transport->pause(UINT64_MAX));
  });
  ask(1);
  pauses.join();
  EXPECT_FALSE(used());
  transport->resume();
  EXPECT_TRUE(work.serve(0));
  EXPECT_EQ(used(), 0u);
}

TEST_F(NotificationWaits, OnlyForWhatItBrought) {
  ask(1);
  driver.queue(0).ask_interrupt_after(0);
  driver.queue(0).force_kick();
  EXPECT_FALSE(used());
  EXPECT_TRUE(work.serve(0));
}

TEST_F(FinishLater, ADriverThatAsksForMoreThanItsQueueHoldsBreaksIt) {
  ask(16);
  EXPECT_EQ(work.size(), 16u);
  driver.queue(0).offer(0);
  driver.queue(0).force_kick();
  EXPECT_EQ(work.size(), 16u);
  EXPECT_NE(driver.read(kStatus) & virtio::kStatusNeedsReset, 0u);
  EXPECT_FALSE(work.serve(0)) << "of a queue that is broken";
  EXPECT_FALSE(used());
}

TEST_F(FinishLater, AResetWaitsForChainsInFlight) {
  ask(3);
  std::optional<DescriptorChain> at_work = work.take(0);
  ASSERT_TRUE(work.handle->begin(*at_work));

  EXPECT_FALSE(transport->write(kStatus, 4, 0)) << "the guest executes it again";
  EXPECT_NE(driver.read(kStatus), 0u);
  driver.write(kStatus, virtio::kStatusAcknowledge);
  driver.write(kQueueReady, 1);

  EXPECT_FALSE(work.serve(0)) << "what has not begun does not begin";
  EXPECT_FALSE(work.serve(0));
  EXPECT_FALSE(transport->write(kStatus, 4, 0));
  EXPECT_NE(driver.read(kStatus), 0u);
  work.handle->finish(*std::move(at_work), 1);

  EXPECT_EQ(driver.read(kStatus), 0u);
  EXPECT_EQ(driver.read(kQueueReady), 0u);
  EXPECT_TRUE(transport->write(kStatus, 4, 0));
  EXPECT_EQ(irq.pulses, 0);
  EXPECT_FALSE(used());
  EXPECT_EQ(byte(1), std::byte{0});
  ASSERT_TRUE(driver.start(UINT64_MAX));
  ask(1);
  EXPECT_TRUE(work.serve(0));
  EXPECT_EQ(used(), 0u);
}

TEST_F(FinishLater, AChainOfAQueueThatWasTakenAwayIsDropped) {
  ask(1);
  driver.write(kQueueSel, 0);
  driver.write(kQueueReady, 0);
  EXPECT_FALSE(work.serve(0));
  EXPECT_FALSE(used());
  EXPECT_EQ(byte(0), std::byte{0});
}

TEST_F(FinishLater, AStopThatGivesUpLeavesTheMemoryToTheChain) {
  ask(2);
  std::optional<DescriptorChain> hanging = work.take(0);
  ASSERT_TRUE(work.handle->begin(*hanging));
  EXPECT_FALSE(transport->stop(0));
  EXPECT_FALSE(work.serve(0)) << "and what waits does not begin";
  transport.reset();
  const std::weak_ptr<memory::GuestMemory> still(memory);
  memory.reset();

  ASSERT_FALSE(still.expired());
  hanging->writable()[0].bytes[0] = kServed;
  work.handle->finish(*std::move(hanging), 1);
  hanging.reset();

  EXPECT_TRUE(still.expired());
  EXPECT_EQ(irq.pulses, 0);
  work.set_config(std::byte{1});
}

TEST_F(FinishLater, AStopWaitsForWhatIsAtWork) {
  ask(1);
  std::optional<DescriptorChain> chain = work.take(0);
  ASSERT_TRUE(work.handle->begin(*chain));
  std::thread worker([&] { work.handle->finish(*std::move(chain), 1); });
  EXPECT_TRUE(transport->stop(UINT64_MAX));
  worker.join();
  EXPECT_TRUE(transport->stop(0));
  EXPECT_FALSE(driver.start(UINT64_MAX));
}

TEST_F(FinishLater, AChangedConfigurationHasANewGenerationAndIsTold) {
  EXPECT_EQ(driver.read(kConfigGeneration), 0u);
  work.set_config(std::byte{5});
  EXPECT_EQ(driver.read(kConfigGeneration), 1u);
  EXPECT_EQ(transport->read(kConfig, 4), 0x05050505u);
  EXPECT_EQ(irq.pulses, 1);
  EXPECT_EQ(driver.take_interrupt_status(), kInterruptConfigChange);

  driver.write(kStatus, 0);
  work.set_config(std::byte{6});
  EXPECT_EQ(driver.read(kConfigGeneration), 2u);
  EXPECT_EQ(irq.pulses, 1) << "no driver is there to be told";
}

TEST_F(FinishLater, WhilePausedNothingIsTouchedAndNothingIsLost) {
  ask(2);
  ASSERT_TRUE(transport->pause(0));
  ASSERT_TRUE(transport->pause(0));
  std::optional<DescriptorChain> first = work.take(0);
  work.handle->finish(*std::move(first), 0);
  work.set_config(std::byte{9});
  EXPECT_FALSE(transport->write(kQueueNotify, 4, 0)) << "the guest executes it again";
  EXPECT_FALSE(used());
  EXPECT_EQ(irq.pulses, 0);
  EXPECT_EQ(driver.read(kConfigGeneration), 0u);

  transport->resume();
  transport->resume();

  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(irq.pulses, 2);
  EXPECT_EQ(driver.take_interrupt_status(), kInterruptUsedBuffer | kInterruptConfigChange);
  EXPECT_EQ(driver.read(kConfigGeneration), 1u);
  EXPECT_TRUE(work.serve(0));
}

TEST_F(FinishLater, APauseWaitsForWhatIsAtWorkAndGivesUpWithoutATrace) {
  ask(2);
  std::optional<DescriptorChain> chain = work.take(0);
  ASSERT_TRUE(work.handle->begin(*chain));
  EXPECT_FALSE(transport->pause(0));
  EXPECT_TRUE(work.serve(0)) << "it is not paused";

  std::thread worker([&] { work.handle->finish(*std::move(chain), 1); });
  EXPECT_TRUE(transport->pause(UINT64_MAX));
  worker.join();
  EXPECT_EQ(used(), 1u);
  transport->resume();
  EXPECT_EQ(used(), 0u);
}

TEST_F(FinishLater, AWorkerWaitsUntilThePauseIsOver) {
  ask(1);
  ASSERT_TRUE(transport->pause(0));
  std::thread worker([this] { EXPECT_TRUE(work.serve(0)); });
  EXPECT_EQ(byte(0), std::byte{0});
  transport->resume();
  worker.join();
  EXPECT_EQ(byte(0), kServed);
  EXPECT_EQ(used(), 0u);
}

TEST_F(FinishLater, AStopEndsAPause) {
  ask(2);
  ASSERT_TRUE(transport->pause(0));
  std::optional<DescriptorChain> kept = work.take(0);
  work.handle->finish(*std::move(kept), 1);
  std::thread worker([this] { EXPECT_FALSE(work.serve(0)); });
  EXPECT_TRUE(transport->stop(UINT64_MAX));
  worker.join();
  EXPECT_FALSE(used());
  EXPECT_EQ(irq.pulses, 0);
}

}  // namespace
}  // namespace runhv::devices
