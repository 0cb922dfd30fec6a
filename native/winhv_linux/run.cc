// WHvRunVirtualProcessor: the engine's exits as WHP's.
#include <cstring>

#include "platform/clock.h"
#include "winhv_linux/exit_context.h"
#include "winhv_linux/partition.h"

namespace runhv::winhv_linux {

HRESULT Partition::run(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context) {
  VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (vp->running.exchange(true)) return WHV_E_INVALID_VP_STATE;
  HRESULT result = WHV_E_INVALID_VP_STATE;
  // After running: a reset that this does not see sees that.
  if (!resetting_.load()) {
    const std::shared_lock machine(machine_mutex_);
    clock_.resume();
    result = run_engine(index, context);
    strictness_.pay_for_exit();
  }
  vp->running.store(false);
  vp->running.notify_all();
  return result;
}

HRESULT Partition::run_engine(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context) {
  VirtualProcessor& vp = processors_[index];
  ++vp.runs;
  if (const auto reason = strictness_.spurious_exit(index, vp.runs)) {
    return report_plain(index, *reason, context);
  }
  while (!closed_.load()) {
    EngineExit exit;
    const std::uint64_t begin_ns = platform::monotonic_ns();
    const HRESULT result = made_vm_->run(index, on_halt(vp), exit);
    vp.run_ns.fetch_add(platform::monotonic_ns() - begin_ns);
    if (FAILED(result)) return result;
    vp.instructions.store(exit.instructions);
    // The engine may tell of a cancel once more than it was asked for.
    if (exit.reason == EngineExitReason::kCanceled &&
        (closed_.load() || !vp.canceled.exchange(false))) {
      continue;
    }
    if (exit.reason == EngineExitReason::kShutdown && strictness_.triple_fault_parks &&
        has_apic()) {
      vp.canceled.wait(false);  // the next round is told of the cancel
      continue;
    }
    if (exit.reason != EngineExitReason::kCanceled) {
      vp.halt_reported = exit.reason == EngineExitReason::kHalt;
    }
    vp.exits[static_cast<std::size_t>(exit.reason)].fetch_add(1);
    fill_exit_context(exit, context);
    return S_OK;
  }
  return E_HANDLE;  // the partition is being deleted
}

OnHalt Partition::on_halt(const VirtualProcessor& vp) const {
  if (!strictness_.enabled) return OnHalt::kWait;
  switch (strictness_.halt_report.value_or(profile_.halt_report)) {
    case HaltReport::kNever:
      return OnHalt::kWait;
    case HaltReport::kThenBlock:
      return vp.halt_reported ? OnHalt::kWait : OnHalt::kReturn;
    case HaltReport::kAlways:
      break;
  }
  return OnHalt::kReturn;
}

HRESULT Partition::report_plain(UINT32 index, WHV_RUN_VP_EXIT_REASON reason,
                                WHV_RUN_VP_EXIT_CONTEXT& context) {
  ExitRegisters registers{};
  alignas(16) std::array<WHV_REGISTER_VALUE, ExitRegisters::kNames.size()> values;
  const HRESULT result = made_vm_->get_registers(index, ExitRegisters::kNames, values.data());
  if (FAILED(result)) return result;
  std::memcpy(&registers, values.data(), sizeof registers);
  std::memset(&context, 0, sizeof context);
  context.ExitReason = reason;
  fill_vp_context(registers, 0, context.VpContext);
  return S_OK;
}

}  // namespace runhv::winhv_linux
