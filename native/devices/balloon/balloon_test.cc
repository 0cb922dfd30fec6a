#include "devices/balloon/balloon.h"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/check.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using testing::Buffer;

constexpr std::size_t kInflate = 0;
constexpr std::size_t kReporting = 2;
constexpr std::uint32_t kPage = 4096;
constexpr Gpa kFree{2 << 20};

class BalloonTest : public ::testing::Test {
 protected:
  BalloonTest() { RUNHV_CHECK(driver.start(UINT64_MAX)); }

  void fill(Gpa first, std::size_t size) {
    testing::put(*memory, first, std::vector<std::byte>(size, std::byte{0x55}));
  }
  std::size_t zeros(Gpa first, std::size_t size) {
    const std::vector<std::byte> bytes = testing::get(*memory, first, size);
    return static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), std::byte{0}));
  }
  std::optional<testing::Used> report(std::span<const Buffer> pieces) {
    driver.queue(kReporting).add(pieces);
    driver.queue(kReporting).kick();
    return driver.queue(kReporting).take_used();
  }

  testing::RecordingObserver observer;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory(&observer);
  MmioTransport transport{std::make_unique<BalloonDevice>(), memory, irq, later};
  testing::VirtioDriver driver{transport, *memory, Gpa{1 << 20}};
};

TEST_F(BalloonTest, OffersPageReportingAndNothingElseOfABalloon) {
  constexpr std::uint64_t kOfTheDevice = (1 << 24) - 1;
  EXPECT_EQ(driver.features() & kOfTheDevice, 1u << 5);
  EXPECT_EQ(driver.read(virtio::mmio::kConfig), 0u) << "no page is asked for";
}

TEST_F(BalloonTest, ReportedPagesAreTheHostsAgainAndReadAsZeros) {
  constexpr std::uint32_t kBytes = 4 << 20;
  fill(kFree, kBytes);
  const std::uint64_t before = memory->resident_bytes();
  const std::array<Buffer, 2> pieces{Buffer{kFree, kBytes / 2, true},
                                     Buffer{Gpa{kFree.value + kBytes / 2}, kBytes / 2, true}};
  const auto used = report(pieces);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written_bytes, 0u);
  EXPECT_EQ(memory->resident_bytes(), before - kBytes);
  EXPECT_TRUE(observer.saw(kFree)) << "an engine keeps no decoded instruction of them";
  EXPECT_EQ(zeros(kFree, kBytes), kBytes);
  EXPECT_EQ(irq.pulses, 1);
}

TEST_F(BalloonTest, GivesWholePagesOnly) {
  fill(kFree, 4 * kPage);
  const Buffer piece{Gpa{kFree.value + 100}, 2 * kPage, true};
  ASSERT_TRUE(report({&piece, 1}));
  EXPECT_EQ(zeros(kFree, kPage), 0u);
  EXPECT_EQ(zeros(Gpa{kFree.value + kPage}, kPage), kPage);
  EXPECT_EQ(zeros(Gpa{kFree.value + 2 * kPage}, 2 * kPage), 0u);
}

TEST_F(BalloonTest, NeitherInflatesNorTakesPagesThatMayOnlyBeRead) {
  fill(kFree, kPage);
  const Buffer piece{kFree, kPage, false};
  ASSERT_TRUE(report({&piece, 1}));
  const Buffer writable{kFree, kPage, true};
  driver.queue(kInflate).add({&writable, 1});
  driver.queue(kInflate).kick();
  ASSERT_TRUE(driver.queue(kInflate).take_used());
  EXPECT_EQ(zeros(kFree, kPage), 0u);
}

TEST_F(BalloonTest, RefusesPagesOutsideOfMemory) {
  fill(kFree, kPage);
  const std::array<Buffer, 2> pieces{
      Buffer{kFree, kPage, true}, Buffer{Gpa{testing::kTestMemoryBytes - kPage}, 2 * kPage, true}};
  EXPECT_FALSE(report(pieces));
  EXPECT_NE(driver.read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset, 0u);
  EXPECT_EQ(zeros(kFree, kPage), 0u);
}

TEST_F(BalloonTest, GivesAtMost128MiBForAReport) {
  // The same pages again and again: of the last piece nothing is left to give.
  std::vector<Buffer> pieces(31, Buffer{kFree, 5 << 20, true});
  pieces.push_back({Gpa{0x8000}, kPage, true});
  fill(Gpa{0x8000}, kPage);
  ASSERT_TRUE(report(pieces));
  EXPECT_EQ(zeros(Gpa{0x8000}, kPage), 0u);
}

}  // namespace
}  // namespace runhv::devices
