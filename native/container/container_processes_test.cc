// More processes of a container that runs, with streams or a terminal.
#include <filesystem>
#include <string>
#include <vector>

#include "container/container_scene.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/local_socket.h"

namespace runhv::container {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::StartsWith;

class ContainerProcesses : public ::testing::Test {
 protected:
  // A process that runs and has all of its streams.
  ProcessNumber started(Scene& scene) {
    const auto number = scene.execute({in.read_end(), out.write_end(), err.write_end()});
    EXPECT_TRUE(number);
    in.reader.reset();
    out.writer.reset();
    err.writer.reset();
    scene.turn();
    scene.connect_streams(*number);
    scene.guest.says_started(*number);
    scene.turn();
    return *number;
  }
  Pipe in, out, err;
};

TEST_F(ContainerProcesses, HaveStreamsAndAnEndOfTheirOwn) {
  Scene scene;
  scene.run();
  const ProcessNumber number = started(scene);
  scene.guest.write(port_of(number, 1), "out");
  in.put("in");
  scene.turn();
  EXPECT_EQ(out.take(), "out");
  EXPECT_EQ(scene.guest.read(port_of(number, 0)), "in");
  EXPECT_EQ(scene.container->state().process_count, 2u);
  scene.guest.says_exited(number, 5);
  scene.turn();
  EXPECT_EQ(last(scene), "process 1 started") << "its outputs are open";
  scene.finish_outputs(number);

  EXPECT_EQ(last(scene), "process 1 exited 5");
  EXPECT_TRUE(out.is_at_end());
  EXPECT_FALSE(scene.guest.is_connected(port_of(number, 1)));
  EXPECT_EQ(text(scene.container->signal(number, 15)),
            "signal process 1: container scene has no such process, or it has ended");
  EXPECT_EQ(*scene.execute(), 2u) << "a number is used once";
}

TEST_F(ContainerProcesses, AnEndIsToldWhenASlowReaderHasAll) {
  Scene scene;
  scene.run();
  const ProcessNumber number = started(scene);
  scene.guest.write(port_of(number, 1), std::string(200'000, 'x'));
  scene.guest.says_exited(number, 0);
  scene.finish_outputs(number);
  EXPECT_EQ(last(scene), "process 1 started");
  std::string read;
  ASSERT_TRUE(scene.wait_until([&] {
    read += out.take();
    return last(scene) == "process 1 exited 0";
  }));
  EXPECT_EQ((read + out.take()).size(), 200'000u);
}

TEST_F(ContainerProcesses, ThatTheHostCannotWriteForSaySo) {
  Scene scene;
  scene.run();
  const platform::UniqueHandle full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto number =
      scene.execute({std::nullopt, *platform::Stream::adopt(full.get(), false), std::nullopt});
  ASSERT_TRUE(number);
  scene.turn();
  scene.connect_streams(*number);
  scene.guest.says_started(*number);
  scene.guest.write(port_of(*number, 1), "lost");
  scene.guest.says_exited(*number, 0);
  scene.turn();

  EXPECT_EQ(last(scene),
            "process 1 exited 0 (write process 1's stdout: No space left on device (errno 28))");
}

// A guest that has too many connections already, or lies.
TEST_F(ContainerProcesses, WhoseOutputHadNoWayAreNoSuccess) {
  Scene scene;
  scene.run();
  const auto number = scene.execute({std::nullopt, out.write_end(), std::nullopt});
  ASSERT_TRUE(number);
  scene.turn();
  scene.guest.says_started(*number);
  scene.guest.says_exited(*number, 0);
  scene.turn();

  EXPECT_EQ(last(scene),
            "process 1 exited 0 (carry process 1's stdout: the guest had no connection for it)");
}

TEST_F(ContainerProcesses, WhoseOutputTheGuestTookAwaySaySo) {
  Scene scene;
  scene.run();
  const ProcessNumber number = started(scene);
  scene.guest.write(port_of(number, 1), "half");
  scene.guest.says_exited(number, 0);
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_THAT(scene.log.texts(),
              Contains("process 1 exited 0 (run container scene: the program has ended, but not "
                       "all of its output was delivered)"));
  EXPECT_EQ(out.take(), "half");
}

TEST_F(ContainerProcesses, ThatCannotBeRunAreNotStarted) {
  Scene scene;
  scene.run();
  const auto number = scene.execute();
  ASSERT_TRUE(number);
  scene.guest.says_failed(*number, 126, "run /etc");
  scene.turn();

  EXPECT_THAT(last(scene), StartsWith("process 1 not started 126 (run /etc"));
  EXPECT_EQ(status(scene), ContainerStatus::kRunning);
}

TEST_F(ContainerProcesses, EndWithTheFirst) {
  Scene scene;
  scene.run();
  const ProcessNumber number = started(scene);
  ASSERT_TRUE(scene.execute());
  scene.guest.write(port_of(number, 1), "last words");
  scene.guest.says_exited(kFirstProcess, 0);
  scene.finish_outputs();
  scene.finish_outputs(number);
  scene.guest.end(machine::MachineEnd::kPoweredOff);
  scene.turn();

  EXPECT_THAT(scene.log.texts(),
              ::testing::UnorderedElementsAre(
                  "created", "started", "process 1 started", "process 1 signaled 9",
                  StartsWith("process 2 not started 125"), "ended exited 0"));
  EXPECT_EQ(out.take(), "last words");
}

TEST_F(ContainerProcesses, AreForAContainerThatRuns) {
  Scene scene;
  const auto refusal = [&] {
    const auto number = scene.execute();
    return number ? std::string("started") : to_string(number.error());
  };
  const std::string told = "start a process in container scene: it does not run";
  EXPECT_EQ(refusal(), told);
  ASSERT_TRUE(scene.container->start());
  EXPECT_EQ(refusal(), told);
  scene.guest.says_hello();
  scene.turn();
  EXPECT_EQ(refusal(), told);
  scene.guest.says_started(kFirstProcess);
  scene.turn();
  EXPECT_EQ(refusal(), "started");
  const auto bad = scene.execute({}, "{}");
  ASSERT_FALSE(bad);
  EXPECT_EQ(to_string(bad.error()),
            "read the process: args: missing; expected an array of strings");
  scene.guest.says_exited(kFirstProcess, 0);
  scene.turn();
  EXPECT_EQ(refusal(), told);
}

TEST_F(ContainerProcesses, AreAtMostAHundredAndTwentyEight) {
  Scene scene;
  scene.run();
  std::vector<ProcessNumber> numbers;
  for (std::size_t i = 1; i < kMaxProcesses; ++i) {
    const auto number = scene.execute();
    ASSERT_TRUE(number) << to_string(number.error());
    scene.turn();
    scene.guest.says_started(*number);
    numbers.push_back(*number);
  }
  scene.turn();
  const auto refused = scene.execute();
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()),
            "start a process in container scene: it has 128 processes, the most it may have");
  EXPECT_EQ(scene.container->state().process_count, kMaxProcesses);

  scene.guest.says_exited(numbers.front(), 0);
  scene.turn();
  EXPECT_TRUE(scene.execute());
}

TEST_F(ContainerProcesses, MayFollowOneAnotherAThousandTimes) {
  Scene scene;
  scene.run();
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  const auto before = open_files();
  for (int round = 0; round < 1000; ++round) {
    const Pipe pipe;
    const auto number = scene.execute({std::nullopt, pipe.write_end(), std::nullopt});
    ASSERT_TRUE(number);
    scene.turn();
    ASSERT_TRUE(scene.guest.connect(port_of(*number, 1)));
    scene.guest.says_started(*number);
    scene.guest.write(port_of(*number, 1), "x");
    scene.guest.says_exited(*number, 0);
    scene.guest.shut_down(port_of(*number, 1));
    scene.turn();
    ASSERT_EQ(last(scene), "process " + std::to_string(*number) + " exited 0");
    ASSERT_EQ(pipe.take(), "x");
    (void)scene.guest.hears();
  }
  EXPECT_EQ(open_files(), before);
}

TEST_F(ContainerProcesses, ATerminalIsOneConnectionForBothDirections) {
  Scene scene;
  scene.run();
  (void)scene.guest.hears();
  ProcessConfig config{.json = R"({"args":["sh"]})",
                       .streams = {in.read_end(), out.write_end(), std::nullopt},
                       .terminal = true,
                       .columns = 80,
                       .rows = 24};
  const auto number = scene.container->start_process(std::move(config));
  ASSERT_TRUE(number);
  in.reader.reset();
  out.writer.reset();
  scene.turn();
  EXPECT_FALSE(scene.guest.connect(port_of(*number, 1)));
  ASSERT_TRUE(scene.guest.connect(port_of(*number, 0)));
  scene.guest.says_started(*number);
  scene.guest.write(port_of(*number, 0), "$ ");
  in.put("ls\n");
  scene.turn();
  EXPECT_EQ(out.take(), "$ ");
  EXPECT_EQ(scene.guest.read(port_of(*number, 0)), "ls\n");

  ASSERT_TRUE(scene.container->resize(*number, 100, 40));
  ASSERT_TRUE(scene.container->resize(*number, 132, 50));
  scene.turn();
  const auto heard = scene.guest.hears();
  ASSERT_THAT(types(heard), ElementsAre(RUNHV_MSG_PREPARE, RUNHV_MSG_RESIZE)) << "the last counts";
  EXPECT_EQ(heard[1].word(offsetof(runhv_resize, columns)), 50u << 16 | 132u);
  EXPECT_EQ(text(scene.container->resize(kFirstProcess, 1, 1)),
            "resize the container's terminal: it has no terminal");

  in.writer.reset();
  scene.turn();
  EXPECT_FALSE(scene.guest.host_has_finished(port_of(*number, 0)))
      << "nothing more is typed, and the terminal is there";
  scene.guest.says_exited(*number, 0);
  scene.guest.shut_down(port_of(*number, 0));
  scene.turn();
  EXPECT_EQ(last(scene), "process 1 exited 0");
}

TEST_F(ContainerProcesses, ATerminalHangsUpWithASocket) {
  Scene scene;
  scene.run();
  auto ends = platform::LocalConnection::pair();
  ASSERT_TRUE(ends);
  auto theirs = platform::Stream::adopt_owned(std::move(ends->second).release(), true);
  ASSERT_TRUE(theirs);
  ProcessConfig config{.json = R"({"args":["sh"]})",
                       .streams = {*std::move(theirs), out.write_end(), std::nullopt},
                       .terminal = true};
  const auto number = scene.container->start_process(std::move(config));
  ASSERT_TRUE(number);
  scene.turn();
  ASSERT_TRUE(scene.guest.connect(port_of(*number, 0)));
  { const auto closed = std::move(ends->first); }
  scene.turn();
  EXPECT_TRUE(scene.guest.host_has_finished(port_of(*number, 0)));
}

}  // namespace
}  // namespace runhv::container
