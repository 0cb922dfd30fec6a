// What an owner may ask of a container that runs: signals, stop, pause, other ends of streams.
#include <string>

#include "container/container_scene.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

TEST(ContainerStart, AsksItsOwnerOnceBeforeTheGuestRuns) {
  int asked = 0;
  Scene::Options options;
  options.before_guest = [&asked]() -> Result<void> {
    ++asked;
    return {};
  };
  Scene scene(options);
  EXPECT_EQ(asked, 0);
  scene.run();

  EXPECT_EQ(asked, 1);
}

TEST(ContainerStart, EndsWithTheErrorOfItsOwner) {
  Scene::Options options;
  options.before_guest = [] { return Fail{Error{Code::kAccessDenied, "confine", "refused"}}; };
  Scene scene(options);
  const auto started = scene.container->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kAccessDenied);
  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_EQ(last(scene), "ended with confine: refused");
}

TEST(ContainerSignals, AreSentOnceEachInTheirOrder) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();
  for (const int signal : {10, 15, 10, 15}) {
    ASSERT_TRUE(scene.container->signal(kFirstProcess, signal));
  }
  scene.turn();

  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_SIGNAL, RUNHV_MSG_SIGNAL));
  EXPECT_EQ(heard[0].word(offsetof(runhv_signal, signal)), 10u);
  EXPECT_EQ(heard[1].word(offsetof(runhv_signal, signal)), 15u);
}

TEST(ContainerSignals, BeforeTheAgentHasSpokenAreKept) {
  Scene scene;
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 10));
  ASSERT_TRUE(scene.container->start());
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 12));
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();

  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_CONTAINER, RUNHV_MSG_PREPARE,
                                                      RUNHV_MSG_SIGNAL, RUNHV_MSG_SIGNAL));
}

TEST(ContainerSignals, InterruptAndTerminateEndAMachineWhoseAgentHasNotSpoken) {
  for (const int signal : {2, 15, 9}) {
    for (const bool started : {false, true}) {
      Scene scene;
      if (started) {
        ASSERT_TRUE(scene.container->start());
      }
      ASSERT_TRUE(scene.container->signal(kFirstProcess, signal));
      ASSERT_TRUE(scene.wait_for_end());

      EXPECT_EQ(last(scene), "ended signaled " + std::to_string(signal));
    }
  }
}

TEST(ContainerSignals, TheSecondOneEndsAnAgentThatDoesNotStartTheProgram) {
  Scene scene;
  ASSERT_TRUE(scene.container->start());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 2));
  scene.turn();
  EXPECT_FALSE(scene.log.ended());

  ASSERT_TRUE(scene.container->signal(kFirstProcess, 15));
  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_EQ(last(scene), "ended signaled 15");
}

TEST(ContainerSignals, KillEndsTheMachineWhateverTheGuestDoes) {
  Scene scene;
  scene.run();

  ASSERT_TRUE(scene.container->signal(kFirstProcess, 9));
  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_TRUE(scene.guest.is_asked_to_stop());
  EXPECT_EQ(last(scene), "ended signaled 9");
}

TEST(ContainerSignals, KillAfterTheEndHasComeChangesNothing) {
  Scene scene;
  scene.run();
  scene.guest.says_exited(kFirstProcess, 6);  // nobody has looked yet

  ASSERT_TRUE(scene.container->signal(kFirstProcess, 9));
  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_EQ(last(scene), "ended exited 6");
}

TEST(ContainerSignals, HaveANumberAndAProcess) {
  Scene scene;
  scene.run();
  EXPECT_EQ(text(scene.container->signal(kFirstProcess, 0)),
            "signal container scene: 0 is no signal; they are 1 to 64");
  EXPECT_FALSE(scene.container->signal(kFirstProcess, 65));
  EXPECT_EQ(text(scene.container->signal(7, 15)),
            "signal process 7: container scene has no such process, or it has ended");
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 9));
  ASSERT_TRUE(scene.wait_for_end());
  const auto late = scene.container->signal(kFirstProcess, 15);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kClosed);
}

// A guest that does not listen makes no queue grow.
TEST(ContainerSignals, AreKeptWhileOthersAreOnTheirWay) {
  Scene scene;
  ASSERT_TRUE(scene.container->start());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  scene.guest.stop_listening();
  for (int round = 0; round < 10'000; ++round) {
    ASSERT_TRUE(scene.container->signal(kFirstProcess, 3 + round % 6));
    scene.turn();
  }
  scene.guest.listen_again();

  EXPECT_THAT(types(scene.guest.hears()), ::testing::SizeIs(::testing::Le(2 + 2 * 6)));
}

TEST(ContainerStop, KillsWhenItsGraceIsOver) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();

  ASSERT_TRUE(scene.container->stop(0, 1));
  ASSERT_TRUE(scene.wait_for_end());

  const auto heard = scene.guest.hears();
  EXPECT_EQ(last(scene), "ended signaled 9");
}

TEST(ContainerStop, IsOverWithTheProgram) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();
  ASSERT_TRUE(scene.container->stop(0, 3'600'000));
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_SIGNAL));
  EXPECT_EQ(heard[0].word(offsetof(runhv_signal, signal)), 15u);
  scene.guest.says_exited(kFirstProcess, 0);
  scene.finish_outputs();
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_EQ(last(scene), "ended exited 0");
}

TEST(ContainerPause, HoldsTheGuestAndNotTheHost) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();
  ASSERT_TRUE(scene.container->pause());
  scene.turn();
  EXPECT_TRUE(scene.guest.is_paused());
  EXPECT_EQ(status(scene), ContainerStatus::kPaused);
  EXPECT_EQ(text(scene.container->pause()), "pause container scene: it is paused");
  const auto refused = scene.execute();
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()), "start a process in container scene: it is paused");
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 10));
  scene.turn();
  EXPECT_THAT(scene.guest.hears(), ::testing::IsEmpty());

  ASSERT_TRUE(scene.container->resume());
  scene.turn();
  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_SIGNAL));
  EXPECT_EQ(text(scene.container->resume()), "resume container scene: it is not paused");
  EXPECT_THAT(scene.log.texts(), ElementsAre("created", "started", "paused", "resumed"));
}

TEST(ContainerPause, WhatTheGuestHadSaidIsHeardAfterwards) {
  Scene scene;
  scene.run();
  scene.guest.says_exited(kFirstProcess, 2);
  ASSERT_TRUE(scene.container->pause());
  scene.turn();
  EXPECT_EQ(status(scene), ContainerStatus::kPaused);
  ASSERT_TRUE(scene.container->resume());
  scene.finish_outputs();
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_THAT(scene.log.texts(),
              ElementsAre("created", "started", "paused", "resumed", "ended exited 2"));
}

TEST(ContainerPause, EndsByKillAndByStop) {
  for (const bool by_stop : {false, true}) {
    Scene scene;
    scene.run();
    ASSERT_TRUE(scene.container->pause());
    ASSERT_TRUE(by_stop ? scene.container->stop(0, 1) : scene.container->signal(kFirstProcess, 9));
    ASSERT_TRUE(scene.wait_for_end());

    EXPECT_THAT(scene.log.texts(), ElementsAre("created", "started", "paused", "ended signaled 9"));
  }
}

TEST(ContainerPause, IsForAContainerThatRuns) {
  Scene scene;
  EXPECT_EQ(text(scene.container->pause()), "pause container scene: it does not run");
  ASSERT_TRUE(scene.container->start());
  EXPECT_FALSE(scene.container->pause());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  EXPECT_FALSE(scene.container->pause());
  EXPECT_EQ(text(scene.container->resume()), "resume container scene: it is not paused");
}

UpdateDone into(std::vector<std::string>& said) {
  return [&said](const Result<void>& result) {
    said.push_back(result ? "done" : to_string(result.error()));
  };
}

TEST(ContainerUpdate, IsDoneWhenTheGuestSaysSo) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();
  std::vector<std::string> said;
  ASSERT_TRUE(scene.container->update(kFirstProcess, R"({"pids":{"limit":7}})", into(said)));
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_RESOURCES));
  EXPECT_EQ(heard[0].word(offsetof(runhv_resources, container)), kFirstProcess);
  EXPECT_EQ(heard[0].word(sizeof(runhv_resources) + offsetof(runhv_record, tag)),
            unsigned{RUNHV_REC_CGROUP_FILE});
  EXPECT_THAT(said, ElementsAre());
  EXPECT_EQ(scene.container->update(kFirstProcess, "{}", into(said)).error().detail,
            "it is being updated");

  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{0, 0});
  scene.turn();
  ASSERT_TRUE(scene.container->update(kFirstProcess, "{}", into(said)));
  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{22, 0}, "set pids.max");
  scene.turn();
  EXPECT_THAT(said,
              ElementsAre("done", "update container scene: set pids.max (errno 22 in the guest)"));
}

TEST(ContainerUpdate, EndsWithTheContainer) {
  for (const bool by_itself : {true, false}) {
    Scene scene;
    scene.run();
    std::vector<std::string> said;
    ASSERT_TRUE(scene.container->update(kFirstProcess, "{}", into(said)));
    if (by_itself) {
      scene.guest.says_exited(kFirstProcess, 0);
    } else {
      ASSERT_TRUE(scene.container->signal(kFirstProcess, 9));
    }
    scene.turn();
    EXPECT_THAT(said, ElementsAre("update container scene: it has ended")) << by_itself;
  }
}

TEST(ContainerUpdate, IsForAnAgentThatCanAnswer) {
  Scene scene;
  std::vector<std::string> said;
  EXPECT_EQ(scene.container->update(kFirstProcess, "{}", into(said)).error().detail,
            "it does not run");
  scene.run();
  EXPECT_EQ(
      scene.container->update(kFirstProcess, R"({"pids":{"limit":-2}})", into(said)).error().code,
      Code::kCorruptInput);
  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{0, 0});
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_EQ(last(scene),
            "ended with listen to the agent: RESOURCES_SET came, and no RESOURCES was sent");
  EXPECT_THAT(said, ElementsAre());
}

TEST(ContainerUpdate, OfAPausedGuestIsHeardWhenItGoesOn) {
  Scene scene;
  scene.run();
  ASSERT_TRUE(scene.container->pause());
  std::vector<std::string> said;
  ASSERT_TRUE(scene.container->update(kFirstProcess, "{}", into(said)));
  scene.turn();
  EXPECT_THAT(said, ElementsAre("done"));
  // Who pauses a container of a pod that is paused may let it go on before the pod does.
  std::size_t more = 0;
  while (more < 1000 && scene.container->update(kFirstProcess, "{}", into(said))) ++more;
  EXPECT_EQ(more, 2u * RUNHV_MAX_CONTAINERS - 1);
  EXPECT_EQ(scene.container->update(kFirstProcess, "{}", into(said)).error().detail,
            "it is being updated");
  ASSERT_TRUE(scene.container->resume());
  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{22, 0}, "set pids.max");
  scene.turn();
  EXPECT_EQ(last(scene), "warning 0 update container scene: set pids.max (errno 22 in the guest)");
}

TEST(ContainerUpdate, ThatIsOnItsWayToAPausedGuestIsNotWaitedFor) {
  Scene scene;
  scene.run();
  std::vector<std::string> said;
  ASSERT_TRUE(scene.container->update(kFirstProcess, "{}", into(said)));
  ASSERT_TRUE(scene.container->pause());
  scene.turn();
  EXPECT_THAT(said, ElementsAre("done"));
  ASSERT_TRUE(scene.container->resume());
  scene.guest.say(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{22, 0}, "set pids.max");
  scene.turn();
  EXPECT_THAT(said, ElementsAre("done"));
  EXPECT_EQ(last(scene), "warning 0 update container scene: set pids.max (errno 22 in the guest)");
}

TEST(ContainerAttach, OutputWaitsForAnotherEnd) {
  Scene scene;
  scene.run();
  ASSERT_TRUE(scene.container->attach(kFirstProcess, 1, std::nullopt));
  scene.guest.write(kStdoutPort, "kept");
  scene.turn();
  EXPECT_EQ(scene.guest.held(kStdoutPort), 4u);
  const Pipe other;

  ASSERT_TRUE(scene.container->attach(kFirstProcess, 1, other.write_end()));
  scene.turn();

  EXPECT_EQ(other.take(), "kept");
  EXPECT_EQ(scene.out.take(), "");
}

TEST(ContainerAttach, InputHasNoEndWithoutOne) {
  Scene scene;
  scene.run();
  ASSERT_TRUE(scene.container->attach(kFirstProcess, 0, std::nullopt));
  scene.turn();
  EXPECT_FALSE(scene.guest.host_has_finished(kStdinPort));
  Pipe other;
  ASSERT_TRUE(scene.container->attach(kFirstProcess, 0, other.read_end()));
  other.put("typed");
  other.writer.reset();
  scene.turn();
  EXPECT_EQ(scene.guest.read(kStdinPort), "typed");
  scene.turn();
  EXPECT_TRUE(scene.guest.host_has_finished(kStdinPort));
  EXPECT_EQ(text(scene.container->attach(kFirstProcess, 0, std::nullopt)),
            "attach to the container's stdin: it has ended");
}

TEST(ContainerAttach, NamesAStreamThatIsThere) {
  Scene scene;
  scene.run();
  EXPECT_EQ(text(scene.container->attach(kFirstProcess, 3, std::nullopt)),
            "attach to the container's stream: streams are 0, 1 and 2");
  EXPECT_FALSE(scene.container->attach(kFirstProcess, -1, std::nullopt));
  EXPECT_FALSE(scene.container->attach(4, 0, std::nullopt));
  const auto number = scene.execute();
  ASSERT_TRUE(number);
  EXPECT_EQ(text(scene.container->attach(*number, 1, std::nullopt)),
            "attach to process 1's stdout: it was given the null device");
}

TEST(ContainerDescriptors, AreStreamsBesideTheStandardOnes) {
  Scene::Options options;
  options.descriptors = true;
  Scene scene(options);
  scene.run();
  const std::uint32_t reads = port_of(kFirstProcess, 3);
  const std::uint32_t writes = port_of(kFirstProcess, 4);
  ASSERT_TRUE(scene.guest.connect(reads));
  ASSERT_TRUE(scene.guest.connect(writes));
  scene.more_in.put("in");
  scene.guest.write(writes, "out");
  scene.turn();
  EXPECT_EQ(scene.guest.read(reads), "in");
  EXPECT_EQ(scene.more_out.take(), "out");
  scene.more_in.writer.reset();
  scene.turn();
  scene.guest.read(reads);
  EXPECT_TRUE(scene.guest.host_has_finished(reads));
  EXPECT_FALSE(scene.guest.connect(port_of(kFirstProcess, 5))) << "there is no third";

  scene.guest.says_exited(kFirstProcess, 0);
  scene.finish_outputs();
  EXPECT_EQ(last(scene), "started") << "an output is open";
  scene.guest.shut_down(writes);
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_EQ(last(scene), "ended exited 0");
}

TEST(ContainerDescriptors, AreEveryProcesss) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();
  Pipe more_in, more_out;
  ProcessConfig config{.json = R"({"args":["a"]})", .streams = {}};
  config.descriptors.push_back({more_in.read_end(), true});
  config.descriptors.push_back({more_out.write_end(), false});
  const auto number = scene.container->start_process(std::move(config));
  ASSERT_TRUE(number) << to_string(number.error());
  scene.turn();
  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_PREPARE));
  ASSERT_TRUE(scene.guest.connect(port_of(*number, 3)));
  ASSERT_TRUE(scene.guest.connect(port_of(*number, 4)));
  EXPECT_FALSE(scene.guest.connect(port_of(*number, 5))) << "there is no third";
  more_in.put("in");
  scene.guest.write(port_of(*number, 4), "out");
  scene.turn();
  EXPECT_EQ(scene.guest.read(port_of(*number, 3)), "in");
  EXPECT_EQ(more_out.take(), "out");
}

}  // namespace
}  // namespace runhv::container
