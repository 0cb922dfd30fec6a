#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/memory_region.h"
#include "platform/thread.h"
#include "winhv_linux/engines/kvm_engine.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::uint64_t kResetPage = 0xFFFF'F000;
constexpr std::size_t kResetOffset = 0xFF0;
constexpr std::uint64_t kPatienceNs = 1'000'000;
constexpr std::uint64_t kEndOfPatienceNs = 1'000'000'000;
constexpr int kAttempts = 3;
constexpr std::uint8_t kPort = 0x80;

// mov ecx, 20000; dec ecx, until it is zero; out 0x80, al. In 16-bit code, as a processor begins.
constexpr std::array<std::uint8_t, 12> kCode{0x66, 0xB9, 0x20, 0x4E, 0x00, 0x00,
                                             0x66, 0x49, 0x75, 0xFC, 0xE6, kPort};

// A machine without properties.
class NoAnswers final : public CpuAnswers {
 public:
  bool cpuid(UINT32, UINT32, UINT32, std::array<UINT32, 4>&) override { return false; }
  MsrAnswer read_msr(UINT32, UINT32, UINT64&) override { return MsrAnswer::kFault; }
  MsrAnswer write_msr(UINT32, UINT32, UINT64) override { return MsrAnswer::kFault; }
  bool exception_exits(UINT32) const override { return false; }
  UINT64 now_ns() const override { return platform::monotonic_ns(); }
  UINT64 host_ns(UINT64 partition_ns) const override { return partition_ns; }
};

// Cancels what processor 0 runs, again and again, from begin() until it is destroyed.
class Impatience {
 public:
  explicit Impatience(EngineVm& vm) : vm_(vm) {}
  Impatience(const Impatience&) = delete;
  Impatience& operator=(const Impatience&) = delete;
  ~Impatience() {
    if (!thread_) return;
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_->join();
  }

  Result<void> begin() {
    RUNHV_TRY_ASSIGN(platform::Thread thread,
                     platform::Thread::start("runhv-probe", [this] { cancel_until_done(); }));
    thread_.emplace(std::move(thread));
    return {};
  }

 private:
  void cancel_until_done() {
    std::unique_lock lock(mutex_);
    const auto patience = std::chrono::nanoseconds(kPatienceNs);
    while (!changed_.wait_for(lock, patience, [&] { return done_; })) vm_.cancel(0);
  }

  EngineVm& vm_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;  // guarded by mutex_
  std::optional<platform::Thread> thread_;
};

Fail<Error> failed(Code code, const std::string& why) {
  return Fail{Error{code, "run the probe guest", why}};
}

// From where processor 0 is. The result: nanoseconds.
Result<std::uint64_t> run_to_its_end(EngineVm& vm) {
  const std::uint64_t begin = platform::monotonic_ns();
  const std::uint64_t begin_of_thread = platform::thread_time_ns();
  EngineExit exit;
  do {
    const HRESULT result = vm.run(0, OnHalt::kReturn, exit);
    if (FAILED(result)) return failed(Code::kHypervisorAbsent, "it could not run");
    // By this thread's own time, and also where the guest came to its end: a host that is busy is
    // not one that emulates, and may cancel too late.
    if (platform::thread_time_ns() - begin_of_thread >= kPatienceNs) {
      return failed(Code::kTimedOut, "it did not end in 1 ms of processor time: it is emulated");
    }
    if (platform::monotonic_ns() - begin >= kEndOfPatienceNs) {
      return failed(Code::kTimedOut, "it did not end within 1 s");
    }
  } while (exit.reason == EngineExitReason::kCanceled);
  if (exit.reason != EngineExitReason::kPort || exit.address != kPort) {
    return failed(Code::kHypervisorAbsent, "it did not come to its end");
  }
  return platform::monotonic_ns() - begin;
}

}  // namespace

Result<std::uint64_t> probe_engine(const Engine& engine) {
  NoAnswers answers;
  DirtyPages dirty_pages;
  std::unique_ptr<EngineVm> vm;
  const VmShape shape{.processor_count = 1,
                      .local_apic_mode = WHvX64LocalApicEmulationModeNone,
                      .tsc_hz = engine.capabilities().tsc_hz,
                      .apic_hz = engine.capabilities().apic_hz};
  RUNHV_TRY_ASSIGN(const platform::MemoryRegion page, platform::MemoryRegion::reserve(kPageBytes));
  std::memcpy(page.data() + kResetOffset, kCode.data(), kCode.size());
  HRESULT result = engine.create_vm(shape, answers, dirty_pages, vm);
  if (SUCCEEDED(result)) {
    result = vm->map(kResetPage,
                     {kPageBytes, page.data(), WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagExecute});
  }
  if (FAILED(result)) {
    return failed(Code::kHypervisorAbsent,
                  "it cannot be made (HRESULT " + std::to_string(result) + ")");
  }

  Impatience impatience(*vm);
  RUNHV_TRY(impatience.begin());
  for (int attempt = 1;; ++attempt) {
    auto took_ns = run_to_its_end(*vm);
    // Where this machine is itself a guest, its host may have taken the processor away meanwhile.
    const bool once_more =
        !took_ns && took_ns.error().code == Code::kTimedOut && attempt < kAttempts;
    if (!once_more) return took_ns;
    alignas(16) constexpr WHV_REGISTER_VALUE kBegin{.Reg64 = kResetOffset | 0xF000};
    constexpr WHV_REGISTER_NAME kRip = WHvX64RegisterRip;
    RUNHV_CHECK(SUCCEEDED(vm->set_registers(0, {&kRip, 1}, &kBegin)));
  }
}

}  // namespace runhv::winhv_linux
