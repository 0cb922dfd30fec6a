// Interrupts, HLT, timers and cancel.
#include <atomic>
#include <thread>

#include "conformance/guest.h"
#include "gtest/gtest.h"

namespace runhv::conformance {
namespace {

constexpr Code::value_type kCli = 0xFA;
constexpr Code::value_type kSti = 0xFB;
constexpr Code::value_type kHlt = 0xF4;
constexpr std::uint8_t kVector = 0x40;
const Code kSpin = {0xEB, 0xFE};
const Code kIretq = {0x48, 0xCF};
const Code kCount = {0x48, 0xFF, 0x04, 0x25, 0x00, 0x05, 0x00, 0x00};  // inc qword [kDataGpa]
const Code kHltLoop = {kHlt, 0xEB, 0xFD};

GuestOptions x2apic() { return {.apic = WHvX64LocalApicEmulationModeX2Apic}; }

WHV_INTERRUPT_CONTROL fixed(std::uint8_t vector,
                            WHV_INTERRUPT_TRIGGER_MODE trigger = WHvX64InterruptTriggerModeEdge) {
  WHV_INTERRUPT_CONTROL control{};
  control.Type = WHvX64InterruptTypeFixed;
  control.DestinationMode = WHvX64InterruptDestinationModePhysical;
  control.TriggerMode = trigger & 0xF;
  control.Vector = vector;
  return control;
}

HRESULT request(Guest& guest, const WHV_INTERRUPT_CONTROL& control) {
  return WHvRequestInterrupt(guest.handle(), &control, sizeof control);
}

// A handler that counts, ends the interrupt and reports on port 0x81.
void load_reporting_handler(Guest& guest) {
  guest.load(kHandlerGpa, kCount + end_of_interrupt() + out(0x81) + kIretq);
  guest.set_gate(kVector, kHandlerGpa);
}

void expect_report(const WHV_RUN_VP_EXIT_CONTEXT& exit, std::uint16_t port) {
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, port);
}

TEST(Interrupts, WakesAHaltedProcessorFromAnotherThread) {
  Guest guest(x2apic());
  load_reporting_handler(guest);
  guest.load(kCodeGpa, enable_x2apic() + out(0x80) + Code{kSti} + kHltLoop);
  guest.enter_long_mode();
  const auto ready = guest.run();
  expect_report(ready, 0x80);
  guest.complete(ready);

  std::thread device([&] { EXPECT_EQ(request(guest, fixed(kVector)), S_OK); });
  WHV_RUN_VP_EXIT_CONTEXT exit;
  do {
    exit = guest.run();  // where HLT is reported, Run again waits or says so again
  } while (exit.ExitReason == WHvRunVpExitReasonX64Halt);
  device.join();
  expect_report(exit, 0x81);
  EXPECT_EQ(guest.read64(kDataGpa), 1u);
}

// A device may interrupt as soon as it has a handle; until the partition is set up it is refused.
TEST(Interrupts, RequestedDuringSetupIsRefusedOrTaken) {
  const WHV_PARTITION_HANDLE handle = create_partition();
  ASSERT_EQ(set_property(handle, WHvPartitionPropertyCodeProcessorCount, UINT32{1}), S_OK);
  ASSERT_EQ(set_property(handle, WHvPartitionPropertyCodeLocalApicEmulationMode,
                         WHvX64LocalApicEmulationModeX2Apic),
            S_OK);
  const WHV_INTERRUPT_CONTROL control = fixed(kVector);
  std::atomic<bool> asked{false};
  std::thread device([&] {
    HRESULT result;
    do {
      result = WHvRequestInterrupt(handle, &control, sizeof control);
      asked = true;
    } while (result == E_INVALIDARG);
    EXPECT_EQ(result, S_OK);
  });
  while (!asked) std::this_thread::yield();
  EXPECT_EQ(WHvSetupPartition(handle), S_OK);
  device.join();
  EXPECT_EQ(WHvDeletePartition(handle), S_OK);
}

TEST(Interrupts, RequestedWhileNothingRunsIsDeliveredLater) {
  Guest guest(x2apic());
  load_reporting_handler(guest);
  guest.load(kCodeGpa, enable_x2apic() + out(0x80) + Code{kSti} + kSpin);
  guest.enter_long_mode();
  const auto ready = guest.run();
  expect_report(ready, 0x80);
  guest.complete(ready);
  ASSERT_EQ(request(guest, fixed(kVector)), S_OK);
  expect_report(guest.run(), 0x81);
}

TEST(Interrupts, WaitsUntilTheGuestTakesInterrupts) {
  Guest guest(x2apic());
  load_reporting_handler(guest);
  guest.load(kCodeGpa, enable_x2apic() + out(0x80) + out(0x82) + Code{kSti} + kSpin);
  guest.enter_long_mode();
  const auto ready = guest.run();
  expect_report(ready, 0x80);
  guest.complete(ready);
  ASSERT_EQ(request(guest, fixed(kVector)), S_OK);
  const auto still_off = guest.run();
  expect_report(still_off, 0x82);
  guest.complete(still_off);
  expect_report(guest.run(), 0x81);
}

TEST(Interrupts, EndOfALevelInterruptExits) {
  Guest guest(x2apic());
  load_reporting_handler(guest);
  guest.load(kCodeGpa, enable_x2apic() + out(0x80) + Code{kSti} + kSpin);
  guest.enter_long_mode();
  const auto ready = guest.run();
  guest.complete(ready);
  ASSERT_EQ(request(guest, fixed(kVector, WHvX64InterruptTriggerModeLevel)), S_OK);
  const auto end = guest.run();
  ASSERT_EQ(end.ExitReason, WHvRunVpExitReasonX64ApicEoi);
  EXPECT_EQ(end.ApicEoi.InterruptVector, kVector);
  expect_report(guest.run(), 0x81);  // the instruction that ended it is complete
}

TEST(Interrupts, NmiGoesThroughItsVector) {
  Guest guest(x2apic());
  guest.load(kHandlerGpa, out(0x82));
  guest.set_gate(2, kHandlerGpa);
  guest.load(kCodeGpa, out(0x80) + kSpin);
  guest.enter_long_mode();
  const auto ready = guest.run();
  guest.complete(ready);
  WHV_INTERRUPT_CONTROL nmi{};
  nmi.Type = WHvX64InterruptTypeNmi;
  ASSERT_EQ(request(guest, nmi), S_OK);
  expect_report(guest.run(), 0x82);
}

TEST(Interrupts, UnprogrammedVectorIsRefused) {
  Guest guest(x2apic());
  EXPECT_EQ(request(guest, fixed(0)), whpapi::kHvInvalidParameter);
}

TEST(LocalApic, TimerInterruptsAHaltedProcessor) {
  Guest guest(x2apic());
  load_reporting_handler(guest);
  guest.load(kCodeGpa, enable_x2apic() + wrmsr(0x83E, 0xB) +  // divide by 1
                           wrmsr(0x832, kVector) +            // one shot
                           wrmsr(0x838, 20'000) + Code{kSti} + kHltLoop);
  guest.enter_long_mode();
  WHV_RUN_VP_EXIT_CONTEXT exit;
  do {
    exit = guest.run();
  } while (exit.ExitReason == WHvRunVpExitReasonX64Halt);
  expect_report(exit, 0x81);
}

TEST(LocalApic, PeriodicTimerComesAgain) {
  Guest guest(x2apic());
  load_reporting_handler(guest);
  guest.load(kCodeGpa, enable_x2apic() + wrmsr(0x83E, 0xB) + wrmsr(0x832, 0x20000 | kVector) +
                           wrmsr(0x838, 20'000) + Code{kSti} + kHltLoop);
  guest.enter_long_mode();
  for (std::uint64_t tick = 1; tick <= 3; ++tick) {
    WHV_RUN_VP_EXIT_CONTEXT exit;
    do {
      exit = guest.run();
    } while (exit.ExitReason == WHvRunVpExitReasonX64Halt);
    expect_report(exit, 0x81);
    EXPECT_EQ(guest.read64(kDataGpa), tick);
    guest.complete(exit);
  }
}

TEST(Injection, PendingInterruptionIsDeliveredAtTheNextEntry) {
  Guest guest;
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(kVector, kHandlerGpa);
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRflags, 0x202}});
  WHV_X64_PENDING_INTERRUPTION_REGISTER pending{};
  pending.InterruptionPending = 1;
  pending.InterruptionType = WHvX64PendingInterrupt;
  pending.InterruptionVector = kVector;
  guest.set({{WHvRegisterPendingInterruption, pending.AsUINT64}});
  expect_report(guest.run(), 0x81);
  EXPECT_EQ(guest.get(WHvRegisterPendingInterruption).PendingInterruption.InterruptionPending, 0u);
}

TEST(Injection, WindowExitWhenTheGuestTakesInterrupts) {
  Guest guest;
  guest.load(kCodeGpa, Code{0x90, kSti, 0x90, 0x90} + out(0x80));
  guest.enter_long_mode();
  WHV_X64_DELIVERABILITY_NOTIFICATIONS_REGISTER notify{};
  notify.InterruptNotification = 1;
  guest.set({{WHvX64RegisterDeliverabilityNotifications, notify.AsUINT64}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64InterruptWindow);
  EXPECT_EQ(exit.InterruptWindow.DeliverableType, WHvX64PendingInterrupt);
  EXPECT_EQ(exit.VpContext.Rflags & 0x200, 0x200u);
  EXPECT_EQ(exit.VpContext.ExecutionState.InterruptShadow, 0);
}

TEST(Cancel, BeforeRunEndsTheNextRunOnce) {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  ASSERT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);  // not counted
  const auto canceled = guest.run_once();
  ASSERT_EQ(canceled.ExitReason, WHvRunVpExitReasonCanceled);
  EXPECT_EQ(canceled.CancelReason.CancelReason, WhvRunVpCancelReasonUser);
  EXPECT_EQ(canceled.VpContext.Rip, kCodeGpa);
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

TEST(Cancel, EndsAGuestThatSpinsWithInterruptsOff) {
  Guest guest;
  guest.load(kCodeGpa, Code{kCli} + kSpin);
  guest.enter_long_mode();
  std::thread other([&] { EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK); });
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonCanceled);
  other.join();
}

TEST(Cancel, EndsAHaltedWaitThatNothingElseWouldEnd) {
  Guest guest(x2apic());
  guest.load(kCodeGpa, {kCli, kHlt});
  guest.enter_long_mode();
  std::thread other([&] { EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK); });
  WHV_RUN_VP_EXIT_REASON reason;
  do {
    reason = guest.run_once().ExitReason;
  } while (reason == WHvRunVpExitReasonX64Halt || reason == WHvRunVpExitReasonNone);
  EXPECT_EQ(reason, WHvRunVpExitReasonCanceled);
  other.join();
}

TEST(Cancel, ManyFromAnotherThreadLoseNoGuestState) {
  Guest guest;
  // mov ecx, 20000000; loop: dec ecx; jnz loop; out
  guest.load(kCodeGpa, Code{0xB9, 0x00, 0x2D, 0x31, 0x01, 0xFF, 0xC9, 0x75, 0xFC} + out(0x80));
  guest.enter_long_mode();
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done.load()) WHvCancelRunVirtualProcessor(guest.handle(), 0, 0);
  });
  const auto exit = guest.run();
  done.store(true);
  other.join();
  expect_report(exit, 0x80);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64, 0u);
}

}  // namespace
}  // namespace runhv::conformance
