#include <memory>

#include "devices/console/console.h"
#include "devices/virtio/mmio_transport.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/virtio_fuzz.h"

namespace runhv {
namespace {

class CountingSink final : public ConsoleSink {
 public:
  void write(std::span<const std::byte> text) override { bytes += text.size(); }
  std::size_t bytes = 0;
};

TEST(ConsoleFuzz, SurvivesAHostileDriver) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CountingSink sink;
    testing::FakeIrqLine irq;
    const auto memory = testing::make_guest_memory();
    MmioTransport transport(std::make_unique<ConsoleDevice>(sink), *memory, irq);
    EXPECT_TRUE(testing::fuzz_device(transport, *memory, seed, 800,
                                     [](testing::SeededRandom&, std::span<std::byte>) {}))
        << "seed " << seed;
    EXPECT_GT(sink.bytes, 0u) << "seed " << seed << " tests nothing";
  }
}

}  // namespace
}  // namespace runhv
