#include "platform/windows/named_file.h"

#include <string>
#include <thread>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/windows/native_path.h"
#include "testing/folder_fixture.h"

namespace runhv::platform {
namespace {

TEST(DespiteSharing, IsAskedAgainOnlyWhileSomebodyHasTheFile) {
  int calls = 0;
  const auto fails_thrice = [&](DWORD code) {
    ::SetLastError(code);
    return ++calls > 3;
  };
  EXPECT_TRUE(despite_sharing([&] { return fails_thrice(ERROR_SHARING_VIOLATION); }));
  EXPECT_EQ(calls, 4);
  calls = 0;
  EXPECT_FALSE(despite_sharing([&] { return fails_thrice(ERROR_ACCESS_DENIED); }));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(::GetLastError(), DWORD{ERROR_ACCESS_DENIED});
}

TEST(DespiteSharing, HasAnEnd) {
  int calls = 0;
  EXPECT_FALSE(despite_sharing([&] {
    ++calls;
    ::SetLastError(ERROR_SHARING_VIOLATION);
    return false;
  }));
  EXPECT_EQ(calls, kSharingAttempts);
  EXPECT_EQ(::GetLastError(), DWORD{ERROR_SHARING_VIOLATION});
}

// A file that is somebody's alone, as a virus scanner has it.
class SharingTest : public testing::FolderFixture {
 protected:
  void SetUp() override {
    FolderFixture::SetUp();
    path_ = folder_ + "/file";
    ASSERT_TRUE(write_file_atomically(path_, as_bytes("content"), Durability::kUnsynced));
    const auto name = native_path(path_, "");
    ASSERT_TRUE(name);
    name_ = *name;
    held_ = open_alone();
    ASSERT_TRUE(held_.is_open());
  }
  void TearDown() override {
    held_.reset();
    FolderFixture::TearDown();
  }
  // After a hundred looks, which it refuses.
  std::thread let_go_in_a_moment() {
    return std::thread([this] {
      for (int i = 0; i < 100; ++i) EXPECT_FALSE(open_alone().is_open());
      held_.reset();
    });
  }
  UniqueHandle open_alone() const {
    return own(::CreateFileW(name_.c_str(), GENERIC_READ, 0, nullptr, OPEN_EXISTING, 0, nullptr));
  }

  std::string path_;
  std::wstring name_;
  UniqueHandle held_;
};

TEST_F(SharingTest, WhatSomebodyHasForAMomentIsWaitedFor) {
  std::thread scanner = let_go_in_a_moment();
  const auto bytes = read_file(path_, 100);
  scanner.join();
  ASSERT_TRUE(bytes) << to_string(bytes.error());
  EXPECT_EQ(bytes->size(), 7u);
}

TEST_F(SharingTest, WhatSomebodyHasForAMomentIsReplaced) {
  std::thread scanner = let_go_in_a_moment();
  const auto replaced = write_file_atomically(path_, as_bytes("new"), Durability::kUnsynced);
  scanner.join();
  ASSERT_TRUE(replaced) << to_string(replaced.error());
  EXPECT_EQ(read_file(path_, 100)->size(), 3u);
}

TEST_F(SharingTest, WhatSomebodyKeepsIsNotReplaced) {
  EXPECT_FALSE(write_file_atomically(path_, as_bytes("new"), Durability::kUnsynced));
  held_.reset();
  EXPECT_EQ(read_file(path_, 100)->size(), 7u);
}

TEST_F(SharingTest, WhatSomebodyKeepsIsAConflict) {
  const auto bytes = read_file(path_, 100);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, Code::kConflict);
  EXPECT_EQ(bytes.error().os_code, ERROR_SHARING_VIOLATION);
}

}  // namespace
}  // namespace runhv::platform
