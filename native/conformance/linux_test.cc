// What only our implementation has: its extensions, strict mode (RUNHV_WHP_STRICT=1) and the trace.
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"
#include "platform/process.h"
#include "whpapi/runhv_extensions.h"

namespace runhv::conformance {
namespace {

CASE(Extensions, Engines, kBelieved, "whpapi/runhv_extensions.h; not of Windows") {
  const std::string engine = WHvRunhvGetEngineName();
  EXPECT_TRUE(engine == "soft" || engine == "kvm") << engine;
  EXPECT_EQ(WHvRunhvSelectEngine(engine.c_str()), S_OK);
  EXPECT_TRUE(WHvRunhvGetEngineReason() == nullptr);  // it was chosen by its name
  EXPECT_EQ(WHvRunhvSelectEngine("other"), E_INVALIDARG);
  EXPECT_TRUE(WHvRunhvGetEngineName() == engine);
}

CASE(Extensions, InstructionsAreCounted, kBelieved, "whpapi/runhv_extensions.h; not of Windows") {
  Guest guest;
  guest.load(kCodeGpa, Code(100, 0x90) + out(0x80));
  guest.enter_long_mode();
  UINT64 before = 0;
  UINT64 after = 0;
  ASSERT_EQ(WHvRunhvGetInstructionCount(guest.handle(), 0, &before), S_OK);
  guest.run();
  ASSERT_EQ(WHvRunhvGetInstructionCount(guest.handle(), 0, &after), S_OK);
  EXPECT_EQ(after - before, 100u);
}

// Asking disturbs nobody: the count is that of the last exit, also while the processor runs.
CASE(Extensions, InstructionsAreThoseOfTheLastExit, kBelieved,
     "whpapi/runhv_extensions.h; not of Windows") {
  Guest guest;
  guest.load(kCodeGpa, Code(100, 0x90) + out(0x80) + Code{0xEB, 0xFE});
  guest.enter_long_mode();
  guest.complete(guest.run());
  std::thread runner([&] { guest.run_once(); });
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  WHV_REGISTER_VALUE value{};
  while (WHvGetVirtualProcessorRegisters(guest.handle(), 0, &rax, 1, &value) == S_OK) {
  }
  UINT64 count = 0;
  EXPECT_EQ(WHvRunhvGetInstructionCount(guest.handle(), 0, &count), S_OK);
  EXPECT_EQ(count, 100u);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  runner.join();
}

CASE(Extensions, CancelsOutsideOfRunAreCounted, kBelieved,
     "whpapi/runhv_extensions.h; not of Windows") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  UINT64 outside = 0;
  EXPECT_EQ(WHvRunhvGetCanceledOutsideRun(guest.handle(), 0, &outside), S_OK);
  EXPECT_EQ(outside, 1u);
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonCanceled);
}

const Code kCallHandler = {0xE8, 0xFB, 0x0F, 0x00, 0x00};  // call kHandlerGpa, from kCodeGpa

Code return_in_al(std::uint8_t value) { return {0xB0, value, 0xC3}; }

CASE(Extensions, WrittenMemoryIsDecodedAnew, kBelieved,
     "whpapi/runhv_extensions.h; not of Windows") {
  Guest guest;
  guest.load(kCodeGpa, kCallHandler + out(0x80) + Code{0xEB, 0xF7});  // forever
  guest.load(kHandlerGpa, return_in_al(1));
  guest.enter_long_mode();
  const auto first = guest.run();
  EXPECT_EQ(first.IoPortAccess.Rax & 0xFF, 1u);
  guest.complete(first);
  guest.load(kHandlerGpa, return_in_al(2));
  ASSERT_EQ(WHvRunhvMemoryWritten(guest.handle(), kHandlerGpa, 3), S_OK);
  EXPECT_EQ(guest.run().IoPortAccess.Rax & 0xFF, 2u);
}

CASE(Extensions, WrittenMemoryReachesARunningGuestThatPolls, kBelieved,
     "whpapi/runhv_extensions.h; not of Windows") {
  Guest guest;
  guest.load(kHandlerGpa, return_in_al(1));
  // Calls the function over and over; reports when it answers otherwise.
  guest.load(kCodeGpa, kCallHandler +
                           Code{0x3C, 0x01,    // cmp al, 1
                                0x74, 0xF7} +  // je to the call
                           out(0x80));
  guest.enter_long_mode();
  std::thread device([&] {
    guest.load(kHandlerGpa, return_in_al(2));
    EXPECT_EQ(WHvRunhvMemoryWritten(guest.handle(), kHandlerGpa, 3), S_OK);
  });
  const auto exit = guest.run();
  device.join();
  EXPECT_EQ(exit.IoPortAccess.Rax & 0xFF, 2u);
}

CASE(Strict, UnalignedRegisterValuesAreRefused, kReported, "field guide 1.7: Windows crashes") {
  Guest guest;
  alignas(16) std::byte bytes[sizeof(WHV_REGISTER_VALUE) + 8]{};
  auto* values = reinterpret_cast<WHV_REGISTER_VALUE*>(bytes + 8);
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, &rax, 1, values), E_INVALIDARG);
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &rax, 1, values), E_INVALIDARG);
}

CASE(Strict, RunsReturnForNothingNowAndThen, kReported,
     "field guide 1.6; QEMU stops where one returns None") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  int none = 0;
  int canceled = 0;
  for (int i = 0; i < 200; ++i) {
    const auto exit = guest.run_once();
    none += exit.ExitReason == WHvRunVpExitReasonNone;
    canceled += exit.ExitReason == WHvRunVpExitReasonCanceled;
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
  }
  EXPECT_EQ(none, 0);
  EXPECT_EQ(canceled, 2);
}

CASE(Strict, RegistersOfARunningProcessorAreRefused, kReported, "field guide 1.11") {
  Guest guest;
  guest.load(kCodeGpa, {0xEB, 0xFE});
  guest.enter_long_mode();
  std::thread runner([&] { guest.run_once(); });
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  WHV_REGISTER_VALUE value{};
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  HRESULT result;
  do {  // until the runner is inside
    result = WHvGetVirtualProcessorRegisters(guest.handle(), 0, &rax, 1, &value);
  } while (result == S_OK);
  EXPECT_EQ(result, WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(WHvRunVirtualProcessor(guest.handle(), 0, &exit, sizeof exit), WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(WHvDeleteVirtualProcessor(guest.handle(), 0), WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  runner.join();
}

CASE(Trace, EachCallIsALineOfTheFile, kBelieved, "ours: WHP_TRACE") {
  const std::string file = platform::environment("WHP_TRACE");
  if (file.empty()) SKIP_CASE("WHP_TRACE names no file");
  const UINT32 count = 1;
  const WHV_PARTITION_HANDLE handle = create_partition();
  EXPECT_EQ(
      WHvSetPartitionProperty(handle, WHvPartitionPropertyCodeProcessorCount, &count, sizeof count),
      S_OK);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle, 0, 0), E_INVALIDARG);
  EXPECT_EQ(WHvDeletePartition(handle), S_OK);
  std::vector<std::string> calls;  // without when and by which thread
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) calls.push_back(line.substr(line.find("WHv")));
  ASSERT_GE(calls.size(), 4u);
  const auto last = calls.end() - 4;
  EXPECT_EQ(last[0].find("WHvCreatePartition -> 0x00000000 partition="), 0u);
  EXPECT_NE(last[1].find(" code=0x1fff value=01000000 -> 0x00000000"), std::string::npos);
  EXPECT_NE(last[2].find(" vp=0x0 flags=0x0 -> 0x80070057"), std::string::npos);
  EXPECT_EQ(last[3].find("WHvDeletePartition partition=0x"), 0u);
}

// Windows would follow it.
CASE(Strict, AHandleThatNeverWasIsRefused, kBelieved, "ours: handles are looked up") {
  WHV_REGISTER_VALUE value{};
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  for (const std::uintptr_t number : {std::uintptr_t{1}, std::uintptr_t{8}, ~std::uintptr_t{0}}) {
    const auto handle = reinterpret_cast<WHV_PARTITION_HANDLE>(number);
    EXPECT_EQ(WHvSetupPartition(handle), E_HANDLE);
    EXPECT_EQ(WHvGetVirtualProcessorRegisters(handle, 0, &rax, 1, &value), E_HANDLE);
    EXPECT_EQ(WHvDeletePartition(handle), E_HANDLE);
  }
}

CASE(Strict, ADeletedHandleIsRefusedByEveryCall, kReported,
     "field guide 1.3: NANVIX saw E_HANDLE") {
  const WHV_PARTITION_HANDLE handle = create_partition();
  ASSERT_EQ(WHvDeletePartition(handle), S_OK);
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  EXPECT_EQ(WHvSetupPartition(handle), E_HANDLE);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle, 0, 0), E_HANDLE);
  EXPECT_EQ(WHvRunVirtualProcessor(handle, 0, &exit, sizeof exit), E_HANDLE);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(handle, 0, 0), E_HANDLE);
  EXPECT_EQ(WHvDeletePartition(handle), E_HANDLE);
}

}  // namespace
}  // namespace runhv::conformance
