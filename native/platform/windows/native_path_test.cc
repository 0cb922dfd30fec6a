#include "platform/windows/native_path.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/path.h"
#include "platform/windows/utf16.h"
#include "testing/folder_fixture.h"

namespace runhv::platform {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string written(std::string_view path) {
  const auto name = native_path(path, "open it");
  return name ? to_utf8(*name) : to_string(name.error());
}

TEST(NativePath, IsAbsoluteAndMayBeLong) {
  EXPECT_EQ(written("C:/a/./b/../c"), R"(\\?\C:\a\c)");
  EXPECT_EQ(written(R"(\\server\share\a)"), R"(\\?\UNC\server\share\a)");
  EXPECT_EQ(written(R"(\\?\C:\a)"), R"(\\?\C:\a)");
  EXPECT_THAT(written("a"), StartsWith(R"(\\?\)"));
  EXPECT_THAT(written("a"), EndsWith(R"(\a)"));
  EXPECT_EQ(written("C:/\xC3\xA4"), "\\\\?\\C:\\\xC3\xA4");
}

TEST(NativePath, RefusesWhatWouldNameSomethingElse) {
  for (const char* name :
       {"C:/a/CON", "nul", "C:/aux.txt", "C:/com1", "lpt9.log", "CONIN$", "C:/COM\u00B2"}) {
    EXPECT_THAT(written(name), HasSubstr("is a device of Windows")) << name;
  }
  for (const char* name : {"C:/a.", "C:/a /b", "..."}) {
    EXPECT_THAT(written(name), HasSubstr("ends with a dot or a space")) << name;
  }
  for (const char* name : {"C:/a:b", "a|b", "what?", "C:/a\tb"}) {
    EXPECT_THAT(written(name), HasSubstr("has a character that no name has")) << name;
  }
  EXPECT_THAT(written(R"(\\.\pipe\x)"), HasSubstr("names a device"));
  EXPECT_THAT(written("C:/\xFF"), HasSubstr("not UTF-8"));
  EXPECT_THAT(written(""), HasSubstr("it is no path"));
  EXPECT_THAT(written("C:/console/comma/nullable"), StartsWith(R"(\\?\)"));
}

TEST(Path, IsAbsoluteFromADriveOrAShare) {
  for (const char* path : {"C:/a", R"(c:\a)", R"(\\server\share)", R"(\\?\C:\a)"}) {
    EXPECT_TRUE(is_absolute_path(path)) << path;
  }
  for (const char* path : {"", "a", "C:", "C:a", "/a", R"(\a)"}) {
    EXPECT_FALSE(is_absolute_path(path)) << path;
  }
}

using LongPathTest = testing::FolderFixture;

TEST_F(LongPathTest, FilesAreFoundBelowMoreThan260Characters) {
  std::string folder = folder_;
  for (int i = 0; i < 4; ++i) {
    folder += "/" + std::string(100, 'x');
    ASSERT_TRUE(make_private_directory(folder));
  }
  const std::string path = folder + "/\xC3\xA4\xF0\x9F\x90\xB3";
  const auto put = write_file_atomically(path, {}, Durability::kUnsynced);
  ASSERT_TRUE(put) << to_string(put.error());
  EXPECT_TRUE(File::open(path, File::Access::kRead));
}

}  // namespace
}  // namespace runhv::platform
