#include <windows.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/process.h"

namespace runhv::platform {
namespace {

TEST(EnvironmentTest, IsUtf8AndOfAnyLength) {
  const std::wstring name = L"RUNHV_TEST";
  EXPECT_EQ(environment("RUNHV_TEST"), "");
  ASSERT_TRUE(::SetEnvironmentVariableW(name.c_str(), L"\x20AC"));
  EXPECT_EQ(environment("RUNHV_TEST"), "\xe2\x82\xac");
  for (const std::size_t size : {127u, 128u, 129u, 5000u}) {
    ASSERT_TRUE(::SetEnvironmentVariableW(name.c_str(), std::wstring(size, L'x').c_str()));
    EXPECT_EQ(environment("RUNHV_TEST"), std::string(size, 'x'));
  }
  ASSERT_TRUE(::SetEnvironmentVariableW(name.c_str(), L"y"));
  EXPECT_THAT(whole_environment(), ::testing::Contains("RUNHV_TEST=y"));
  ASSERT_TRUE(::SetEnvironmentVariableW(name.c_str(), nullptr));
  EXPECT_EQ(environment("RUNHV_TEST"), "");
}

}  // namespace
}  // namespace runhv::platform
