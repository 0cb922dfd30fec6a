#include "platform/child.h"

#include <csignal>
#include <string>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/os_error.h"
#include "platform/process.h"
#include "platform/terminal.h"

namespace runhv::platform {
namespace {

using ::testing::HasSubstr;

Program shell(const std::string& script, std::uint64_t timeout_ns = 60'000'000'000) {
  return {.path = "/bin/sh",
          .arguments = {"sh", "-c", script},
          .environment = std::vector<std::string>{"A=b"},
          .input = "",
          .timeout_ns = timeout_ns};
}

TEST(Child, AnErrorBeforeItIsReadyIsThatOfTheStart) {
  const auto child = start_child([](const Ready&) -> Result<int> {
    return Fail{Error{Code::kNotFound, "open x", "no such file", Domain::kErrno, 2}};
  });
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, Code::kNotFound);
  EXPECT_EQ(to_string(child.error()),
            to_string(Error{Code::kNotFound, "open x", "no such file", Domain::kErrno, 2}));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "nothing of it is left";
}

TEST(Detached, IsNobodysChildAndHasWhatItIsGivenAndNoMore) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const int kept = ::dup3(ends[1], 9, O_CLOEXEC);  // a shell writes to nothing above
  const int inherited = ::fcntl(ends[1], F_DUPFD, 60);
  ::setenv("OF_THE_TEST", "1", 1);
  const int input = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const int output = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  const auto started = start_detached(
      {.path = "/bin/sh",
       .arguments = {"-c",
                     "out=$(readlink /proc/$$/fd/1); { echo $out; "
                     "readlink /proc/$$/fd/0 /proc/$$/fd/2 /proc/$$/cwd; "
                     "test -e /proc/$$/fd/60 && echo inherited; echo $A $OF_THE_TEST; "
                     "set -- $(cat /proc/$$/stat); test $6 = $$ || echo session $6; } >&9"},
       .environment = {"A=b", "PATH=/usr/bin:/bin"},
       .folder = "/usr",
       .input = input,
       .output = output,
       .kept = kept});
  ASSERT_TRUE(started) << to_string(started.error());
  ::close(ends[1]);
  ::close(kept);
  ::close(inherited);
  ::close(input);
  ::close(output);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "there is no child";
  std::string said;
  char buffer[256];
  for (ssize_t count = 1; count > 0;) {
    count = ::read(ends[0], buffer, sizeof buffer);
    if (count > 0) said.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  // Not a leader of its session, so that no terminal that it opens becomes its own.
  EXPECT_THAT(
      said, ::testing::MatchesRegex("/dev/full\n/dev/zero\n/dev/null\n/usr\nb\nsession [0-9]+\n"));
}

TEST(Detached, WhatCannotBeStartedIsTheError) {
  const auto started = start_detached({.path = "/no/such/program",
                                       .arguments = {},
                                       .environment = {},
                                       .folder = "/",
                                       .input = 0,
                                       .output = 1,
                                       .kept = 0});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().os_code, ENOENT);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "nothing of it is left";
}

TEST(Child, IsThereOnceItIsReadyOrAnotherProgram) {
  const auto ready = start_child([](const Ready& say_ready) -> Result<int> {
    say_ready();
    return 7;
  });
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->wait(), 7);
  const auto program = start_child([](const Ready&) -> Result<int> {
    return Fail{become("/bin/sh", {"-c", "kill -TERM $$"})};
  });
  ASSERT_TRUE(program);
  EXPECT_EQ(program->wait(), 128 + SIGTERM);
  EXPECT_EQ(
      start_child([](const Ready&) -> Result<int> { return Fail{become("/no/such/program", {})}; })
          .error()
          .os_code,
      ENOENT);
}

TEST(RunProgram, HasItsInputItsEnvironmentAndNothingElse) {
  Program program = shell("cat; echo $A $(env | wc -l) >&2; exit 3");
  program.input = std::string(100'000, 'x');
  const auto end = run_program(program);
  ASSERT_TRUE(end) << to_string(end.error());
  EXPECT_EQ(end->exit_status, 3);
  EXPECT_EQ(end->output, std::string(4096, 'x')) << "the first 4 KiB";
  const auto variables = run_program(shell("echo $A"));
  EXPECT_EQ(variables->output, "b\n");
}

TEST(RunProgram, DoesNotWaitForWhoHoldsItsOutput) {
  const auto end = run_program(shell("sleep 1000 & echo $!"));
  ASSERT_TRUE(end);
  kill_process(std::stoull(end->output));
}

TEST(RunProgram, ThatTakesTooLongIsKilled) {
  const auto end = run_program(shell("exec sleep 1000", 50'000'000));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kTimedOut);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  Program none = shell("");
  none.path = "/no/such";
  EXPECT_EQ(run_program(none).error().code, Code::kNotFound);
}

TEST(Placement, OfANetworkNamespaceByItsFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root enters network namespaces";
  struct stat here {};
  ASSERT_EQ(::stat("/proc/self/ns/net", &here), 0);
  const auto holder = start_child([](const Ready& ready) -> Result<int> {
    Placement placement;
    placement.new_network_namespace = true;
    RUNHV_TRY(place_this_process(placement));
    ready();
    while (true) ::pause();
  });
  ASSERT_TRUE(holder) << to_string(holder.error());
  Placement placement;
  placement.network_namespace = "/proc/" + std::to_string(holder->pid()) + "/ns/net";
  struct stat there {};
  ASSERT_EQ(::stat(placement.network_namespace.c_str(), &there), 0);
  EXPECT_NE(there.st_ino, here.st_ino);
  const auto child = start_child([&](const Ready&) -> Result<int> {
    RUNHV_TRY(place_this_process(placement));
    struct stat now {};
    return ::stat("/proc/self/ns/net", &now) == 0 && now.st_ino == there.st_ino ? 0 : 1;
  });
  kill_process(holder->pid());
  EXPECT_EQ(holder->wait(), 128 + SIGKILL);
  ASSERT_TRUE(child) << to_string(child.error());
  EXPECT_EQ(child->wait(), 0);
  const auto refused = [](const std::string& path) {
    return to_string(start_child([&](const Ready&) -> Result<int> {
                       Placement other;
                       other.network_namespace = path;
                       RUNHV_TRY(place_this_process(other));
                       return 0;
                     }).error());
  };
  EXPECT_THAT(refused("/dev/null"), HasSubstr("enter network namespace /dev/null"));
  EXPECT_THAT(refused("/proc/self/ns/net"), HasSubstr("it is that of whoever runs us"));
}

TEST(Terminal, IsRawAndThenAsItWas) {
  auto pair = make_pseudo_terminal();
  ASSERT_TRUE(pair) << to_string(pair.error());
  const int master = static_cast<int>(pair->master.get());
  const int slave = static_cast<int>(pair->slave.get());
  EXPECT_FALSE(terminal_size(slave)) << "nobody has said it";
  char buffer[16];
  {
    const auto mode = TerminalMode::save(slave);
    ASSERT_TRUE(mode);
    ASSERT_TRUE(make_terminal_raw(slave));
    ASSERT_EQ(::write(slave, "a\nb", 3), 3);
    EXPECT_EQ(::read(master, buffer, sizeof buffer), 3) << "as it is";
  }
  ASSERT_EQ(::write(slave, "a\nb", 3), 3);
  EXPECT_EQ(::read(master, buffer, sizeof buffer), 4) << "with a carriage return";
  EXPECT_FALSE(TerminalMode::save(::open("/dev/null", O_RDWR | O_CLOEXEC)));
}

}  // namespace
}  // namespace runhv::platform
