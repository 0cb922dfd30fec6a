// What hv/ decides on its own; what the hypervisor does is the conformance suite's.
#include <gtest/gtest.h>

#include <cstdint>

#include "hv/engine_choice.h"
#include "hv/exit_context.h"
#include "hv/hresult.h"

namespace runhv::hv {
namespace {

// The table writes numbers, since Windows' headers do not name them all; these they name.
TEST(Hresult, MeansWhatTheHeadersCallIt) {
  const auto code = [](HRESULT hresult) { return hresult_error("set up", hresult).code; };
  EXPECT_EQ(code(E_NOTIMPL), Code::kUnsupported);
  EXPECT_EQ(code(E_ACCESSDENIED), Code::kAccessDenied);
  EXPECT_EQ(code(E_OUTOFMEMORY), Code::kOutOfMemory);
  EXPECT_EQ(code(WHV_E_UNKNOWN_CAPABILITY), Code::kUnsupported);
  EXPECT_EQ(code(WHV_E_UNKNOWN_PROPERTY), Code::kUnsupported);
  EXPECT_EQ(code(WHV_E_INVALID_VP_REGISTER_NAME), Code::kUnsupported);
  EXPECT_EQ(code(whpapi::kHvNotPresent), Code::kHypervisorAbsent);
  EXPECT_EQ(code(whpapi::kVidPartitionAlreadyExists), Code::kConflict);
  for (const HRESULT known :
       {E_HANDLE, E_INVALIDARG, WHV_E_INSUFFICIENT_BUFFER, WHV_E_UNSUPPORTED_HYPERVISOR_CONFIG,
        WHV_E_INVALID_PARTITION_CONFIG, WHV_E_GPA_RANGE_NOT_FOUND, WHV_E_VP_ALREADY_EXISTS,
        WHV_E_VP_DOES_NOT_EXIST, WHV_E_INVALID_VP_STATE, WHV_E_UNSUPPORTED_PROCESSOR_CONFIG,
        whpapi::kHvInvalidParameter}) {
    EXPECT_NE(hresult_error("set up", known).detail, "") << std::hex << known;
  }
}

TEST(Hresult, UnknownOneKeepsItsNumber) {
  const Error error = hresult_error("set up partition", E_UNEXPECTED);

  EXPECT_EQ(error.code, Code::kHostFailed);
  EXPECT_EQ(error.domain, Domain::kHresult);
  EXPECT_EQ(static_cast<std::uint32_t>(error.os_code), 0x8000ffffu);
  EXPECT_EQ(to_string(error), "set up partition: host failed (0x8000ffff)");
}

TEST(EngineChoice, ListsTheNamesForAnUnknownOne) {
  const auto choice = choose_engine("turbo");

  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, Code::kInvalidArgument);
  EXPECT_EQ(to_string(choice.error()),
            "use engine \"turbo\": the engines are auto, soft, kvm, whp");
}

TEST(ExitContext, ReadsAMemoryAccess) {
  WHV_RUN_VP_EXIT_CONTEXT context{};
  context.ExitReason = WHvRunVpExitReasonMemoryAccess;
  context.VpContext.Rip = 0xffffffff81000000;
  context.VpContext.ExecutionState.Cpl = 3;
  context.VpContext.ExecutionState.EferLma = 1;
  context.MemoryAccess.Gpa = 0xd0000050;
  context.MemoryAccess.AccessInfo.AccessType = WHvMemoryAccessWrite;
  context.MemoryAccess.AccessInfo.GpaUnmapped = 1;
  context.MemoryAccess.AccessInfo.GvaValid = 1;
  context.MemoryAccess.Gva = 0xffffc90000000050;
  context.MemoryAccess.InstructionBytes[0] = 0x89;
  context.MemoryAccess.InstructionByteCount = 40;  // more than there is room for

  const Exit exit = read_exit_context(context);

  EXPECT_EQ(exit.state.rip, 0xffffffff81000000u);
  EXPECT_EQ(exit.state.privilege_level, 3);
  EXPECT_TRUE(exit.state.long_mode);
  const auto* memory = std::get_if<MemoryExit>(&exit.reason);
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(memory->gpa.value, 0xd0000050u);
  EXPECT_EQ(memory->access, Access::kWrite);
  EXPECT_TRUE(memory->unmapped);
  EXPECT_EQ(memory->gva, 0xffffc90000000050u);
  EXPECT_EQ(memory->instruction.count, 16);
  EXPECT_EQ(memory->instruction.bytes[0], std::byte{0x89});
}

TEST(ExitContext, ReadsAPortAccess) {
  WHV_RUN_VP_EXIT_CONTEXT context{};
  context.ExitReason = WHvRunVpExitReasonX64IoPortAccess;
  context.VpContext.InstructionLength = 2;
  context.IoPortAccess.PortNumber = 0xf4;
  context.IoPortAccess.AccessInfo.IsWrite = 1;
  context.IoPortAccess.AccessInfo.AccessSize = 4;
  context.IoPortAccess.Rax = 0x1122334455667788;

  const Exit exit = read_exit_context(context);

  EXPECT_EQ(exit.state.instruction_length, 2);
  const auto* port = std::get_if<PortExit>(&exit.reason);
  ASSERT_NE(port, nullptr);
  EXPECT_EQ(port->port, 0xf4);
  EXPECT_TRUE(port->is_write);
  EXPECT_FALSE(port->is_string);
  EXPECT_EQ(port->size, 4);
  EXPECT_EQ(port->rax, 0x1122334455667788u);
}

TEST(ExitContext, JoinsTheHalvesOfAnMsrWrite) {
  WHV_RUN_VP_EXIT_CONTEXT context{};
  context.ExitReason = WHvRunVpExitReasonX64MsrAccess;
  context.MsrAccess.MsrNumber = 0x1a0;
  context.MsrAccess.AccessInfo.IsWrite = 1;
  context.MsrAccess.Rax = 0xffffffff89abcdef;  // WRMSR uses EAX
  context.MsrAccess.Rdx = 0x01234567;

  const Exit exit = read_exit_context(context);

  const auto* msr = std::get_if<MsrExit>(&exit.reason);
  ASSERT_NE(msr, nullptr);
  EXPECT_EQ(msr->msr, 0x1a0u);
  EXPECT_EQ(msr->value, 0x0123456789abcdefu);
}

TEST(ExitContext, KeepsTheNumberOfAReasonNobodyAskedFor) {
  WHV_RUN_VP_EXIT_CONTEXT context{};
  context.ExitReason = WHvRunVpExitReasonX64Rdtsc;

  const Exit exit = read_exit_context(context);

  const auto* other = std::get_if<OtherExit>(&exit.reason);
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->reason, 0x1003u);
}

TEST(RegisterValue, HasTheLayoutOfWhp) {
  const SegmentRegister code{
      .base = 0x10, .limit = 0xffffffff, .selector = 8, .attributes = 0xa09b};
  WHV_REGISTER_VALUE expected{};
  expected.Segment.Base = 0x10;
  expected.Segment.Limit = 0xffffffff;
  expected.Segment.Selector = 8;
  expected.Segment.Attributes = 0xa09b;

  const RegisterValue value = RegisterValue::segment(code);

  EXPECT_EQ(value.low, expected.Reg128.Low64);
  EXPECT_EQ(value.high, expected.Reg128.High64);
}

}  // namespace
}  // namespace runhv::hv
