#include "devices/ioapic/ioapic.h"

#include <functional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::devices {
namespace {

class Sink final : public InterruptSink {
 public:
  void request(const ApicMessage& message) override {
    messages.push_back(message);
    if (const auto then = std::exchange(meanwhile, nullptr)) then();
  }
  std::vector<ApicMessage> messages;
  std::function<void()> meanwhile;  // what others do during the next message
};

constexpr std::uint32_t kLevel = 1 << 15;
constexpr std::uint32_t kMasked = 1 << 16;
constexpr std::uint32_t kRemoteIrr = 1 << 14;

class IoApicTest : public ::testing::Test {
 protected:
  void set(std::uint32_t index, std::uint32_t value) {
    ioapic.write(0, 4, index);
    ioapic.write(0x10, 4, value);
  }
  std::uint32_t get(std::uint32_t index) {
    ioapic.write(0, 4, index);
    return static_cast<std::uint32_t>(ioapic.read(0x10, 4));
  }
  void route(std::uint32_t pin, std::uint32_t low, std::uint32_t destination) {
    set(0x11 + 2 * pin, destination << 24);
    set(0x10 + 2 * pin, low);
  }

  Sink sink;
  IoApic ioapic{5, 8, sink};
};

TEST_F(IoApicTest, ShowsIdVersionAndPins) {
  EXPECT_EQ(get(0), 5u << 24);
  EXPECT_EQ(get(1), 0x11u | 7u << 16);
  EXPECT_EQ(get(0x10), kMasked);
  set(0, 9u << 24);
  EXPECT_EQ(get(0), 9u << 24);
  EXPECT_EQ(get(0x20), 0u) << "beyond the last pin";
  EXPECT_EQ(get(0xff), 0u);
  set(0xff, 1);
}

TEST_F(IoApicTest, SendsOneMessageForEachEdge) {
  route(3, 0x31 | 1 << 8 | 1 << 11, 0x0f);
  ioapic.line(3).pulse();
  ioapic.line(3).pulse();
  ASSERT_EQ(sink.messages.size(), 2u);
  EXPECT_EQ(sink.messages[0].vector, 0x31);
  EXPECT_EQ(sink.messages[0].delivery, ApicMessage::Delivery::kLowestPriority);
  EXPECT_TRUE(sink.messages[0].logical_destination);
  EXPECT_FALSE(sink.messages[0].level_triggered);
  EXPECT_EQ(sink.messages[0].destination, 0x0f);
}

// The guest takes the interrupt and gives its device new work while the thread that sent it has not
// come back: the device's next interrupt must not be lost in the first one's pulse.
TEST_F(IoApicTest, APulseDuringAPulseIsAnotherEdge) {
  route(3, 0x31, 0);
  sink.meanwhile = [this] { ioapic.line(3).pulse(); };
  ioapic.line(3).pulse();
  EXPECT_EQ(sink.messages.size(), 2u);
}

TEST_F(IoApicTest, KeepsOneEdgeWhileMasked) {
  route(2, 0x32 | kMasked, 0);
  ioapic.line(2).pulse();
  ioapic.line(2).pulse();
  EXPECT_TRUE(sink.messages.empty());
  set(0x14, 0x32);
  EXPECT_EQ(sink.messages.size(), 1u);
}

TEST_F(IoApicTest, APinThatTheGuestMadeLevelTriggeredWaitsForTheEndOfEachInterrupt) {
  route(1, 0x41 | kLevel, 2);
  ioapic.line(1).pulse();
  ASSERT_EQ(sink.messages.size(), 1u);
  EXPECT_TRUE(sink.messages[0].level_triggered);
  EXPECT_EQ(get(0x12) & kRemoteIrr, kRemoteIrr);
  ioapic.line(1).pulse();
  EXPECT_EQ(sink.messages.size(), 1u) << "in service";

  ioapic.end_of_interrupt(0x42);
  EXPECT_EQ(sink.messages.size(), 1u) << "another vector";
  ioapic.end_of_interrupt(0x41);
  EXPECT_EQ(sink.messages.size(), 2u) << "the second pulse";
  ioapic.end_of_interrupt(0x41);
  EXPECT_EQ(sink.messages.size(), 2u);
  EXPECT_EQ(get(0x12) & kRemoteIrr, 0u);
}

TEST_F(IoApicTest, TheGuestCannotWriteStatusBits) {
  set(0x12, 0x41 | kLevel | kRemoteIrr | 1 << 12 | 0xfffe0000);
  EXPECT_EQ(get(0x12), 0x41u | kLevel);
}

TEST_F(IoApicTest, AnswersOnlyWords) {
  ioapic.write(0, 1, 1);
  EXPECT_EQ(ioapic.read(0, 4), 0u);
  EXPECT_EQ(ioapic.read(0x10, 8), 0u);
  EXPECT_EQ(ioapic.read(0x20, 4), 0u);
}

}  // namespace
}  // namespace runhv::devices
