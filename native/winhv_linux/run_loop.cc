// WHvRunVirtualProcessor: slices of the engine, sleep while halted, and the exit that ends it.
#include <chrono>
#include <cstring>

#include "platform/clock.h"
#include "winhv_linux/exit_context.h"
#include "winhv_linux/partition.h"
#include "winhv_linux/strict.h"

namespace runhv::winhv {
namespace {

// With several processors a slice must be short: an IPI reaches its target, and a spinning
// processor sees the answer, only between slices. About 60 us at 300 MIPS.
constexpr std::uint64_t kSharedSlice = 20'000;
constexpr std::uint64_t kLongestSlice = 0;  // what the engine allows

}  // namespace

HRESULT Partition::run(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context) {
  VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (vp->running.exchange(true)) return WHV_E_INVALID_VP_STATE;
  const HRESULT result = run_slices(index, context);
  vp->running.store(false);
  vp->running.notify_all();
  return result;
}

HRESULT Partition::run_slices(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context) {
  VirtualProcessor& vp = processors_[index];
  ++vp.runs;
  if (strictness().enabled && spurious_exit(index, context)) return S_OK;

  const std::uint64_t slice = properties_.processor_count > 1 ? kSharedSlice : kLongestSlice;
  while (!closed_.load()) {
    // Read before the slice: an interrupt requested after this keeps the processor awake.
    const std::uint64_t generation = generation_.load();
    std::uint64_t wake_ns = 0;
    baton_.take(Turn::kFair, [] {});
    if (vp.canceled.exchange(false)) {
      report_plain(index, WHvRunVpExitReasonCanceled, context);
      baton_.give();
      return S_OK;
    }
    softcpu_exit exit{};
    softcpu_status status = SOFTCPU_OK;
    in_slice_.store(static_cast<std::int32_t>(index));
    // After in_slice_: who wants the baton and came too early to interrupt us is seen here.
    if (!baton_.wanted()) status = engine_.run(vm_, index, slice, &exit);
    in_slice_.store(-1);
    if (properties_.processor_count > 1) wake_runnable(index);

    bool exited = status != SOFTCPU_OK;
    const bool sleeps = !exited && exit.reason == SOFTCPU_EXIT_HALT && has_apic();
    if (sleeps) {
      const HaltReport report = strictness().halt_report;
      if (report == HaltReport::kAlways ||
          (report == HaltReport::kThenBlock && !vp.halt_reported)) {
        vp.halt_reported = true;
        report_plain(index, WHvRunVpExitReasonX64Halt, context);
        exited = true;
      } else {
        wake_ns = engine_.next_timer_ns(vm_);
        vp.halted.store(true);  // under the baton: no other slice can send an IPI unseen
      }
    } else if (!exited) {
      if (exit.reason != SOFTCPU_EXIT_NONE && exit.reason != SOFTCPU_EXIT_CANCELED) {
        vp.halt_reported = false;
      }
      exited = report_exit(index, exit, context);
    }
    baton_.give();
    if (exited) return status == SOFTCPU_OK ? S_OK : E_UNEXPECTED;
    if (sleeps) sleep(vp, generation, wake_ns);
  }
  return E_HANDLE;  // the partition is being deleted
}

bool Partition::spurious_exit(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context) {
  const std::uint64_t runs = processors_[index].runs;
  WHV_RUN_VP_EXIT_REASON reason;
  if (runs % kSpuriousNoneEvery == 0) {
    reason = WHvRunVpExitReasonNone;
  } else if (runs % kStaleCanceledEvery == 0) {
    reason = WHvRunVpExitReasonCanceled;
  } else {
    return false;
  }
  const EngineTurn turn(*this, Turn::kNext);
  report_plain(index, reason, context);
  return true;
}

void Partition::report_plain(UINT32 index, WHV_RUN_VP_EXIT_REASON reason,
                             WHV_RUN_VP_EXIT_CONTEXT& context) {
  std::memset(&context, 0, sizeof context);
  context.ExitReason = reason;
  fill_vp_context(ExitRegisters::read(engine_, vm_, index), 0, context.VpContext);
}

// False: nothing that the client has to see.
bool Partition::report_exit(UINT32 index, const softcpu_exit& exit,
                            WHV_RUN_VP_EXIT_CONTEXT& context) {
  if (exit.reason == SOFTCPU_EXIT_NONE || exit.reason == SOFTCPU_EXIT_CANCELED) return false;
  if (exit.reason == SOFTCPU_EXIT_HALT) {
    // Without a local APIC HLT is the client's: it runs the processor again when it has a reason.
    constexpr std::uint32_t kActivity = WHvRegisterInternalActivityState;
    constexpr softcpu_value kActive{};
    engine_.set(vm_, index, &kActivity, 1, &kActive);
  }
  fill_exit_context(ExitRegisters::read(engine_, vm_, index), exit,
                    processors_[index].cpuid_default, context);
  return true;
}

// ---- sleep ----

void Partition::sleep(VirtualProcessor& vp, std::uint64_t generation, std::uint64_t until_ns) {
  std::unique_lock lock(sleep_mutex_);
  const auto woken = [&] {
    return generation_.load() != generation || vp.canceled.load() || closed_.load();
  };
  if (until_ns > std::uint64_t{INT64_MAX}) {  // none, or one that the guest put beyond our clock
    sleepers_.wait(lock, woken);
  } else {
    // steady_clock is CLOCK_MONOTONIC, the clock of monotonic_ns().
    using std::chrono::steady_clock;
    const steady_clock::time_point until{std::chrono::nanoseconds(until_ns)};
    sleepers_.wait_until(lock, until, woken);
  }
  vp.halted.store(false);
}

void Partition::wake_sleepers() {
  {
    const std::lock_guard lock(sleep_mutex_);
    generation_.fetch_add(1);
  }
  sleepers_.notify_all();
}

// After a slice of `running`: it may have sent IPIs to processors that sleep.
void Partition::wake_runnable(UINT32 running) {
  for (UINT32 index = 0; index < properties_.processor_count; ++index) {
    if (index != running && processors_[index].halted.load() &&
        engine_.is_runnable(vm_, index) != 0) {
      wake_sleepers();
      return;
    }
  }
}

// For a thread that waits for the baton: makes the slice that runs now end at its next chance. The
// run loop sees a cancel that no client asked for and goes on.
void Partition::interrupt_slice() {
  const std::int32_t running = in_slice_.load();
  if (running >= 0) engine_.cancel(vm_, static_cast<std::uint32_t>(running));
}

}  // namespace runhv::winhv
