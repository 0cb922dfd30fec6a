// Interrupts, HLT, timers and cancel.
#include <atomic>
#include <thread>

#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

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

CASE(Interrupts, WakesAHaltedProcessorFromAnotherThread, kReported, "field guide 4.3, 4.4") {
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
CASE(Interrupts, RequestedDuringSetupIsRefusedOrTaken, kBelieved, "no source") {
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

CASE(Interrupts, RequestedWhileNothingRunsIsDeliveredLater, kReported, "field guide 1.10, 4.3") {
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

CASE(Interrupts, WaitsUntilTheGuestTakesInterrupts, kDocumented,
     "Intel SDM 6.8.1; the APIC is the hypervisor's") {
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

CASE(Interrupts, EndOfALevelInterruptExits, kReported, "field guide 2.2, 4.3: QEMU, crosvm") {
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

CASE(Interrupts, NmiGoesThroughItsVector, kReported, "field guide 4.3") {
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

CASE(Interrupts, UnprogrammedVectorIsRefused, kReported, "field guide 2.2: libkrun") {
  Guest guest(x2apic());
  EXPECT_EQ(request(guest, fixed(0)), whpapi::kHvInvalidParameter);
}

CASE(LocalApic, TimerInterruptsAHaltedProcessor, kReported, "field guide 1.5, 4.4") {
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

CASE(LocalApic, PeriodicTimerComesAgain, kReported, "field guide 2.2") {
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

CASE(Injection, PendingInterruptionIsDeliveredAtTheNextEntry, kReported, "field guide 4.1") {
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

CASE(Injection, WindowExitWhenTheGuestTakesInterrupts, kReported, "field guide 4.2") {
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

CASE(Cancel, BeforeRunEndsTheNextRunOnce, kReported, "field guide 1.6: ELF, 200 of 200") {
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

CASE(Cancel, EndsAGuestThatSpinsWithInterruptsOff, kDocumented, "WHvCancelRunVirtualProcessor") {
  Guest guest;
  guest.load(kCodeGpa, Code{kCli} + kSpin);
  guest.enter_long_mode();
  std::thread other([&] { EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK); });
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonCanceled);
  other.join();
}

CASE(Cancel, EndsAHaltedWaitThatNothingElseWouldEnd, kReported, "field guide 1.6, 4.4") {
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

CASE(Cancel, ManyFromAnotherThreadLoseNoGuestState, kReported,
     "field guide 1.6: ELF, 10,000 raced cancels") {
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

// A guest that has its APIC on, reports 0x80 with interrupts off, then takes them.
struct ReadyGuest {
  explicit ReadyGuest(const Code& then = Code{kSti} + kSpin) {
    load_reporting_handler(guest);
    guest.load(kCodeGpa, enable_x2apic() + out(0x80) + then);
    guest.enter_long_mode();
    const auto ready = guest.run();
    expect_report(ready, 0x80);
    guest.complete(ready);
  }
  Guest guest{x2apic()};
};

// Runs until something other than HLT is told.
WHV_RUN_VP_EXIT_CONTEXT run_through_halts(Guest& guest) {
  for (;;) {
    const auto exit = guest.run();
    if (exit.ExitReason != WHvRunVpExitReasonX64Halt || has_failed()) return exit;
  }
}

CASE(Interrupts, EdgesCoalesce, kDocumented, "Intel SDM: one bit of the IRR a vector") {
  ReadyGuest ready(Code{kSti} + Code(8, 0x90) + out(0x82));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(request(ready.guest, fixed(kVector)), S_OK);
  const auto first = ready.guest.run();
  expect_report(first, 0x81);
  ready.guest.complete(first);
  expect_report(ready.guest.run(), 0x82);
  EXPECT_EQ(ready.guest.read64(kDataGpa), 1u);
}

CASE(Interrupts, TheHigherVectorComesFirst, kDocumented, "Intel SDM: priority of vectors") {
  ReadyGuest ready;
  ready.guest.load(kHandlerGpa + 0x100, end_of_interrupt() + out(0x83) + kIretq);
  ready.guest.set_gate(0x90, kHandlerGpa + 0x100);
  EXPECT_EQ(request(ready.guest, fixed(kVector)), S_OK);
  EXPECT_EQ(request(ready.guest, fixed(0x90)), S_OK);
  const auto first = ready.guest.run();
  expect_report(first, 0x83);
  ready.guest.complete(first);
  expect_report(ready.guest.run(), 0x81);
}

// Raised before the request: where the processor raises it later it may get the spurious vector
// (Intel SDM).
CASE(Interrupts, TheTaskPriorityHoldsThemBack, kDocumented, "Intel SDM: CR8") {
  const Code write_cr8 = {0x44, 0x0F, 0x22, 0xC0};
  ReadyGuest ready(Code{0xB8, 0x0F, 0, 0, 0} + write_cr8 + out(0x82) +  // mov eax, 15
                   Code{kSti} + Code(8, 0x90) + out(0x83) + Code{0x31, 0xC0} + write_cr8 +
                   kSpin);  // xor eax, eax
  const auto raised = ready.guest.run();
  expect_report(raised, 0x82);
  ready.guest.complete(raised);
  EXPECT_EQ(request(ready.guest, fixed(kVector)), S_OK);
  const auto held = ready.guest.run();
  expect_report(held, 0x83);
  ready.guest.complete(held);
  expect_report(ready.guest.run(), 0x81);
}

CASE(Interrupts, EndOfAnEdgeIsNoExit, kReported,
     "field guide 2.2: of level-triggered vectors only") {
  ReadyGuest ready;
  EXPECT_EQ(request(ready.guest, fixed(kVector)), S_OK);
  expect_report(ready.guest.run(), 0x81);
}

CASE(Interrupts, ALevelComesAgainWhereItIsRequestedAgain, kReported,
     "field guide 4.3: QEMU, crosvm") {
  ReadyGuest ready;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(request(ready.guest, fixed(kVector, WHvX64InterruptTriggerModeLevel)), S_OK);
    ASSERT_EQ(ready.guest.run().ExitReason, WHvRunVpExitReasonX64ApicEoi);
    const auto report = ready.guest.run();
    expect_report(report, 0x81);
    ready.guest.complete(report);
  }
  EXPECT_EQ(ready.guest.read64(kDataGpa), 3u);
}

CASE(Interrupts, LowestPriorityFindsTheOnlyProcessor, kDocumented,
     "header: WHvX64InterruptTypeLowestPriority") {
  ReadyGuest ready;
  WHV_INTERRUPT_CONTROL control = fixed(kVector);
  control.Type = WHvX64InterruptTypeLowestPriority;
  EXPECT_EQ(request(ready.guest, control), S_OK);
  expect_report(ready.guest.run(), 0x81);
}

CASE(Interrupts, LogicalDestinationIsUnderstood, kDocumented,
     "Intel SDM: x2APIC cluster 0, bit 0") {
  ReadyGuest ready;
  WHV_INTERRUPT_CONTROL control = fixed(kVector);
  control.DestinationMode = WHvX64InterruptDestinationModeLogical;
  control.Destination = 1;
  EXPECT_EQ(request(ready.guest, control), S_OK);
  expect_report(ready.guest.run(), 0x81);
}

CASE(Interrupts, OneForANobodyDisturbsNobody, kBelieved, "no source") {
  ReadyGuest ready(Code{kSti} + Code(8, 0x90) + out(0x82));
  WHV_INTERRUPT_CONTROL control = fixed(kVector);
  control.Destination = 7;
  request(ready.guest, control);
  expect_report(ready.guest.run(), 0x82);
}

CASE(Interrupts, TheShadowOfStiCoversOneInstruction, kDocumented, "Intel SDM: STI") {
  ReadyGuest ready(Code{kSti} + out(0x82) + kSpin);
  EXPECT_EQ(request(ready.guest, fixed(kVector)), S_OK);
  const auto in_shadow = ready.guest.run();
  expect_report(in_shadow, 0x82);
  ready.guest.complete(in_shadow);
  ready.guest.set({{WHvRegisterInterruptState, 0}});
  expect_report(ready.guest.run(), 0x81);
}

CASE(LocalApic, ASelfIpiArrives, kDocumented, "Intel SDM: x2APIC, MSR 0x83F") {
  ReadyGuest ready(Code{kSti} + wrmsr(0x83F, kVector) + kSpin);
  expect_report(ready.guest.run(), 0x81);
}

CASE(LocalApic, AOneShotTimerFiresOnce, kDocumented, "Intel SDM: LVT timer") {
  ReadyGuest ready(wrmsr(0x83E, 0xB) + wrmsr(0x832, kVector) + wrmsr(0x838, 20'000) + Code{kSti} +
                   kHltLoop);
  const auto exit = run_through_halts(ready.guest);
  expect_report(exit, 0x81);
  ready.guest.complete(exit);
  EXPECT_EQ(ready.guest.read64(kDataGpa), 1u);
  EXPECT_EQ(ready.guest.get(WHvX64RegisterRip).Reg64 & ~UINT64{0xFF}, kHandlerGpa);
}

CASE(LocalApic, AMaskedTimerDoesNotFire, kDocumented, "Intel SDM: LVT timer") {
  // mov ecx, 3000000; dec ecx; jnz: much longer than the timer's one tick
  ReadyGuest ready(wrmsr(0x83E, 0xB) + wrmsr(0x832, 0x10000 | kVector) + wrmsr(0x838, 1) +
                   Code{kSti, 0xB9, 0xC0, 0xC6, 0x2D, 0x00, 0xFF, 0xC9, 0x75, 0xFC} + out(0x82));
  expect_report(ready.guest.run(), 0x82);
}

CASE(LocalApic, ItsIdIsTheIndex, kDocumented, "WHvCreateVirtualProcessor; Intel SDM: MSR 0x802") {
  Guest guest(x2apic());
  guest.load(kCodeGpa, enable_x2apic() + Code{0xB9, 0x02, 0x08, 0, 0, 0x0F, 0x32} + out(0x80));
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().IoPortAccess.Rax & 0xFFFFFFFF, 0u);
}

CASE(LocalApic, ItsPageIsNoExit, kReported, "field guide 2.2: handled in the hypervisor") {
  Guest guest({.apic = WHvX64LocalApicEmulationModeXApic});
  // mov eax, [0xFEE00030]: its version
  guest.load(kCodeGpa, load_rbx(0xFEE00030) + Code{0x8B, 0x03} + out(0x80));
  guest.enter_long_mode();
  const auto exit = guest.run();
  expect_report(exit, 0x80);
  EXPECT_NE(exit.IoPortAccess.Rax & 0xFF, 0u);
}

CASE(LocalApic, WithoutOneItsPageIsMemory, kReported, "field guide 2.2: an ordinary address") {
  Guest guest;
  guest.load(kCodeGpa, load_rbx(0xFEE00030) + Code{0x8B, 0x03} + out(0x80));
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.Gpa, 0xFEE00030u);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
}

CASE(LocalApic, WithoutOneItsMsrsFault, kReported, "field guide 2.2: unhandled MSRs") {
  Guest guest;
  guest.load(kCodeGpa, Code{0xB9, 0x02, 0x08, 0, 0, 0x0F, 0x32} + out(0x80));
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(13, kHandlerGpa);
  guest.enter_long_mode();
  expect_report(guest.run(), 0x81);
}

CASE(Injection, AnExceptionPushesItsErrorCode, kDocumented,
     "WHV_X64_PENDING_INTERRUPTION_REGISTER") {
  Guest guest;
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(14, kHandlerGpa);
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  WHV_X64_PENDING_INTERRUPTION_REGISTER pending{};
  pending.InterruptionPending = 1;
  pending.InterruptionType = WHvX64PendingException;
  pending.DeliverErrorCode = 1;
  pending.InterruptionVector = 14;
  pending.ErrorCode = 0x1234;
  guest.set({{WHvRegisterPendingInterruption, pending.AsUINT64}});
  expect_report(guest.run(), 0x81);
  EXPECT_EQ(guest.read64(guest.get(WHvX64RegisterRsp).Reg64), 0x1234u);
  EXPECT_EQ(guest.read64(guest.get(WHvX64RegisterRsp).Reg64 + 8), kCodeGpa);
}

CASE(Injection, AnNmiGoesThroughItsVector, kReported, "field guide 4.2") {
  Guest guest;
  guest.load(kHandlerGpa, out(0x82));
  guest.set_gate(2, kHandlerGpa);
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  WHV_X64_PENDING_INTERRUPTION_REGISTER pending{};
  pending.InterruptionPending = 1;
  pending.InterruptionType = WHvX64PendingNmi;
  pending.InterruptionVector = 2;
  guest.set({{WHvRegisterPendingInterruption, pending.AsUINT64}});
  expect_report(guest.run(), 0x82);
}

CASE(Injection, AnExternalEventWaitsForInterruptsToBeOn, kReported,
     "field guide 4.1: OpenVMM, QEMU") {
  ReadyGuest ready(out(0x82) + Code{kSti} + kSpin);
  ready.guest.load(kHandlerGpa, out(0x81));  // the APIC has no part in it
  // Pending, ExtInt, the vector.
  ready.guest.set({{WHvRegisterPendingEvent, 1 | 5 << 1 | UINT64{kVector} << 8}});
  const auto off = ready.guest.run();
  expect_report(off, 0x82);
  ready.guest.complete(off);
  expect_report(ready.guest.run(), 0x81);
}

CASE(Injection, AWindowIsToldOnce, kReported, "field guide 4.2: one-shot") {
  Guest guest;
  guest.load(kCodeGpa, Code{kSti, 0x90, 0x90} + out(0x80));
  guest.enter_long_mode();
  WHV_X64_DELIVERABILITY_NOTIFICATIONS_REGISTER notify{};
  notify.InterruptNotification = 1;
  guest.set({{WHvX64RegisterDeliverabilityNotifications, notify.AsUINT64}});
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64InterruptWindow);
  expect_report(guest.run(), 0x80);
}

CASE(Injection, AWindowThatIsOpenIsToldAtOnce, kReported, "field guide 4.2") {
  Guest guest;
  guest.load(kCodeGpa, Code{0x90} + out(0x80));
  guest.enter_long_mode();
  WHV_X64_DELIVERABILITY_NOTIFICATIONS_REGISTER notify{};
  notify.InterruptNotification = 1;
  guest.set({{WHvX64RegisterRflags, 0x202},
             {WHvX64RegisterDeliverabilityNotifications, notify.AsUINT64}});
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64InterruptWindow);
}

CASE(Cancel, IsOfOneProcessor, kDocumented, "WHvCancelRunVirtualProcessor") {
  Guest guest({.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic});
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 1, 0), S_OK);
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(guest.run_once(1).ExitReason, WHvRunVpExitReasonCanceled);
}

CASE(Cancel, EndsAProcessorThatWaitsForItsStart, kReported,
     "field guide 2.3: it waits inside Run") {
  Guest guest({.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic});
  WHV_RUN_VP_EXIT_REASON reason{};
  std::thread runner([&] {
    do {
      reason = guest.run_once(1).ExitReason;
    } while (reason == WHvRunVpExitReasonX64Halt || reason == WHvRunVpExitReasonNone);
  });
  EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 1, 0), S_OK);
  runner.join();
  EXPECT_EQ(reason, WHvRunVpExitReasonCanceled);
}

CASE(Cancel, AfterAnExitEndsTheNextRun, kReported, "field guide 1.6: VirtualBox, hyperlight") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  ASSERT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonCanceled);
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

}  // namespace
}  // namespace runhv::conformance
