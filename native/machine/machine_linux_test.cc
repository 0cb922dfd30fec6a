// What a host refuses to a machine, by a filter of system calls.
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>

#include "machine/machine_scene.h"
#include "platform/linux/deny_system_calls.h"

namespace runhv::machine {
namespace {

// As under `ulimit -u` or a cgroup's pids.max.
TEST_F(TinyGuest, EndsWithOneErrorWhereTheHostRefusesAThread) {
  auto machine = make_guest(kSpin, 2);
  ASSERT_NE(machine, nullptr);

  EXPECT_EXIT(
      {
        if (!platform::deny_system_calls({SYS_clone, SYS_clone3}, EAGAIN)) std::_Exit(2);
        const auto started = machine->start();
        if (started || started.error().code != Code::kOutOfMemory) std::_Exit(3);
        const auto again = machine->start();
        if (again || again.error().code != Code::kConflict || machine->pause()) std::_Exit(4);
        machine.reset();
        std::_Exit(observer_.ends() == 0 ? 0 : 5);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace runhv::machine
