#include <array>
#include <memory>

#include "base/bytes.h"
#include "devices/blk/blk.h"
#include "devices/virtio/mmio_transport.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/virtio_fuzz.h"

namespace runhv {
namespace {

constexpr std::uint64_t kSectors = 64;

void make_block_request(testing::SeededRandom& random, std::span<std::byte> out) {
  if (out.size() < 16) return;
  constexpr std::array<std::uint32_t, 5> kTypes{0, 1, 4, 8, 11};
  store_le(out, 0, kTypes[random.below(kTypes.size())]);
  store_le(out, 8, random.one_in(8) ? random.next() : random.below(kSectors + 1));
}

TEST(BlkFuzz, SurvivesAHostileDriver) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    testing::FakeIrqLine irq;
    const auto memory = testing::make_guest_memory();
    auto file = File::create_anonymous(::testing::TempDir(), kSectors * 512);
    ASSERT_TRUE(file);
    auto device = BlkDevice::create(*std::move(file), seed % 2 == 0, "fuzz");
    ASSERT_TRUE(device);
    MmioTransport transport(*std::move(device), *memory, irq);
    EXPECT_TRUE(testing::fuzz_device(transport, *memory, seed, 800, make_block_request))
        << "seed " << seed;
    EXPECT_GT(irq.pulses, 0) << "seed " << seed << " tests nothing";
  }
}

}  // namespace
}  // namespace runhv
