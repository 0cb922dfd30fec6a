#include "devices/fs/fs.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/fs/file_window.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/fuse_guest.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using fuse::Opcode;
using testing::Buffer;
using testing::FuseBody;

constexpr Gpa kIn{2 << 20};
constexpr Gpa kOut{3 << 20};
constexpr Gpa kFar{4 << 20};

class FsTest : public ::testing::Test {
 protected:
  FsTest() : memory(testing::make_guest_memory(&observer, 2 * FileWindow::kRangeBytes)) {
    folder = std::filesystem::temp_directory_path() /
             ("runhv-fs-" + std::to_string(std::random_device{}()));
    std::filesystem::create_directory(folder);
    std::ofstream(folder / "file") << "content";
    std::vector<Share> shares(1);
    auto top = platform::FileNode::open(folder);
    RUNHV_CHECK(top);
    shares[0].top = *std::move(top);
    auto window = FileWindow::create(memory);
    RUNHV_CHECK(window && *window != nullptr);
    auto device = FsDevice::create(std::move(shares), jobs, std::move(*window));
    RUNHV_CHECK(device);
    transport = std::make_unique<MmioTransport>(*std::move(device), memory, irq, later);
    driver = std::make_unique<testing::VirtioDriver>(*transport, *memory, Gpa{1 << 20});
    RUNHV_CHECK(driver->start(UINT64_MAX));
  }
  ~FsTest() override { std::filesystem::remove_all(folder); }

  // Bytes that the device says it wrote, at kOut.
  std::uint32_t ask(Opcode opcode, std::uint64_t node, const FuseAnswer& body,
                    std::size_t queue = 1, bool answered = true) {
    const auto request = testing::fuse_request(opcode, node, body.written());
    testing::put(*memory, kIn, request);
    std::vector<Buffer> buffers{
        {kIn, 11, false},
        {Gpa{kIn.value + 11}, static_cast<std::uint32_t>(request.size() - 11), false}};
    if (answered) {
      buffers.push_back({kOut, 16, true});
      buffers.push_back({kFar, 4096, true});
    }
    driver->queue(queue).add(buffers);
    driver->queue(queue).kick();
    jobs.run_all();
    const auto used = driver->queue(queue).take_used();
    RUNHV_CHECK(used);
    return used->written_bytes;
  }
  std::uint64_t u64_at(Gpa at) {
    return load_le<std::uint64_t>(std::span<const std::byte>(testing::get(*memory, at, 8)));
  }

  std::filesystem::path folder;
  testing::RecordingObserver observer;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  testing::HeldJobs jobs;
  std::shared_ptr<memory::GuestMemory> memory;
  std::unique_ptr<MmioTransport> transport;
  std::unique_ptr<testing::VirtioDriver> driver;
};

TEST_F(FsTest, ShowsItsTagAndQueues) {
  std::string tag;
  for (unsigned i = 0; i < 36; ++i) {
    tag += static_cast<char>(transport->read(virtio::mmio::kConfig + i, 1));
  }
  EXPECT_EQ(tag, std::string("runhv") + std::string(31, '\0'));
  EXPECT_EQ(transport->read(virtio::mmio::kConfig + 36, 4), 1u);
  EXPECT_EQ(transport->read(virtio::mmio::kDeviceId, 4), 26u);
  EXPECT_EQ(driver->queue_count(), 2u);
}

TEST_F(FsTest, ReadsAFileIntoGuestMemory) {
  EXPECT_EQ(ask(Opcode::kInit, 0, testing::fuse_init_body()), 16u + 64);
  EXPECT_EQ(ask(Opcode::kLookup, 1, FuseBody().name("0")), 16u + 128);
  const std::uint64_t top = u64_at(kFar);
  EXPECT_EQ(ask(Opcode::kLookup, top, FuseBody().name("file")), 16u + 128);
  const std::uint64_t file = u64_at(kFar);
  EXPECT_EQ(ask(Opcode::kOpen, file, FuseBody().u32(0).u32(0)), 16u + 16);
  FuseBody read;
  read.u64(u64_at(kFar)).u64(0).u32(4096).zeros(20);
  EXPECT_EQ(ask(Opcode::kRead, file, read), 16u + 7);
  EXPECT_EQ(testing::get_text(*memory, kFar, 7), "content");
  EXPECT_TRUE(observer.saw(kFar));
  EXPECT_GT(irq.pulses, 0);

  EXPECT_EQ(ask(Opcode::kForget, file, FuseBody().u64(1), 0, false), 0u);
  EXPECT_EQ(ask(Opcode::kGetattr, file, FuseBody().zeros(16)), 16u) << "it is forgotten";
}

TEST_F(FsTest, ReadsAtOnceWhatTheHostHasInMemory) {
  ask(Opcode::kInit, 0, testing::fuse_init_body());
  ask(Opcode::kLookup, 1, FuseBody().name("0"));
  ask(Opcode::kLookup, u64_at(kFar), FuseBody().name("file"));
  const std::uint64_t file = u64_at(kFar);
  ask(Opcode::kOpen, file, FuseBody().u32(0).u32(0));
  FuseBody read;
  read.u64(u64_at(kFar)).u64(3).u32(4096).zeros(20);
  jobs.refuse();
  EXPECT_EQ(ask(Opcode::kRead, file, read), 16u + 4) << "no thread was asked";
  EXPECT_EQ(testing::get_text(*memory, kFar, 4), "tent");
  FuseBody wrong;
  wrong.u64(12345).u64(0).u32(4096).zeros(20);
  EXPECT_EQ(ask(Opcode::kRead, file, wrong), 16u) << "a handle that is not known";
}

TEST_F(FsTest, LooksUpAtOnceWhatTheHostHasInMemory) {
  platform::FileNode found;
  if (platform::FileNode::open(folder)->look_up_at_once("file", found) != 0) {
    GTEST_SKIP() << "the file system of " << folder << " is none that answers from memory alone";
  }
  ask(Opcode::kInit, 0, testing::fuse_init_body());
  ask(Opcode::kLookup, 1, FuseBody().name("0"));
  const std::uint64_t top = u64_at(kFar);
  ask(Opcode::kLookup, top, FuseBody().name("file"));
  const std::uint64_t file = u64_at(kFar);
  jobs.refuse();
  EXPECT_EQ(ask(Opcode::kLookup, top, FuseBody().name("file")), 16u + 128) << "no thread was asked";
  EXPECT_EQ(u64_at(kFar), file);
  EXPECT_EQ(ask(Opcode::kLookup, top, FuseBody().name("..")), 16u);
  EXPECT_EQ(ask(Opcode::kLookup, 12345, FuseBody().name("file")), 16u)
      << "a node that is not known";
}

TEST_F(FsTest, NothingIsServedAfterAReset) {
  EXPECT_GT(ask(Opcode::kInit, 0, testing::fuse_init_body()), 0u);
  const auto request = testing::fuse_request(Opcode::kGetattr, 1, FuseBody().zeros(16).written());
  testing::put(*memory, kIn, request);
  testing::put(*memory, kOut, std::string(16, 'x'));
  const std::array<Buffer, 2> buffers{
      Buffer{kIn, static_cast<std::uint32_t>(request.size()), false}, Buffer{kOut, 200, true}};
  driver->queue(1).add(buffers);
  driver->queue(1).kick();
  EXPECT_FALSE(transport->write(virtio::mmio::kStatus, 4, 0)) << "it waits for the job";
  jobs.run_all();
  EXPECT_EQ(testing::get_text(*memory, kOut, 16), std::string(16, 'x'));
  EXPECT_TRUE(driver->start(UINT64_MAX));
}

TEST_F(FsTest, ARequestWithoutAWholeHeaderBreaksTheQueue) {
  driver->queue(1).add(std::array{Buffer{kIn, 39, false}, Buffer{kOut, 64, true}});
  driver->queue(1).kick();
  EXPECT_NE(driver->read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset, 0u);
  EXPECT_EQ(jobs.size(), 0u);
}

TEST_F(FsTest, AHostWithoutThreadsEndsTheDevice) {
  jobs.refuse();
  driver->queue(1).add(std::array{Buffer{kIn, 40, false}, Buffer{kOut, 64, true}});
  driver->queue(1).kick();
  EXPECT_NE(driver->read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset, 0u);
}

TEST_F(FsTest, AResetTakesWhatIsShown) {
  std::filesystem::resize_file(folder / "file", 100'000);
  driver->write(virtio::mmio::kShmSel, 0);
  EXPECT_EQ(driver->read(virtio::mmio::kShmBaseLow), testing::kTestWindow.value);
  EXPECT_EQ(driver->read(virtio::mmio::kShmLenLow), 2 * FileWindow::kRangeBytes);
  const auto look_up = [&](std::uint64_t parent, const char* name) {
    ask(Opcode::kLookup, parent, FuseBody().name(name));
    return u64_at(kFar);
  };
  ask(Opcode::kInit, 0, testing::fuse_init_body());
  const std::uint64_t file = look_up(look_up(1, "0"), "file");
  FuseBody body;
  body.u64(UINT64_MAX).u64(0).u64(FileWindow::kRangeBytes).u64(fuse::kMapReadable).u64(0);
  ASSERT_EQ(ask(Opcode::kSetupmapping, file, body), fuse::kOutHeaderBytes);
  EXPECT_EQ(testing::get_text(*memory, testing::kTestWindow, 7), "content");
  driver->write(virtio::mmio::kStatus, 0);
  EXPECT_EQ(testing::get_text(*memory, testing::kTestWindow, 7), std::string(7, '\0'));
}

}  // namespace
}  // namespace runhv::devices
