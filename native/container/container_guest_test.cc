// What a guest may not do, and how long it is waited for.
#include <string>
#include <vector>

#include "container/agent_channel.h"
#include "container/container_scene.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// How the container of a guest ends that runs and then does `lie`.
template <class Lie>
std::string end_after(Lie lie) {
  Scene scene;
  scene.run();
  lie(scene.guest);
  EXPECT_TRUE(scene.wait_for_end());
  return last(scene);
}

template <class Lie>
std::string end_before_hello(Lie lie) {
  Scene scene;
  EXPECT_TRUE(scene.container->start());
  EXPECT_TRUE(scene.guest.connect(RUNHV_CONTROL_PORT));
  lie(scene.guest);
  EXPECT_TRUE(scene.wait_for_end());
  return last(scene);
}

template <class Lie>
std::string end_before_started(Lie lie) {
  Scene scene;
  EXPECT_TRUE(scene.container->start());
  EXPECT_TRUE(scene.guest.says_hello());
  scene.turn();
  lie(scene.guest);
  EXPECT_TRUE(scene.wait_for_end());
  return last(scene);
}

const std::string kListen = "ended with listen to the agent: ";

TEST(ContainerLies, EndTheContainerWithOneError) {
  EXPECT_EQ(end_after([](FakeGuest& guest) {
              guest.say(RUNHV_MSG_HELLO, runhv_hello{RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0});
            }),
            kListen + "HELLO came twice");
  EXPECT_EQ(end_after([](FakeGuest& guest) { guest.says_started(0); }),
            kListen + "STARTED came out of order");
  EXPECT_EQ(end_after([](FakeGuest& guest) { guest.says_prepared(0); }),
            kListen + "PREPARED came out of order");
  EXPECT_EQ(end_after([](FakeGuest& guest) { guest.says_failed(0, 127, "x"); }),
            kListen + "FAILED came out of order");
  EXPECT_EQ(end_after([](FakeGuest& guest) { guest.says_exited(1, 0); }),
            kListen + "EXITED names the unknown process 1");
  EXPECT_EQ(end_after([](FakeGuest& guest) { guest.says_warning(9, "x"); }),
            kListen + "WARNING names the unknown process 9");
  EXPECT_EQ(end_after([](FakeGuest& guest) {
              guest.say(RUNHV_MSG_EXITED, runhv_exited{0, 0, 256, 0});
            }),
            kListen + "EXITED has a status out of range");
  EXPECT_EQ(end_after([](FakeGuest& guest) { guest.say_bytes(encode_frame(77, {})); }),
            kListen + "a message of the unknown type 77");
}

TEST(ContainerLies, BeforeTheirTimeAreToo) {
  EXPECT_EQ(end_before_hello([](FakeGuest& guest) { guest.says_started(0); }),
            kListen + "STARTED came before HELLO");
  EXPECT_EQ(end_before_hello([](FakeGuest& guest) { guest.says_out_of_memory(1); }),
            kListen + "OUT_OF_MEMORY came before HELLO");
  EXPECT_EQ(end_before_started([](FakeGuest& guest) { guest.says_exited(0, 0); }),
            kListen + "EXITED came out of order");
  EXPECT_EQ(end_before_started([](FakeGuest& guest) { guest.says_prepared(0); }),
            kListen + "PREPARED came out of order")
      << "it is executed at once";
}

TEST(ContainerLies, AConnectionThatIsClosedGivesTheMachineASecond) {
  Scene scene;
  scene.run();
  scene.guest.reset(RUNHV_CONTROL_PORT);
  scene.turn();
  EXPECT_FALSE(scene.log.ended());
  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_EQ(last(scene), "ended with run container scene: the agent closed its connection");
}

TEST(ContainerLies, EachPortTakesOneConnectionAndOnlyInItsTime) {
  Scene scene;
  EXPECT_FALSE(scene.guest.connect(RUNHV_CONTROL_PORT)) << "nothing runs";
  ASSERT_TRUE(scene.container->start());
  EXPECT_FALSE(scene.guest.connect(kStdoutPort)) << "before HELLO";
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  EXPECT_FALSE(scene.guest.connect(RUNHV_CONTROL_PORT));
  EXPECT_TRUE(scene.guest.connect(kStdoutPort));
  EXPECT_FALSE(scene.guest.connect(kStdoutPort));
  EXPECT_FALSE(scene.guest.connect(port_of(1, 0)));
  EXPECT_FALSE(scene.guest.connect(0));
  EXPECT_FALSE(scene.guest.connect(UINT32_MAX));
}

TEST(ContainerLies, AFloodOfMessagesWaitsInTheGuest) {
  Scene scene;
  scene.run();
  const auto frame = encode_frame(RUNHV_MSG_OUT_OF_MEMORY, std::vector<std::byte>(8));
  std::vector<std::byte> flood;
  while (flood.size() < 1u << 20) flood.insert(flood.end(), frame.begin(), frame.end());

  scene.guest.say_bytes(flood);

  EXPECT_GE(scene.guest.held(RUNHV_CONTROL_PORT), flood.size() - AgentChannel::kMaxHeldBytes);
  ASSERT_TRUE(scene.wait_until([&] { return scene.guest.held(RUNHV_CONTROL_PORT) == 0; }));
  EXPECT_FALSE(scene.log.ended());
}

TEST(ContainerLies, WarningsAreToldUpToALimit) {
  Scene scene;
  scene.run();
  for (int i = 0; i < 1000; ++i) scene.guest.says_warning(kFirstProcess, "no\x1b[2J");
  ASSERT_TRUE(scene.wait_until([&] { return scene.guest.held(RUNHV_CONTROL_PORT) == 0; }));
  scene.turn();

  EXPECT_EQ(scene.log.texts().size(), 2 + kMaxWarnings);
  EXPECT_EQ(last(scene), "warning 0 run container scene: no\\x1b[2J");
}

TEST(ContainerLies, OutOfMemoryIsToldWhenItHasGrown) {
  Scene scene;
  scene.run();
  for (const std::uint32_t kills : {1u, 1u, 3u, 2u, 3u}) scene.guest.says_out_of_memory(kills);
  scene.turn();

  EXPECT_THAT(scene.log.texts(),
              ElementsAre("created", "started", "out of memory 1", "out of memory 3"));
}

TEST(ContainerLies, WhatIsSaidAfterTheEndIsPassedOver) {
  Scene scene;
  scene.run();
  scene.guest.says_exited(kFirstProcess, 0);
  scene.guest.say_bytes(encode_frame(77, {}));
  scene.turn();
  scene.finish_outputs();
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_EQ(last(scene), "ended exited 0");
}

class ContainerPatience : public ::testing::Test {
 protected:
  static Scene::Options quick() {
    Scene::Options options;
    options.tick_ns = 100'000;
    return options;
  }
};

TEST_F(ContainerPatience, EndsWhereTheAgentNeverSpeaks) {
  Scene scene(quick());
  ASSERT_TRUE(scene.container->start());
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_THAT(last(scene), HasSubstr("the guest's agent has not spoken for 120 seconds"));
}

TEST_F(ContainerPatience, EndsWhereTheContainerIsNeverPrepared) {
  Scene scene(quick());
  ASSERT_TRUE(scene.container->boot());
  ASSERT_TRUE(scene.guest.says_hello());
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_THAT(last(scene), HasSubstr("the guest's agent has not prepared the container"));
}

TEST_F(ContainerPatience, EndsWhereTheProgramIsNeverStarted) {
  Scene scene(quick());
  ASSERT_TRUE(scene.container->start());
  ASSERT_TRUE(scene.guest.says_hello());
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_THAT(last(scene), HasSubstr("the guest's agent has not started the program"));
}

TEST_F(ContainerPatience, EndsAProcessAloneWhoseOutputsOthersKeep) {
  Scene scene(quick());
  scene.run();
  const Pipe pipe;
  const auto number = scene.execute({std::nullopt, pipe.write_end(), std::nullopt});
  ASSERT_TRUE(number);
  scene.turn();
  ASSERT_TRUE(scene.guest.connect(port_of(*number, 1)));
  scene.guest.says_started(*number);
  scene.guest.write(port_of(*number, 1), "x");
  scene.guest.says_exited(*number, 7);
  ASSERT_TRUE(scene.wait_until([&] { return last(scene) == "process 1 exited 7"; }));
  EXPECT_EQ(pipe.take(), "x");
  EXPECT_EQ(status(scene), ContainerStatus::kRunning);
  EXPECT_EQ(scene.container->state().process_count, 1u) << "nothing of it is left";
}

TEST_F(ContainerPatience, EndsWhereAnotherProcessIsNeverStarted) {
  Scene scene(quick());
  scene.run();
  ASSERT_TRUE(scene.execute());
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_THAT(scene.log.texts(),
              ElementsAre("created", "started", StartsWith("process 1 not started 125"),
                          HasSubstr("the guest's agent has not started the program")));
}

TEST_F(ContainerPatience, EndsWhereOutputsStayOpen) {
  Scene scene(quick());
  scene.run();
  scene.guest.says_exited(kFirstProcess, 0);
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_THAT(last(scene), HasSubstr("the guest keeps its output open"));
}

// 200 ticks' time, twice what any other wait takes.
TEST_F(ContainerPatience, HasNoEndWhileTheHostIsWhoIsWaitedFor) {
  Scene scene(quick());
  ASSERT_TRUE(scene.container->boot());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  scene.guest.says_prepared(kFirstProcess);
  scene.turn();
  const std::uint64_t later = platform::monotonic_ns() + 20'000'000;
  while (platform::monotonic_ns() < later) RUNHV_CHECK(scene.loop->run_once(later));

  EXPECT_THAT(scene.log.texts(), ElementsAre("created"));
}

}  // namespace
}  // namespace runhv::container
