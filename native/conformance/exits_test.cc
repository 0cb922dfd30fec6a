// Exits: what each tells, where RIP is, and that the client's register writes complete it.
#include <cstring>

#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr Code::value_type kHlt = 0xF4;

CASE(Exits, PortWriteStopsAtTheInstruction, kDocumented,
     "WHV_X64_IO_PORT_ACCESS_CONTEXT; field guide 1.5") {
  Guest guest;
  guest.load(kCodeGpa, Code{0xB0, 0x42} + out(0x80) + Code{kHlt});  // mov al, 0x42
  guest.enter_long_mode();

  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 2);
  EXPECT_EQ(exit.VpContext.InstructionLength, 2);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x80);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.IsWrite, 1u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.AccessSize, 1u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.StringOp, 0u);
  EXPECT_EQ(exit.IoPortAccess.Rax & 0xFF, 0x42u);
  EXPECT_EQ(guest.get(WHvX64RegisterRip).Reg64, kCodeGpa + 2);

  guest.complete(exit);
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Halt);
}

CASE(Exits, PortExitComesAgainWhereNobodyCompletesIt, kReported,
     "field guide 1.5: the guest is not advanced") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  const auto again = guest.run();
  ASSERT_EQ(again.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(again.VpContext.Rip, kCodeGpa);
}

CASE(Exits, PortReadTakesWhatTheClientPutsInRax, kReported, "field guide 3.3: every client") {
  Guest guest;
  guest.load(kCodeGpa, Code{0xE4, 0x71} + out(0x80));  // in al, 0x71
  guest.enter_long_mode();
  const auto in = guest.run();
  ASSERT_EQ(in.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(in.IoPortAccess.AccessInfo.IsWrite, 0u);
  EXPECT_EQ(in.IoPortAccess.PortNumber, 0x71);
  guest.complete(in, {{WHvX64RegisterRax, 0x1234567890ABCD5Au}});

  const auto report = guest.run();
  ASSERT_EQ(report.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(report.IoPortAccess.Rax, 0x1234567890ABCD5Au);
}

CASE(Exits, PortAccessHasItsSize, kDocumented, "WHV_X64_IO_PORT_ACCESS_INFO") {
  Guest guest;
  guest.load(kCodeGpa, Code{0x66, 0xBA, 0xF8, 0x0C,  // mov dx, 0xCF8
                            0xEF,                    // out dx, eax
                            0x66, 0xED});            // in ax, dx
  guest.enter_long_mode();
  const auto dword = guest.run();
  ASSERT_EQ(dword.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(dword.IoPortAccess.AccessInfo.AccessSize, 4u);
  EXPECT_EQ(dword.IoPortAccess.PortNumber, 0xCF8);
  EXPECT_EQ(dword.VpContext.InstructionLength, 1);
  guest.complete(dword);
  const auto word = guest.run();
  ASSERT_EQ(word.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(word.IoPortAccess.AccessInfo.AccessSize, 2u);
  EXPECT_EQ(word.VpContext.InstructionLength, 2);
}

CASE(Exits, StringPortWriteTellsItsRegisters, kDocumented,
     "WHV_X64_IO_PORT_ACCESS_CONTEXT; field guide 3.3") {
  Guest guest;
  guest.load(kCodeGpa, {0xF3, 0x6E});  // rep outsb
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRcx, 3}, {WHvX64RegisterRsi, 0x700}, {WHvX64RegisterRdx, 0x3F8}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.StringOp, 1u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.RepPrefix, 1u);
  EXPECT_EQ(exit.IoPortAccess.PortNumber, 0x3F8);
  EXPECT_EQ(exit.IoPortAccess.Rcx, 3u);
  EXPECT_EQ(exit.IoPortAccess.Rsi, 0x700u);
  EXPECT_EQ(exit.IoPortAccess.Ds.Selector, 16);
}

CASE(Exits, ReadOfUnmappedMemory, kDocumented, "WHV_MEMORY_ACCESS_CONTEXT; field guide 1.8") {
  Guest guest;
  guest.load(kCodeGpa, load_rbx(kMmioGpa + 8) + Code{0x8B, 0x03} + out(0x80));  // mov eax, [rbx]
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessRead});
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
  EXPECT_EQ(exit.MemoryAccess.Gpa, kMmioGpa + 8);
  if (exit.MemoryAccess.AccessInfo.GvaValid != 0) {
    EXPECT_EQ(exit.MemoryAccess.Gva, kMmioGpa + 8);
  }
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 10);
  ASSERT_GE(exit.MemoryAccess.InstructionByteCount, 2);
  EXPECT_EQ(exit.MemoryAccess.InstructionBytes[0], 0x8B);
  EXPECT_EQ(exit.MemoryAccess.InstructionBytes[1], 0x03);

  // The length of a memory access is the client's to decode.
  guest.set({{WHvX64RegisterRax, 0x5A}, {WHvX64RegisterRip, exit.VpContext.Rip + 2}});
  const auto report = guest.run();
  ASSERT_EQ(report.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(report.IoPortAccess.Rax, 0x5Au);
}

CASE(Exits, WriteToUnmappedMemory, kDocumented, "WHV_MEMORY_ACCESS_CONTEXT") {
  Guest guest;
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + Code{0x89, 0x03} + out(0x80));  // mov [rbx], eax
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessWrite});
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
  EXPECT_EQ(exit.MemoryAccess.Gpa, kMmioGpa);
  guest.set({{WHvX64RegisterRip, exit.VpContext.Rip + 2}});
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Exits, WriteToReadOnlyMemoryIsNotUnmapped, kReported,
     "field guide 1.8: Microsoft's sample, OpenVMM") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, WHvMapGpaRangeFlagRead),
            S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + Code{0x8B, 0x03, 0x89, 0x03});  // a read, a write
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessWrite});
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 0u);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 12);
}

CASE(Exits, UnmappedRangeExits, kDocumented, "WHvUnmapGpaRange; field guide 1.8") {
  Guest guest;
  const Pages pages = allocate_pages(3 * 4096);
  const std::uint32_t value = 77;
  std::memcpy(pages.get() + 8192, &value, sizeof value);
  constexpr auto kAll =
      WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite | WHvMapGpaRangeFlagExecute;
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), pages.get(), kMmioGpa, 3 * 4096, kAll), S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa + 8192) + Code{0x8B, 0x03} + out(0x80) +  // mov eax, [rbx]
                           load_rbx(kMmioGpa + 4096) + Code{0x8B, 0x03});
  guest.enter_long_mode();
  const auto mapped = guest.run();
  ASSERT_EQ(mapped.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(mapped.IoPortAccess.Rax, value);
  guest.complete(mapped);

  ASSERT_EQ(WHvUnmapGpaRange(guest.handle(), kMmioGpa + 4096, 4096), S_OK);  // the middle page
  const auto unmapped = guest.run();
  ASSERT_EQ(unmapped.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(unmapped.MemoryAccess.Gpa, kMmioGpa + 4096);
  EXPECT_EQ(unmapped.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
}

// ---- Accesses that span two pages ----

constexpr Code::value_type kRead = 0x8B;   // mov eax, [rbx]
constexpr Code::value_type kWrite = 0x89;  // mov [rbx], eax
constexpr std::uint64_t kRamTail = 0xA4A3A2A1;

// Runs `opcode` at the last three bytes of RAM, which hold kRamTail's upper three; nothing follows.
WHV_RUN_VP_EXIT_CONTEXT run_at_the_end_of_ram(Guest& guest, Code::value_type opcode) {
  std::memcpy(guest.ram() + kRamBytes - 4, &kRamTail, 4);
  guest.load(kCodeGpa, load_rbx(kRamBytes - 3) + Code{opcode, 0x03} + out(0x80));
  guest.enter_long_mode();
  return guest.run();
}

void expect_exit_of_the_second_page(Guest& guest, const WHV_RUN_VP_EXIT_CONTEXT& exit) {
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.Gpa, kRamBytes);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 10);
  // The instruction has not happened: RAM's part is the client's to do as well.
  EXPECT_EQ(guest.read64(kRamBytes - 8) >> 32, kRamTail);
}

CASE(Exits, ReadFromRamIntoNothingNamesTheSecondPage, kBelieved, "no source says what Gva tells") {
  Guest guest;
  const auto exit = run_at_the_end_of_ram(guest, kRead);
  expect_exit_of_the_second_page(guest, exit);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessRead});
}

CASE(Exits, WriteFromRamIntoNothingNamesTheSecondPageAndWritesNothing, kBelieved, "no source") {
  Guest guest;
  const auto exit = run_at_the_end_of_ram(guest, kWrite);
  expect_exit_of_the_second_page(guest, exit);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessWrite});
}

// A device before RAM: the exit is where the access begins.
CASE(Exits, AccessFromADeviceIntoRamNamesTheFirstPage, kBelieved, "no source") {
  for (const auto opcode : {kRead, kWrite}) {
    Guest guest;
    const Pages page = allocate_pages(4096);
    ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa + 4096, 4096,
                             WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite),
              S_OK);
    guest.load(kCodeGpa, load_rbx(kMmioGpa + 4094) + Code{opcode, 0x03});
    guest.enter_long_mode();
    guest.set({{WHvX64RegisterRax, 0x11111111}});
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
    EXPECT_EQ(exit.MemoryAccess.Gpa, kMmioGpa + 4094);
    EXPECT_EQ(page[0], std::byte{0});
  }
}

// RAM that is mapped in two pieces: no exit, and each page has its bytes.
CASE(Exits, AccessAcrossTwoPagesOfRamIsNoExit, kDocumented,
     "field guide 1.8: a mapped access is no exit") {
  Guest guest;
  const Pages first = allocate_pages(4096);
  const Pages second = allocate_pages(4096);
  constexpr auto kFlags = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), first.get(), kMmioGpa, 4096, kFlags), S_OK);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), second.get(), kMmioGpa + 4096, 4096, kFlags), S_OK);
  guest.load(kCodeGpa,
             load_rbx(kMmioGpa + 4093) + Code{kWrite, 0x03, 0x31, 0xC0, kRead, 0x03} + out(0x80));
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, kRamTail}});
  const auto report = guest.run();
  ASSERT_EQ(report.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(report.IoPortAccess.Rax, kRamTail);
  EXPECT_EQ(first[4093], std::byte{0xA1});
  EXPECT_EQ(first[4095], std::byte{0xA3});
  EXPECT_EQ(second[0], std::byte{0xA4});
}

CASE(Exits, HltWithoutApicStopsBehindTheInstruction, kReported,
     "field guide 1.5, 4.4: entangled, QEMU") {
  Guest guest;
  guest.load(kCodeGpa, {0x90, kHlt});
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64Halt);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 2);
}

CASE(Exits, RunAfterHltWithoutApicGoesOn, kReported, "field guide 4.4") {
  Guest guest;
  guest.load(kCodeGpa, Code{kHlt} + out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Halt);
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Exits, TripleFaultIsAnExit, kReported, "field guide 4.5; some builds park") {
  Guest guest;
  guest.load(kCodeGpa, {0x0F, 0x0B});  // ud2, and no handler
  guest.enter_long_mode();
  WHV_REGISTER_VALUE no_table{};
  const WHV_REGISTER_NAME idtr = WHvX64RegisterIdtr;
  ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &idtr, 1, &no_table), S_OK);
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonUnrecoverableException);
}

CASE(Exits, ContextTellsTheExecutionState, kDocumented, "WHV_X64_VP_EXECUTION_STATE") {
  Guest guest;
  guest.load(kCodeGpa, {0xFB, kHlt});  // sti; its shadow covers the hlt
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64Halt);
  EXPECT_EQ(exit.VpContext.ExecutionState.Cpl, 0);
  EXPECT_EQ(exit.VpContext.ExecutionState.Cr0Pe, 1);
  EXPECT_EQ(exit.VpContext.ExecutionState.EferLma, 1);
  EXPECT_EQ(exit.VpContext.ExecutionState.InterruptionPending, 0);
  EXPECT_EQ(exit.VpContext.Cs.Selector, 8);
  EXPECT_EQ(exit.VpContext.Cs.Long, 1);
  EXPECT_EQ(exit.VpContext.Rflags & 0x200, 0x200u);
}

CASE(Exits, OldContextSizeGetsItsPart, kReported, "field guide 1.5: clients of old SDKs run") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80) + out(0x80));
  guest.enter_long_mode();
  alignas(16) std::byte bytes[sizeof(WHV_RUN_VP_EXIT_CONTEXT)];
  std::memset(bytes, 0xEE, sizeof bytes);
  ASSERT_EQ(WHvRunVirtualProcessor(guest.handle(), 0, bytes, whpapi::kWhvExitContextBytes1803),
            S_OK);
  WHV_RUN_VP_EXIT_REASON reason{};
  std::memcpy(&reason, bytes, sizeof reason);
  EXPECT_EQ(reason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(bytes[whpapi::kWhvExitContextBytes1803], std::byte{0xEE});
}

CASE(Exits, ProcessorStartsAtTheResetVector, kReported, "field guide 1.4") {
  Guest guest;
  const Pages top = allocate_pages(4096);
  const Code code = Code{0xB0, 0x05} + out(0x80);  // mov al, 5
  std::memcpy(top.get() + 0xFF0, code.data(), code.size());
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), top.get(), 0xFFFFF000, 4096,
                           WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagExecute),
            S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterRip).Reg64, 0xFFF0u);
  EXPECT_EQ(guest.get(WHvX64RegisterCs).Segment.Selector, 0xF000);
  EXPECT_EQ(guest.get(WHvX64RegisterCs).Segment.Base, 0xFFFF0000u);
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.Rax & 0xFF, 5u);
  EXPECT_EQ(exit.VpContext.ExecutionState.Cr0Pe, 0);
}

// ---- what nobody completes comes again ----

CASE(Exits, AReadOfAPortComesAgain, kReported, "field guide 1.5: the guest is not advanced") {
  Guest guest;
  guest.load(kCodeGpa, {0xE4, 0x71});  // in al, 0x71
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 0x77}});
  for (int i = 0; i < 3; ++i) {
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(exit.IoPortAccess.AccessInfo.IsWrite, 0u);
    EXPECT_EQ(exit.IoPortAccess.Rax, 0x77u);
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  }
}

CASE(Exits, ACompletedInstructionIsNotRepeated, kReported, "field guide 3.3: every client") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80) + out(0x81) + out(0x82));
  guest.enter_long_mode();
  for (const UINT32 port : {0x80u, 0x81u, 0x82u}) {
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(exit.IoPortAccess.PortNumber, port);
    guest.complete(exit);
  }
}

CASE(Exits, ARipThatIsSetIsWhereItGoesOn, kDocumented, "WHvSetVirtualProcessorRegisters") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.load(kHandlerGpa, out(0x81));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run().IoPortAccess.PortNumber, 0x80);
  guest.set({{WHvX64RegisterRip, kHandlerGpa}});
  EXPECT_EQ(guest.run().IoPortAccess.PortNumber, 0x81);
}

CASE(Exits, AnExitLeavesTheRegisters, kReported, "field guide 1.5") {
  Guest guest;
  guest.load(kCodeGpa, {0xED});  // in eax, dx
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 0x1122334455667788},
             {WHvX64RegisterRdx, 0x3F8},
             {WHvX64RegisterRsp, 0x8000}});
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 0x1122334455667788u);
  EXPECT_EQ(guest.get(WHvX64RegisterRdx).Reg64, 0x3F8u);
  EXPECT_EQ(guest.get(WHvX64RegisterRsp).Reg64, 0x8000u);
  EXPECT_EQ(guest.get(WHvX64RegisterRip).Reg64, kCodeGpa);
}

// ---- ports ----

CASE(Exits, PortsHave16Bits, kDocumented, "WHV_X64_IO_PORT_ACCESS_CONTEXT") {
  Guest guest;
  guest.load(kCodeGpa, {0xEE});  // out dx, al
  guest.enter_long_mode();
  for (const UINT64 port : {0x0u, 0xFFu, 0xFFFFu}) {
    guest.set({{WHvX64RegisterRdx, port}});
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(exit.IoPortAccess.PortNumber, port);
    EXPECT_EQ(exit.VpContext.InstructionLength, 1);
  }
}

CASE(Exits, PortReadsHaveTheirSize, kDocumented, "WHV_X64_IO_PORT_ACCESS_INFO") {
  const std::pair<Code, UINT32> reads[] = {{{0xEC}, 1}, {{0x66, 0xED}, 2}, {{0xED}, 4}};
  for (const auto& [code, size] : reads) {
    Guest guest;
    guest.load(kCodeGpa, code);
    guest.enter_long_mode();
    guest.set({{WHvX64RegisterRdx, 0x3F8}});
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    EXPECT_EQ(exit.IoPortAccess.AccessInfo.AccessSize, size);
    EXPECT_EQ(exit.IoPortAccess.AccessInfo.IsWrite, 0u);
    EXPECT_EQ(exit.VpContext.InstructionLength, code.size());
  }
}

CASE(Exits, PortBytesAreThoseOfTheInstruction, kReported,
     "field guide 3.2: 0 of them, or up to 16") {
  Guest guest;
  guest.load(kCodeGpa, out(0x42));
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  ASSERT_LE(exit.IoPortAccess.InstructionByteCount, 16);
  if (exit.IoPortAccess.InstructionByteCount >= 2) {
    EXPECT_EQ(exit.IoPortAccess.InstructionBytes[0], 0xE6);
    EXPECT_EQ(exit.IoPortAccess.InstructionBytes[1], 0x42);
  }
}

CASE(Exits, StringPortReadTellsItsRegisters, kDocumented, "field guide 3.3") {
  Guest guest;
  guest.load(kCodeGpa, {0xF3, 0x6D});  // rep insd
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRcx, 4}, {WHvX64RegisterRdi, 0x700}, {WHvX64RegisterRdx, 0x1F0}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.IsWrite, 0u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.AccessSize, 4u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.StringOp, 1u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.RepPrefix, 1u);
  EXPECT_EQ(exit.IoPortAccess.Rdi, 0x700u);
  EXPECT_EQ(exit.IoPortAccess.Rcx, 4u);
  EXPECT_EQ(exit.IoPortAccess.Es.Selector, 16);
}

CASE(Exits, StringPortAccessOfNothingIsNoExit, kDocumented, "Intel SDM: REP with RCX 0") {
  Guest guest;
  guest.load(kCodeGpa, Code{0xF3, 0x6E} + out(0x80));
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRcx, 0}, {WHvX64RegisterRdx, 0x3F8}});
  EXPECT_EQ(guest.run().IoPortAccess.PortNumber, 0x80);
}

CASE(Exits, ASingleStringPortWriteHasNoRep, kDocumented, "WHV_X64_IO_PORT_ACCESS_INFO") {
  Guest guest;
  guest.load(kCodeGpa, {0x6E});  // outsb
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRsi, 0x700}, {WHvX64RegisterRdx, 0x3F8}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.StringOp, 1u);
  EXPECT_EQ(exit.IoPortAccess.AccessInfo.RepPrefix, 0u);
}

// ---- the state that every exit tells ----

CASE(Exits, ContextTellsCr8, kDocumented, "WHV_VP_EXIT_CONTEXT") {
  Guest guest({.apic = WHvX64LocalApicEmulationModeX2Apic});
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterCr8, 5}});
  EXPECT_EQ(guest.run().VpContext.Cr8, 5);
}

CASE(Exits, ContextTellsTheInterruptShadow, kDocumented, "WHV_X64_VP_EXECUTION_STATE") {
  Guest guest;
  guest.load(kCodeGpa, Code{0xFB} + out(0x80) + out(0x81));  // sti
  guest.enter_long_mode();
  const auto in_shadow = guest.run();
  ASSERT_EQ(in_shadow.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(in_shadow.VpContext.ExecutionState.InterruptShadow, 1);
}

CASE(Exits, ContextTellsThePrivilegeLevel, kDocumented, "WHV_X64_VP_EXECUTION_STATE") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  guest.allow_user_mode();
  WHV_REGISTER_VALUE code{};
  code.Segment.Selector = 0x1B;
  code.Segment.Limit = 0xFFFFFFFF;
  code.Segment.Attributes = 0xA0FB;
  WHV_REGISTER_VALUE stack = code;
  stack.Segment.Selector = 0x23;
  stack.Segment.Attributes = 0xC0F3;
  WHV_REGISTER_VALUE flags{};
  flags.Reg64 = 0x3002;  // IOPL 3
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterCs, WHvX64RegisterSs, WHvX64RegisterRflags};
  alignas(16) const WHV_REGISTER_VALUE values[] = {code, stack, flags};
  ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, names, 3, values), S_OK);
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.VpContext.ExecutionState.Cpl, 3);
  EXPECT_EQ(exit.VpContext.Cs.Selector, 0x1B);
}

CASE(Exits, EachExitHasTheSameStateAsTheRegisters, kReported, "field guide 3.3: elide the reads") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  const auto exit = guest.run();
  EXPECT_EQ(exit.VpContext.Rip, guest.get(WHvX64RegisterRip).Reg64);
  EXPECT_EQ(exit.VpContext.Rflags, guest.get(WHvX64RegisterRflags).Reg64);
  EXPECT_EQ(exit.VpContext.Cs.Selector, guest.get(WHvX64RegisterCs).Segment.Selector);
  EXPECT_EQ(exit.IoPortAccess.Rax, guest.get(WHvX64RegisterRax).Reg64);
}

CASE(Exits, HltWithInterruptsOffIsAnExitToo, kReported, "field guide 4.4: the guest is done") {
  Guest guest;
  guest.load(kCodeGpa, {0xFA, kHlt});  // cli
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64Halt);
  EXPECT_EQ(exit.VpContext.Rflags & 0x200, 0u);
}

}  // namespace
}  // namespace runhv::conformance
