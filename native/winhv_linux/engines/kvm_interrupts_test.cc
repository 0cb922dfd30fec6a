#include "winhv_linux/engines/kvm_interrupts.h"

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

TEST(KvmInterrupts, AreMessagesToTheLocalApics) {
  WHV_INTERRUPT_CONTROL control{};
  control.Type = WHvX64InterruptTypeLowestPriority;
  control.DestinationMode = WHvX64InterruptDestinationModeLogical;
  control.TriggerMode = WHvX64InterruptTriggerModeLevel;
  control.Destination = 0x12345678;
  control.Vector = 0x41;

  const kvm_msi wide = msi_of(control, true);
  EXPECT_EQ(wide.address_lo, 0xFEE78004u);
  EXPECT_EQ(wide.address_hi, 0x12345600u);
  EXPECT_EQ(wide.data, 0xC141u);

  control.Type = WHvX64InterruptTypeNmi;
  control.DestinationMode = WHvX64InterruptDestinationModePhysical;
  control.TriggerMode = WHvX64InterruptTriggerModeEdge;
  control.Destination = 3;
  const kvm_msi narrow = msi_of(control, false);
  EXPECT_EQ(narrow.address_lo, 0xFEE03000u);
  EXPECT_EQ(narrow.address_hi, 0u);
  EXPECT_EQ(narrow.data, 0x4441u);
}

}  // namespace
}  // namespace runhv::winhv_linux
