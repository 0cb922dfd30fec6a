#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/blk/blk.h"
#include "devices/blk/joined_disk.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"
#include "testing/virtio_fuzz.h"

namespace runhv::devices {
namespace {

constexpr std::uint64_t kSectors = 64;
constexpr Gpa kRings{1 << 20};
constexpr Gpa kHeader{3 << 20};
constexpr Gpa kData{4 << 20};
constexpr Gpa kStatus{5 << 20};

void make_request(testing::FuzzInput& input, std::span<std::byte> out) {
  if (out.size() < 16) return;
  constexpr std::array<std::uint32_t, 5> kTypes{0, 1, 4, 8, 11};
  store_le(out, 0, kTypes[input.below(kTypes.size())]);
  const std::uint8_t sector = input.byte();
  store_le(out, 8, sector == 0xff ? input.take<std::uint64_t>() : sector % (kSectors + 2));
}

// Has every second sector at once.
class FuzzedDisk final : public Disk {
 public:
  explicit FuzzedDisk(platform::File file) : disk_(std::move(file)) {}
  std::uint64_t size_bytes() const override { return disk_.size_bytes(); }
  const std::string& name() const override { return disk_.name(); }
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return disk_.read_at(offset, out);
  }
  bool read_at_once(std::uint64_t offset, std::span<std::byte> out) const override {
    return offset / 512 % 2 == 0 && disk_.read_at(offset, out).has_value();
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> in) const override {
    return disk_.write_at(offset, in);
  }
  Result<void> flush() const override { return disk_.flush(); }

 private:
  const FileDisk disk_;
};

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  const bool read_only = input.below(2) == 0;
  // A disk that is only read may be one of several parts.
  const std::size_t parts = read_only ? 2 : 1;
  std::vector<std::shared_ptr<const devices::Disk>> disks;
  for (std::size_t i = 0; i < parts; ++i) {
    auto file = platform::File::create_anonymous(platform::temporary_directory(),
                                                 devices::kSectors / parts * 512);
    RUNHV_CHECK(file);
    disks.push_back(std::make_shared<devices::FuzzedDisk>(*std::move(file)));
  }
  std::shared_ptr<const devices::Disk> disk = disks.front();
  if (read_only) {
    auto joined = devices::JoinedDisk::create(disks);
    RUNHV_CHECK(joined);
    disk = *std::move(joined);
  }
  testing::HeldJobs jobs;
  auto device = devices::BlkDevice::create(disk, read_only, "fuzz", jobs);
  RUNHV_CHECK(device);
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory();
  devices::MmioTransport transport(*std::move(device), memory, irq, later);

  testing::HostileDriver{.make_request = devices::make_request,
                         .something_else =
                             [&](testing::FuzzInput&) {
                               transport.resume();  // a job would wait for it
                               jobs.run_one();
                             }}
      .run(input, transport, *memory);
  jobs.run_all();

  if (read_only) {
    std::vector<std::byte> content(devices::kSectors * 512);
    RUNHV_CHECK(disk->read_at(0, content));
    RUNHV_CHECK(std::ranges::all_of(content, [](std::byte byte) { return byte == std::byte{0}; }));
  }
  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  RUNHV_CHECK(driver.start(UINT64_MAX));
  testing::put(*memory, devices::kHeader, std::string(16, '\0'));  // IN, sector 0
  const std::array<testing::Buffer, 3> buffers{testing::Buffer{devices::kHeader, 16, false},
                                               testing::Buffer{devices::kData, 512, true},
                                               testing::Buffer{devices::kStatus, 1, true}};
  driver.queue(0).add(buffers);
  driver.queue(0).kick();
  jobs.run_all();
  const auto used = driver.queue(0).take_used();
  RUNHV_CHECK(used && used->written_bytes == 513);
  RUNHV_CHECK(testing::get(*memory, devices::kStatus, 1)[0] == std::byte{0});
}
