#include <array>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/guest_address.h"
#include "base/result.h"
#include "base/scope_exit.h"
#include "gtest/gtest.h"

namespace runhv {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0)
    return Fail{Error{Code::kInvalidArgument, "halve " + std::to_string(value), ""}};
  return value / 2;
}

Result<int> quarter(int value) {
  RUNHV_TRY_ASSIGN(const int once, half(value));
  return half(once);
}

Result<void> accept_even(int value) {
  RUNHV_TRY(half(value));
  return {};
}

TEST(Result, CarriesTheFirstErrorOutOfAChain) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().operation, "halve 3");
  EXPECT_TRUE(accept_even(2));
  EXPECT_EQ(accept_even(7).error().code, Code::kInvalidArgument);
}

TEST(Error, KeepsTheRawCodeInTheLineForPeople) {
  EXPECT_EQ(to_string({Code::kNotFound, "open kernel /x", "No such file", Domain::kErrno, 2}),
            "open kernel /x: No such file (errno 2)");
  EXPECT_EQ(to_string({Code::kUnsupported, "set up partition", "", Domain::kHresult,
                       static_cast<std::int32_t>(0x80370302u)}),
            "set up partition: unsupported (0x80370302)");
}

TEST(Bytes, LoadsAndStoresLittleEndianAtAnyOffset) {
  std::array<std::byte, 9> buffer{};
  store_le<std::uint32_t>(buffer, 1, 0x11223344u);
  EXPECT_EQ(buffer[1], std::byte{0x44});
  EXPECT_EQ(load_le<std::uint32_t>(buffer, 1), 0x11223344u);
  EXPECT_EQ(load_le<std::uint16_t>(buffer, 3), 0x1122u);
}

TEST(BytesDeathTest, RefusesToReadPastTheEnd) {
  std::array<std::byte, 4> buffer{};
  EXPECT_EXIT((void)load_le<std::uint64_t>(buffer, 0), ::testing::ExitedWithCode(70),
              "internal error");
}

TEST(Gpa, AdditionThatWrapsIsNoAddress) {
  EXPECT_EQ(Gpa{1}.plus(2)->value, 3u);
  EXPECT_FALSE(Gpa{UINT64_MAX}.plus(1));
}

TEST(ScopeExit, RunsOnceUnlessReleased) {
  int runs = 0;
  {
    const ScopeExit count([&] { ++runs; });
    ScopeExit released([&] { runs += 10; });
    released.release();
  }
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace runhv
