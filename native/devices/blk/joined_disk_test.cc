#include "devices/blk/joined_disk.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "gtest/gtest.h"
#include "testing/slow_disk.h"

namespace runhv::devices {
namespace {

constexpr std::size_t kUnit = JoinedDisk::kPartUnitBytes;

std::shared_ptr<const Disk> part(std::uint64_t size_bytes, char content) {
  auto file = platform::File::create_anonymous(::testing::TempDir(), size_bytes);
  RUNHV_CHECK(file);
  RUNHV_CHECK(file->write_at(0, as_bytes(std::string(size_bytes, content))));
  return std::make_shared<FileDisk>(*std::move(file));
}

std::shared_ptr<const Disk> three_parts() {
  auto joined = JoinedDisk::create({part(kUnit, 'a'), part(2 * kUnit, 'b'), part(kUnit, 'c')});
  RUNHV_CHECK(joined);
  return *joined;
}

std::string read(const Disk& disk, std::uint64_t offset, std::size_t size_bytes) {
  std::string text(size_bytes, '?');
  RUNHV_CHECK(disk.read_at(offset, std::as_writable_bytes(std::span(text))));
  std::string at_once(size_bytes, '?');
  // Just written, so in memory; a file system that cannot tell says no.
  if (disk.read_at_once(offset, std::as_writable_bytes(std::span(at_once)))) {
    EXPECT_EQ(at_once, text);
  }
  return text;
}

TEST(JoinedDiskTest, ReadsItsPartsAsOne) {
  const auto disk = three_parts();
  EXPECT_EQ(disk->size_bytes(), 4 * kUnit);
  EXPECT_EQ(read(*disk, 0, 4 * kUnit),
            std::string(kUnit, 'a') + std::string(2 * kUnit, 'b') + std::string(kUnit, 'c'));
  EXPECT_EQ(read(*disk, kUnit - 2, 4), "aabb");
  EXPECT_EQ(read(*disk, kUnit, 1), "b");
  EXPECT_EQ(read(*disk, 3 * kUnit - 1, kUnit + 1), "b" + std::string(kUnit, 'c'));
  EXPECT_EQ(read(*disk, 4 * kUnit, 0), "");
}

TEST(JoinedDiskTest, ReadsNothingBehindItsEnd) {
  const auto disk = three_parts();
  std::vector<std::byte> out(2 * kUnit);
  for (const std::uint64_t offset : {3 * kUnit, 4 * kUnit, UINT64_MAX - kUnit, UINT64_MAX}) {
    EXPECT_FALSE(disk->read_at(offset, out)) << offset;
    EXPECT_FALSE(disk->read_at_once(offset, out)) << offset;
  }
  EXPECT_TRUE(std::ranges::all_of(out, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST(JoinedDiskTest, TakesNoWrite) {
  const auto disk = three_parts();
  EXPECT_FALSE(disk->write_at(0, as_bytes("x")));
  EXPECT_EQ(read(*disk, 0, 1), "a");
}

TEST(JoinedDiskTest, IsNotReadAtOnceWhereOnePartHasToBeWaitedFor) {
  const auto disk =
      JoinedDisk::create({part(kUnit, 'a'), std::make_shared<testing::SlowDisk>(kUnit)});
  ASSERT_TRUE(disk);
  std::vector<std::byte> out(kUnit + 1);
  EXPECT_FALSE((*disk)->read_at_once(0, out));
}

TEST(JoinedDiskTest, RefusesAPartThatIsNoWholeNumberOfBlocks) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{512}, std::uint64_t{kUnit + 1}, std::uint64_t{1} << 63}) {
    const auto disk =
        JoinedDisk::create({part(kUnit, 'a'), std::make_shared<testing::SlowDisk>(size)});
    ASSERT_FALSE(disk) << size;
    EXPECT_NE(to_string(disk.error()).find("as a part of a disk"), std::string::npos);
  }
}

TEST(JoinedDiskTest, RefusesPartsThatAreTooLargeTogether) {
  EXPECT_FALSE(
      JoinedDisk::create({std::make_shared<testing::SlowDisk>((std::uint64_t{1} << 62) + kUnit),
                          std::make_shared<testing::SlowDisk>(std::uint64_t{1} << 62)}));
}

}  // namespace
}  // namespace runhv::devices
