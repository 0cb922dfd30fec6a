#include "tar_header.h"

#include <array>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::agent {
namespace {

struct TarHeaderTest : ::testing::Test {
  std::array<char, 9 << 10> room{};
  PaxRecords records{room.data(), room.size()};
  TarEntry entry{"etc/motd", "", tar::kFile, 0100644, 0, 0, 12, 1'700'000'000, 0, 0, 0};

  std::string header() const {
    std::string block(kTarBlock, 'x');
    write_header(entry, block.data());
    return block;
  }
};

std::string repeated(std::size_t count) { return std::string(count, 'a'); }

TEST_F(TarHeaderTest, HasTheFieldsOfUstar) {
  entry.uid = 1000;
  entry.mode = 0104755;
  const std::string block = header();
  EXPECT_EQ(block.substr(0, 9), std::string("etc/motd\0", 9));
  EXPECT_EQ(block.substr(100, 8), std::string("0004755\0", 8));
  EXPECT_EQ(block.substr(108, 8), std::string("0001750\0", 8));
  EXPECT_EQ(block.substr(124, 12), std::string("00000000014\0", 12));
  EXPECT_EQ(block.substr(136, 12), std::string("14524770400\0", 12));
  EXPECT_EQ(block[156], '0');
  EXPECT_EQ(block.substr(257, 8), std::string("ustar\0"
                                              "00",
                                              8));
  EXPECT_TRUE(add_records(entry, records));
  EXPECT_EQ(records.view(), "");
}

TEST_F(TarHeaderTest, ItsChecksumIsThatOfItsBytesWithBlanksForIt) {
  std::string block = header();
  const std::string said = block.substr(148, 8);
  block.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  EXPECT_EQ(std::stoul(said, nullptr, 8), sum);
  EXPECT_EQ(said.substr(6), std::string("\0 ", 2));
}

TEST_F(TarHeaderTest, WhatHasNoRoomInItIsARecord) {
  entry.path = {};
  const std::string path = repeated(100);
  entry.path = path;
  ASSERT_TRUE(add_records(entry, records));
  EXPECT_EQ(records.view(), "");

  const std::string longer = repeated(101);
  entry.path = longer;
  entry.link = longer;
  entry.uid = 4'000'000'000;
  entry.size = std::uint64_t{1} << 33;
  ASSERT_TRUE(add_records(entry, records));
  EXPECT_EQ(records.view(), "111 path=" + longer + "\n115 linkpath=" + longer +
                                "\n18 uid=4000000000\n19 size=8589934592\n");
}

TEST_F(TarHeaderTest, ARecordsLengthCountsItself) {
  ASSERT_TRUE(records.add("k", repeated(93)));
  EXPECT_EQ(records.view().substr(0, 4), "99 k");
  EXPECT_EQ(records.view().size(), 99u);
  records.clear();
  // 98 bytes without a length: 100 with one of two digits, so it has three.
  ASSERT_TRUE(records.add("k", repeated(94)));
  EXPECT_EQ(records.view().substr(0, 5), "101 k");
  EXPECT_EQ(records.view().size(), 101u);
}

TEST_F(TarHeaderTest, TimesBeforeTheEpochAndPartsOfASecond) {
  entry.seconds = -2;
  entry.nanoseconds = 750'000'000;
  ASSERT_TRUE(add_records(entry, records));
  EXPECT_EQ(records.view(), "22 mtime=-1.250000000\n");
  records.clear();
  entry.seconds = 5;
  entry.nanoseconds = 1;
  ASSERT_TRUE(add_records(entry, records));
  EXPECT_EQ(records.view(), "21 mtime=5.000000001\n");
}

TEST_F(TarHeaderTest, RecordsWithoutRoomAreRefusedWhole) {
  PaxRecords few(room.data(), 20);
  EXPECT_FALSE(few.add("path", repeated(100)));
  EXPECT_EQ(few.view(), "");
}

}  // namespace
}  // namespace runhv::agent
