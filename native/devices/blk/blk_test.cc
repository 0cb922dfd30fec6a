#include "devices/blk/blk.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/slow_disk.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using testing::Buffer;
using testing::put;

constexpr std::uint64_t kSectors = 64;
constexpr Gpa kHeader{0x8000};
constexpr Gpa kStatus{0x8100};
constexpr Gpa kData{2 << 20};
constexpr std::uint32_t kRead = 0;
constexpr std::uint32_t kWrite = 1;
constexpr std::uint32_t kFlush = 4;
constexpr std::uint32_t kGetId = 8;
constexpr int kOk = 0;
constexpr int kIoError = 1;
constexpr int kUnsupported = 2;

// 64 sectors; sector n begins with its number.
platform::File make_disk() {
  auto file = platform::File::create_anonymous(::testing::TempDir(), kSectors * 512);
  RUNHV_CHECK(file);
  for (std::uint64_t sector = 0; sector < kSectors; ++sector) {
    const std::string text = "sector " + std::to_string(sector);
    RUNHV_CHECK(file->write_at(sector * 512, as_bytes(text)));
  }
  return *std::move(file);
}

class BlkTest : public ::testing::Test {
 protected:
  BlkTest() : memory(testing::make_guest_memory(&observer)) { attach(false); }

  void attach(bool read_only) {
    auto device =
        BlkDevice::create(std::make_shared<FileDisk>(make_disk()), read_only, "scratch", jobs);
    RUNHV_CHECK(device);
    blk = device->get();
    transport = std::make_unique<MmioTransport>(*std::move(device), memory, irq, later);
    driver = std::make_unique<testing::VirtioDriver>(*transport, *memory, Gpa{1 << 20});
    RUNHV_CHECK(driver->start(UINT64_MAX));
  }

  void put_header(std::uint32_t type, std::uint64_t sector) {
    std::array<std::byte, 16> header{};
    store_le(header, 0, type);
    store_le(header, 8, sector);
    put(*memory, kHeader, header);
    put(*memory, kStatus, "\xff");
  }

  // The status byte.
  int request(std::uint32_t type, std::uint64_t sector, std::vector<Buffer> data = {}) {
    put_header(type, sector);
    std::vector<Buffer> buffers{{kHeader, 16, false}};
    buffers.insert(buffers.end(), data.begin(), data.end());
    buffers.push_back({kStatus, 1, true});
    driver->queue(0).add(buffers);
    driver->queue(0).kick();
    jobs.run_all();
    last_written = driver->queue(0).take_used()->written_bytes;
    return std::to_integer<int>(testing::get(*memory, kStatus, 1)[0]);
  }

  testing::RecordingObserver observer;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  testing::HeldJobs jobs;
  std::shared_ptr<memory::GuestMemory> memory;
  std::unique_ptr<MmioTransport> transport;
  const BlkDevice* blk = nullptr;  // transport's
  std::unique_ptr<testing::VirtioDriver> driver;
  std::uint32_t last_written = 0;
};

TEST_F(BlkTest, ShowsCapacityAndLimits) {
  EXPECT_EQ(transport->read(virtio::mmio::kConfig, 8), kSectors);
  EXPECT_EQ(transport->read(virtio::mmio::kConfig + 8, 4), 256u * 1024);
  EXPECT_EQ(transport->read(virtio::mmio::kConfig + 12, 4), 62u);
}

TEST_F(BlkTest, ReadsIntoScatteredBuffers) {
  EXPECT_EQ(request(kRead, 5, {{kData, 512, true}, {Gpa{kData.value + 4096}, 1024, true}}), kOk);
  EXPECT_EQ(testing::get_text(*memory, kData, 8), "sector 5");
  EXPECT_EQ(testing::get_text(*memory, Gpa{kData.value + 4096 + 512}, 8), "sector 7");
  EXPECT_EQ(last_written, 512u + 1024 + 1);
  EXPECT_TRUE(observer.saw(kData));
  EXPECT_TRUE(observer.saw(kStatus));
}

TEST_F(BlkTest, TakesARequestInAnyPieces) {
  put_header(kRead, 6);
  const Gpa tail{kData.value + 511};
  const std::array<Buffer, 4> buffers{Buffer{kHeader, 3, false},
                                      Buffer{Gpa{kHeader.value + 3}, 13, false},
                                      Buffer{kData, 511, true}, Buffer{tail, 2, true}};
  driver->queue(0).add(buffers);
  driver->queue(0).kick();
  jobs.run_all();
  EXPECT_EQ(testing::get_text(*memory, kData, 8), "sector 6");
  EXPECT_EQ(testing::get(*memory, Gpa{tail.value + 1}, 1)[0], std::byte{0}) << "the status";
}

TEST_F(BlkTest, ReadsBackWhatWasWritten) {
  put(*memory, kData, std::string(512, 'a') + std::string(512, 'b'));
  EXPECT_EQ(request(kWrite, 62, {{kData, 1024, false}}), kOk);
  EXPECT_EQ(request(kFlush, 0), kOk);
  EXPECT_EQ(request(kRead, 63, {{Gpa{kData.value + 8192}, 512, true}}), kOk);
  EXPECT_EQ(testing::get_text(*memory, Gpa{kData.value + 8192}, 512), std::string(512, 'b'));
}

TEST_F(BlkTest, CountsWhatWasDone) {
  EXPECT_EQ(request(kWrite, 3, {{kData, 1024, false}}), kOk);
  EXPECT_EQ(request(kRead, 5, {{kData, 512, true}}), kOk);
  EXPECT_EQ(request(kRead, 6, {{kData, 512, true}}), kOk);
  EXPECT_EQ(request(kFlush, 0), kOk);
  // Not done, or no data of the disk.
  EXPECT_EQ(request(kRead, kSectors, {{kData, 512, true}}), kIoError);
  EXPECT_EQ(request(kWrite, kSectors, {{kData, 512, false}}), kIoError);
  EXPECT_EQ(request(kGetId, 0, {{kData, 20, true}}), kOk);
  const DiskCounts counts = blk->counts();
  EXPECT_EQ(counts.writes, 1u);
  EXPECT_EQ(counts.written_bytes, 1024u);
  EXPECT_EQ(counts.reads, 2u);
  EXPECT_EQ(counts.read_bytes, 1024u);
  EXPECT_EQ(counts.flushes, 1u);
}

TEST_F(BlkTest, RefusesWhatIsNotOnTheDisk) {
  EXPECT_EQ(request(kRead, kSectors, {{kData, 512, true}}), kIoError);
  EXPECT_EQ(request(kRead, kSectors - 1, {{kData, 1024, true}}), kIoError);
  EXPECT_EQ(request(kRead, UINT64_MAX, {{kData, 512, true}}), kIoError);
  EXPECT_EQ(request(kRead, UINT64_MAX / 512 + 2, {{kData, 512, true}}), kIoError);
  EXPECT_EQ(request(kWrite, kSectors, {{kData, 512, false}}), kIoError);
  EXPECT_EQ(request(kRead, 0, {{kData, 100, true}}), kIoError) << "no whole sector";
  EXPECT_EQ(testing::get(*memory, kData, 1)[0], std::byte{0});
  EXPECT_EQ(last_written, 0u);
}

TEST_F(BlkTest, AReadOnlyDiskTakesNoWrite) {
  attach(true);
  EXPECT_NE(driver->features() & (1u << 5), 0u);
  EXPECT_EQ(driver->features() & (1u << 9), 0u) << "no flush is needed";
  put(*memory, kData, std::string(512, 'a'));
  EXPECT_EQ(request(kWrite, 5, {{kData, 512, false}}), kIoError);
  EXPECT_EQ(request(kRead, 5, {{kData, 512, true}}), kOk);
  EXPECT_EQ(testing::get_text(*memory, kData, 8), "sector 5");
}

TEST_F(BlkTest, RefusesAPartThatIsTooLarge) {
  auto large = platform::File::create_anonymous(::testing::TempDir(), 1 << 20);
  ASSERT_TRUE(large);
  auto device =
      BlkDevice::create(std::make_shared<FileDisk>(*std::move(large)), false, "large", jobs);
  ASSERT_TRUE(device);
  transport = std::make_unique<MmioTransport>(*std::move(device), memory, irq, later);
  driver = std::make_unique<testing::VirtioDriver>(*transport, *memory, Gpa{1 << 20});
  ASSERT_TRUE(driver->start(UINT64_MAX));
  constexpr std::uint32_t kMost = 256 * 1024;
  EXPECT_EQ(request(kRead, 0, {{kData, kMost, true}}), kOk);
  EXPECT_EQ(request(kRead, 0, {{kData, kMost + 512, true}}), kIoError);
  EXPECT_EQ(request(kWrite, 0, {{kData, kMost, false}}), kOk);
  EXPECT_EQ(request(kWrite, 0, {{kData, kMost + 512, false}}), kIoError);
}

TEST_F(BlkTest, TellsItsId) {
  EXPECT_EQ(request(kGetId, 0, {{kData, 20, true}}), kOk);
  EXPECT_EQ(testing::get_text(*memory, kData, 8), std::string("scratch\0", 8));
  EXPECT_EQ(request(kGetId, 0, {{kData, 19, true}}), kIoError);
}

TEST_F(BlkTest, SaysThatItDoesNotKnowARequest) {
  EXPECT_EQ(request(11, 0, {{kData, 16, false}}), kUnsupported);
}

TEST_F(BlkTest, ARequestThatCannotBeAnsweredBreaksTheQueue) {
  put_header(kRead, 0);
  const Buffer no_status{kHeader, 16, false};
  driver->queue(0).add({&no_status, 1});
  driver->queue(0).kick();
  EXPECT_NE(driver->read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset, 0u);
}

TEST_F(BlkTest, ReadsAtOnceWhatTheHostHasInMemory) {
  put_header(kRead, 5);
  const std::array<Buffer, 3> buffers{Buffer{kHeader, 16, false}, Buffer{kData, 512, true},
                                      Buffer{kStatus, 1, true}};
  driver->queue(0).add(buffers);
  driver->queue(0).kick();
  if (jobs.size() != 0) GTEST_SKIP() << "the test's file system cannot tell what it has in memory";
  EXPECT_TRUE(driver->queue(0).take_used());
  EXPECT_EQ(testing::get_text(*memory, kData, 8), "sector 5");
}

TEST_F(BlkTest, AHostWithoutThreadsIsAnErrorOfTheDisk) {
  jobs.refuse();
  EXPECT_EQ(request(kWrite, 5, {{kData, 512, false}}), kIoError);
  EXPECT_EQ(last_written, 0u);
  EXPECT_EQ(request(kGetId, 0, {{kData, 20, true}}), kOk);
}

// The disk hangs until the test lets it go.
class SlowBlkTest : public ::testing::Test {
 protected:
  SlowBlkTest() {
    auto device = BlkDevice::create(disk, false, "slow", jobs);
    RUNHV_CHECK(device);
    transport = std::make_unique<MmioTransport>(*std::move(device), memory, irq, later);
    driver = std::make_unique<testing::VirtioDriver>(*transport, *memory, Gpa{1 << 20});
    RUNHV_CHECK(driver->start(UINT64_MAX));
  }
  ~SlowBlkTest() override { disk->let_go(); }

  // The n-th request, with a header, 512 bytes and a status of its own.
  void ask(std::uint32_t type, std::uint64_t n) {
    std::array<std::byte, 16> header{};
    store_le(header, 0, type);
    put(*memory, Gpa{kHeader.value + 32 * n}, header);
    put(*memory, status_of(n), "\xff");
    std::vector<Buffer> buffers{{Gpa{kHeader.value + 32 * n}, 16, false}};
    if (type != kFlush) buffers.push_back({data_of(n), 512, type != kWrite});
    buffers.push_back({status_of(n), 1, true});
    driver->queue(0).add(buffers);
    driver->queue(0).kick();
  }
  static Gpa data_of(std::uint64_t n) { return Gpa{kData.value + 512 * n}; }
  static Gpa status_of(std::uint64_t n) { return Gpa{kHeader.value + 32 * n + 16}; }
  std::byte status(std::uint64_t n) const { return testing::get(*memory, status_of(n), 1)[0]; }

  std::shared_ptr<testing::SlowDisk> disk = std::make_shared<testing::SlowDisk>(1 << 20);
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  testing::WorkerJobs jobs;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory();
  std::unique_ptr<MmioTransport> transport;
  std::unique_ptr<testing::VirtioDriver> driver;
};

TEST_F(SlowBlkTest, TakesRequestsWhileOthersWaitAndFlushesAfterTheWritesBefore) {
  ask(kWrite, 0);
  disk->wait_for_calls(1);
  ask(kWrite, 1);
  ask(kFlush, 2);
  ask(kGetId, 3);
  const auto first = driver->queue(0).take_used();
  ASSERT_TRUE(first) << "what needs no disk is answered";
  EXPECT_EQ(first->head, 8u);
  EXPECT_FALSE(driver->queue(0).take_used());
  EXPECT_EQ(disk->calls(), std::vector<std::string>{"write"});

  disk->let_go();
  ASSERT_TRUE(transport->pause(UINT64_MAX));
  transport->resume();
  disk->wait_for_calls(3);
  EXPECT_TRUE(transport->stop(UINT64_MAX));
  EXPECT_EQ(disk->calls(), (std::vector<std::string>{"write", "write", "flush"}));
}

TEST_F(SlowBlkTest, AResetWaitsForTheCallThatHangsAndForNoOther) {
  for (std::uint64_t n = 0; n < 8; ++n) ask(kRead, n);
  disk->wait_for_calls(1);

  EXPECT_FALSE(transport->write(virtio::mmio::kStatus, 4, 0));
  EXPECT_NE(driver->read(virtio::mmio::kStatus), 0u);
  disk->let_go();
  driver->reset();

  EXPECT_EQ(driver->read(virtio::mmio::kStatus), 0u);
  EXPECT_EQ(disk->calls().size(), 1u);
  EXPECT_EQ(status(1), std::byte{0xff});
  EXPECT_EQ(irq.pulses, 0);
  EXPECT_TRUE(driver->start(UINT64_MAX));
  ask(kRead, 9);
  disk->wait_for_calls(2);
}

TEST_F(SlowBlkTest, ADiskThatHangsOutlivesItsDeviceAndKeepsTheMemory) {
  ask(kRead, 0);
  disk->wait_for_calls(1);
  EXPECT_FALSE(transport->pause(0));
  EXPECT_FALSE(transport->stop(0));
  transport.reset();
  const std::weak_ptr<memory::GuestMemory> still(memory);
  memory.reset();
  EXPECT_FALSE(still.expired());
  EXPECT_EQ(irq.pulses, 0);
}

TEST(Blk, RefusesAFileThatIsNoMultipleOfASector) {
  auto file = platform::File::create_anonymous(::testing::TempDir(), 1000);
  ASSERT_TRUE(file);
  testing::HeldJobs jobs;
  const auto device =
      BlkDevice::create(std::make_shared<FileDisk>(*std::move(file)), true, "x", jobs);
  ASSERT_FALSE(device);
  EXPECT_NE(to_string(device.error()).find("1000 bytes"), std::string::npos);
}

}  // namespace
}  // namespace runhv::devices
