// More containers in the machine of one that runs.
#include <filesystem>
#include <string>
#include <vector>

#include "container/container_scene.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

using testing::HasSubstr;

std::string config_with(const std::string& root, const std::string& namespaces) {
  return R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},"hostname":"mine",)" +
         root + R"(,"linux":{"namespaces":[)" + namespaces + "]}}";
}

const std::string kFolder = R"("root":{"path":"."})";
const std::string kNamespaces =
    R"({"type":"mount"},{"type":"pid"},{"type":"network","path":"/run/netns/pod"},)"
    R"({"type":"uts","path":"/proc/1/ns/uts"})";

class ContainerJoin : public testing::Test {
 protected:
  Result<ProcessNumber> join(const std::string& config) {
    return scene.container->join({.id = "second",
                                  .bundle = SceneBundle::folder(),
                                  .json = config,
                                  .streams = {std::nullopt, out.write_end(), std::nullopt}});
  }
  Result<ProcessNumber> join() { return join(config_with(kFolder, kNamespaces)); }
  std::string complaint(const Result<ProcessNumber>& result) {
    return result ? "accepted" : to_string(result.error());
  }
  Scene scene;
  Pipe out;
};

TEST_F(ContainerJoin, HasANumberStreamsAndAnEndOfItsOwn) {
  scene.run();
  (void)scene.guest.hears();
  const auto number = join();
  ASSERT_TRUE(number) << to_string(number.error());
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].type, RUNHV_MSG_PREPARE);
  EXPECT_EQ(heard[0].word(offsetof(runhv_prepare, process)), *number);
  EXPECT_EQ(heard[0].word(offsetof(runhv_prepare, container)), *number);
  EXPECT_EQ(heard[0].word(offsetof(runhv_prepare, flags)), unsigned{RUNHV_PREPARE_EXECUTE});
  const std::string records(reinterpret_cast<const char*>(heard[0].payload.data()),
                            heard[0].word(offsetof(runhv_prepare, container_bytes)));
  EXPECT_THAT(records, HasSubstr(std::string("virtiofs\0/1", 11)));
  EXPECT_THAT(records, testing::Not(HasSubstr("mine"))) << "the first container's name stays";
  scene.guest.connect(port_of(*number, 1));
  scene.guest.says_started(*number);
  scene.guest.write(port_of(*number, 1), "out");
  scene.turn();
  EXPECT_EQ(out.take(), "out");

  scene.guest.says_exited(*number, 3);
  scene.guest.shut_down(port_of(*number, 1));
  scene.turn();
  EXPECT_EQ(scene.log.texts().back(), "process 1 exited 3");
  EXPECT_EQ(scene.guest.removed_shares, 1u);
  EXPECT_EQ(scene.container->state().status, ContainerStatus::kRunning);
}

TEST_F(ContainerJoin, HasProcessesUntilItEnds) {
  scene.run();
  const auto number = join();
  ASSERT_TRUE(number);
  scene.guest.says_started(*number);
  scene.turn();
  (void)scene.guest.hears();
  const auto process = [&] {
    return scene.container->start_process(
        {.json = R"({"args":["a"]})", .container = *number, .streams = {}});
  };
  ASSERT_TRUE(process());
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].word(offsetof(runhv_prepare, container)), *number);
  EXPECT_EQ(heard[0].word(offsetof(runhv_prepare, container_bytes)), 0u);

  scene.guest.says_failed(*number, 127, "no");
  scene.turn();
  EXPECT_EQ(scene.log.ended(), true) << "it had started: the guest lies";
}

TEST_F(ContainerJoin, OneThatHasEndedHasNoMoreProcesses) {
  scene.run();
  const auto number = join();
  ASSERT_TRUE(number);
  scene.turn();
  scene.guest.says_failed(*number, 127, "no such program");
  scene.turn();
  EXPECT_EQ(scene.guest.removed_shares, 1u);
  EXPECT_THAT(complaint(scene.container->start_process(
                  {.json = R"({"args":["a"]})", .container = *number, .streams = {}})),
              HasSubstr("has no container 1, or that has ended"));
}

TEST_F(ContainerJoin, IsUpdatedByItself) {
  scene.run();
  const auto number = join();
  ASSERT_TRUE(number);
  scene.guest.says_started(*number);
  scene.turn();
  std::vector<std::string> said;
  const auto update = [&](ProcessNumber which) {
    return text(scene.container->update(
        which, R"({"unified":{"cgroup.freeze":"1"}})", [&said, which](const Result<void>& result) {
          said.push_back(std::to_string(which) + " " + text(result));
        }));
  };
  EXPECT_THAT(update(*number), HasSubstr("made without linux.resources"));
  EXPECT_THAT(update(99), HasSubstr("the container has ended"));

  std::string config = config_with(kFolder, kNamespaces);
  config.insert(config.size() - 2, R"(,"resources":{})");
  const auto other = join(config);
  ASSERT_TRUE(other) << to_string(other.error());
  scene.guest.says_started(*other);
  scene.turn();
  (void)scene.guest.hears();
  EXPECT_EQ(update(*other), "done");
  EXPECT_THAT(update(*other), HasSubstr("it is being updated"));
  EXPECT_EQ(update(kFirstProcess), "done") << "another container's is no obstacle";
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[0].word(offsetof(runhv_resources, container)), *other);
  EXPECT_EQ(heard[1].word(offsetof(runhv_resources, container)), kFirstProcess);
  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{110, 0}, "freeze");
  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{0, 0});
  scene.turn();
  ASSERT_EQ(said.size(), 2u);
  EXPECT_THAT(said[0], HasSubstr("freeze (errno 110 in the guest)"));
  EXPECT_EQ(said[1], "0 done");
}

TEST_F(ContainerJoin, EndsWithTheFirst) {
  scene.run();
  const auto number = join();
  ASSERT_TRUE(number);
  scene.guest.connect(port_of(*number, 1));
  scene.guest.says_started(*number);
  scene.turn();
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 9));
  ASSERT_TRUE(scene.wait_for_end());
  const auto& texts = scene.log.texts();
  EXPECT_EQ(texts.at(texts.size() - 2), "process 1 signaled 9");
}

TEST_F(ContainerJoin, WhatCannotJoinIsNamedAndLeavesNothing) {
  EXPECT_THAT(complaint(join()), HasSubstr("it does not run"));
  scene.run();
  EXPECT_THAT(
      complaint(join(config_with(R"("vm":{"image":{"path":"/img","format":"raw"}})", kNamespaces))),
      HasSubstr("its root is a block image"));
  EXPECT_THAT(complaint(join(config_with(kFolder, R"({"type":"mount"})"))),
              HasSubstr("namespaces of its own for pid and mount"));
  EXPECT_THAT(
      complaint(join(config_with(kFolder, R"({"type":"mount"},{"type":"pid","path":"/p"})"))),
      HasSubstr("linux.namespaces[1].path: it cannot be joined"));
  EXPECT_THAT(complaint(join(config_with(R"("root":{"path":"not-there"})", kNamespaces))),
              HasSubstr("not-there"));
  ASSERT_TRUE(scene.container->pause());
  EXPECT_THAT(complaint(join()), HasSubstr("it is paused"));
  EXPECT_EQ(scene.guest.removed_shares, 0u);
  EXPECT_EQ(scene.container->state().process_count, 1u);
}

}  // namespace
}  // namespace runhv::container
