#include <memory>

#include "devices/rng/rng.h"
#include "gtest/gtest.h"
#include "testing/virtio_fuzz.h"

namespace runhv {
namespace {

TEST(RngFuzz, SurvivesAHostileDriver) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    testing::CountingRandomSource random;
    testing::FakeIrqLine irq;
    const auto memory = testing::make_guest_memory();
    MmioTransport transport(std::make_unique<RngDevice>(random), *memory, irq);
    EXPECT_TRUE(testing::fuzz_device(transport, *memory, seed, 1500,
                                     [](testing::SeededRandom&, std::span<std::byte>) {}))
        << "seed " << seed;
    EXPECT_GT(irq.pulses, 0) << "seed " << seed << " tests nothing";
  }
}

}  // namespace
}  // namespace runhv
