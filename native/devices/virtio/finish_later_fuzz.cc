// A device that finishes later, between a hostile driver and a host that finishes chains in any
// order, changes the configuration, pauses, and resets with chains in flight.
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "devices/virtio/spec.h"
#include "testing/guest.h"
#include "testing/later_device.h"
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
  testing::LaterWork work;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory();
  devices::MmioTransport transport(std::make_unique<testing::LaterDevice>(work), memory, irq,
                                   later);
  std::vector<devices::DescriptorChain> at_work;
  const auto host = [&](testing::FuzzInput& more) {
    switch (more.below(5)) {
      case 0:
        work.set_config(std::byte{more.byte()});
        break;
      case 1:
        later.run_one();
        break;
      case 2:  // a worker begins; it would wait for a transport that is paused
        transport.resume();
        if (auto chain = work.take(more.below(16))) {
          (void)work.handle->begin(*chain);
          at_work.push_back(*std::move(chain));
        }
        break;
      case 3:
        if (!at_work.empty()) {
          work.handle->finish(std::move(at_work.back()), more.take<std::uint32_t>());
          at_work.pop_back();
        }
        break;
      default:
        // Without begin(): a chain that the device gives back unserved.
        if (auto chain = work.take(more.below(16))) {
          work.handle->finish(*std::move(chain), more.take<std::uint32_t>());
        }
        break;
    }
    RUNHV_CHECK(work.size() + at_work.size() <= 16);
  };
  testing::HostileDriver{.make_request = [](testing::FuzzInput&, std::span<std::byte>) {},
                         .something_else = host}
      .run(input, transport, *memory);

  const bool idle = work.size() + at_work.size() == 0;
  RUNHV_CHECK(transport.write(devices::virtio::mmio::kStatus, 4, 0) == idle);
  RUNHV_CHECK((transport.read(devices::virtio::mmio::kStatus, 4) == 0) == idle);
  const int pulses = irq.pulses;
  while (auto chain = work.take(0)) {
    RUNHV_CHECK(!work.handle->begin(*chain));
    work.handle->finish(*std::move(chain), 0);
  }
  while (!at_work.empty()) {
    RUNHV_CHECK(transport.read(devices::virtio::mmio::kStatus, 4) != 0);
    work.handle->finish(std::move(at_work.back()), 1);
    at_work.pop_back();
  }
  RUNHV_CHECK(irq.pulses == pulses);

  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  RUNHV_CHECK(driver.start(UINT64_MAX));
  const testing::Buffer buffer{devices::kBuffer, 16, true};
  driver.queue(0).add({&buffer, 1});
  driver.queue(0).kick();
  RUNHV_CHECK(work.serve(std::size_t{0}));
  RUNHV_CHECK(driver.queue(0).take_used());
}
