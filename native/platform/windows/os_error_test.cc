#include "platform/os_error.h"

#include <windows.h>

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(OsErrorTest, MapsTheNumberAndKeepsIt) {
  const Error error = os_error("open x", ERROR_DISK_FULL);
  EXPECT_EQ(error.code, Code::kNoSpace);
  EXPECT_EQ(error.domain, Domain::kWin32);
  EXPECT_EQ(error.os_code, ERROR_DISK_FULL);
  EXPECT_EQ(os_error("x", ERROR_SHARING_VIOLATION).code, Code::kConflict);
  EXPECT_EQ(os_error("x", ERROR_INVALID_NAME).code, Code::kInvalidArgument);
}

TEST(OsErrorTest, HasTheSystemsWordsWithoutTheirEnd) {
  const std::string words = os_error("x", ERROR_FILE_NOT_FOUND).detail;
  ASSERT_FALSE(words.empty());
  EXPECT_NE(words, "unknown error");
  EXPECT_NE(words.back(), '.');
  EXPECT_GT(words.back(), ' ');
  EXPECT_EQ(os_error("x", 0x20000000).detail, "unknown error");  // Windows never has this bit
}

TEST(OsErrorTest, TheLastErrorIsTheThreads) {
  ::SetLastError(ERROR_ACCESS_DENIED);
  const Error error = last_os_error("open x");
  EXPECT_EQ(error.code, Code::kAccessDenied);
  EXPECT_EQ(error.os_code, ERROR_ACCESS_DENIED);
}

}  // namespace
}  // namespace runhv::platform
