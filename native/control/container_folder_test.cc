#include "control/container_folder.h"

#include <filesystem>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "testing/files.h"
#include "testing/folder_fixture.h"

namespace runhv::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ContainerFolderTest : public testing::FolderFixture {
 protected:
  StoredState state_of(const std::string& id, bool ephemeral) {
    StoredState state;
    state.id = id;
    state.status = "running";
    state.ephemeral = ephemeral;
    return state;
  }
  // A container whose process was killed.
  void leave(const std::string& id, bool ephemeral) {
    const auto folder = ContainerFolder::take(root_, id);
    ASSERT_TRUE(folder) << to_string(folder.error());
    ASSERT_TRUE(folder->write(state_of(id, ephemeral)));
  }
  std::vector<std::string> listed() {
    std::vector<std::string> words;
    const auto found = list_containers(root_);
    EXPECT_TRUE(found);
    for (const auto& each : *found) {
      words.push_back(each.state.id + " " + each.state.status + (each.lives ? " lives" : ""));
    }
    return words;
  }

  const std::string& root_ = folder_;
};

TEST_F(ContainerFolderTest, ANameIsTakenUntilItIsGivenBack) {
  auto folder = ContainerFolder::take(root_, "web");
  ASSERT_TRUE(folder);
  const auto second = ContainerFolder::take(root_, "web");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_EQ(second.error().detail, "container name \"web\" is in use");
  ASSERT_TRUE(folder->write(state_of("web", true)));
  EXPECT_THAT(listed(), ElementsAre("web running lives"));
  ASSERT_TRUE(folder->remove());
  EXPECT_THAT(listed(), IsEmpty());
  EXPECT_TRUE(ContainerFolder::take(root_, "web"));
}

TEST_F(ContainerFolderTest, ANameThatIsNoneIsRefused) {
  for (const std::string& id : {std::string(), std::string(".."), std::string("a/b"),
                                std::string(".x"), std::string(129, 'n')}) {
    const auto folder = ContainerFolder::take(root_, id);
    ASSERT_FALSE(folder) << id;
    EXPECT_EQ(folder.error().code, Code::kInvalidArgument);
    EXPECT_EQ(find_container(root_, id).error().code, Code::kNotFound);
  }
  EXPECT_TRUE(ContainerFolder::take(root_, std::string(128, 'n')));
}

TEST_F(ContainerFolderTest, WhatWasToGoWithItsProcessIsSwept) {
  leave("gone", true);
  leave("kept", false);
  EXPECT_THAT(listed(), ElementsAre("kept stopped"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/containers/gone"));
  EXPECT_TRUE(ContainerFolder::take(root_, "gone"));
}

TEST_F(ContainerFolderTest, ALeftNameThatIsEphemeralIsFreeAtOnce) {
  leave("gone", true);
  leave("kept", false);
  EXPECT_TRUE(ContainerFolder::take(root_, "gone"));
  EXPECT_EQ(ContainerFolder::take(root_, "kept").error().code, Code::kConflict);
  EXPECT_EQ(find_container(root_, "none").error().detail, "container \"none\" does not exist");
  const auto kept = find_container(root_, "kept");
  ASSERT_TRUE(kept);
  ASSERT_TRUE(remove_container(*kept));
  EXPECT_TRUE(ContainerFolder::take(root_, "kept"));
}

TEST_F(ContainerFolderTest, OneThatLivesIsNotRemoved) {
  const auto folder = ContainerFolder::take(root_, "web");
  ASSERT_TRUE(folder);
  ASSERT_TRUE(folder->write(state_of("web", true)));
  const auto found = find_container(root_, "web");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->lives);
  EXPECT_EQ(remove_container(*found).error().code, Code::kConflict);
}

TEST_F(ContainerFolderTest, WhatWasLeftBeforeItHadAStateIsRemovedByName) {
  const std::string folder = *root_folder(root_, "containers") + "/new";
  {
    const auto taken = ContainerFolder::take(root_, "new");
    ASSERT_TRUE(taken);
    const auto refused = remove_unfinished(root_, "new");
    ASSERT_FALSE(refused) << "its process lives";
    EXPECT_EQ(refused.error().code, Code::kConflict);
    EXPECT_TRUE(std::filesystem::exists(folder));
  }
  ASSERT_TRUE(remove_unfinished(root_, "new"));
  EXPECT_FALSE(std::filesystem::exists(folder));
  ASSERT_TRUE(remove_unfinished(root_, "new"));
  leave("kept", false);
  ASSERT_TRUE(remove_unfinished(root_, "kept"));
  EXPECT_THAT(listed(), ElementsAre("kept stopped"));
}

TEST_F(ContainerFolderTest, ARemovalThatWasCutShortIsEnded) {
  leave("kept", false);
  const std::string containers = root_ + "/containers";
  // As remove_container leaves it when it is killed before it has deleted the files.
  leave("gone", false);
  std::filesystem::rename(containers + "/gone", containers + "/.0123456789abcdef");
  sweep_removed(root_);
  EXPECT_FALSE(std::filesystem::exists(containers + "/.0123456789abcdef"));
  EXPECT_THAT(listed(), ElementsAre("kept stopped"));
  std::filesystem::create_directories(containers + "/.fedcba9876543210/folder");
  EXPECT_THAT(listed(), ElementsAre("kept stopped"));
  EXPECT_FALSE(std::filesystem::exists(containers + "/.fedcba9876543210"));
}

TEST_F(ContainerFolderTest, ABrokenStateIsNobodysName) {
  { ASSERT_TRUE(ContainerFolder::take(root_, "web")); }
  ASSERT_TRUE(testing::write_file(root_ + "/containers/web/state.json", as_bytes("no json")));
  const auto taken = ContainerFolder::take(root_, "web");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kCorruptInput);
  EXPECT_THAT(listed(), IsEmpty());
}

}  // namespace
}  // namespace runhv::control
