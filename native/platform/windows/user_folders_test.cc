#include "platform/user_folders.h"

#include "gtest/gtest.h"
#include "testing/environment.h"

namespace runhv::platform {
namespace {

TEST(UserFolders, AreTheUsersOnThisMachine) {
  testing::set_environment("LOCALAPPDATA", R"(C:\Users\j\AppData\Local)");
  EXPECT_EQ(*runtime_folder("runhv"), R"(C:\Users\j\AppData\Local\runhv\run)");
  EXPECT_EQ(*data_folder("runhv"), R"(C:\Users\j\AppData\Local\runhv\data)");
  for (const char* none : {"", "Local"}) {
    testing::set_environment("LOCALAPPDATA", none);
    EXPECT_EQ(runtime_folder("runhv").error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace runhv::platform
