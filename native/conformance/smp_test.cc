// Several processors: start by INIT and SIPI, atomic operations, IPIs.
#include <array>
#include <cstring>
#include <thread>

#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr std::uint32_t kIcr = 0x830;
constexpr std::uint64_t kToProcessor1 = std::uint64_t{1} << 32;
constexpr std::uint64_t kInit = kToProcessor1 | 0x4500;
constexpr std::uint8_t kSipiPage = 8;
constexpr std::uint64_t kSipi = kToProcessor1 | 0x4600 | kSipiPage;
constexpr std::uint64_t kApCodeGpa = std::uint64_t{kSipiPage} << 12;

// At kDataGpa: +0 counter of both, +4 of processor 1, +8 of processor 0.
// Each adds one to both of its counters 100,000 times, then reports.
Code count_64() {
  return {0xB9, 0xA0, 0x86, 0x01, 0x00,                    // mov ecx, 100000
          0xF0, 0xFF, 0x04, 0x25, 0x00, 0x05, 0x00, 0x00,  // lock inc dword [0x500]
          0xFF, 0x04, 0x25, 0x08, 0x05, 0x00, 0x00,        // inc dword [0x508]
          0xFF, 0xC9,                                      // dec ecx
          0x75, 0xED};                                     // jnz to the lock inc
}

Code count_16() {
  return {0x66, 0xB9, 0xA0, 0x86, 0x01, 0x00,  // mov ecx, 100000
          0x66, 0xF0, 0xFF, 0x06, 0x00, 0x05,  // lock inc dword [0x500]
          0x66, 0xFF, 0x06, 0x04, 0x05,        // inc dword [0x504]
          0x66, 0x49,                          // dec ecx
          0x75, 0xF1};                         // jnz to the lock inc
}

GuestOptions two_processors() {
  return {.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic};
}

CASE(Smp, BothProcessorsMakeProgressOnAtomicMemory, kDocumented, "Intel SDM 8.1") {
  Guest guest(two_processors());
  guest.load(kCodeGpa,
             enable_x2apic() + wrmsr(kIcr, kInit) + wrmsr(kIcr, kSipi) + count_64() + out(0x80));
  guest.load(kApCodeGpa, count_16() + out(0x81));
  guest.enter_long_mode();

  WHV_RUN_VP_EXIT_CONTEXT second{};
  std::thread processor1([&] {
    // One that waits for its SIPI may be reported as halted.
    do {
      second = guest.run(1);
    } while (second.ExitReason == WHvRunVpExitReasonX64Halt);
  });
  const auto first = guest.run(0);
  // Processor 1 needs processor 0 no more: its SIPI was sent.
  processor1.join();
  ASSERT_EQ(first.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(first.IoPortAccess.PortNumber, 0x80);
  ASSERT_EQ(second.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(second.IoPortAccess.PortNumber, 0x81);
  EXPECT_EQ(second.VpContext.Cs.Selector, kSipiPage << 8);
  EXPECT_EQ(guest.read64(kDataGpa) & 0xFFFFFFFF, 200'000u);
  EXPECT_EQ(guest.read64(kDataGpa) >> 32, 100'000u);
  EXPECT_EQ(guest.read64(kDataGpa + 8), 100'000u);
}

CASE(Smp, ProcessorThatSpinsLetsTheOtherRun, kReported, "field guide 0: one thread per processor") {
  Guest guest(two_processors());
  // Processor 0 waits for the word that processor 1 writes.
  guest.load(kCodeGpa,
             enable_x2apic() + wrmsr(kIcr, kInit) + wrmsr(kIcr, kSipi) +
                 Code{0xF3, 0x90,                                      // pause
                      0x80, 0x3C, 0x25, 0x00, 0x05, 0x00, 0x00, 0x00,  // cmp byte [0x500], 0
                      0x74, 0xF4} +                                    // je to the pause
                 out(0x80));
  guest.load(kApCodeGpa, {0xC6, 0x06, 0x00, 0x05, 0x01,  // mov byte [0x500], 1
                          0xFA, 0xF4, 0xEB, 0xFC});      // cli; hlt; again
  guest.enter_long_mode();
  std::thread processor1([&] {
    WHV_RUN_VP_EXIT_REASON reason;
    do {
      reason = guest.run_once(1).ExitReason;
    } while (reason != WHvRunVpExitReasonCanceled || guest.read64(kDataGpa + 16) == 0);
  });
  EXPECT_EQ(guest.run(0).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  const std::uint64_t stop = 1;
  std::memcpy(guest.ram() + kDataGpa + 16, &stop, sizeof stop);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 1, 0), S_OK);
  processor1.join();
}

CASE(Smp, InitialApicIdIsTheIndex, kDocumented, "WHvCreateVirtualProcessor") {
  Guest guest(two_processors());
  for (UINT32 vp = 0; vp < 2; ++vp) {
    guest.load(kCodeGpa, Code{0x0F, 0xA2} + out(0x80));
    guest.enter_long_mode(kCodeGpa, vp);
    guest.set({{WHvX64RegisterRax, 1}, {WHvRegisterInternalActivityState, 0}}, vp);
    ASSERT_EQ(guest.run(vp).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(guest.get(WHvX64RegisterRbx, vp).Reg64 >> 24 & 0xFF, vp);
  }
}

CASE(Smp, AProcessorWaitsUntilItIsStarted, kReported, "field guide 2.3: QEMU, crosvm, entangled") {
  Guest guest(two_processors());
  guest.load(kCodeGpa, enable_x2apic() + out(0x80));
  guest.load(kApCodeGpa, out(0x81));
  guest.enter_long_mode();
  WHV_RUN_VP_EXIT_CONTEXT second{};
  std::thread processor1([&] {
    do {
      second = guest.run_once(1);
    } while (second.ExitReason == WHvRunVpExitReasonNone ||
             second.ExitReason == WHvRunVpExitReasonX64Halt);
  });
  EXPECT_EQ(guest.run(0).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 1, 0), S_OK);
  processor1.join();
  EXPECT_EQ(second.ExitReason, WHvRunVpExitReasonCanceled);
}

CASE(Smp, TheHostMayStartAProcessor, kReported,
     "field guide 2.3: INIT and SIPI by WHvRequestInterrupt") {
  Guest guest(two_processors());
  guest.load(kApCodeGpa, out(0x81));
  WHV_INTERRUPT_CONTROL control{};
  control.Type = WHvX64InterruptTypeInit;
  control.Destination = 1;
  ASSERT_EQ(WHvRequestInterrupt(guest.handle(), &control, sizeof control), S_OK);
  control.Type = WHvX64InterruptTypeSipi;
  control.Vector = kSipiPage;
  ASSERT_EQ(WHvRequestInterrupt(guest.handle(), &control, sizeof control), S_OK);
  const auto exit = guest.run(1);
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x81);
  EXPECT_EQ(exit.VpContext.Cs.Base, kApCodeGpa);
}

CASE(Smp, ABroadcastInTheApicsPageStartsTheOthers, kDocumented,
     "Intel SDM Vol.3 8.4.4.1: as firmware does, before anybody asks for x2APIC") {
  Guest guest(two_processors());
  // mov dword [rbx], INIT to all but self; the same with SIPI
  guest.load(kCodeGpa, load_rbx(0xFEE00300) + Code{0xC7, 0x03, 0x00, 0x45, 0x0C, 0x00} +
                           Code{0xC7, 0x03, kSipiPage, 0x46, 0x0C, 0x00} + out(0x80));
  guest.load(kApCodeGpa, out(0x81));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run(0).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  const auto exit = guest.run(1);
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x81);
}

// As it does for each processor, with a page that says the APIC is off, as it is after reset.
CASE(Smp, AProcessorWhoseStateWasSetAsItWasWaitsStill, kReported, "QEMU 11, -smp 2") {
  Guest guest(two_processors());
  guest.load(kCodeGpa, load_rbx(0xFEE00300) + Code{0xC7, 0x03, 0x00, 0x45, 0x0C, 0x00} +
                           Code{0xC7, 0x03, kSipiPage, 0x46, 0x0C, 0x00} + out(0x80));
  guest.load(kApCodeGpa, out(0x81));
  guest.enter_long_mode();
  std::array<std::byte, 4096> page{};
  UINT32 written = 0;
  ASSERT_EQ(WHvGetVirtualProcessorInterruptControllerState2(guest.handle(), 1, page.data(),
                                                            page.size(), &written),
            S_OK);
  guest.set({{WHvX64RegisterApicBase, 0xFEE00800}, {WHvX64RegisterRip, 0xFFF0}}, 1);
  ASSERT_EQ(
      WHvSetVirtualProcessorInterruptControllerState2(guest.handle(), 1, page.data(), page.size()),
      S_OK);
  EXPECT_EQ(guest.get(WHvRegisterInternalActivityState, 1).InternalActivity.StartupSuspend, 1u);
  ASSERT_EQ(guest.run(0).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  const auto exit = guest.run(1);
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x81);
}

// Processor 0 gives a lock back and takes it again in the next instruction, for ten million times;
// in between the other one has to get it. A loop of eight instructions, as lengths go into those
// that a processor of software runs at a stretch.
CASE(Smp, ALockThatIsTakenAgainAtOnceIsHadByTheOtherOnce, kReported,
     "SeaBIOS waits so for its processors; QEMU 11, -smp 2") {
  Guest guest(two_processors());
  const Code taken = Code{0xC6, 0x03, 0x01};  // mov byte [rbx], 1
  const Code given_back = Code{0xC6, 0x03, 0x00};
  guest.load(kCodeGpa, load_rbx(kDataGpa) + taken + enable_x2apic() + wrmsr(kIcr, kInit) +
                           wrmsr(kIcr, kSipi) + Code{0xB9, 0x80, 0x96, 0x98, 0x00} +  // mov ecx
                           given_back +                                               // again:
                           Code{0xF0, 0x0F, 0xBA, 0x2B, 0x00} +  // lock bts dword [rbx], 0
                           Code{0x72, 0xF9} +                    // jc to it
                           Code{0x80, 0x7B, 0x08, 0x00} +        // cmp byte [rbx + 8], 0
                           Code{0x75, 0x0A} +                    // jne had
                           Code{0x90, 0xFF, 0xC9, 0x75, 0xEB} +  // nop; dec ecx; jnz again
                           given_back + out(0x80) + out(0x82));  // had: the second
  guest.load(kApCodeGpa, Code{0xF0, 0x0F, 0xBA, 0x2E, 0x00, 0x05, 0x00} +  // lock bts word [500], 0
                             Code{0x72, 0xF7} +                            // jc to it
                             Code{0xC6, 0x06, 0x08, 0x05, 0x01} +          // mov byte [508], 1
                             Code{0xC6, 0x06, 0x00, 0x05, 0x00} + out(0x81));
  guest.enter_long_mode();
  WHV_RUN_VP_EXIT_CONTEXT second{};
  std::thread processor1([&] {
    do {
      second = guest.run(1);
    } while (second.ExitReason ==
             WHvRunVpExitReasonX64Halt);  // not started yet, where that is told
  });
  const auto first = guest.run(0);
  processor1.join();
  ASSERT_EQ(first.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(first.IoPortAccess.PortNumber, 0x82);
  EXPECT_EQ(second.IoPortAccess.PortNumber, 0x81);
}

CASE(Smp, ASecondStartIsIgnored, kDocumented, "Intel SDM: SIPI while running") {
  Guest guest(two_processors());
  guest.load(kCodeGpa, enable_x2apic() + wrmsr(kIcr, kInit) + wrmsr(kIcr, kSipi) +
                           wrmsr(kIcr, kSipi) + out(0x80));
  // inc byte [0x500]; report
  guest.load(kApCodeGpa, Code{0xFE, 0x06, 0x00, 0x05} + out(0x81));
  guest.enter_long_mode();
  WHV_RUN_VP_EXIT_CONTEXT second{};
  std::thread processor1([&] {
    do {
      second = guest.run(1);
    } while (second.ExitReason == WHvRunVpExitReasonX64Halt);
  });
  EXPECT_EQ(guest.run(0).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  processor1.join();
  ASSERT_EQ(second.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(guest.read64(kDataGpa) & 0xFF, 1u);
}

CASE(Smp, AnInterruptGoesToTheProcessorThatItNames, kDocumented, "WHV_INTERRUPT_CONTROL") {
  constexpr std::uint8_t kVector = 0x40;
  Guest guest(two_processors());
  guest.load(kHandlerGpa, out(0x83));
  guest.set_gate(kVector, kHandlerGpa);
  guest.load(kCodeGpa, enable_x2apic() + out(0x80) + Code{0xFB, 0xEB, 0xFE});  // sti; spin
  for (UINT32 vp = 0; vp < 2; ++vp) {
    guest.enter_long_mode(kCodeGpa, vp);
    guest.set({{WHvRegisterInternalActivityState, 0}}, vp);
    const auto ready = guest.run(vp);
    ASSERT_EQ(ready.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    guest.complete(ready, {}, vp);
  }
  WHV_INTERRUPT_CONTROL control{};
  control.Type = WHvX64InterruptTypeFixed;
  control.Destination = 1;
  control.Vector = kVector;
  ASSERT_EQ(WHvRequestInterrupt(guest.handle(), &control, sizeof control), S_OK);
  EXPECT_EQ(guest.run(1).IoPortAccess.PortNumber, 0x83);
  // Processor 0 has nothing to do but spin until it is canceled.
  std::thread host([&] { EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK); });
  WHV_RUN_VP_EXIT_REASON reason{};
  do {
    reason = guest.run_once(0).ExitReason;
  } while (reason == WHvRunVpExitReasonNone);
  host.join();
  EXPECT_EQ(reason, WHvRunVpExitReasonCanceled);
}

}  // namespace
}  // namespace runhv::conformance
