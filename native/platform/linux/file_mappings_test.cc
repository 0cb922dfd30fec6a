#include "platform/file_mappings.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "platform/memory_region.h"

namespace runhv::platform {
namespace {

class FileMappingsTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kRange = 64 << 10;
  static constexpr std::size_t kRanges = 4;

  void SetUp() override {
    std::ofstream(path) << std::string(3 * kRange, 'a');
    auto reserved = MemoryRegion::reserve(kRanges * kRange);
    ASSERT_TRUE(reserved);
    region.emplace(*std::move(reserved));
    auto made = FileMappings::create(region->bytes(), kRange);
    ASSERT_TRUE(made && *made != nullptr);
    mappings = *std::move(made);
    const auto node = FileNode::open(path);
    ASSERT_TRUE(node);
    ASSERT_EQ(node->open(FileAccess::kReadWrite, false, file), 0);
  }
  ~FileMappingsTest() override { std::filesystem::remove(path); }

  char at(std::size_t offset) const { return static_cast<char>(region->bytes()[offset]); }

  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("runhv-shown-" + std::to_string(std::random_device{}()));
  std::optional<MemoryRegion> region;
  std::unique_ptr<FileMappings> mappings;
  OpenFile file;
};

TEST_F(FileMappingsTest, ShowsAndHides) {
  ASSERT_EQ(mappings->show(1, file, 2 * kRange, true), 0);
  EXPECT_EQ(at(kRange - 1), 0);
  EXPECT_EQ(at(kRange), 'a');
  EXPECT_EQ(at(2 * kRange - 1), 'a');
  EXPECT_EQ(at(2 * kRange), 0);
  mappings->hide(1);
  EXPECT_EQ(at(kRange), 0);
  EXPECT_FALSE(mappings->take_any_lost());
}

TEST_F(FileMappingsTest, WhatTheFileHasLostIsZeroUpToTheEndOfTheRange) {
  ASSERT_EQ(mappings->show(1, file, 0, false), 0);
  ASSERT_EQ(mappings->show(2, file, kRange, true), 0);
  ASSERT_EQ(file.change_size(8192 + 1), 0);
  EXPECT_EQ(at(kRange + 8192), 'a');
  EXPECT_EQ(at(kRange + 8193), 0) << "the rest of a page that is there";
  EXPECT_FALSE(mappings->take_any_lost());
  errno = 7;
  EXPECT_EQ(at(kRange + 12288), 0);
  EXPECT_EQ(errno, 7);
  EXPECT_EQ(at(2 * kRange - 1), 0);
  EXPECT_EQ(at(kRange + 4096), 'a') << "what is still there";
  EXPECT_TRUE(mappings->take_any_lost());
  EXPECT_FALSE(mappings->take_any_lost());
  EXPECT_TRUE(mappings->take_lost(1));
  EXPECT_FALSE(mappings->take_lost(1));
  EXPECT_FALSE(mappings->take_lost(2));
  region->bytes()[2 * kRange] = std::byte{1};
  EXPECT_TRUE(mappings->take_lost(2));
  EXPECT_EQ(std::filesystem::file_size(path), 8193u);
}

TEST_F(FileMappingsTest, LosesPagesToSystemCallsWithoutEnding) {
  ASSERT_EQ(mappings->show(0, file, 0, true), 0);
  ASSERT_EQ(file.change_size(0), 0);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], region->data(), 1), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
}

using FileMappingsDeathTest = FileMappingsTest;

TEST_F(FileMappingsDeathTest, LeavesOtherFaultsToOthers) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto touch_another = [&] {
    const int handle = ::memfd_create("empty", 0);
    auto* bytes =
        static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, handle, 0));
    [[maybe_unused]] const char lost = *bytes;
  };
  // A sanitizer has a handler of its own, which reports and ends by another status.
  EXPECT_EXIT(
      touch_another(), [](int status) { return !WIFEXITED(status) || WEXITSTATUS(status) != 0; },
      "");
}

}  // namespace
}  // namespace runhv::platform
