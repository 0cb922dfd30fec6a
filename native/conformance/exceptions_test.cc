// Exceptions of the guest that the client wants to see first.
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr UINT64 kDebug = 1u << 1;
constexpr UINT64 kBreakpoint = 1u << 3;
constexpr UINT64 kInvalidOpcode = 1u << 6;
constexpr UINT64 kGeneralProtection = 1u << 13;
constexpr UINT64 kPageFault = 1u << 14;

constexpr Code::value_type kHlt = 0xF4;
const Code kUd2 = {0x0F, 0x0B};
const Code kInt3 = {0xCC};
const Code kLoadFromRbx = {0x48, 0x8B, 0x03};             // mov rax, [rbx]
constexpr std::uint64_t kNotInTheTables = 0x2'0000'0000;  // they end at 4 GiB

bool has_exits(UINT64 vectors) {
  UINT64 can = 0;
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeExceptionExitBitmap, &can, sizeof can, nullptr),
            S_OK);
  return (can & vectors) == vectors;
}

void set_exits(WHV_PARTITION_HANDLE handle, UINT64 vectors, bool enabled = true) {
  WHV_EXTENDED_VM_EXITS exits{};
  exits.ExceptionExit = enabled;
  EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeExtendedVmExits, exits), S_OK);
  EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeExceptionExitBitmap, vectors), S_OK);
}

GuestOptions with_exits(UINT64 vectors) {
  return {.configure = [vectors](WHV_PARTITION_HANDLE handle) { set_exits(handle, vectors); }};
}

#define NEEDS_EXITS(vectors) \
  if (!has_exits(vectors)) SKIP_CASE("the capability ExceptionExitBitmap has not all of these")

CASE(Exceptions, AnInvalidOpcodeExitsWhereItIs, kDocumented, "WHV_VP_EXCEPTION_CONTEXT") {
  NEEDS_EXITS(kInvalidOpcode);
  Guest guest(with_exits(kInvalidOpcode));
  guest.load(kCodeGpa, kUd2);
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonException);
  EXPECT_EQ(exit.VpException.ExceptionType, WHvX64ExceptionTypeInvalidOpcodeFault);
  EXPECT_EQ(exit.VpException.ExceptionInfo.ErrorCodeValid, 0u);
  EXPECT_EQ(exit.VpException.ExceptionInfo.SoftwareException, 0u);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  ASSERT_GE(exit.VpException.InstructionByteCount, 2u);
  EXPECT_EQ(exit.VpException.InstructionBytes[0], 0x0Fu);
  EXPECT_EQ(exit.VpException.InstructionBytes[1], 0x0Bu);
}

CASE(Exceptions, APageFaultTellsItsAddressAndLeavesCr2, kReported,
     "field guide 1.7: ELF read CR2 as 0 at such an exit") {
  NEEDS_EXITS(kPageFault);
  Guest guest(with_exits(kPageFault));
  guest.load(kCodeGpa, kLoadFromRbx);
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRbx, kNotInTheTables + 0x18}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonException);
  EXPECT_EQ(exit.VpException.ExceptionType, WHvX64ExceptionTypePageFault);
  EXPECT_EQ(exit.VpException.ExceptionInfo.ErrorCodeValid, 1u);
  EXPECT_EQ(exit.VpException.ErrorCode, 0u);  // not there, a read, by the supervisor
  EXPECT_EQ(exit.VpException.ExceptionParameter, kNotInTheTables + 0x18);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  EXPECT_EQ(guest.get(WHvX64RegisterCr2).Reg64, 0u);
}

CASE(Exceptions, AGeneralProtectionFaultTellsItsErrorCode, kDocumented, "Intel SDM Vol.3 6.13") {
  NEEDS_EXITS(kGeneralProtection);
  Guest guest(with_exits(kGeneralProtection));
  guest.load(kCodeGpa, {0x8E, 0xD8});  // mov ds, eax
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 0x58}});  // behind the end of the table
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonException);
  EXPECT_EQ(exit.VpException.ExceptionType, WHvX64ExceptionTypeGeneralProtectionFault);
  EXPECT_EQ(exit.VpException.ExceptionInfo.ErrorCodeValid, 1u);
  EXPECT_EQ(exit.VpException.ErrorCode, 0x58u);
}

CASE(Exceptions, ABreakpointIsASoftwareExceptionAtItself, kReported,
     "QEMU 11's debugger looks for its own breakpoints at Rip") {
  NEEDS_EXITS(kBreakpoint);
  Guest guest(with_exits(kBreakpoint));
  guest.load(kCodeGpa, kInt3 + Code{kHlt});
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonException);
  EXPECT_EQ(exit.VpException.ExceptionType, WHvX64ExceptionTypeBreakpointTrap);
  EXPECT_EQ(exit.VpException.ExceptionInfo.SoftwareException, 1u);
  EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  EXPECT_EQ(exit.VpContext.InstructionLength, 1u);
  guest.complete(exit);
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Halt);
}

CASE(Exceptions, ASingleStepExitsBehindItsInstruction, kReported,
     "QEMU 11's debugger steps so: TF, and exits of debug exceptions") {
  NEEDS_EXITS(kDebug);
  constexpr UINT64 kTrap = 0x100;
  Guest guest(with_exits(kDebug));
  guest.load(kCodeGpa, {0x90, 0x90, 0x90, kHlt});
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRflags, 2 | kTrap}});
  for (std::uint64_t steps = 1; steps <= 2; ++steps) {
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonException);
    EXPECT_EQ(exit.VpException.ExceptionType, WHvX64ExceptionTypeDebugTrapOrFault);
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + steps);
  }
  guest.set({{WHvX64RegisterRflags, 2}});
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64Halt);
}

CASE(Exceptions, OtherVectorsAreTheGuests, kDocumented,
     "WHV_PARTITION_PROPERTY: ExceptionExitBitmap") {
  NEEDS_EXITS(kInvalidOpcode);
  Guest guest(with_exits(kInvalidOpcode));
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(3, kHandlerGpa);
  guest.load(kCodeGpa, kInt3);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Exceptions, AnInterruptInstructionIsNone, kDocumented, "Intel SDM Vol.3 6.4.4: INT n") {
  NEEDS_EXITS(kBreakpoint);
  Guest guest(with_exits(kBreakpoint));
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(3, kHandlerGpa);
  guest.load(kCodeGpa, {0xCD, 0x03});
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Exceptions, WithoutTheExtendedExitNoneExits, kDocumented, "field guide 2.1") {
  NEEDS_EXITS(kInvalidOpcode);
  Guest guest(
      {.configure = [](WHV_PARTITION_HANDLE handle) { set_exits(handle, kInvalidOpcode, false); }});
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(6, kHandlerGpa);
  guest.load(kCodeGpa, kUd2);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Exceptions, OneThatNobodyCompletesComesAgain, kReported, "field guide 1.5") {
  NEEDS_EXITS(kInvalidOpcode);
  Guest guest(with_exits(kInvalidOpcode));
  guest.load(kCodeGpa, kUd2);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonException);
  const auto again = guest.run();
  ASSERT_EQ(again.ExitReason, WHvRunVpExitReasonException);
  EXPECT_EQ(again.VpContext.Rip, kCodeGpa);
}

CASE(Exceptions, WhatTheClientDeliversDoesNotExit, kReported,
     "field guide 4.2: OpenVMM hands them on so; Intel SDM Vol.3 26.6") {
  NEEDS_EXITS(kPageFault);
  Guest guest(with_exits(kPageFault));
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(14, kHandlerGpa);
  guest.load(kCodeGpa, kLoadFromRbx);
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRbx, kNotInTheTables}});
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonException);

  alignas(16) WHV_REGISTER_VALUE event{};
  event.ExceptionEvent.EventPending = 1;
  event.ExceptionEvent.DeliverErrorCode = 1;
  event.ExceptionEvent.Vector = 14;
  event.ExceptionEvent.ExceptionParameter = kNotInTheTables;
  const WHV_REGISTER_NAME name = WHvRegisterPendingEvent;
  ASSERT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &name, 1, &event), S_OK);
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(guest.get(WHvX64RegisterCr2).Reg64, kNotInTheTables);
  EXPECT_EQ(guest.read64(guest.get(WHvX64RegisterRsp).Reg64 + 8), kCodeGpa);
}

CASE(Exceptions, TheBitmapChangesAfterSetup, kDocumented, "WHvSetPartitionProperty") {
  NEEDS_EXITS(kInvalidOpcode);
  Guest guest;
  guest.load(kHandlerGpa, out(0x81));
  guest.set_gate(6, kHandlerGpa);
  guest.load(kCodeGpa, kUd2);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  set_exits(guest.handle(), kInvalidOpcode);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonException);
}

CASE(Exceptions, VectorsThatTheCapabilityLacksAreRefused, kBelieved, "as the extended exits") {
  const WHV_PARTITION_HANDLE handle = create_partition();
  UINT64 can = 0;
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeExceptionExitBitmap, &can, sizeof can, nullptr),
            S_OK);
  EXPECT_TRUE(FAILED(set_property(handle, WHvPartitionPropertyCodeExceptionExitBitmap, ~can)));
  EXPECT_EQ(WHvDeletePartition(handle), S_OK);
}

}  // namespace
}  // namespace runhv::conformance
