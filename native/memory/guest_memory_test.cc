#include "memory/guest_memory.h"

#include <array>
#include <utility>

#include "gtest/gtest.h"

namespace runhv::memory {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kFourGiB = 4ull << 30;

std::vector<GuestRange> ranges(
    std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> list) {
  std::vector<GuestRange> result;
  for (const auto& [first, size] : list) {
    result.push_back({Gpa{first}, *platform::MemoryRegion::reserve(size)});
  }
  return result;
}

TEST(GuestMemory, GivesTheSameByteForTheSameAddress) {
  const auto memory = *GuestMemory::create(ranges({{0, kMiB}, {kFourGiB, kMiB}}), nullptr);

  (*memory->write_view(Gpa{kFourGiB + 5}, 3))[1] = std::byte{0x5a};

  EXPECT_EQ((*memory->read_view(Gpa{kFourGiB + 6}, 1))[0], std::byte{0x5a});
  EXPECT_EQ((*memory->read_view(Gpa{6}, 1))[0], std::byte{0});
}

TEST(GuestMemory, RefusesWhatIsNotWhollyInOneRange) {
  const auto memory =
      *GuestMemory::create(ranges({{0, kMiB}, {kMiB, kMiB}, {kFourGiB, kMiB}}), nullptr);

  EXPECT_TRUE(memory->read_view(Gpa{kMiB - 1}, 1));
  EXPECT_FALSE(memory->read_view(Gpa{kMiB - 1}, 2))
      << "adjacent ranges are not adjacent on the host";
  EXPECT_FALSE(memory->read_view(Gpa{2 * kMiB}, 1));
  EXPECT_FALSE(memory->read_view(Gpa{kFourGiB - 1}, 2));
  EXPECT_TRUE(memory->read_view(Gpa{kFourGiB}, kMiB));
  EXPECT_FALSE(memory->read_view(Gpa{kFourGiB}, kMiB + 1));
  EXPECT_FALSE(memory->read_view(Gpa{kFourGiB + 1}, UINT64_MAX));
  EXPECT_FALSE(memory->read_view(Gpa{UINT64_MAX}, 2));
  EXPECT_FALSE(memory->read_view(Gpa{0}, 0));
}

TEST(GuestMemory, RefusesRangesThatOverlapWrapOrAreNoPages) {
  EXPECT_FALSE(GuestMemory::create(ranges({{0, kMiB}, {kMiB - kPageSize, kMiB}}), nullptr));
  EXPECT_FALSE(GuestMemory::create(ranges({{kMiB, kMiB}, {0, kMiB}}), nullptr));
  EXPECT_FALSE(GuestMemory::create(ranges({{512, kMiB}}), nullptr));
  EXPECT_FALSE(GuestMemory::create(ranges({{UINT64_MAX - kPageSize + 1, 2 * kPageSize}}), nullptr));
}

TEST(GuestMemory, KnowsTheRangeThatShowsFiles) {
  EXPECT_EQ((*GuestMemory::create(ranges({{0, kMiB}}), nullptr))->range_that_shows_files(),
            nullptr);
  auto with_files = ranges({{0, kMiB}, {kFourGiB, kMiB}});
  with_files[1].shows_files = true;
  const auto memory = *GuestMemory::create(std::move(with_files), nullptr);

  EXPECT_EQ(memory->range_that_shows_files(), &memory->ranges()[1]);
  (*memory->write_view(Gpa{kFourGiB}, 1))[0] = std::byte{1};
  EXPECT_EQ(memory->resident_bytes(), 0u) << "it is no RAM";
}

TEST(GuestMemory, TellsTheObserverWhatWasWritten) {
  struct Observer final : MemoryWriteObserver {
    void written(Gpa first, std::uint64_t size_bytes) override { seen = {first.value, size_bytes}; }
    std::pair<std::uint64_t, std::uint64_t> seen;
  } observer;
  const auto memory = *GuestMemory::create(ranges({{0, kMiB}}), &observer);

  memory->written(Gpa{4096}, 12);

  EXPECT_EQ(observer.seen, (std::pair<std::uint64_t, std::uint64_t>{4096, 12}));
}

}  // namespace
}  // namespace runhv::memory
