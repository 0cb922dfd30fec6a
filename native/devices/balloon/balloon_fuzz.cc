#include "devices/balloon/balloon.h"

#include <memory>

#include "base/check.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"
#include "testing/virtio_fuzz.h"

namespace runhv::devices {
namespace {

constexpr Gpa kRings{1 << 20};
constexpr Gpa kPages{3 << 20};
constexpr std::size_t kReporting = 2;

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory();
  devices::MmioTransport transport(std::make_unique<devices::BalloonDevice>(), memory, irq, later);

  testing::HostileDriver{.make_request = [](testing::FuzzInput&, std::span<std::byte>) {}}.run(
      input, transport, *memory);

  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  RUNHV_CHECK(driver.start(UINT64_MAX));
  testing::put(*memory, devices::kPages, "used");
  const testing::Buffer pages{devices::kPages, 2 << 20, true};
  driver.queue(devices::kReporting).add({&pages, 1});
  driver.queue(devices::kReporting).kick();
  RUNHV_CHECK(driver.queue(devices::kReporting).take_used().has_value());
  RUNHV_CHECK(testing::get(*memory, devices::kPages, 1)[0] == std::byte{0});
}
