// More containers in the machine of one that runs.
#include <sched.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "container/container_scene.h"
#include "container/linux_abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file_node.h"
#include "platform/tap.h"
#include "testing/folder_fixture.h"

namespace runhv::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string config_with(const std::string& root, const std::string& namespaces) {
  return R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},"hostname":"mine",)" +
         root + R"(,"linux":{"namespaces":[)" + namespaces + "]}}";
}

const std::string kFolder = R"("root":{"path":"."})";
const std::string kNamespaces =
    R"({"type":"mount"},{"type":"pid"},{"type":"network","path":"/run/netns/pod"},)"
    R"({"type":"uts","path":"/proc/1/ns/uts"})";

class ContainerJoin : public ::testing::Test {
 protected:
  Result<ProcessNumber> join(const std::string& config, std::optional<JoinedNetwork> network = {}) {
    return scene.container->join({.id = "second",
                                  .bundle = SceneBundle::folder(),
                                  .json = config,
                                  .streams = {std::nullopt, out.write_end(), std::nullopt},
                                  .network = std::move(network)});
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
  EXPECT_THAT(records, ::testing::Not(HasSubstr("mine"))) << "the first container's name stays";
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
  EXPECT_THAT(complaint(join(config_with(kFolder, R"({"type":"mount"},{"type":"pid"})"))),
              HasSubstr("it asks for the host's network"));
  EXPECT_THAT(complaint(join(config_with(R"("root":{"path":"not-there"})", kNamespaces))),
              HasSubstr("not-there"));
  EXPECT_THAT(complaint(join(config_with(kFolder, kNamespaces),
                             JoinedNetwork{.interfaces = std::vector<JoinedNetwork::Interface>(1),
                                           .messages = {}})),
              HasSubstr("room for 0 more; one that began without a network has none"));
  const std::size_t removed = scene.guest.removed_shares;
  ASSERT_TRUE(scene.container->pause());
  EXPECT_THAT(complaint(join()), HasSubstr("it is paused"));
  EXPECT_EQ(removed, 1u);
  EXPECT_EQ(scene.guest.removed_shares, removed);
  EXPECT_EQ(scene.container->state().process_count, 1u);
}

// --- networks of their own -----------------------------------------------------------------------

// The payload of each record of `tag` that PREPARE has of its container.
std::vector<std::vector<std::byte>> records_of(const FakeGuest::Request& prepare,
                                               std::uint16_t tag) {
  std::vector<std::vector<std::byte>> found;
  auto rest =
      std::span(prepare.payload)
          .subspan(sizeof(runhv_prepare), prepare.word(offsetof(runhv_prepare, container_bytes)));
  while (!rest.empty()) {
    const auto length = load_le<std::uint32_t>(rest, offsetof(runhv_record, length));
    const auto data = rest.subspan(sizeof(runhv_record), length);
    if (load_le<std::uint16_t>(rest, 0) == tag) found.emplace_back(data.begin(), data.end());
    rest = rest.subspan(sizeof(runhv_record) + (length + 7) / 8 * 8);
  }
  return found;
}

std::uint32_t namespaces_of(const FakeGuest::Request& prepare) {
  return load_le<std::uint32_t>(records_of(prepare, RUNHV_REC_NAMESPACES).at(0));
}

TEST_F(ContainerJoin, ANetworkOfItsOwnMayHaveNothingInIt) {
  scene.run();
  (void)scene.guest.hears();
  ASSERT_TRUE(join());
  ASSERT_TRUE(join(config_with(kFolder, kNamespaces), JoinedNetwork()));
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_PREPARE, RUNHV_MSG_PREPARE));
  EXPECT_EQ(namespaces_of(heard[0]) & linux_abi::kCloneNewnet, 0u);
  EXPECT_EQ(namespaces_of(heard[1]) & linux_abi::kCloneNewnet, linux_abi::kCloneNewnet);
}

TEST_F(ContainerJoin, AUserNamespaceThatTheFirstOneHasNotIsNone) {
  scene.run();
  (void)scene.guest.hears();
  ASSERT_TRUE(
      join(config_with(kFolder, kNamespaces + R"(,{"type":"user","path":"/proc/7/ns/user"})")));
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(namespaces_of(heard[0]) & linux_abi::kCloneNewuser, 0u);
  EXPECT_THAT(records_of(heard[0], RUNHV_REC_UID_MAP), IsEmpty());
}

// Whoever runs a container reads whose users a path names; without, it would be everybody's.
class ContainerUsers : public testing::FolderFixture {};

TEST_F(ContainerUsers, ByAPathAreRefusedWhereNobodyHasReadWhoseTheyAre) {
  if (!platform::acts_for_all_users()) GTEST_SKIP() << "who is not root has no user namespace";
  std::ofstream(folder_ + "/config.json")
      << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},"linux":{"namespaces":[)"
      << R"({"type":"mount"},{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},)"
      << R"({"type":"cgroup"},{"type":"user","path":"/proc/7/ns/user"}]},)"
      << R"("vm":{"image":{"path":")" << folder_ << R"(/config.json","format":"raw"}}})";
  const Scene scene({.bundle = folder_});
  EXPECT_EQ(scene.container, nullptr);
  ASSERT_TRUE(scene.error);
  EXPECT_THAT(to_string(*scene.error), HasSubstr("names a user namespace by its path"));
}

// The machine of one with a network has slots, so its test needs the right to make a namespace.
class ContainerJoinNetwork : public testing::FolderFixture {
 protected:
  // On a thread that is in a network namespace of its own.
  template <class Body>
  void there(Body body) {
    std::string refused;
    std::thread([&] {
      if (::unshare(CLONE_NEWNET) != 0) {
        refused = std::strerror(errno);
        return;
      }
      const std::string config = folder_ + "/config.json";
      std::ofstream(config) << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],)"
                            << R"("cwd":"/"},"linux":{"namespaces":[{"type":"mount"},)"
                            << R"({"type":"network"}]},"vm":{"image":{"path":")" << config
                            << R"(","format":"raw"}}})";
      Scene scene({.bundle = folder_, .own_network_namespace = true});
      ASSERT_NE(scene.container, nullptr) << to_string(*scene.error);
      scene.run();
      ASSERT_EQ(status(scene), ContainerStatus::kRunning) << last(scene);
      (void)scene.guest.hears();
      body(scene);
    }).join();
    if (!refused.empty()) GTEST_SKIP() << "no network namespace can be made here: " << refused;
  }

  static Result<ProcessNumber> join(Scene& scene, JoinedNetwork network) {
    static const std::string config = config_with(kFolder, kNamespaces);
    return scene.container->join({.id = "second",
                                  .bundle = SceneBundle::folder(),
                                  .json = config,
                                  .streams = {},
                                  .network = std::move(network)});
  }
  static JoinedNetwork network_of(std::vector<platform::UniqueHandle> taps) {
    JoinedNetwork network;
    NetworkState state;
    for (platform::UniqueHandle& tap : taps) {
      state.emplace(static_cast<std::uint32_t>(state.size()),
                    platform::NetworkInterface{.name = "eth0", .mtu = 1400});
      network.interfaces.push_back({std::move(tap), 1400});
    }
    network.messages = network_messages({}, state);
    return network;
  }
  static platform::UniqueHandle tap(const std::string& name) {
    auto made = platform::Tap::create(name);
    EXPECT_TRUE(made) << to_string(made.error());
    return platform::UniqueHandle(made ? ::dup(static_cast<int>(made->handle())) : -1);
  }
};

TEST_F(ContainerJoinNetwork, TakesSlotsAndGivesThemBack) {
  there([](Scene& scene) {
    std::vector<platform::UniqueHandle> two;
    two.push_back(tap("runhv7"));
    two.push_back(tap("runhv8"));
    const auto first = join(scene, network_of(std::move(two)));
    ASSERT_TRUE(first) << to_string(first.error());
    std::vector<platform::UniqueHandle> one;
    one.push_back(tap("runhv9"));
    const auto second = join(scene, network_of(std::move(one)));
    ASSERT_TRUE(second) << to_string(second.error());
    scene.turn();
    EXPECT_THAT(scene.guest.plugged, ElementsAre(Pair(0, 1400), Pair(1, 1400), Pair(2, 1400)));
    auto heard = scene.guest.hears();
    // The devices come before the container that has them.
    ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_NETWORK, RUNHV_MSG_PREPARE, RUNHV_MSG_NETWORK,
                                          RUNHV_MSG_PREPARE));
    const auto netlink = records_of(heard[3], RUNHV_REC_NETLINK);
    ASSERT_FALSE(netlink.empty());
    for (const auto& record : netlink) EXPECT_EQ(load_le<std::uint32_t>(record, 0), 2u);

    scene.guest.says_failed(*first, 127, "no such program");
    scene.turn();
    EXPECT_THAT(scene.guest.plugged, ElementsAre(Pair(2, 1400)));
    EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_NETWORK));
    std::vector<platform::UniqueHandle> again;
    again.push_back(tap("runhv7"));
    EXPECT_TRUE(join(scene, network_of(std::move(again)))) << "its tap has gone with it";
    EXPECT_TRUE(scene.guest.plugged.contains(0));
  });
}

TEST_F(ContainerJoinNetwork, WhatHasNoRoomOrIsNoTapIsRefusedAndLeavesNothing) {
  there([](Scene& scene) {
    const auto refused = join(scene, network_of(std::vector<platform::UniqueHandle>(4)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kUnsupported);
    EXPECT_THAT(to_string(refused.error()),
                HasSubstr("has too many interfaces, 4: the VM has room for 3 more"));
    Pipe pipe;
    std::vector<platform::UniqueHandle> one_is_none;
    one_is_none.push_back(tap("runhv7"));
    one_is_none.push_back(std::move(pipe.reader));
    const auto no_tap = join(scene, network_of(std::move(one_is_none)));
    ASSERT_FALSE(no_tap);
    EXPECT_THAT(to_string(no_tap.error()), HasSubstr("take a tap: the descriptor is none"));
    scene.turn();
    EXPECT_THAT(scene.guest.plugged, IsEmpty());
    EXPECT_THAT(scene.guest.hears(), IsEmpty());
    EXPECT_EQ(scene.guest.removed_shares, 2u);
  });
}

}  // namespace
}  // namespace runhv::container
