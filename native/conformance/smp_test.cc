// Several processors: start by INIT and SIPI, atomic operations, IPIs.
#include <cstring>
#include <thread>

#include "conformance/guest.h"
#include "gtest/gtest.h"

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

TEST(Smp, BothProcessorsMakeProgressOnAtomicMemory) {
  Guest guest(two_processors());
  guest.load(kCodeGpa,
             enable_x2apic() + wrmsr(kIcr, kInit) + wrmsr(kIcr, kSipi) + count_64() + out(0x80));
  guest.load(kApCodeGpa, count_16() + out(0x81));
  guest.enter_long_mode();

  WHV_RUN_VP_EXIT_CONTEXT second{};
  std::thread processor1([&] { second = guest.run(1); });
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

TEST(Smp, ProcessorThatSpinsLetsTheOtherRun) {
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

TEST(Smp, InitialApicIdIsTheIndex) {
  Guest guest(two_processors());
  for (UINT32 vp = 0; vp < 2; ++vp) {
    guest.load(kCodeGpa, Code{0x0F, 0xA2} + out(0x80));
    guest.enter_long_mode(kCodeGpa, vp);
    guest.set({{WHvX64RegisterRax, 1}, {WHvRegisterInternalActivityState, 0}}, vp);
    ASSERT_EQ(guest.run(vp).ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(guest.get(WHvX64RegisterRbx, vp).Reg64 >> 24 & 0xFF, vp);
  }
}

}  // namespace
}  // namespace runhv::conformance
