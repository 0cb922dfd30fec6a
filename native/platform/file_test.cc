#include "platform/file.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "testing/files.h"
#include "testing/folder_fixture.h"

namespace runhv::platform {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

using FileTest = testing::FolderFixture;

bool is_empty(const std::string& folder) { return std::filesystem::is_empty(folder); }

TEST_F(FileTest, ReadsAWholeFileUpToTheLimit) {
  ASSERT_TRUE(testing::write_file(folder_ + "/a", as_bytes("hello")));
  const auto bytes = read_file(folder_ + "/a", 5);
  ASSERT_TRUE(bytes);
  EXPECT_THAT(*bytes, SizeIs(5));
  EXPECT_THAT(read_file(folder_ + "/a", 4).error().detail, HasSubstr("larger than 4 bytes"));
}

TEST_F(FileTest, ReadsWhatTheHostHasInMemoryAndWaitsForNothingElse) {
  auto disk = File::create_anonymous(folder_, 8192);
  ASSERT_TRUE(disk);
  ASSERT_TRUE(disk->write_at(4096, as_bytes("data")));
  std::array<std::byte, 4> back{};
  // Not every file system can tell: then it says no.
  if (disk->read_cached(4096, back)) {
    EXPECT_EQ(back[0], std::byte{'d'});
  }
  EXPECT_FALSE(disk->read_cached(8190, back)) << "the file ends";
}

TEST_F(FileTest, SaysWhichFileIsMissingAndKeepsTheNumber) {
  const Error error = File::open(folder_ + "/none", File::Access::kRead).error();
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_EQ(error.os_code, 2) << "ENOENT and ERROR_FILE_NOT_FOUND";
  EXPECT_EQ(error.operation, "open " + folder_ + "/none");
  EXPECT_EQ(read_file(folder_ + "/none", 1).error().code, Code::kNotFound);
}

TEST_F(FileTest, AFolderIsNoFile) {
  EXPECT_EQ(File::open(folder_, File::Access::kRead).error().code, Code::kInvalidArgument);
  EXPECT_EQ(read_file(folder_, 1).error().code, Code::kInvalidArgument);
}

TEST_F(FileTest, AnAnonymousDiskKeepsWhatIsWrittenAndLeavesNothing) {
  {
    const auto disk = File::create_anonymous(folder_, 1 << 20);
    ASSERT_TRUE(disk) << to_string(disk.error());
    ASSERT_TRUE(disk->write_at(4096, as_bytes("data")));
    ASSERT_TRUE(disk->flush());
    std::array<std::byte, 4> back{};
    ASSERT_TRUE(disk->read_at(4096, back));
    EXPECT_EQ(back[0], std::byte{'d'});
    ASSERT_TRUE(disk->read_at(1000, back));
    EXPECT_EQ(back[0], std::byte{0});
    EXPECT_EQ(disk->read_at((1 << 20) - 2, back).error().code, Code::kCorruptInput);
  }
  EXPECT_TRUE(is_empty(folder_));
}

TEST_F(FileTest, AFileIsReplacedWholeAndNothingElseIsLeft) {
  const std::string path = folder_ + "/state.json";
  for (const auto durability : {Durability::kUnsynced, Durability::kSynced}) {
    ASSERT_TRUE(write_file_atomically(path, as_bytes("older and longer"), durability));
    ASSERT_TRUE(write_file_atomically(path, as_bytes("newer"), durability));
    EXPECT_THAT(*read_file(path, 100), SizeIs(5));
  }
  EXPECT_EQ(write_file_atomically(folder_ + "/none/x", {}, Durability::kSynced).error().code,
            Code::kNotFound);
  ASSERT_TRUE(make_private_directory(folder_ + "/folder"));
  EXPECT_FALSE(write_file_atomically(folder_ + "/folder", as_bytes("x"), Durability::kUnsynced));
  ASSERT_TRUE(remove_tree(folder_ + "/folder"));
  ASSERT_EQ(std::remove(path.c_str()), 0);
  EXPECT_TRUE(is_empty(folder_));
}

// A reader that has the old one open keeps it.
TEST_F(FileTest, AFileThatIsReadIsReplacedAllTheSame) {
  const std::string path = folder_ + "/state.json";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("old"), Durability::kUnsynced));
  const auto reader = File::open(path, File::Access::kRead);
  ASSERT_TRUE(reader);
  const auto replaced = write_file_atomically(path, as_bytes("new"), Durability::kUnsynced);
  // Wine 8, and Windows before 10 1709: the writer is refused, and the old file stays.
  constexpr int kAccessDenied = 5;
  if (!replaced && replaced.error().domain == Domain::kWin32 &&
      replaced.error().os_code == kAccessDenied) {
    EXPECT_EQ((*read_file(path, 3))[0], std::byte{'o'});
    GTEST_SKIP() << "this system replaces no file that is open";
  }
  ASSERT_TRUE(replaced) << to_string(replaced.error());
  std::array<std::byte, 3> bytes{};
  ASSERT_TRUE(reader->read_at(0, bytes));
  EXPECT_EQ(bytes[0], std::byte{'o'});
  EXPECT_EQ((*read_file(path, 3))[0], std::byte{'n'});
}

TEST_F(FileTest, ALockIsSharedByMany) {
  const std::string path = folder_ + "/use";
  const auto one = lock_shared(path);
  const auto two = lock_shared(path);
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(lock_shared(folder_ + "/none/use"));
}

TEST_F(FileTest, ATreeIsRemovedWithAllThatIsInIt) {
  const std::string tree = folder_ + "/tree";
  ASSERT_TRUE(make_private_directory(tree));
  ASSERT_TRUE(make_private_directory(tree + "/below"));
  ASSERT_TRUE(testing::write_file(tree + "/below/file", as_bytes("x")));
  ASSERT_TRUE(remove_tree(tree));
  EXPECT_FALSE(file_exists(tree));
  EXPECT_TRUE(remove_tree(tree)) << "a missing tree is no error";
}

TEST_F(FileTest, AFolderOfThisUserAloneIsAcceptedAndAFileIsNot) {
  EXPECT_TRUE(make_private_directory(folder_)) << "it is there already";
  ASSERT_TRUE(testing::write_file(folder_ + "/file", as_bytes("x")));
  EXPECT_EQ(make_private_directory(folder_ + "/file").error().code, Code::kAccessDenied);
}

}  // namespace
}  // namespace runhv::platform
