#include "devices/virtio/queue.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"

namespace runhv::devices {
namespace {

using testing::get;
using testing::make_guest_memory;
using testing::put;
using testing::RecordingObserver;

constexpr std::uint16_t kSize = 8;
constexpr Gpa kDescriptors{0x1000};
constexpr Gpa kAvail{0x2000};
constexpr Gpa kUsed{0x3000};
constexpr Gpa kTable{0x4000};
constexpr std::uint64_t kData = 0x8000;
constexpr std::uint16_t kNext = virtio::kDescNext;
constexpr std::uint16_t kWrite = virtio::kDescWrite;
constexpr std::uint16_t kIndirect = virtio::kDescIndirect;

class QueueTest : public ::testing::Test {
 protected:
  QueueTest() : memory(make_guest_memory(&observer)), queue(memory, 0) { enable(UINT64_MAX); }

  void enable(std::uint64_t features) {
    ASSERT_TRUE(queue.enable({kSize, kDescriptors, kAvail, kUsed}, features));
  }
  void put16(std::uint64_t at, std::uint16_t value) {
    std::array<std::byte, 2> bytes;
    store_le(bytes, 0, value);
    put(*memory, Gpa{at}, bytes);
  }
  std::uint16_t get16(std::uint64_t at) { return load_le<std::uint16_t>(get(*memory, Gpa{at}, 2)); }
  void describe(Gpa table, std::uint16_t index, std::uint64_t address, std::uint32_t size,
                std::uint16_t flags, std::uint16_t next) {
    std::array<std::byte, 16> bytes;
    store_le(bytes, 0, address);
    store_le(bytes, 8, size);
    store_le(bytes, 12, flags);
    store_le(bytes, 14, next);
    put(*memory, Gpa{table.value + 16u * index}, bytes);
  }
  void offer(std::uint16_t head) {
    put16(kAvail.value + 4 + 2u * (avail_idx % kSize), head);
    put16(kAvail.value + 2, ++avail_idx);
  }
  void expect_broken() {
    EXPECT_FALSE(queue.pop(chain));
    EXPECT_TRUE(queue.broken());
    EXPECT_FALSE(queue.pop(chain)) << "stays broken";
  }

  RecordingObserver observer;
  std::shared_ptr<memory::GuestMemory> memory;
  Virtqueue queue;
  DescriptorChain chain;
  std::uint16_t avail_idx = 0;
};

TEST_F(QueueTest, SplitsAChainIntoReadableAndWritableParts) {
  describe(kDescriptors, 3, kData, 16, kNext, 1);
  describe(kDescriptors, 1, kData + 0x100, 32, kNext | kWrite, 5);
  describe(kDescriptors, 5, kData + 0x200, 1, kWrite, 0);
  offer(3);

  ASSERT_TRUE(queue.pop(chain));

  ASSERT_EQ(chain.readable().size(), 1u);
  ASSERT_EQ(chain.writable().size(), 2u);
  EXPECT_EQ(chain.readable()[0].bytes.size(), 16u);
  EXPECT_EQ(chain.writable()[0].address.value, kData + 0x100);
  EXPECT_EQ(chain.writable()[1].bytes.size(), 1u);
  EXPECT_FALSE(queue.pop(chain));
  EXPECT_FALSE(queue.broken());
}

TEST_F(QueueTest, ReturnsAChainAndTellsTheObserver) {
  describe(kDescriptors, 2, kData, 8, kWrite, 0);
  offer(2);
  ASSERT_TRUE(queue.pop(chain));

  queue.push(chain, 7);

  EXPECT_EQ(get16(kUsed.value + 2), 1);
  EXPECT_EQ(get16(kUsed.value + 4), 2);
  EXPECT_EQ(get16(kUsed.value + 8), 7);
  EXPECT_TRUE(observer.saw(Gpa{kData}));
  EXPECT_TRUE(observer.saw(kUsed));
}

TEST_F(QueueTest, FollowsAnIndirectTable) {
  describe(kTable, 0, kData, 10, kNext, 1);
  describe(kTable, 1, kData + 64, 20, kWrite, 0);
  describe(kDescriptors, 0, kTable.value, 32, kIndirect, 0);
  offer(0);

  ASSERT_TRUE(queue.pop(chain));

  EXPECT_EQ(chain.readable()[0].bytes.size(), 10u);
  EXPECT_EQ(chain.writable()[0].bytes.size(), 20u);
}

TEST_F(QueueTest, GoesRoundTheRingsAndTheIndex) {
  describe(kDescriptors, 0, kData, 1, kWrite, 0);
  for (int i = 0; i < 70000; ++i) {
    offer(0);
    queue.begin_turn();
    ASSERT_TRUE(queue.pop(chain)) << i;
    queue.push(chain, 0);
  }
  queue.begin_turn();
  EXPECT_EQ(get16(kUsed.value + 2), static_cast<std::uint16_t>(70000));
  EXPECT_FALSE(queue.pop(chain));
}

TEST_F(QueueTest, GivesNoMoreInATurnThanItHolds) {
  describe(kDescriptors, 0, kData, 1, kWrite, 0);
  const auto serve = [&] {
    int served = 0;
    queue.begin_turn();
    for (; served < 100 && queue.pop(chain); ++served) {
      queue.push(chain, 0);
      offer(0);  // the guest is as fast as the device
    }
    return served;
  };
  offer(0);
  EXPECT_EQ(serve(), kSize);
  EXPECT_TRUE(queue.unfinished());
  EXPECT_EQ(serve(), kSize);
  EXPECT_TRUE(queue.unfinished());
  EXPECT_FALSE(queue.broken());
}

TEST_F(QueueTest, HasFinishedATurnThatFoundTheQueueEmpty) {
  describe(kDescriptors, 0, kData, 1, kWrite, 0);
  queue.begin_turn();
  for (int i = 0; i < kSize; ++i) {
    offer(0);
    ASSERT_TRUE(queue.pop(chain));
    queue.push(chain, 0);
  }
  EXPECT_FALSE(queue.pop(chain));
  EXPECT_FALSE(queue.unfinished());
}

TEST_F(QueueTest, EndsATurnAfterManyBytes) {
  constexpr std::uint32_t kHalf = Virtqueue::kTurnBytes / 2 / 4;
  for (std::uint16_t i = 0; i < 4; ++i) {
    describe(kDescriptors, i, kData, kHalf, static_cast<std::uint16_t>(i < 3 ? kNext : 0),
             static_cast<std::uint16_t>(i + 1));
  }
  for (int i = 0; i < 3; ++i) offer(0);
  queue.begin_turn();
  ASSERT_TRUE(queue.pop(chain));
  queue.unpop(chain);  // costs nothing
  ASSERT_TRUE(queue.pop(chain));
  ASSERT_TRUE(queue.pop(chain));
  EXPECT_FALSE(queue.pop(chain));
  EXPECT_TRUE(queue.unfinished());
  queue.begin_turn();
  EXPECT_TRUE(queue.pop(chain));
}

TEST_F(QueueTest, BreaksOnALoop) {
  describe(kDescriptors, 0, kData, 1, kNext, 1);
  describe(kDescriptors, 1, kData, 1, kNext, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnAHeadOrANextOutsideTheTable) {
  offer(kSize);
  expect_broken();
  enable(UINT64_MAX);
  avail_idx = 0;
  describe(kDescriptors, 0, kData, 1, kNext, kSize);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnABufferThatIsNotRam) {
  describe(kDescriptors, 0, testing::kTestMemoryBytes - 4, 5, 0, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnAnAddressThatWraps) {
  describe(kDescriptors, 0, UINT64_MAX - 3, 8, 0, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnAChainOfFourGibibytes) {
  // Half of the memory again and again: parts may overlap.
  constexpr std::uint32_t kPart = testing::kTestMemoryBytes / 2;
  constexpr std::uint16_t kParts = 1024;
  constexpr Gpa kTableOfMany{0x10000};
  ASSERT_TRUE(queue.enable({kParts, kTableOfMany, Gpa{0x20000}, Gpa{0x30000}}, UINT64_MAX));
  for (std::uint16_t i = 0; i < kParts; ++i) {
    describe(kTableOfMany, i, 0, kPart, static_cast<std::uint16_t>(i + 1 < kParts ? kNext : 0),
             static_cast<std::uint16_t>(i + 1));
  }
  put16(0x20002, 1);
  expect_broken();

  ASSERT_TRUE(queue.enable({kParts, kTableOfMany, Gpa{0x20000}, Gpa{0x30000}}, UINT64_MAX));
  describe(kTableOfMany, kParts - 1, 0, kPart - 1, 0, 0);
  ASSERT_TRUE(queue.pop(chain));
  EXPECT_EQ(chain.size_bytes(), UINT32_MAX);
}

TEST_F(QueueTest, BreaksOnAnEmptyBuffer) {
  describe(kDescriptors, 0, kData, 0, 0, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnReadableAfterWritable) {
  describe(kDescriptors, 0, kData, 1, kNext | kWrite, 1);
  describe(kDescriptors, 1, kData, 1, 0, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnMoreAvailableThanTheQueueHolds) {
  put16(kAvail.value + 2, kSize + 1);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnAnIndirectTableThatIsWrong) {
  struct Case {
    std::uint32_t size;
    std::uint16_t flags;
    const char* what;
  };
  describe(kTable, 0, kData, 1, 0, 0);
  for (const Case& wrong : {Case{0, kIndirect, "empty"}, Case{24, kIndirect, "no multiple of 16"},
                            Case{16 * (kSize + 1), kIndirect, "longer than the queue"},
                            Case{16, kIndirect | kNext, "with NEXT"}}) {
    SCOPED_TRACE(wrong.what);
    enable(UINT64_MAX);
    avail_idx = 0;
    describe(kDescriptors, 0, kTable.value, wrong.size, wrong.flags, 0);
    offer(0);
    expect_broken();
  }
}

TEST_F(QueueTest, BreaksOnAnIndirectTableInAnIndirectTable) {
  describe(kTable, 0, kTable.value, 16, kIndirect, 0);
  describe(kDescriptors, 0, kTable.value, 16, kIndirect, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, BreaksOnIndirectThatWasNotNegotiated) {
  enable(0);
  describe(kTable, 0, kData, 1, 0, 0);
  describe(kDescriptors, 0, kTable.value, 16, kIndirect, 0);
  offer(0);
  expect_broken();
}

TEST_F(QueueTest, RefusesAreasThatAreMisalignedOrNotRam) {
  const std::uint64_t end = testing::kTestMemoryBytes;
  EXPECT_FALSE(queue.enable({kSize, Gpa{0x1008}, kAvail, kUsed}, 0));
  EXPECT_FALSE(queue.enable({kSize, kDescriptors, Gpa{0x2001}, kUsed}, 0));
  EXPECT_FALSE(queue.enable({kSize, kDescriptors, kAvail, Gpa{0x3002}}, 0));
  EXPECT_FALSE(queue.enable({kSize, Gpa{end - 112}, kAvail, kUsed}, 0));
  EXPECT_FALSE(queue.enable({kSize, kDescriptors, Gpa{end - 20}, kUsed}, 0));
  EXPECT_FALSE(queue.enable({kSize, kDescriptors, kAvail, Gpa{end - 68}}, 0));
  EXPECT_FALSE(queue.enable({6, kDescriptors, kAvail, kUsed}, 0));
  EXPECT_FALSE(queue.enable({0, kDescriptors, kAvail, kUsed}, 0));
}

TEST_F(QueueTest, GivesTheSameChainAgainAfterUnpop) {
  describe(kDescriptors, 4, kData, 9, 0, 0);
  offer(4);
  ASSERT_TRUE(queue.pop(chain));

  queue.unpop(chain);

  ASSERT_TRUE(queue.pop(chain));
  EXPECT_EQ(chain.readable()[0].bytes.size(), 9u);
}

TEST_F(QueueTest, UndoesSeveralPopsFromTheLast) {
  for (std::uint16_t i = 0; i < 3; ++i) {
    describe(kDescriptors, i, kData, i + 1u, 0, 0);
    offer(i);
  }
  std::array<DescriptorChain, 3> chains;
  for (DescriptorChain& each : chains) ASSERT_TRUE(queue.pop(each));
  queue.push(chains[0], 0);

  queue.unpop(chains[2]);
  queue.unpop(chains[1]);

  EXPECT_EQ(queue.in_flight(), 0u);
  ASSERT_TRUE(queue.pop(chain));
  EXPECT_EQ(chain.readable()[0].bytes.size(), 2u);
}

TEST_F(QueueTest, ShowsWhatIsPushedUnseenWithTheNext) {
  for (std::uint16_t i = 0; i < 2; ++i) {
    describe(kDescriptors, i, kData, 8, kWrite, 0);
    offer(i);
  }
  DescriptorChain other;
  ASSERT_TRUE(queue.pop(chain));
  ASSERT_TRUE(queue.pop(other));

  queue.push_unseen(chain, 8);
  EXPECT_EQ(get16(kUsed.value + 2), 0);
  queue.push(other, 3);

  EXPECT_EQ(get16(kUsed.value + 2), 2);
}

TEST_F(QueueTest, InterruptsOnlyWhenTheDriversEventIsPassed) {
  describe(kDescriptors, 0, kData, 1, kWrite, 0);
  const auto serve_one = [&] {
    offer(0);
    ASSERT_TRUE(queue.pop(chain));
    queue.push(chain, 0);
  };
  put16(kAvail.value + 4 + 2 * kSize, 1);  // used_event: after the second
  EXPECT_FALSE(queue.take_interrupt());
  serve_one();
  EXPECT_FALSE(queue.take_interrupt());
  serve_one();
  EXPECT_TRUE(queue.take_interrupt());
  EXPECT_FALSE(queue.take_interrupt());
  serve_one();
  EXPECT_FALSE(queue.take_interrupt());
}

TEST_F(QueueTest, InterruptsByTheFlagWithoutEventIndex) {
  enable(0);
  describe(kDescriptors, 0, kData, 1, kWrite, 0);
  offer(0);
  ASSERT_TRUE(queue.pop(chain));
  queue.push(chain, 0);
  EXPECT_TRUE(queue.take_interrupt());
  put16(kAvail.value, virtio::kAvailNoInterrupt);
  offer(0);
  ASSERT_TRUE(queue.pop(chain));
  queue.push(chain, 0);
  EXPECT_FALSE(queue.take_interrupt());
}

TEST_F(QueueTest, AsksForANotificationWhenItHasRunEmpty) {
  describe(kDescriptors, 0, kData, 1, kWrite, 0);
  const std::uint64_t avail_event = kUsed.value + 4 + 8 * kSize;
  queue.suppress_notifications();
  EXPECT_EQ(get16(avail_event), 0xffff);
  offer(0);
  ASSERT_TRUE(queue.pop(chain));
  EXPECT_EQ(get16(avail_event), 0xffff);

  ASSERT_FALSE(queue.pop(chain));

  EXPECT_EQ(get16(avail_event), 1);
}

}  // namespace
}  // namespace runhv::devices
