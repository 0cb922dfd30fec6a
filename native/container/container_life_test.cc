// A container's life with a fake guest: from its creation to the end that its owner is told.
#include <filesystem>
#include <fstream>
#include <string>

#include "container/container_scene.h"
#include "container/linux_abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "testing/folder_fixture.h"

namespace runhv::container {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::StartsWith;

TEST(ContainerLife, APlainRunSaysEverythingAtOnceAndTellsTheWholeLife) {
  Scene scene;
  ASSERT_TRUE(scene.container->start());
  scene.turn();
  EXPECT_EQ(status(scene), ContainerStatus::kCreating);
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_CONTAINER, RUNHV_MSG_PREPARE));
  EXPECT_EQ(heard[1].word(offsetof(runhv_prepare, flags)), unsigned{RUNHV_PREPARE_EXECUTE});
  scene.connect_streams(kFirstProcess);
  scene.guest.says_started(kFirstProcess);
  scene.turn();
  EXPECT_EQ(status(scene), ContainerStatus::kRunning);
  scene.guest.write(kStdoutPort, "out");
  scene.guest.write(kStderrPort, "err");
  scene.in.put("typed");
  scene.turn();
  EXPECT_EQ(scene.out.take(), "out");
  EXPECT_EQ(scene.err.take(), "err");
  EXPECT_EQ(scene.guest.read(kStdinPort), "typed");
  scene.guest.says_exited(kFirstProcess, 3);
  scene.turn();
  EXPECT_THAT(scene.guest.hears(), ::testing::IsEmpty());
  scene.finish_outputs();
  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_POWER_OFF));
  EXPECT_FALSE(scene.log.ended());
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_THAT(scene.log.texts(), ElementsAre("created", "started", "ended exited 3"));
  const ContainerState state = scene.container->state();
  EXPECT_EQ(state.status, ContainerStatus::kStopped);
  EXPECT_LE(state.created_at_ns, state.started_at_ns);
  EXPECT_LE(state.started_at_ns, state.ended_at_ns);
  ASSERT_TRUE(scene.container->end());
  EXPECT_EQ((*scene.container->end())->shell_status(), 3);
}

TEST(ContainerLife, CreatedWaitsForStart) {
  Scene scene;
  ASSERT_TRUE(scene.container->boot());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_CONTAINER, RUNHV_MSG_PREPARE));
  EXPECT_EQ(heard[1].word(offsetof(runhv_prepare, flags)), 0u);
  scene.guest.says_prepared(kFirstProcess);
  scene.turn();
  EXPECT_THAT(scene.log.texts(), ElementsAre("created"));
  EXPECT_EQ(status(scene), ContainerStatus::kCreated);
  EXPECT_EQ(scene.container->state().process_count, 1u);

  ASSERT_TRUE(scene.container->start());
  scene.turn();
  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_EXECUTE));
  EXPECT_EQ(status(scene), ContainerStatus::kCreated);
  scene.guest.says_started(kFirstProcess);
  scene.turn();
  EXPECT_THAT(scene.log.texts(), ElementsAre("created", "started"));
}

class ContainerLifeInAFolder : public testing::FolderFixture {};

// It is never started here: that would take the interfaces of whoever runs the test.
TEST_F(ContainerLifeInAFolder, ACreatedContainerThatAwaitsItsNetworkHasNoMachine) {
  const std::string config = folder_ + "/config.json";
  std::ofstream(config) << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},)"
                        << R"("linux":{"namespaces":[{"type":"network"}]},)"
                        << R"("vm":{"image":{"path":")" << config << R"(","format":"raw"}}})";
  Scene scene({.bundle = folder_, .own_network_namespace = true});
  ASSERT_NE(scene.container, nullptr) << to_string(*scene.error);
  ASSERT_TRUE(scene.container->boot());
  scene.turn();
  EXPECT_THAT(scene.log.texts(), ElementsAre("created"));
  EXPECT_EQ(status(scene), ContainerStatus::kCreated);
  EXPECT_FALSE(scene.container->boot()) << "once";
  EXPECT_EQ(scene.container->statistics().engine, "");
  EXPECT_FALSE(scene.container->guest_memory(0));
  EXPECT_FALSE(scene.container->pause());
  EXPECT_FALSE(scene.execute());

  ASSERT_TRUE(scene.container->signal(kFirstProcess, linux_abi::kSigterm));
  scene.turn();
  EXPECT_THAT(scene.log.texts(), ElementsAre("created", "ended signaled 15"));
}

TEST(ContainerLife, AStartThatComesEarlyIsKeptUntilCreated) {
  Scene scene;
  ASSERT_TRUE(scene.container->boot());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  ASSERT_TRUE(scene.container->start());
  scene.turn();
  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_CONTAINER, RUNHV_MSG_PREPARE));

  scene.guest.says_prepared(kFirstProcess);
  scene.turn();

  EXPECT_THAT(types(scene.guest.hears()), ElementsAre(RUNHV_MSG_EXECUTE));
}

TEST(ContainerLife, BootAndStartAreForOnce) {
  Scene scene;
  ASSERT_TRUE(scene.container->boot());
  EXPECT_EQ(text(scene.container->boot()), "boot container scene: it was booted before");
  ASSERT_TRUE(scene.container->start());
  EXPECT_EQ(text(scene.container->start()), "start container scene: it was started before");
  EXPECT_EQ(text(scene.container->boot()), "boot container scene: it was booted before");
  ASSERT_TRUE(scene.container->signal(kFirstProcess, 9));
  ASSERT_TRUE(scene.wait_for_end());
  EXPECT_EQ(text(scene.container->start()), "start container scene: it was started before");
}

TEST(ContainerLife, AMachineThatCannotStartIsTheEnd) {
  Scene scene;
  scene.guest.start_error = Error{Code::kOutOfMemory, "start thread vcpu0", "no room"};

  EXPECT_EQ(text(scene.container->start()), "start thread vcpu0: no room");
  scene.turn();

  EXPECT_THAT(scene.log.texts(), ElementsAre("ended with start thread vcpu0: no room"));
  EXPECT_EQ(status(scene), ContainerStatus::kStopped);
}

TEST(ContainerLife, AMachineThatCannotBeMadeIsTheError) {
  Scene::Options options;
  options.bundle = "/nowhere";
  const Scene scene(options);

  EXPECT_EQ(scene.container, nullptr);
  EXPECT_THAT(to_string(*scene.error), StartsWith("read /nowhere/config.json: "));
}

TEST(ContainerLife, IdsAreNames) {
  EXPECT_EQ(text(check_container_id("a")), "done");
  EXPECT_EQ(text(check_container_id("_A-b.9")), "done");
  EXPECT_EQ(text(check_container_id(std::string(128, 'x'))), "done");
  for (const std::string& bad : {std::string(), std::string("-a"), std::string(".a"),
                                 std::string("a/b"), std::string("a b"), std::string(129, 'x')}) {
    EXPECT_THAT(text(check_container_id(bad)), StartsWith("name the container: ")) << bad;
  }
}

// --- the end -------------------------------------------------------------------------------------

TEST(ContainerLife, AProgramThatCannotBeRunIsNotStarted) {
  for (const bool created : {false, true}) {
    Scene scene;
    ASSERT_TRUE(created ? scene.container->boot() : scene.container->start());
    ASSERT_TRUE(scene.guest.says_hello());
    scene.turn();
    scene.connect_streams(kFirstProcess);
    scene.guest.says_failed(kFirstProcess, 127, "run /nosuch");
    scene.turn();
    EXPECT_THAT(types(scene.guest.hears()), Contains(RUNHV_MSG_POWER_OFF));
    scene.guest.end(machine::MachineEnd::kPoweredOff);
    scene.turn();

    EXPECT_THAT(
        scene.log.texts(),
        ElementsAre("ended not started 127 (run /nosuch: No such file or directory (errno 2 "
                    "in the guest))"));
  }
}

TEST(ContainerLife, AGuestThatDoesNotPowerOffIsStoppedAfterASecond) {
  Scene scene;
  scene.run();
  scene.guest.says_exited(kFirstProcess, 0);
  scene.finish_outputs();

  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_TRUE(scene.guest.is_asked_to_stop());
  EXPECT_EQ(last(scene), "ended exited 0");
}

TEST(ContainerLife, AMachineThatEndsWithoutAStatusIsAFault) {
  struct Case {
    machine::MachineEnd end;
    const char* told;
  };
  for (const Case& each :
       {Case{machine::MachineEnd::kPoweredOff,
             "ended with run container scene: the guest powered off and gave no exit status"},
        Case{machine::MachineEnd::kTripleFault, "ended with run the guest: triple fault"},
        Case{machine::MachineEnd::kFailed, "ended with run the guest: triple fault"}}) {
    Scene scene;
    scene.run();
    scene.guest.end(each.end);
    scene.turn();

    EXPECT_EQ(last(scene), each.told);
  }
}

TEST(ContainerLife, OutputThatTheGuestTookAwayIsNoSuccess) {
  Scene scene;
  scene.run();
  scene.guest.write(kStdoutPort, "half");
  scene.guest.says_exited(kFirstProcess, 0);
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_EQ(last(scene),
            "ended with run container scene: the program has ended, but the guest powered off "
            "before its output had");
  EXPECT_EQ(scene.out.take(), "half");
}

// What has left the guest is delivered, however slow the reader is and although the machine is off.
TEST(ContainerLife, OutputThatTheHostHoldsIsDeliveredBeforeTheEndIsTold) {
  Scene scene;
  scene.run();
  const std::string much(200'000, 'x');  // more than a pipe takes
  scene.guest.write(kStdoutPort, much);
  scene.guest.shut_down(kStdoutPort);
  scene.guest.shut_down(kStderrPort);
  scene.guest.says_exited(kFirstProcess, 4);
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();
  EXPECT_FALSE(scene.log.ended());
  EXPECT_GT(scene.guest.held(kStdoutPort), 0u);

  std::string read;
  ASSERT_TRUE(scene.wait_until([&] {
    read += scene.out.take();
    return scene.log.ended();
  }));

  read += scene.out.take();
  EXPECT_EQ(read.size(), much.size());
  EXPECT_EQ(last(scene), "ended exited 4");
}

TEST(ContainerLife, OutputThatNobodyReadsIsGivenUpOnRequest) {
  for (const int signal : {2, 15, 9}) {
    Scene scene;
    scene.run();
    scene.guest.write(kStdoutPort, std::string(200'000, 'x'));
    scene.guest.says_exited(kFirstProcess, 4);
    scene.turn();
    EXPECT_FALSE(scene.log.ended());

    ASSERT_TRUE(scene.container->signal(kFirstProcess, signal));
    ASSERT_TRUE(scene.wait_for_end());

    EXPECT_EQ(last(scene), "ended exited 4") << signal;
  }
}

TEST(ContainerLife, AHostThatCannotWriteIsTheError) {
  const platform::UniqueHandle full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  Scene::Options options;
  options.output = full.get();
  Scene scene(options);
  scene.run();
  scene.guest.write(kStdoutPort, "lost");
  scene.turn();
  EXPECT_FALSE(scene.guest.is_connected(kStdoutPort)) << "the program is to see that";
  scene.guest.says_exited(kFirstProcess, 0);
  scene.finish_outputs();
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_EQ(last(scene),
            "ended with write the container's stdout: No space left on device (errno 28)");
}

TEST(ContainerLife, AReaderThatHasGoneDidNotWantTheRest) {
  Scene scene;
  scene.run();
  scene.out.reader.reset();
  scene.guest.write(kStdoutPort, "unwanted");
  scene.turn();
  EXPECT_FALSE(scene.guest.is_connected(kStdoutPort));
  scene.guest.says_exited(kFirstProcess, 0);
  scene.finish_outputs();
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_EQ(last(scene), "ended exited 0");
}

// A regular file is written by a thread that may wait: the end is told when all is there.
TEST(ContainerLife, AFileHasEveryByteWhenTheEndIsTold) {
  const std::string path = SceneBundle::folder() + "/output";
  const platform::UniqueHandle file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  Scene::Options options;
  options.output = file.get();
  Scene scene(options);
  scene.run();
  const std::string much(3'000'000, 'x');
  scene.guest.write(kStdoutPort, much);
  scene.guest.says_exited(kFirstProcess, 0);
  scene.guest.shut_down(kStdoutPort);
  scene.guest.shut_down(kStderrPort);
  scene.guest.end(machine::MachineEnd::kPoweredOff);

  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_EQ(last(scene), "ended exited 0");
  EXPECT_EQ(std::filesystem::file_size(path), much.size());
}

TEST(ContainerLife, DestructionInAnyStateTellsNothingMore) {
  for (int state = 0; state < 6; ++state) {
    Scene scene;
    if (state >= 1) {
      ASSERT_TRUE(scene.container->start());
    }
    if (state >= 2) {
      ASSERT_TRUE(scene.guest.says_hello());
    }
    scene.turn();
    if (state >= 3) scene.connect_streams(kFirstProcess);
    if (state >= 3) scene.guest.says_started(kFirstProcess);
    scene.turn();
    if (state >= 4) {
      ASSERT_TRUE(scene.execute());
    }
    if (state >= 5) {
      ASSERT_TRUE(scene.container->pause());
    }
    const std::size_t told = scene.log.texts().size();

    scene.container.reset();
    scene.turn();

    EXPECT_EQ(scene.log.texts().size(), told);
    EXPECT_FALSE(scene.guest.exists());
  }
}

TEST(ContainerEventsTest, AHandlerMayCallTheContainer) {
  Scene scene;
  scene.log.on_event = [&](const std::string& event) {
    if (event == "started") {
      EXPECT_TRUE(scene.container->pause());
    }
    if (event == "paused") {
      EXPECT_TRUE(scene.container->resume());
    }
    if (event == "resumed") {
      EXPECT_TRUE(scene.container->signal(kFirstProcess, 9));
    }
    if (event.starts_with("ended")) {
      EXPECT_FALSE(scene.container->signal(kFirstProcess, 9));
    }
  };
  ASSERT_TRUE(scene.container->start());
  ASSERT_TRUE(scene.guest.says_hello());
  scene.turn();
  scene.guest.says_started(kFirstProcess);
  ASSERT_TRUE(scene.wait_for_end());

  EXPECT_THAT(scene.log.texts(),
              ElementsAre("created", "started", "paused", "resumed", "ended signaled 9"));
}

}  // namespace
}  // namespace runhv::container
