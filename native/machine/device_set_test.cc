#include "machine/device_set.h"

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "machine/memory_layout.h"
#include "platform/clock.h"
#include "testing/guest.h"
#include "testing/net_backend.h"
#include "testing/slow_disk.h"
#include "testing/vsock_guest.h"

namespace runhv::machine {
namespace {

using namespace devices::virtio::mmio;

class NoInterrupts final : public devices::InterruptSink {
 public:
  void request(const devices::ApicMessage&) override {}
};
class NoEvents final : public devices::ExitPortEvents {
 public:
  void on_power_off() override {}
  void on_stage(std::uint8_t) override {}
};

class DeviceSetTest : public ::testing::Test {
 protected:
  std::unique_ptr<DeviceSet> make(MachineConfig config) {
    auto set = DeviceSet::create(config, memory, sink, events);
    EXPECT_TRUE(set);
    return set ? *std::move(set) : nullptr;
  }
  static std::uint64_t read(DeviceSet& set, std::size_t transport, std::uint32_t offset) {
    return set.mmio().read(kVirtioMmioAddress.value + transport * kVirtioMmioSize + offset, 4);
  }
  static void write(DeviceSet& set, std::uint32_t offset, std::uint64_t value) {
    set.mmio().write(kVirtioMmioAddress.value + offset, 4, value);
  }

  // As a driver does: the first device with one queue of 8, and one request of 512 bytes to read.
  void read_a_sector(DeviceSet& set) {
    constexpr std::uint32_t kReady = 11;
    write(set, kStatus, 3);
    write(set, kDriverFeaturesSel, 1);
    write(set, kDriverFeatures, 1);
    write(set, kStatus, kReady);
    write(set, kQueueNum, 8);
    write(set, kQueueDescLow, 0x10000);
    write(set, kQueueDriverLow, 0x11000);
    write(set, kQueueDeviceLow, 0x12000);
    write(set, kQueueReady, 1);
    write(set, kStatus, kReady | devices::virtio::kStatusDriverOk);
    describe(0, 0x20000, 16, devices::virtio::kDescNext);
    describe(1, 0x21000, 512, devices::virtio::kDescNext | devices::virtio::kDescWrite);
    describe(2, 0x22000, 1, devices::virtio::kDescWrite);
    std::array<std::byte, 2> one;
    store_le<std::uint16_t>(one, 0, 1);
    testing::put(*memory, Gpa{0x11002}, one);
    write(set, kQueueNotify, 0);
  }
  void describe(std::uint16_t index, std::uint64_t address, std::uint32_t size,
                std::uint16_t flags) {
    std::array<std::byte, 16> bytes;
    store_le(bytes, 0, address);
    store_le(bytes, 8, size);
    store_le(bytes, 12, flags);
    store_le(bytes, 14, static_cast<std::uint16_t>(index + 1));
    testing::put(*memory, Gpa{0x10000 + 16ull * index}, bytes);
  }

  NoInterrupts sink;
  NoEvents events;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory();
};

TEST_F(DeviceSetTest, HasWhatTheConfigurationNames) {
  testing::ScriptedService service;
  testing::FakeNetBackend network;
  MachineConfig config;
  config.disks.emplace_back(std::make_shared<testing::SlowDisk>(512), true);
  auto folder = platform::FileNode::open(::testing::TempDir());
  if (!folder && folder.error().code == Code::kUnsupported) {
    GTEST_SKIP() << to_string(folder.error());
  }
  ASSERT_TRUE(folder);
  config.shares.push_back({*std::move(folder), true, true});
  config.vsock = &service;
  config.networks.push_back({.backend = &network, .mac = {2, 0, 0, 0, 0, 7}, .mtu = 1400});
  config.page_reporting = true;
  config.console = true;
  config.entropy = true;
  const auto set = make(std::move(config));
  ASSERT_NE(set, nullptr);

  EXPECT_EQ(set->interrupt_count(), 7u);
  EXPECT_EQ(read(*set, 0, kDeviceId), devices::virtio::kIdBlock);
  EXPECT_EQ(read(*set, 1, kDeviceId), devices::virtio::kIdFileSystem);
  EXPECT_EQ(read(*set, 2, kDeviceId), devices::virtio::kIdSocket);
  EXPECT_EQ(read(*set, 3, kDeviceId), devices::virtio::kIdBalloon);
  EXPECT_EQ(read(*set, 4, kDeviceId), devices::virtio::kIdConsole);
  EXPECT_EQ(read(*set, 5, kDeviceId), devices::virtio::kIdEntropy);
  EXPECT_EQ(read(*set, 6, kDeviceId), devices::virtio::kIdNetwork);
  EXPECT_EQ(read(*set, 6, kConfig), 2u);
  EXPECT_NE(set->vsock_waker(), nullptr);
}

TEST_F(DeviceSetTest, NetworksComeAndGoInTheirSlots) {
  testing::FakeNetBackend first;
  testing::FakeNetBackend second;
  MachineConfig config;
  config.networks.push_back({.backend = &first, .mac = {2, 0, 0, 0, 0, 0}, .mtu = 1400});
  config.network_slots = 2;
  const auto set = make(std::move(config));
  ASSERT_NE(set, nullptr);
  EXPECT_EQ(set->interrupt_count(), 1u) << "they share it";
  EXPECT_THAT(set->command_line(), ::testing::EndsWith(":1 virtio_mmio.device=512@0xd0000200:1"));
  EXPECT_EQ(set->network_slot_number(1), 1u);
  EXPECT_EQ(read(*set, 0, kDeviceId), devices::virtio::kIdNetwork);
  EXPECT_EQ(read(*set, 1, 0), devices::virtio::mmio::kMagic);
  EXPECT_EQ(read(*set, 1, kDeviceId), 0u);
  EXPECT_TRUE(set->mmio().write(kVirtioMmioAddress.value + kVirtioMmioSize + 0x70, 4, 1));

  set->plug_network(1, {.backend = &second, .mac = {6, 0, 0, 0, 0, 1}, .mtu = 1400});
  EXPECT_EQ(read(*set, 1, kDeviceId), devices::virtio::kIdNetwork);
  EXPECT_EQ(read(*set, 1, kConfig), 6u);
  EXPECT_TRUE(set->pause(0));
  set->resume();
  for (int twice = 0; twice < 2; ++twice) set->unplug_network(0);
  EXPECT_EQ(read(*set, 0, kDeviceId), 0u);
  set->plug_network(0, {.backend = &first, .mac = {4, 0, 0, 0, 0, 0}, .mtu = 1400});
  EXPECT_EQ(read(*set, 0, kConfig), 4u);
  EXPECT_TRUE(set->stop(0));
}

TEST_F(DeviceSetTest, HasNothingElse) {
  const auto set = make({});
  ASSERT_NE(set, nullptr);
  EXPECT_EQ(set->interrupt_count(), 0u);
  EXPECT_EQ(set->command_line(), "");
  EXPECT_EQ(set->vsock_waker(), nullptr);
  EXPECT_TRUE(set->pause(0));
  EXPECT_TRUE(set->stop(0));
}

TEST_F(DeviceSetTest, StopsThoughADiskHangs) {
  const auto disk = std::make_shared<testing::SlowDisk>(1 << 20);
  MachineConfig config;
  config.disks.emplace_back(disk, false);
  auto set = make(std::move(config));
  ASSERT_NE(set, nullptr);
  read_a_sector(*set);
  disk->wait_for_calls(1);

  EXPECT_FALSE(set->pause(0));
  EXPECT_FALSE(set->stop(0));
  set.reset();

  const std::weak_ptr<memory::GuestMemory> still(memory);
  memory.reset();
  EXPECT_FALSE(still.expired()) << "the disk may still write to it";
  disk->let_go();
}

TEST_F(DeviceSetTest, StopsWhenADiskAnswers) {
  const auto disk = std::make_shared<testing::SlowDisk>(1 << 20);
  MachineConfig config;
  config.disks.emplace_back(disk, false);
  const auto set = make(std::move(config));
  ASSERT_NE(set, nullptr);
  read_a_sector(*set);
  disk->wait_for_calls(1);
  disk->let_go();

  EXPECT_TRUE(set->pause(UINT64_MAX));
  set->resume();
  EXPECT_TRUE(set->stop(UINT64_MAX));
  EXPECT_EQ(testing::get(*memory, Gpa{0x21000}, 1)[0], std::byte{0x5a});
}

}  // namespace
}  // namespace runhv::machine
