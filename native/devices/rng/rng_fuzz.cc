#include "devices/rng/rng.h"

#include <memory>

#include "base/check.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"
#include "testing/virtio_fuzz.h"

namespace runhv::devices {
namespace {

constexpr Gpa kRings{1 << 20};
constexpr Gpa kBuffer{3 << 20};

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  testing::CountingRandomSource random;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory();
  devices::MmioTransport transport(std::make_unique<devices::RngDevice>(random), memory, irq,
                                   later);

  testing::HostileDriver{.make_request = [](testing::FuzzInput&, std::span<std::byte>) {}}.run(
      input, transport, *memory);

  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  RUNHV_CHECK(driver.start(UINT64_MAX));
  const testing::Buffer buffer{devices::kBuffer, 16, true};
  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();
  const auto used = driver.queue(0).take_used();
  RUNHV_CHECK(used && used->written_bytes == 16);
}
