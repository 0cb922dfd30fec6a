// What a processor has beside its registers: the XSAVE state, the local APIC's, and counters.
#include <array>
#include <cstring>
#include <vector>

#include "conformance/bare_partition.h"
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"
#include "conformance/newer_calls.h"

namespace runhv::conformance {
namespace {

constexpr const char* kAbsent = "this version of Windows does not have the call";
constexpr std::uint8_t kVector = 0x41;

GuestOptions x2apic(UINT32 processors = 1) {
  return {.processors = processors, .apic = WHvX64LocalApicEmulationModeX2Apic};
}

// State as the calls have it, with numbers at places.
class Bytes {
 public:
  explicit Bytes(std::size_t size) : bytes_(size) {}

  template <class T>
  T at(std::size_t offset) const {
    T value{};
    if (offset + sizeof value <= bytes_.size()) {
      std::memcpy(&value, bytes_.data() + offset, sizeof value);
    } else {
      fail(__FILE__, __LINE__, "the state is shorter than " + shown_number(offset + sizeof value));
    }
    return value;
  }
  template <class T>
  void put(std::size_t offset, T value) {
    EXPECT_LE(offset + sizeof value, bytes_.size());
    if (offset + sizeof value <= bytes_.size()) {
      std::memcpy(bytes_.data() + offset, &value, sizeof value);
    }
  }
  void* data() { return bytes_.data(); }
  UINT32 size() const { return static_cast<UINT32>(bytes_.size()); }
  friend bool operator==(const Bytes&, const Bytes&) = default;

 private:
  std::vector<std::byte> bytes_;
};

// Of a call that tells its size: with no buffer, then with one that fits.
template <class Get>
Bytes read_all(Get get, WHV_PARTITION_HANDLE handle, UINT32 vp) {
  UINT32 size = 0;
  EXPECT_EQ(get(handle, vp, nullptr, 0, &size), WHV_E_INSUFFICIENT_BUFFER);
  Bytes bytes(size);
  EXPECT_EQ(get(handle, vp, bytes.data(), bytes.size(), &size), S_OK);
  EXPECT_EQ(size, bytes.size());
  return bytes;
}

// ---- XSAVE ----

// Places in the area (Intel SDM Vol.1 13.4).
constexpr std::size_t kFpControl = 0;
constexpr std::size_t kMxcsr = 24;
constexpr std::size_t kXmm = 160;
constexpr std::size_t kXstateBv = 512;
constexpr std::size_t kXcompBv = 520;
constexpr std::size_t kExtended = 576;
constexpr UINT64 kCompacted = UINT64{1} << 63;
constexpr UINT64 kAvx = 4;

bool has_xsave() {
  WHV_CAPABILITY_FEATURES features{};
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, &features, sizeof features, nullptr), S_OK);
  return newer_calls().get_xsave != nullptr && features.Xsave != 0;
}

Bytes get_xsave(Guest& guest, UINT32 vp = 0) {
  return read_all(newer_calls().get_xsave, guest.handle(), vp);
}

HRESULT set_xsave(Guest& guest, Bytes area, UINT32 vp = 0) {
  return newer_calls().set_xsave(guest.handle(), vp, area.data(), area.size());
}

CASE(Xsave, ABufferThatIsTooShortIsToldTheSize, kDocumented, "WHvGetVirtualProcessorXsaveState") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  Bytes area = get_xsave(guest);
  UINT32 written = 0;
  EXPECT_EQ(newer_calls().get_xsave(guest.handle(), 0, area.data(), area.size() - 1, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, area.size());
}

CASE(Xsave, IsCompacted, kReported, "field guide 6.3: hyperlight, OpenVMM") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  const Bytes area = get_xsave(guest);
  ASSERT_GE(area.size(), kExtended);
  EXPECT_EQ(area.at<UINT64>(kXcompBv) & (kCompacted | 3), kCompacted | 3);
  EXPECT_EQ(area.at<UINT64>(kXstateBv) & ~area.at<UINT64>(kXcompBv), 0u);
}

CASE(Xsave, HoldsTheRegistersThatHaveNames, kDocumented, "Intel SDM Vol.1 13.4.1") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.set({{WHvX64RegisterXmm3, 0x1122334455667788}});
  const Bytes area = get_xsave(guest);
  EXPECT_EQ(area.at<UINT64>(kXmm + 16 * 3), 0x1122334455667788u);
  EXPECT_EQ(area.at<UINT32>(kMxcsr), 0x1F80u);
}

CASE(Xsave, WhatWasReadIsSetAgain, kReported, "field guide 6.4: OpenVMM, hyperlight restore so") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.set({{WHvX64RegisterXmm3, 77}});
  const Bytes before = get_xsave(guest);
  guest.set({{WHvX64RegisterXmm3, 88}});
  ASSERT_EQ(set_xsave(guest, before), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterXmm3).Reg128.Low64, 77u);
  EXPECT_TRUE(get_xsave(guest) == before);
}

CASE(Xsave, ChangesOfItReachTheRegisters, kDocumented, "WHvSetVirtualProcessorXsaveState") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.set({{WHvX64RegisterXmm3, 1}});  // so that SSE is in use
  Bytes area = get_xsave(guest);
  area.put<UINT64>(kXmm + 16 * 7, 0xABCD);
  area.put<UINT64>(kXstateBv, area.at<UINT64>(kXstateBv) | 3);
  ASSERT_EQ(set_xsave(guest, area), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterXmm7).Reg128.Low64, 0xABCDu);
}

// A guest whose code has 1, 2, 3, 4 in YMM2.
void load_ymm2(Guest& guest) {
  for (UINT64 n = 0; n < 4; ++n) {
    const UINT64 value = n + 1;
    std::memcpy(guest.ram() + kDataGpa + 8 * n, &value, sizeof value);
  }
  guest.load(kCodeGpa, Code{0xC5, 0xFE, 0x6F, 0x14, 0x25, 0x00, 0x05, 0x00, 0x00} +  // vmovdqu
                           out(0x80));
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterCr4, 0x40620}, {WHvX64RegisterXCr0, 7}});  // OSXSAVE, and AVX
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Xsave, HoldsTheUpperHalvesOfYmm, kDocumented, "Intel SDM Vol.1 13.4.3") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  if ((get_xsave(guest).at<UINT64>(kXcompBv) & kAvx) == 0) SKIP_CASE("its processors have no AVX");
  load_ymm2(guest);
  const Bytes area = get_xsave(guest);
  EXPECT_EQ(area.at<UINT64>(kXstateBv) & kAvx, kAvx);
  EXPECT_EQ(area.at<UINT64>(kXmm + 16 * 2), 1u);
  EXPECT_EQ(area.at<UINT64>(kExtended + 16 * 2), 3u);
  EXPECT_EQ(area.at<UINT64>(kExtended + 16 * 2 + 8), 4u);
}

CASE(Xsave, IsSetOnAnotherProcessor, kReported, "field guide 6.4: clones") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest(x2apic(2));
  guest.set({{WHvX64RegisterXmm5, 55}});
  const Bytes area = get_xsave(guest);
  ASSERT_EQ(set_xsave(guest, area, 1), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterXmm5, 1).Reg128.Low64, 55u);
  EXPECT_TRUE(get_xsave(guest, 1) == area);
}

CASE(Xsave, WhatIsNotInUseIsAsAfterInit, kBelieved, "as XRSTOR, Intel SDM Vol.1 13.8") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.set({{WHvX64RegisterXmm3, 77}});
  Bytes area = get_xsave(guest);
  area.put<UINT64>(kXstateBv, 0);
  ASSERT_EQ(set_xsave(guest, area), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterXmm3).Reg128.Low64, 0u);
  EXPECT_EQ(get_xsave(guest).at<UINT16>(kFpControl), 0x37F);
}

CASE(Xsave, AnAreaThatIsNotCompactedIsRefused, kReported,
     "field guide 9, row 21: hyperlight lost XCOMP_BV") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  Bytes area = get_xsave(guest);
  area.put<UINT64>(kXcompBv, 0);
  EXPECT_TRUE(FAILED(set_xsave(guest, area)));
}

CASE(Xsave, AreasThatNoProcessorHasAreRefused, kBelieved, "as XRSTOR, Intel SDM Vol.1 13.8") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.set({{WHvX64RegisterXmm3, 77}});
  const Bytes area = get_xsave(guest);
  const UINT64 present = area.at<UINT64>(kXcompBv);
  const auto refused = [&](std::size_t offset, UINT64 value) {
    Bytes wrong = area;
    wrong.put(offset, value);
    EXPECT_TRUE(FAILED(set_xsave(guest, wrong))) << std::hex << offset << ' ' << value;
  };
  refused(kXcompBv, present | UINT64{1} << 62);  // no such component
  refused(kXstateBv, UINT64{1} << 61);           // in use, and not there
  refused(kXstateBv + 16, 1);                    // reserved
  Bytes wrong = area;
  wrong.put<UINT32>(kMxcsr, 0xFFFF0000);
  EXPECT_TRUE(FAILED(set_xsave(guest, wrong)));
  EXPECT_EQ(guest.get(WHvX64RegisterXmm3).Reg128.Low64, 77u);  // and nothing was set
}

CASE(Xsave, AnAreaThatIsTooShortIsRefused, kBelieved, "no source") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  Bytes area = get_xsave(guest);
  const auto set = newer_calls().set_xsave;
  EXPECT_TRUE(FAILED(set(guest.handle(), 0, area.data(), area.size() - 1)));
  EXPECT_TRUE(FAILED(set(guest.handle(), 0, area.data(), 100)));
  EXPECT_TRUE(FAILED(set(guest.handle(), 0, nullptr, 0)));
}

CASE(Xsave, NoHandleOrNoProcessor, kBelieved, "as all calls") {
  if (!has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  Bytes area = get_xsave(guest);
  UINT32 written = 0;
  const auto get = newer_calls().get_xsave;
  EXPECT_EQ(get(nullptr, 0, area.data(), area.size(), &written), E_HANDLE);
  EXPECT_EQ(get(guest.handle(), 9, area.data(), area.size(), &written), WHV_E_VP_DOES_NOT_EXIST);
  EXPECT_EQ(newer_calls().set_xsave(nullptr, 0, area.data(), area.size()), E_HANDLE);
  EXPECT_EQ(newer_calls().set_xsave(guest.handle(), 9, area.data(), area.size()),
            WHV_E_VP_DOES_NOT_EXIST);
}

// ---- the local APIC ----

// Places in its page (Intel SDM Vol.3 11.4.1).
constexpr std::size_t kId = 0x20;
constexpr std::size_t kTpr = 0x80;
constexpr std::size_t kSpurious = 0xF0;
constexpr std::size_t kIrr = 0x200;
constexpr std::size_t kTimer = 0x320;
constexpr std::size_t kLint0 = 0x350;
constexpr std::size_t kInitialCount = 0x380;
constexpr std::size_t kCurrentCount = 0x390;

bool has_apic_state() { return newer_calls().get_apic2 != nullptr; }

Bytes get_apic(Guest& guest, UINT32 vp = 0) {
  return read_all(newer_calls().get_apic2, guest.handle(), vp);
}

HRESULT set_apic(Guest& guest, Bytes page, UINT32 vp = 0) {
  return newer_calls().set_apic2(guest.handle(), vp, page.data(), page.size());
}

// Has run `code` with its x2APIC on, up to a port at which it stands.
void run_to_port(Guest& guest, const Code& code, const Code& more = {}) {
  guest.load(kCodeGpa, enable_x2apic() + code + out(0x80) + more);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

const Code kSpin = {0xEB, 0xFE};

CASE(ApicState, IsAPage, kReported, "field guide 1.10: OpenVMM, QEMU") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  EXPECT_EQ(get_apic(guest).size(), whpapi::kWhvInterruptControllerState2Bytes);
}

CASE(ApicState, ABufferThatIsTooShortIsToldTheSize, kDocumented,
     "WHvGetVirtualProcessorInterruptControllerState2") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  Bytes page = get_apic(guest);
  UINT32 written = 0;
  EXPECT_EQ(newer_calls().get_apic2(guest.handle(), 0, page.data(), 1023, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, page.size());
  EXPECT_TRUE(FAILED(newer_calls().set_apic2(guest.handle(), 0, page.data(), 1023)));
}

CASE(ApicState, HoldsWhatTheGuestWrote, kReported, "field guide 1.10: QEMU, crosvm") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  run_to_port(guest, wrmsr(0x832, 0x10000 | kVector) + wrmsr(0x808, 0x20));
  const Bytes page = get_apic(guest);
  EXPECT_EQ(page.at<UINT32>(kSpurious), 0x1FFu);
  EXPECT_EQ(page.at<UINT32>(kTimer), 0x10000u | kVector);
  EXPECT_EQ(page.at<UINT32>(kTpr), 0x20u);
}

CASE(ApicState, TheGuestReadsWhatWasSet, kReported, "field guide 6.4: QEMU, OpenVMM restore so") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  run_to_port(guest, {},
              Code{0xB9, 0x35, 0x08, 0x00, 0x00, 0x0F, 0x32} + out(0x81));  // rdmsr LINT0
  Bytes page = get_apic(guest);
  page.put<UINT32>(kLint0, 0x10000 | 0x55);
  ASSERT_EQ(set_apic(guest, page), S_OK);
  guest.complete(guest.run());
  const auto exit = guest.run();
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x81);
  EXPECT_EQ(exit.IoPortAccess.Rax, 0x10000u | 0x55);
}

CASE(ApicState, WhatWasReadIsSetAgain, kReported, "field guide 6.4: entangled resets so") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  run_to_port(guest, {}, wrmsr(0x832, 0x10000 | kVector) + wrmsr(0x808, 0x20) + out(0x81));
  const Bytes before = get_apic(guest);
  guest.complete(guest.run());
  EXPECT_EQ(guest.run().IoPortAccess.PortNumber, 0x81);
  EXPECT_TRUE(get_apic(guest) != before);
  ASSERT_EQ(set_apic(guest, before), S_OK);
  EXPECT_TRUE(get_apic(guest) == before);
}

CASE(ApicState, ItsPriorityIsCr8, kDocumented, "field guide 1.10; Intel SDM Vol.3 11.8.6") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  guest.set({{WHvX64RegisterCr8, 3}});
  Bytes page = get_apic(guest);
  EXPECT_EQ(page.at<UINT32>(kTpr), 0x30u);
  page.put<UINT32>(kTpr, 0x50);
  ASSERT_EQ(set_apic(guest, page), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterCr8).Reg64, 5u);
}

CASE(ApicState, ARequestThatWaitsIsInIt, kReported, "field guide 6.4: snapshots have it") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  run_to_port(guest, {});
  WHV_INTERRUPT_CONTROL control{};
  control.Type = WHvX64InterruptTypeFixed;
  control.Vector = kVector;
  ASSERT_EQ(WHvRequestInterrupt(guest.handle(), &control, sizeof control), S_OK);
  EXPECT_EQ(get_apic(guest).at<UINT32>(kIrr + 16 * (kVector / 32)), 1u << kVector % 32);
}

CASE(ApicState, ARequestThatIsSetIsDelivered, kReported, "field guide 6.4: snapshots have it") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  guest.load(kHandlerGpa, end_of_interrupt() + out(0x82));
  guest.set_gate(kVector, kHandlerGpa);
  run_to_port(guest, {}, Code{0xFB} + kSpin);  // sti
  Bytes page = get_apic(guest);
  page.put<UINT32>(kIrr + 16 * (kVector / 32), 1u << kVector % 32);
  ASSERT_EQ(set_apic(guest, page), S_OK);
  guest.complete(guest.run());
  EXPECT_EQ(guest.run().IoPortAccess.PortNumber, 0x82);
}

CASE(ApicState, ATimerGoesOnFromItsCount, kBelieved, "no source") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  // One-shot, masked, by 128, of the longest.
  run_to_port(guest,
              wrmsr(0x832, 0x10000 | kVector) + wrmsr(0x83E, 0xA) + wrmsr(0x838, 0xFFFFFFFF));
  const Bytes page = get_apic(guest);
  EXPECT_EQ(page.at<UINT32>(kInitialCount), 0xFFFFFFFFu);
  EXPECT_GT(page.at<UINT32>(kCurrentCount), 0u);
  ASSERT_EQ(set_apic(guest, page), S_OK);
  const Bytes later = get_apic(guest);
  EXPECT_EQ(later.at<UINT32>(kInitialCount), 0xFFFFFFFFu);
  EXPECT_LE(later.at<UINT32>(kCurrentCount), page.at<UINT32>(kCurrentCount));
  EXPECT_GT(later.at<UINT32>(kCurrentCount), 0u);
}

CASE(ApicState, ItsIdentityIsTheProcessors, kReported,
     "QEMU sets it in xAPIC's form whatever the mode is") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic(2));
  const Bytes page = get_apic(guest, 1);
  EXPECT_EQ(page.at<UINT32>(kId), 1u << 24);  // as it begins: xAPIC
  Bytes other = page;
  other.put<UINT32>(kId, 7u << 24);
  ASSERT_EQ(set_apic(guest, other, 1), S_OK);
  EXPECT_TRUE(get_apic(guest, 1) == page);
}

CASE(ApicState, NeedsAnApic, kDocumented, "field guide 1.10: needs LAPIC emulation") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest;
  Bytes page(whpapi::kWhvInterruptControllerState2Bytes);
  UINT32 written = 0;
  EXPECT_TRUE(
      FAILED(newer_calls().get_apic2(guest.handle(), 0, page.data(), page.size(), &written)));
  EXPECT_TRUE(FAILED(set_apic(guest, page)));
}

CASE(ApicState, NoHandleOrNoProcessor, kDocumented,
     "WHvGetVirtualProcessorInterruptControllerState2") {
  if (!has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  Bytes page = get_apic(guest);
  UINT32 written = 0;
  const auto get = newer_calls().get_apic2;
  EXPECT_EQ(get(nullptr, 0, page.data(), page.size(), &written), E_HANDLE);
  EXPECT_EQ(get(guest.handle(), 9, page.data(), page.size(), &written), WHV_E_VP_DOES_NOT_EXIST);
  EXPECT_EQ(newer_calls().set_apic2(nullptr, 0, page.data(), page.size()), E_HANDLE);
  EXPECT_EQ(set_apic(guest, page, 9), WHV_E_VP_DOES_NOT_EXIST);
}

CASE(ApicState, TheOlderFormTellsItsSize, kDocumented,
     "WHvGetVirtualProcessorInterruptControllerState") {
  if (newer_calls().get_apic == nullptr) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  EXPECT_GT(read_all(newer_calls().get_apic, guest.handle(), 0).size(), 0u);
}

CASE(ApicState, TheOlderFormIsSetAgain, kReported, "a probe of a client's does so") {
  if (newer_calls().get_apic == nullptr || !has_apic_state()) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  run_to_port(guest, wrmsr(0x832, 0x10000 | kVector));
  Bytes before = read_all(newer_calls().get_apic, guest.handle(), 0);
  Bytes page = get_apic(guest);
  page.put<UINT32>(kTimer, 0x10000 | 0x77);
  ASSERT_EQ(set_apic(guest, page), S_OK);
  ASSERT_EQ(newer_calls().set_apic(guest.handle(), 0, before.data(), before.size()), S_OK);
  EXPECT_EQ(get_apic(guest).at<UINT32>(kTimer), 0x10000u | kVector);
}

// ---- by type ----

CASE(State, XsaveIsThatOfItsOwnCall, kDocumented, "WHvGetVirtualProcessorState") {
  const auto get = newer_calls().get_state;
  if (get == nullptr || !has_xsave()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.set({{WHvX64RegisterXmm3, 77}});
  Bytes area = get_xsave(guest);
  Bytes same(area.size());
  UINT32 written = 0;
  ASSERT_EQ(get(guest.handle(), 0, WHvVirtualProcessorStateTypeXsaveState, same.data(), same.size(),
                &written),
            S_OK);
  EXPECT_EQ(written, area.size());
  EXPECT_TRUE(same == area);
  guest.set({{WHvX64RegisterXmm3, 88}});
  EXPECT_EQ(newer_calls().set_state(guest.handle(), 0, WHvVirtualProcessorStateTypeXsaveState,
                                    area.data(), area.size()),
            S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterXmm3).Reg128.Low64, 77u);
}

CASE(State, TheApicIsThatOfItsOwnCall, kDocumented,
     "WHvGetVirtualProcessorInterruptControllerState2: deprecated for this") {
  const auto get = newer_calls().get_state;
  if (get == nullptr || !has_apic_state()) SKIP_CASE(kAbsent);
  constexpr auto kType = WHvVirtualProcessorStateTypeInterruptControllerState2;
  Guest guest(x2apic());
  run_to_port(guest, wrmsr(0x832, 0x10000 | kVector));
  Bytes page = get_apic(guest);
  Bytes same(page.size());
  UINT32 written = 0;
  ASSERT_EQ(get(guest.handle(), 0, kType, same.data(), same.size(), &written), S_OK);
  EXPECT_EQ(written, page.size());
  EXPECT_TRUE(same == page);
  same.put<UINT32>(kTimer, 0x10000 | 0x77);
  EXPECT_EQ(newer_calls().set_state(guest.handle(), 0, kType, same.data(), same.size()), S_OK);
  EXPECT_EQ(get_apic(guest).at<UINT32>(kTimer), 0x10000u | 0x77);
}

CASE(State, ATypeThatThereIsNotIsRefused, kBelieved, "no source") {
  if (newer_calls().get_state == nullptr) SKIP_CASE(kAbsent);
  Guest guest(x2apic());
  Bytes bytes(4096);
  UINT32 written = 0;
  for (const auto type : {0x777, 0x1777}) {
    const auto unknown = static_cast<WHV_VIRTUAL_PROCESSOR_STATE_TYPE>(type);
    EXPECT_TRUE(FAILED(
        newer_calls().get_state(guest.handle(), 0, unknown, bytes.data(), bytes.size(), &written)));
    EXPECT_TRUE(
        FAILED(newer_calls().set_state(guest.handle(), 0, unknown, bytes.data(), bytes.size())));
  }
}

// ---- counters ----

CASE(Counters, MappedPagesAreCounted, kReported, "field guide 1.8: seen as pages of 4 KiB") {
  const auto get = newer_calls().partition_counters;
  if (get == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  guest.run();  // on Windows a page counts once the guest has touched it
  WHV_PARTITION_MEMORY_COUNTERS counters{};
  UINT32 written = 0;
  ASSERT_EQ(get(guest.handle(), WHvPartitionCounterSetMemory, &counters, sizeof counters, &written),
            S_OK);
  EXPECT_EQ(written, sizeof counters);
  EXPECT_GT(counters.Mapped4KPageCount + counters.Mapped2MPageCount + counters.Mapped1GPageCount,
            0u);
}

CASE(Counters, TimeThatItRanIsCounted, kDocumented, "WHvGetVirtualProcessorCounters") {
  const auto get = newer_calls().processor_counters;
  if (get == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  WHV_PROCESSOR_RUNTIME_COUNTERS counters{};
  UINT32 written = 0;
  // What is not completed comes again; each takes its time.
  for (int i = 0; i < 1'000'000 && counters.TotalRuntime100ns == 0; ++i) {
    guest.run();
    ASSERT_EQ(
        get(guest.handle(), 0, WHvProcessorCounterSetRuntime, &counters, sizeof counters, &written),
        S_OK);
  }
  EXPECT_EQ(written, sizeof counters);
  EXPECT_GT(counters.TotalRuntime100ns, 0u);
}

CASE(Counters, ExitsForPortsAreCounted, kDocumented, "header: WHV_PROCESSOR_INTERCEPT_COUNTERS") {
  const auto get = newer_calls().processor_counters;
  if (get == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  // Older versions have fewer of them at its end.
  WHV_PROCESSOR_ACTIVITY_COUNTERS before{};
  WHV_PROCESSOR_ACTIVITY_COUNTERS after{};
  ASSERT_EQ(
      get(guest.handle(), 0, WHvProcessorCounterSetIntercepts, &before, sizeof before, nullptr),
      S_OK);
  for (int i = 0; i < 3; ++i) guest.run();
  ASSERT_EQ(get(guest.handle(), 0, WHvProcessorCounterSetIntercepts, &after, sizeof after, nullptr),
            S_OK);
  EXPECT_GE(after.IoInstructions.Count, before.IoInstructions.Count + 3);
}

CASE(Counters, AnUnknownSetIsRefused, kDocumented, "WHvGetPartitionCounters") {
  if (newer_calls().partition_counters == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  std::array<UINT64, 64> bytes{};
  UINT32 written = 0;
  EXPECT_EQ(
      newer_calls().partition_counters(guest.handle(), static_cast<WHV_PARTITION_COUNTER_SET>(1),
                                       bytes.data(), sizeof bytes, &written),
      WHV_E_UNKNOWN_PROPERTY);
  EXPECT_EQ(
      newer_calls().processor_counters(guest.handle(), 0, static_cast<WHV_PROCESSOR_COUNTER_SET>(7),
                                       bytes.data(), sizeof bytes, &written),
      WHV_E_UNKNOWN_PROPERTY);
}

CASE(Counters, NoHandleNoProcessorNoRoom, kBelieved, "as all calls") {
  const auto of_partition = newer_calls().partition_counters;
  const auto of_processor = newer_calls().processor_counters;
  if (of_partition == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  std::array<UINT64, 64> bytes{};
  UINT32 written = 0;
  EXPECT_EQ(
      of_partition(nullptr, WHvPartitionCounterSetMemory, bytes.data(), sizeof bytes, &written),
      E_HANDLE);
  EXPECT_EQ(of_partition(guest.handle(), WHvPartitionCounterSetMemory, bytes.data(), 8, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(
      of_processor(nullptr, 0, WHvProcessorCounterSetRuntime, bytes.data(), sizeof bytes, &written),
      E_HANDLE);
  EXPECT_EQ(of_processor(guest.handle(), 9, WHvProcessorCounterSetRuntime, bytes.data(),
                         sizeof bytes, &written),
            WHV_E_VP_DOES_NOT_EXIST);
  EXPECT_EQ(
      of_processor(guest.handle(), 0, WHvProcessorCounterSetRuntime, bytes.data(), 8, &written),
      WHV_E_INSUFFICIENT_BUFFER);
}

}  // namespace
}  // namespace runhv::conformance
