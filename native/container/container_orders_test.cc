// Whatever comes when: every order of what a guest, a reader and an owner may do, with the loop's
// turns between them or not. The EventLog checks what is told; here is what must be true besides.
#include <algorithm>
#include <string>
#include <vector>

#include "container/container_scene.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;

enum class Act {
  kExit,         // the first process ends with status 7
  kEndOutput,    // it has written all
  kRead,         // the reader of the host takes what there is
  kPowerOff,     // of the guest
  kLoseControl,  // the agent closes its connection
  kTerminate,    // SIGTERM of the owner
  kKill,         // SIGKILL
  kPause,
  kResume,
  kExecute,      // one more process
  kExecuted,     // it runs
  kProcessExit,  // it ends
  kStopNow       // the machine does what it was asked for
};

const char* name(Act act) {
  constexpr const char* kNames[] = {
      "exit",  "end output", "read",    "power off", "lose control", "TERM",    "KILL",
      "pause", "resume",     "execute", "executed",  "process exit", "stop now"};
  return kNames[static_cast<std::size_t>(act)];
}

constexpr std::size_t kWritten = 150'000;  // more than a pipe takes

class Orders : public ::testing::Test {
 protected:
  // All permutations of `acts`, each with the loop's turn after every act, and with none before the
  // last.
  void try_all(std::vector<Act> acts, bool stops_at_once = true) {
    std::ranges::sort(acts);
    do {
      for (const bool turns : {true, false}) {
        std::string order = turns ? "with turns:" : "without turns:";
        for (const Act act : acts) order += std::string(" ") + name(act);
        SCOPED_TRACE(order);
        try_one(acts, turns, stops_at_once);
        if (HasFatalFailure() || HasNonfatalFailure()) return;
      }
    } while (std::ranges::next_permutation(acts).found);
  }

 private:
  struct Done {
    bool exited = false;    // was said while somebody could hear it
    bool killed = false;    // before that
    bool given_up = false;  // TERM or KILL came after it
    bool output_ended = false;
    bool cut = false;  // the guest powered off before its output had ended
    bool powered_off = false;
    bool lost = false;
  };

  static void act(Scene& scene, Act what, Done& done, std::string& read) {
    const bool can_act = scene.guest.can_act();
    const bool heard = can_act && scene.guest.is_connected(RUNHV_CONTROL_PORT);
    switch (what) {
      case Act::kExit:
        scene.guest.says_exited(kFirstProcess, 7);
        done.exited = done.exited || (heard && !done.killed);
        break;
      case Act::kEndOutput:
        scene.guest.shut_down(kStdoutPort);
        scene.guest.shut_down(kStderrPort);
        done.output_ended = done.output_ended || can_act;
        break;
      case Act::kRead:
        for (std::string part = scene.out.take(); !part.empty(); part = scene.out.take()) {
          read += part;
          scene.turn();
        }
        break;
      case Act::kPowerOff:
        scene.guest.end(machine::MachineEnd::kPoweredOff);
        done.cut = done.cut || (can_act && !done.output_ended);
        done.powered_off = done.powered_off || can_act;
        break;
      case Act::kLoseControl:
        done.lost = done.lost || heard;
        scene.guest.reset(RUNHV_CONTROL_PORT);
        break;
      case Act::kTerminate:
        (void)scene.container->signal(kFirstProcess, 15);
        done.given_up = done.given_up || done.exited;
        break;
      case Act::kKill:
        (void)scene.container->signal(kFirstProcess, 9);
        done.given_up = done.given_up || done.exited;
        done.killed = done.killed || !done.exited;
        break;
      case Act::kPause:
        (void)scene.container->pause();
        break;
      case Act::kResume:
        (void)scene.container->resume();
        break;
      case Act::kExecute:
        (void)scene.execute();
        break;
      case Act::kExecuted:
        if (scene.container->state().process_count > 1 && heard) scene.guest.says_started(1);
        break;
      case Act::kProcessExit:
        if (scene.container->state().process_count > 1 && heard)
          scene.guest.says_failed(1, 126, "x");
        break;
      case Act::kStopNow:
        scene.guest.stop_now();
        break;
    }
  }

  static void try_one(const std::vector<Act>& acts, bool turns, bool stops_at_once) {
    Scene scene;
    scene.guest.ends_when_asked = stops_at_once;
    scene.run();
    scene.guest.write(kStdoutPort, std::string(kWritten, 'x'));
    Done done;
    std::string read;
    for (const Act each : acts) {
      act(scene, each, done, read);
      if (turns) scene.turn();
    }
    // What has to come, comes.
    scene.turn();
    (void)scene.container->resume();
    scene.turn();
    act(scene, Act::kEndOutput, done, read);
    act(scene, Act::kRead, done, read);
    scene.turn();
    act(scene, Act::kPowerOff, done, read);
    ASSERT_TRUE(scene.wait_until([&] {
      act(scene, Act::kRead, done, read);
      scene.guest.stop_now();
      return scene.log.ended();
    }));
    act(scene, Act::kRead, done, read);

    const std::string end = last(scene);
    if (done.exited) {
      const auto cut = HasSubstr("powered off before its output had");
      EXPECT_THAT(end, done.cut ? ::testing::Matcher<std::string>(AnyOf(Eq("ended exited 7"), cut))
                                : ::testing::Matcher<std::string>(Eq("ended exited 7")));
      if (end == "ended exited 7" && !done.given_up) {
        EXPECT_EQ(read.size(), kWritten);
      }
    } else {
      // A guest may have gone before it was killed, and nobody has looked.
      const bool gone = !done.killed || done.powered_off || done.lost;
      const bool killed = done.killed && end == "ended signaled 9";
      EXPECT_THAT(end, AnyOf(Eq(killed ? end : ""),
                             HasSubstr(gone ? "powered off and gave no exit status" : "\x01"),
                             HasSubstr(gone ? "closed its connection" : "\x01")));
    }
    const std::size_t told = scene.log.texts().size();
    scene.container.reset();
    scene.turn();
    EXPECT_EQ(scene.log.texts().size(), told);
    EXPECT_FALSE(scene.guest.exists());
  }
};

TEST_F(Orders, OfTheEndOfProcessOutputAndMachine) {
  try_all({Act::kExit, Act::kEndOutput, Act::kRead, Act::kPowerOff, Act::kLoseControl});
}

TEST_F(Orders, OfSignalsAndEnds) {
  try_all({Act::kExit, Act::kEndOutput, Act::kPowerOff, Act::kTerminate, Act::kKill});
  try_all({Act::kExit, Act::kTerminate, Act::kTerminate, Act::kRead, Act::kLoseControl});
}

TEST_F(Orders, OfPauseAndEnds) {
  try_all({Act::kExit, Act::kPause, Act::kResume, Act::kEndOutput, Act::kKill});
  try_all({Act::kExit, Act::kPause, Act::kResume, Act::kPowerOff, Act::kLoseControl});
}

TEST_F(Orders, OfAnotherProcessAndEnds) {
  try_all({Act::kExecute, Act::kExecuted, Act::kExit, Act::kPowerOff, Act::kKill});
  try_all({Act::kExecute, Act::kProcessExit, Act::kExit, Act::kPause, Act::kResume});
  try_all({Act::kExecute, Act::kExecuted, Act::kExit, Act::kEndOutput, Act::kLoseControl});
}

TEST_F(Orders, OfAMachineThatTakesItsTimeToStop) {
  try_all({Act::kKill, Act::kStopNow, Act::kExit, Act::kRead, Act::kTerminate}, false);
  try_all({Act::kExecute, Act::kKill, Act::kStopNow, Act::kPause, Act::kExit}, false);
}

}  // namespace
}  // namespace runhv::container
