// The rules of a partition over an engine that executes nothing.
#include "winhv_linux/partition.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT64 kDirtyPageTracking = 1 << 3;  // WHV_CAPABILITY_FEATURES
constexpr UINT32 kTrackedMemory = 0xF;         // WHV_MAP_GPA_RANGE_FLAGS

// What the test lets happen in run(), and what the partition asked for.
class FakeVm final : public EngineVm {
 public:
  FakeVm(const VmShape& made_as, DirtyPages& pages) : shape(made_as), dirty_pages(pages) {}

  void give(EngineExit exit) {
    const std::lock_guard lock(mutex_);
    exits_.push_back(exit);
    changed_.notify_all();
  }
  void give(EngineExitReason reason) {
    EngineExit exit;
    exit.reason = reason;
    give(exit);
  }
  void wait_for_runs(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return runs_ >= count; });
  }
  // As an engine may: a cancel that nobody asked for.
  void cancel_for_nobody() { cancel(0); }

  HRESULT map(UINT64 gpa, const GpaRange&) override {
    mapped.push_back(gpa);
    return S_OK;
  }
  HRESULT unmap(UINT64, UINT64) override { return S_OK; }
  HRESULT memory_written(UINT64, UINT64) override { return S_OK; }
  HRESULT take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) override {
    dirty_pages.take(gpa, size, bitmap);
    return S_OK;
  }
  HRESULT run(UINT32, OnHalt on_halt, EngineExit& exit) override {
    std::unique_lock lock(mutex_);
    ++runs_;
    halts.push_back(on_halt);
    changed_.notify_all();
    changed_.wait(lock, [&] { return canceled_ || !exits_.empty(); });
    if (!exits_.empty()) {
      exit = exits_.front();
      exits_.pop_front();
    } else {
      canceled_ = false;
      exit = {};
    }
    return S_OK;
  }
  void cancel(UINT32) override {
    const std::lock_guard lock(mutex_);
    canceled_ = true;
    changed_.notify_all();
  }
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL&) override {
    ++interrupts;
    return S_OK;
  }
  HRESULT get_registers(UINT32, std::span<const WHV_REGISTER_NAME> names,
                        WHV_REGISTER_VALUE* values) override {
    for (const auto name : names) *values++ = registers_[name];
    return S_OK;
  }
  HRESULT set_registers(UINT32, std::span<const WHV_REGISTER_NAME> names,
                        const WHV_REGISTER_VALUE* values) override {
    for (const auto name : names) registers_[name] = *values++;
    return S_OK;
  }
  HRESULT get_xsave(UINT32, std::span<std::byte> area) override {
    std::ranges::copy(xsave, area.begin());
    return S_OK;
  }
  HRESULT set_xsave(UINT32, std::span<const std::byte> area) override {
    std::ranges::copy(area, xsave.begin());
    return S_OK;
  }
  HRESULT get_apic(UINT32, ApicRegisters& registers) override {
    registers = apic;
    return S_OK;
  }
  HRESULT set_apic(UINT32, const ApicRegisters& registers) override {
    apic = registers;
    return S_OK;
  }
  bool translate(UINT32, UINT64 gva, WHV_MEMORY_ACCESS_TYPE, UINT64& gpa) override {
    gpa = gva;
    return true;
  }

  const VmShape shape;
  DirtyPages& dirty_pages;
  std::array<std::byte, 832> xsave{};
  ApicRegisters apic{};
  std::deque<OnHalt> halts;  // of each run
  std::deque<UINT64> mapped;
  int interrupts = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<EngineExit> exits_;
  bool canceled_ = false;
  int runs_ = 0;
  std::map<WHV_REGISTER_NAME, WHV_REGISTER_VALUE> registers_;
};

class FakeEngine final : public Engine {
 public:
  const Capabilities& capabilities() const override { return capabilities_; }
  const XsaveLayout& xsave() const override { return xsave_; }
  HRESULT create_vm(const VmShape& shape, CpuAnswers& answers, DirtyPages& dirty_pages,
                    std::unique_ptr<EngineVm>& vm) const override {
    if (FAILED(result)) return result;
    auto made = std::make_unique<FakeVm>(shape, dirty_pages);
    last = made.get();
    asks = &answers;
    vm = std::move(made);
    return S_OK;
  }

  HRESULT result = S_OK;
  mutable FakeVm* last = nullptr;
  mutable CpuAnswers* asks = nullptr;

 private:
  const XsaveLayout xsave_{{{.number = 2, .size = 256, .offset = 576, .is_aligned = false}}};
  const Capabilities capabilities_{.features = kDirtyPageTracking,
                                   .extended_vm_exits = 3,
                                   .x64_msr_exits = 1,
                                   .synthetic_features = 1,
                                   .tsc_hz = 7,
                                   .apic_hz = 5,
                                   .physical_address_width = 40,
                                   .time_stops = true};
};

class PartitionTest : public ::testing::Test {
 protected:
  explicit PartitionTest(Strictness strictness = {}, const Profile& profile = profiles().front())
      : strictness_(strictness), partition_(engine_, profile, strictness_) {}

  template <class T>
  HRESULT set(WHV_PARTITION_PROPERTY_CODE code, const T& value) {
    return partition_.set_property(code, &value, sizeof value);
  }
  void set_up(WHV_X64_LOCAL_APIC_EMULATION_MODE apic = WHvX64LocalApicEmulationModeNone) {
    ASSERT_EQ(set(WHvPartitionPropertyCodeProcessorCount, UINT32{2}), S_OK);
    ASSERT_EQ(set(WHvPartitionPropertyCodeLocalApicEmulationMode, apic), S_OK);
    ASSERT_EQ(partition_.setup(), S_OK);
    ASSERT_EQ(partition_.create_processor(0), S_OK);
  }
  WHV_RUN_VP_EXIT_REASON run() {
    WHV_RUN_VP_EXIT_CONTEXT context{};
    EXPECT_EQ(partition_.run(0, context), S_OK);
    return context.ExitReason;
  }
  FakeVm& vm() { return *engine_.last; }

  FakeEngine engine_;
  const Strictness strictness_;
  Partition partition_;
};

TEST_F(PartitionTest, MakesTheMachineOfItsProperties) {
  set_up(WHvX64LocalApicEmulationModeX2Apic);
  EXPECT_EQ(vm().shape.processor_count, 2u);
  EXPECT_EQ(vm().shape.local_apic_mode, WHvX64LocalApicEmulationModeX2Apic);
  EXPECT_EQ(vm().shape.tsc_hz, 7u);
  EXPECT_EQ(vm().shape.apic_hz, 5u);
}

TEST_F(PartitionTest, StaysOpenWhereTheEngineFails) {
  engine_.result = E_OUTOFMEMORY;
  ASSERT_EQ(set(WHvPartitionPropertyCodeProcessorCount, UINT32{1}), S_OK);
  EXPECT_EQ(partition_.setup(), E_OUTOFMEMORY);
  engine_.result = S_OK;
  EXPECT_EQ(set(WHvPartitionPropertyCodeProcessorCount, UINT32{2}), S_OK);  // not frozen
  EXPECT_EQ(partition_.setup(), S_OK);
  EXPECT_EQ(vm().shape.processor_count, 2u);
}

TEST_F(PartitionTest, RefusesExitsThatTheEngineLacks) {
  EXPECT_EQ(set(WHvPartitionPropertyCodeExtendedVmExits, UINT64{4}), E_INVALIDARG);
  EXPECT_EQ(set(WHvPartitionPropertyCodeX64MsrExitBitmap, UINT64{2}), E_INVALIDARG);
  EXPECT_EQ(set(WHvPartitionPropertyCodeX64MsrExitBitmap, UINT64{1}), S_OK);
}

TEST_F(PartitionTest, AnswersCpuidWithPropertiesOfNow) {
  set_up();
  std::array<UINT32, 4> out{};
  EXPECT_FALSE(engine_.asks->cpuid(0, 9, 0, out));
  ASSERT_EQ(set(WHvPartitionPropertyCodeCpuidExitList, UINT32{9}), S_OK);
  ASSERT_EQ(set(WHvPartitionPropertyCodeExtendedVmExits, UINT64{1}), S_OK);
  EXPECT_TRUE(engine_.asks->cpuid(0, 9, 0, out));
}

class DirtyPartition : public PartitionTest {
 protected:
  DirtyPartition() {
    set_up();
    map(0, 4, kTrackedMemory);
  }
  void map(UINT64 first, UINT64 pages, UINT32 flags) {
    EXPECT_EQ(partition_.map(first * kPageBytes, {pages * kPageBytes, memory_.data(), flags}),
              S_OK);
  }
  UINT64 dirty(UINT64 first, UINT64 pages) {
    UINT64 bitmap = ~UINT64{0};
    EXPECT_EQ(partition_.query_dirty(first * kPageBytes, pages * kPageBytes, {&bitmap, 1}), S_OK);
    return bitmap;
  }
  HRESULT query(UINT64 first, UINT64 pages) {
    UINT64 bitmap = 0;
    return partition_.query_dirty(first * kPageBytes, pages * kPageBytes, {&bitmap, 1});
  }

  alignas(kPageBytes) std::array<std::byte, 4 * kPageBytes> memory_{};
};

TEST_F(DirtyPartition, WhatTheEngineMarksIsToldOnce) {
  vm().dirty_pages.mark(2 * kPageBytes);
  EXPECT_EQ(dirty(0, 4), 0b100u);
  EXPECT_EQ(dirty(0, 4), 0u);
}

TEST_F(DirtyPartition, OnlyWhatIsTrackedAsAWholeIsThere) {
  EXPECT_EQ(query(0, 5), WHV_E_GPA_RANGE_NOT_FOUND);
  map(4, 1, kTrackedMemory & ~UINT32{WHvMapGpaRangeFlagTrackDirtyPages});
  EXPECT_EQ(query(3, 2), WHV_E_GPA_RANGE_NOT_FOUND);
  map(4, 1, kTrackedMemory);
  EXPECT_EQ(query(3, 2), S_OK);
}

TEST_F(DirtyPartition, AMapForgetsWhatItReplacesAndAResetNothing) {
  vm().dirty_pages.mark(0, 4 * kPageBytes);
  map(1, 1, kTrackedMemory);
  ASSERT_EQ(partition_.reset(), S_OK);
  EXPECT_EQ(dirty(0, 4), 0b1101u);
  vm().dirty_pages.mark(0);
  ASSERT_EQ(partition_.unmap(0, kPageBytes), S_OK);
  map(0, 1, kTrackedMemory);
  EXPECT_EQ(dirty(0, 4), 0u);
}

TEST_F(PartitionTest, TheXsaveStateIsCompacted) {
  set_up();
  std::array<std::byte, 832> area{};
  vm().xsave[576] = std::byte{7};
  UINT32 written = 0;
  EXPECT_EQ(partition_.get_state(0, ProcessorState::kXsave, area.data(), 831, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, 832u);
  ASSERT_EQ(partition_.get_state(0, ProcessorState::kXsave, area.data(), 832, &written), S_OK);
  EXPECT_EQ(area[527], std::byte{0x80});  // the highest bit of XCOMP_BV
  EXPECT_EQ(area[576], std::byte{7});
  area[576] = std::byte{9};
  ASSERT_EQ(partition_.set_state(0, ProcessorState::kXsave, area), S_OK);
  EXPECT_EQ(vm().xsave[576], std::byte{9});
  area[527] = std::byte{};
  EXPECT_EQ(partition_.set_state(0, ProcessorState::kXsave, area), E_INVALIDARG);
}

TEST_F(PartitionTest, TheApicsStateIsAPageOrPacked) {
  set_up(WHvX64LocalApicEmulationModeX2Apic);
  vm().apic[0x32] = 0x10040;
  std::array<std::byte, 4096> page{};
  ASSERT_EQ(partition_.get_state(0, ProcessorState::kApic, page.data(), 4096, nullptr), S_OK);
  EXPECT_EQ(page[0x320], std::byte{0x40});
  page[0x320] = std::byte{0x41};
  ASSERT_EQ(partition_.set_state(0, ProcessorState::kApic, page), S_OK);
  EXPECT_EQ(vm().apic[0x32], 0x10041u);

  UINT32 bytes = 0;
  EXPECT_EQ(partition_.get_state(0, ProcessorState::kPackedApic, page.data(), 0, &bytes),
            WHV_E_INSUFFICIENT_BUFFER);
  ASSERT_EQ(partition_.get_state(0, ProcessorState::kPackedApic, page.data(), bytes, nullptr),
            S_OK);
  vm().apic = {};
  const auto packed = std::span(page).first(bytes);
  EXPECT_EQ(partition_.set_state(0, ProcessorState::kPackedApic, packed.first(bytes - 1)),
            WHV_E_INSUFFICIENT_BUFFER);
  ASSERT_EQ(partition_.set_state(0, ProcessorState::kPackedApic, packed), S_OK);
  EXPECT_EQ(vm().apic[0x32], 0x10041u);
}

TEST_F(PartitionTest, StateIsOfAProcessorThatDoesNotRun) {
  set_up(WHvX64LocalApicEmulationModeX2Apic);
  std::array<std::byte, 4096> bytes{};
  std::thread runner([this] { run(); });
  vm().wait_for_runs(1);
  for (const auto state : {ProcessorState::kXsave, ProcessorState::kApic}) {
    EXPECT_EQ(partition_.get_state(0, state, bytes.data(), 4096, nullptr), WHV_E_INVALID_VP_STATE);
    EXPECT_EQ(partition_.set_state(0, state, bytes), WHV_E_INVALID_VP_STATE);
  }
  vm().give(EngineExitReason::kPort);
  runner.join();
  EXPECT_EQ(partition_.get_state(1, ProcessorState::kXsave, bytes.data(), 4096, nullptr),
            WHV_E_VP_DOES_NOT_EXIST);
}

TEST_F(PartitionTest, ExitsThatAreToldAreCounted) {
  set_up();
  vm().give(EngineExitReason::kPort);
  vm().give(EngineExitReason::kMemory);
  vm().give(EngineExitReason::kPort);
  for (int i = 0; i < 3; ++i) run();
  WHV_PROCESSOR_ACTIVITY_COUNTERS counters{};
  ASSERT_EQ(partition_.processor_counters(0, WHvProcessorCounterSetIntercepts, &counters,
                                          sizeof counters, nullptr),
            S_OK);
  EXPECT_EQ(counters.IoInstructions.Count, 2u);
  EXPECT_EQ(counters.NestedPageFaultIntercepts.Count, 1u);
  EXPECT_EQ(counters.MsrAccesses.Count, 0u);
}

TEST_F(PartitionTest, CancelBeforeRunEndsTheNextOneOnce) {
  set_up();
  EXPECT_EQ(partition_.cancel(0), S_OK);
  EXPECT_EQ(partition_.cancel(0), S_OK);
  EXPECT_EQ(run(), WHvRunVpExitReasonCanceled);
  vm().give(EngineExitReason::kPort);
  EXPECT_EQ(run(), WHvRunVpExitReasonX64IoPortAccess);
  UINT64 outside = 0;
  EXPECT_EQ(partition_.canceled_outside_run(0, outside), S_OK);
  EXPECT_EQ(outside, 2u);
}

TEST_F(PartitionTest, AnExitThatIsThereComesBeforeACancel) {
  set_up();
  vm().give(EngineExitReason::kPort);
  EXPECT_EQ(partition_.cancel(0), S_OK);
  EXPECT_EQ(run(), WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(run(), WHvRunVpExitReasonCanceled);
}

TEST_F(PartitionTest, CancelOfARunIsNotOutside) {
  set_up();
  std::thread other([&] {
    vm().wait_for_runs(1);
    EXPECT_EQ(partition_.cancel(0), S_OK);
  });
  EXPECT_EQ(run(), WHvRunVpExitReasonCanceled);
  other.join();
  UINT64 outside = 1;
  EXPECT_EQ(partition_.canceled_outside_run(0, outside), S_OK);
  EXPECT_EQ(outside, 0u);
}

TEST_F(PartitionTest, ACancelThatNobodyAskedForIsNotSeen) {
  set_up();
  vm().cancel_for_nobody();
  std::thread other([&] {
    vm().wait_for_runs(2);
    vm().give(EngineExitReason::kPort);
  });
  EXPECT_EQ(run(), WHvRunVpExitReasonX64IoPortAccess);
  other.join();
}

TEST_F(PartitionTest, RunningProcessorIsLeftAlone) {
  set_up();
  std::thread other([&] { EXPECT_EQ(run(), WHvRunVpExitReasonX64IoPortAccess); });
  vm().wait_for_runs(1);
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  WHV_REGISTER_VALUE value{};
  WHV_RUN_VP_EXIT_CONTEXT context{};
  EXPECT_EQ(partition_.get_registers(0, {&rax, 1}, &value), WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(partition_.set_registers(0, {&rax, 1}, &value), WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(partition_.run(0, context), WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(partition_.delete_processor(0), WHV_E_INVALID_VP_STATE);
  vm().give(EngineExitReason::kPort);
  other.join();
  EXPECT_EQ(partition_.get_registers(0, {&rax, 1}, &value), S_OK);
}

TEST_F(PartitionTest, CountsInstructionsAsOfTheLastExit) {
  set_up();
  EngineExit exit;
  exit.reason = EngineExitReason::kPort;
  exit.instructions = 1234;
  vm().give(exit);
  run();
  UINT64 count = 0;
  EXPECT_EQ(partition_.instruction_count(0, count), S_OK);
  EXPECT_EQ(count, 1234u);
}

TEST_F(PartitionTest, CloseEndsARun) {
  set_up();
  HRESULT result = S_OK;
  std::thread other([&] {
    WHV_RUN_VP_EXIT_CONTEXT context{};
    result = partition_.run(0, context);
  });
  vm().wait_for_runs(1);
  partition_.close();
  other.join();
  EXPECT_EQ(result, E_HANDLE);
}

TEST_F(PartitionTest, InterruptsThatNoApicTakesDoNotReachTheEngine) {
  set_up(WHvX64LocalApicEmulationModeXApic);
  WHV_INTERRUPT_CONTROL control{};
  control.Type = WHvX64InterruptTypeFixed;
  control.Vector = 15;
  EXPECT_EQ(partition_.request_interrupt(control), whpapi::kHvInvalidParameter);
  EXPECT_EQ(vm().interrupts, 0);
  control.Vector = 16;
  EXPECT_EQ(partition_.request_interrupt(control), S_OK);
  EXPECT_EQ(vm().interrupts, 1);
}

TEST_F(PartitionTest, FeaturesThatTheEngineLacksDoNotExistForTheGuest) {
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT;
  banks.Bank0.AccessPartitionReferenceTsc = 1;
  // Not among the features of the fake engine.
  EXPECT_EQ(set(WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks, banks), E_INVALIDARG);
  set_up();
  EXPECT_EQ(engine_.asks->write_msr(0, 0x40000021, kPageBytes | 1), MsrAnswer::kFault);
}

TEST_F(PartitionTest, WithoutStrictModeHltIsWaitedFor) {
  set_up(WHvX64LocalApicEmulationModeXApic);
  vm().give(EngineExitReason::kPort);
  run();
  EXPECT_EQ(vm().halts.front(), OnHalt::kWait);
}

// ---- time ----

TEST_F(PartitionTest, SuspendedTimeStandsStillUntilARun) {
  EXPECT_EQ(partition_.suspend_time(), E_INVALIDARG);  // not set up
  set_up();
  EXPECT_EQ(partition_.suspend_time(), S_OK);
  const UINT64 stopped = engine_.asks->now_ns();
  EXPECT_EQ(engine_.asks->now_ns(), stopped);
  vm().give(EngineExitReason::kPort);
  run();
  EXPECT_GT(engine_.asks->host_ns(1000), 1000u);  // it is behind the host's by now
  EXPECT_GE(engine_.asks->now_ns(), stopped);
}

TEST_F(PartitionTest, TimeOfARunningProcessorIsNotSuspended) {
  set_up();
  std::thread other([&] { run(); });
  vm().wait_for_runs(1);
  EXPECT_EQ(partition_.suspend_time(), WHV_E_INVALID_VP_STATE);
  EXPECT_EQ(engine_.asks->host_ns(UINT64_MAX), UINT64_MAX);
  vm().give(EngineExitReason::kPort);
  other.join();
}

// ---- reset ----

TEST_F(PartitionTest, ResetMakesTheMachineAnewWithItsMemory) {
  EXPECT_EQ(partition_.reset(), whpapi::kInvalidState);  // not set up
  set_up(WHvX64LocalApicEmulationModeX2Apic);
  alignas(kPageBytes) static std::array<std::byte, kPageBytes> page;
  ASSERT_EQ(partition_.map(7 * kPageBytes, {kPageBytes, page.data(), WHvMapGpaRangeFlagRead}),
            S_OK);
  ASSERT_EQ(partition_.cancel(0), S_OK);
  EXPECT_EQ(partition_.reset(), S_OK);
  EXPECT_EQ(vm().shape.local_apic_mode, WHvX64LocalApicEmulationModeX2Apic);
  EXPECT_EQ(vm().mapped, std::deque<UINT64>{7 * kPageBytes});
  vm().give(EngineExitReason::kPort);
  EXPECT_EQ(run(), WHvRunVpExitReasonX64IoPortAccess);  // the cancel is forgotten
}

TEST_F(PartitionTest, ResetThatFailsChangesNothing) {
  set_up();
  FakeVm* const before = &vm();
  engine_.result = E_OUTOFMEMORY;
  EXPECT_EQ(partition_.reset(), E_OUTOFMEMORY);
  EXPECT_EQ(&vm(), before);
  vm().give(EngineExitReason::kPort);
  EXPECT_EQ(run(), WHvRunVpExitReasonX64IoPortAccess);
}

TEST_F(PartitionTest, ResetOfARunningProcessorIsRefused) {
  set_up();
  std::thread other([&] { run(); });
  vm().wait_for_runs(1);
  EXPECT_EQ(partition_.reset(), whpapi::kInvalidState);
  vm().give(EngineExitReason::kPort);
  other.join();
  EXPECT_EQ(partition_.reset(), S_OK);
}

class ParkingPartition : public PartitionTest {
 protected:
  ParkingPartition() : PartitionTest({.enabled = true, .triple_fault_parks = true}) {}
};

TEST_F(ParkingPartition, ATripleFaultWithAnApicIsOnlyEndedByACancel) {
  set_up(WHvX64LocalApicEmulationModeXApic);
  vm().give(EngineExitReason::kShutdown);
  std::thread other([&] {
    vm().wait_for_runs(1);
    EXPECT_EQ(partition_.cancel(0), S_OK);
  });
  EXPECT_EQ(run(), WHvRunVpExitReasonCanceled);
  other.join();
}

TEST_F(ParkingPartition, WithoutAnApicATripleFaultIsAnExit) {
  set_up();
  vm().give(EngineExitReason::kShutdown);
  EXPECT_EQ(run(), WHvRunVpExitReasonUnrecoverableException);
}

TEST_F(ParkingPartition, CloseEndsAParkedRun) {
  set_up(WHvX64LocalApicEmulationModeXApic);
  vm().give(EngineExitReason::kShutdown);
  HRESULT result = S_OK;
  std::thread other([&] {
    WHV_RUN_VP_EXIT_CONTEXT context{};
    result = partition_.run(0, context);
  });
  vm().wait_for_runs(1);
  partition_.close();
  other.join();
  EXPECT_EQ(result, E_HANDLE);
}

class StrictPartition : public PartitionTest {
 protected:
  StrictPartition() : PartitionTest({true, HaltReport::kThenBlock}) {}
};

TEST_F(StrictPartition, ReportsAHaltOnceAndWaitsThen) {
  set_up(WHvX64LocalApicEmulationModeXApic);
  for (const auto reason :
       {EngineExitReason::kHalt, EngineExitReason::kPort, EngineExitReason::kPort}) {
    vm().give(reason);
    run();
  }
  EXPECT_EQ(vm().halts, (std::deque{OnHalt::kReturn, OnHalt::kWait, OnHalt::kReturn}));
}

TEST_F(StrictPartition, ReturnsForNothingNowAndThen) {
  set_up();
  std::map<WHV_RUN_VP_EXIT_REASON, int> reasons;
  for (int i = 0; i < 200; ++i) {
    vm().give(EngineExitReason::kPort);
    ++reasons[run()];
  }
  EXPECT_EQ(reasons[WHvRunVpExitReasonCanceled], 2);
  EXPECT_EQ(reasons[WHvRunVpExitReasonX64IoPortAccess], 198);
}

TEST_F(StrictPartition, OnlyOneHasMemory) {
  set_up();
  Partition second(engine_, profiles().front(), strictness_);
  const UINT32 count = 1;
  ASSERT_EQ(second.set_property(WHvPartitionPropertyCodeProcessorCount, &count, sizeof count),
            S_OK);
  ASSERT_EQ(second.setup(), S_OK);
  alignas(kPageBytes) static std::array<std::byte, kPageBytes> page;
  const GpaRange range{kPageBytes, page.data(), WHvMapGpaRangeFlagRead};
  EXPECT_EQ(partition_.map(0, range), S_OK);
  EXPECT_EQ(second.map(0, range), whpapi::kVidPartitionAlreadyExists);
  EXPECT_EQ(partition_.unmap(0, kPageBytes), S_OK);
  EXPECT_EQ(second.map(0, range), S_OK);
}

// A version of Windows that never was, with less of everything.
constexpr std::array kNoMsrActions{static_cast<UINT32>(WHvPartitionPropertyCodeMsrActionList)};
constexpr std::array kNoR8{static_cast<UINT32>(WHvX64RegisterR8)};
constexpr Profile kOlder{.name = "older",
                         .features = 0,
                         .extended_vm_exits = 1,
                         .x64_msr_exits = 0,
                         .synthetic_features = 1,
                         .halt_report = HaltReport::kAlways,
                         .absent_capabilities = {},
                         .absent_properties = kNoMsrActions,
                         .absent_registers = kNoR8,
                         .absent_calls = {}};

class OlderPartition : public PartitionTest {
 protected:
  OlderPartition() : PartitionTest({true, std::nullopt}, kOlder) {}
};

TEST_F(OlderPartition, HasWhatItsProfileHas) {
  EXPECT_EQ(set(WHvPartitionPropertyCodeExtendedVmExits, UINT64{3}), E_INVALIDARG);
  EXPECT_EQ(set(WHvPartitionPropertyCodeExtendedVmExits, UINT64{1}), S_OK);
  EXPECT_EQ(set(WHvPartitionPropertyCodeMsrActionList, UINT64{0}), WHV_E_UNKNOWN_PROPERTY);
  EXPECT_EQ(partition_.get_property(WHvPartitionPropertyCodeMsrActionList, nullptr, 0, nullptr),
            WHV_E_UNKNOWN_PROPERTY);
  set_up(WHvX64LocalApicEmulationModeXApic);
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterRax, WHvX64RegisterR8};
  WHV_REGISTER_VALUE values[2]{};
  EXPECT_EQ(partition_.set_registers(0, {names, 2}, values), WHV_E_INVALID_VP_REGISTER_NAME);
  EXPECT_EQ(partition_.set_registers(0, {names, 1}, values), S_OK);
  vm().give(EngineExitReason::kHalt);
  run();
  EXPECT_EQ(vm().halts.front(), OnHalt::kReturn);
}

}  // namespace
}  // namespace runhv::winhv_linux
