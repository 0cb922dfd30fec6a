#include <memory>
#include <string>

#include "base/check.h"
#include "devices/console/console.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"
#include "testing/virtio_fuzz.h"

namespace runhv::devices {
namespace {

constexpr Gpa kRings{1 << 20};
constexpr Gpa kText{3 << 20};

class LastText final : public ConsoleSink {
 public:
  void write(std::span<const std::byte> text) override {
    RUNHV_CHECK(!text.empty() && text.size() <= 4096);
    last = std::string(reinterpret_cast<const char*>(text.data()), text.size());
  }
  std::string last;
};

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  devices::LastText sink;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory();
  devices::MmioTransport transport(std::make_unique<devices::ConsoleDevice>(sink), memory, irq,
                                   later);

  testing::HostileDriver{.make_request = [](testing::FuzzInput&, std::span<std::byte>) {}}.run(
      input, transport, *memory);

  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  RUNHV_CHECK(driver.start(UINT64_MAX));
  testing::put(*memory, devices::kText, "still here");
  const testing::Buffer buffer{devices::kText, 10, false};
  driver.queue(1).add({&buffer, 1});
  driver.queue(1).kick();
  RUNHV_CHECK(driver.queue(1).take_used());
  RUNHV_CHECK(sink.last == "still here");
}
