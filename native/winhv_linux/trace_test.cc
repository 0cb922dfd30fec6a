#include "winhv_linux/trace.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/random_name.h"

namespace runhv::winhv_linux {
namespace {

using ::testing::MatchesRegex;

class TraceTest : public ::testing::Test {
 protected:
  ~TraceTest() override { EXPECT_TRUE(std::filesystem::remove(file_)); }

  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(file_).rdbuf();
    return all.str();
  }

  const std::string file_ = ::testing::TempDir() + "/trace-" + platform::random_name();
  Trace trace_{std::ofstream(file_)};
};

TEST_F(TraceTest, ALineTellsWhatWasGivenAndWhatCameBack) {
  const std::array<UINT8, 3> given_bytes{0x01, 0x00, 0xFF};
  std::array<UINT8, 8> got_bytes{};
  UINT32 written = 0;
  const auto items = {number("code", 0x1FFF), given("value", given_bytes.data(), 3),
                      got("answer", got_bytes.data(), got_bytes.size(), &written)};
  std::string line = trace_.begun("WHvCall", items);
  got_bytes = {0xAB, 0xCD, 0xEF};
  written = 2;
  trace_.ended(std::move(line), S_OK, items);
  EXPECT_THAT(text(), MatchesRegex("[0-9]+\\.[0-9]+ [0-9]+ WHvCall code=0x1fff value=0100ff -> "
                                   "0x00000000 answer=abcd\n"));
}

TEST_F(TraceTest, OfACallThatFailedNothingCameBack) {
  const UINT64 value = 7;
  const auto items = {got("value", &value, sizeof value)};
  trace_.ended(trace_.begun("WHvCall", items), E_INVALIDARG, items);
  EXPECT_THAT(text(), ::testing::EndsWith(" WHvCall -> 0x80070057\n"));
}

TEST_F(TraceTest, OfLongBytesTheBeginningIsTold) {
  const std::string bytes(kTracedBytes + 1, '\x11');
  const auto items = {given("state", bytes.data(), bytes.size())};
  EXPECT_THAT(trace_.begun("WHvCall", items),
              ::testing::EndsWith(" state=" + std::string(2 * kTracedBytes, '1') + "..."));
}

TEST_F(TraceTest, BytesThatAreNotThereAreNone) {
  const auto items = {given("value", nullptr, 8)};
  EXPECT_THAT(trace_.begun("WHvCall", items), ::testing::EndsWith(" WHvCall value="));
}

TEST_F(TraceTest, LinesOfThreadsAreWholeAndTellWhoseTheyAre) {
  constexpr int kCalls = 200;
  const auto calls = [&] {
    for (int i = 0; i < kCalls; ++i) trace_.ended(trace_.begun("WHvCall", {}), S_OK, {});
  };
  std::thread other(calls);
  calls();
  other.join();
  std::istringstream all(text());
  std::string line;
  std::map<std::string, int> of_threads;
  while (std::getline(all, line)) {
    ASSERT_THAT(line, MatchesRegex("[0-9]+\\.[0-9]+ [0-9]+ WHvCall -> 0x00000000"));
    ++of_threads[line.substr(line.find(' '), 3)];
  }
  EXPECT_EQ(of_threads.size(), 2u);
  for (const auto& [thread, count] : of_threads) EXPECT_EQ(count, kCalls) << thread;
}

}  // namespace
}  // namespace runhv::winhv_linux
