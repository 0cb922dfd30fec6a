#include "devices/exitport/exit_port.h"

#include <vector>

#include "devices/bus.h"
#include "gtest/gtest.h"

namespace runhv::devices {
namespace {

class Events final : public ExitPortEvents {
 public:
  void on_power_off() override { ++power_offs; }
  void on_stage(std::uint8_t stage) override { stages.push_back(stage); }
  int power_offs = 0;
  std::vector<int> stages;
};

TEST(ExitPort, ReportsWhatTheAgentSays) {
  Events events;
  ExitPort port(events);
  Bus bus;
  ASSERT_TRUE(bus.add(ExitPort::kFirstPort, ExitPort::kPortCount, port));

  bus.write(0xf5, 1, 1);
  bus.write(0xf5, 1, 0x1ff);
  bus.write(0xf4, 1, 0);

  EXPECT_EQ(events.stages, (std::vector<int>{1, 0xff}));
  EXPECT_EQ(events.power_offs, 1);
}

TEST(ExitPort, IgnoresReadsAndWords) {
  Events events;
  ExitPort port(events);
  Bus bus;
  ASSERT_TRUE(bus.add(ExitPort::kFirstPort, ExitPort::kPortCount, port));
  bus.write(0xf4, 2, 0);
  EXPECT_EQ(bus.read(0xf4, 1) & 0xff, 0xffu);
  EXPECT_EQ(events.power_offs, 0);
}

}  // namespace
}  // namespace runhv::devices
