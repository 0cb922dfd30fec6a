#include "platform/library.h"

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(LibraryTest, ABareNameIsFoundAmongTheSystems) {
  const auto library = Library::open("kernel32.dll");
  ASSERT_TRUE(library) << to_string(library.error());
  EXPECT_NE(library->find("CreateFileW"), nullptr);
  EXPECT_EQ(library->find("runhv_is_not_there"), nullptr);
}

TEST(LibraryTest, SaysWhatWasLookedForAndKeepsTheNumber) {
  const auto library = Library::open("runhv-is-not-there.dll");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, Code::kNotFound);
  EXPECT_EQ(library.error().os_code, 126);  // ERROR_MOD_NOT_FOUND
  EXPECT_EQ(library.error().operation, "load library runhv-is-not-there.dll");
}

}  // namespace
}  // namespace runhv::platform
