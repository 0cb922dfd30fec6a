#include "frame.h"

#include <gtest/gtest.h>
#include <string.h>

#include <random>
#include <string>
#include <vector>

namespace runhv::agent {
namespace {

std::string frame(std::uint16_t type, const std::string& payload) {
  const runhv_frame header = {static_cast<std::uint32_t>(payload.size()), type, 0};
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + payload;
}

class FrameTest : public ::testing::Test {
 protected:
  void give(std::string_view bytes) {
    ASSERT_LE(bytes.size(), reader.room().size());
    memcpy(reader.room().data(), bytes.data(), bytes.size());
    reader.received(bytes.size());
  }
  static std::string text(const Frame& frame) {
    return {reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()};
  }

  std::vector<std::byte> buffer{FrameReader::kRoom};
  FrameReader reader{buffer.data()};
  Frame out;
};

TEST_F(FrameTest, FramesComeOutWhateverThePiecesAre) {
  const std::string stream =
      frame(2, std::string(5000, 's')) + frame(6, "12345678") + frame(7, "") + frame(6, "abcdefgh");
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    FrameReader fresh(buffer.data());
    std::vector<std::string> got;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 3000, stream.size() - at);
      memcpy(fresh.room().data(), stream.data() + at, size);
      fresh.received(size);
      at += size;
      while (fresh.next(out) == FrameReader::Next::kFrame) {
        got.push_back(std::to_string(out.type) + text(out));
      }
    }
    EXPECT_EQ(got, (std::vector<std::string>{"2" + std::string(5000, 's'), "612345678", "7",
                                             "6abcdefgh"}));
  }
}

TEST_F(FrameTest, LargestFrameFits) {
  const std::string largest = frame(2, std::string(RUNHV_MAX_FRAME_TO_AGENT, 'x'));
  give(std::string_view(largest).substr(0, largest.size() - 1));
  EXPECT_EQ(reader.next(out), FrameReader::Next::kMore);
  EXPECT_EQ(reader.room().size(), 1u);
  give("x");
  ASSERT_EQ(reader.next(out), FrameReader::Next::kFrame);
  EXPECT_EQ(out.payload.size(), RUNHV_MAX_FRAME_TO_AGENT);
  EXPECT_EQ(reader.next(out), FrameReader::Next::kMore);
  EXPECT_EQ(reader.room().size(), FrameReader::kRoom);
}

TEST_F(FrameTest, TooLongIsBrokenBeforeItArrives) {
  const runhv_frame header = {RUNHV_MAX_FRAME_TO_AGENT + 1, 2, 0};
  give({reinterpret_cast<const char*>(&header), sizeof header});
  EXPECT_EQ(reader.next(out), FrameReader::Next::kBroken);
}

TEST_F(FrameTest, ReservedFieldMustBeZero) {
  const runhv_frame header = {0, 7, 1};
  give({reinterpret_cast<const char*>(&header), sizeof header});
  EXPECT_EQ(reader.next(out), FrameReader::Next::kBroken);
}

}  // namespace
}  // namespace runhv::agent
