#include "hv/partition.h"

#include <string>

#include "base/check.h"
#include "base/log.h"
#include "hv/hresult.h"
#include "hv/whp_functions.h"
#include "hv/whp_library.h"

namespace runhv::hv {
namespace {

// What the guest gets of Hyper-V's enlightenments: who it is, hypercalls and the virtual processor
// index (Linux takes a hypervisor without them for a stranger), and the clocks, so that nothing is
// calibrated (reference counter, TSC and APIC frequency).
WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS synthetic_features() {
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT;
  banks.Bank0.HypervisorPresent = 1;
  banks.Bank0.Hv1 = 1;
  banks.Bank0.AccessPartitionReferenceCounter = 1;
  banks.Bank0.AccessHypercallRegs = 1;
  banks.Bank0.AccessVpIndex = 1;
  banks.Bank0.AccessFrequencyRegs = 1;
  return banks;
}

}  // namespace

Result<std::unique_ptr<Partition>> Partition::create(const WhpLibrary& library,
                                                     std::uint32_t processor_count) {
  RUNHV_CHECK(processor_count >= 1 && processor_count <= 64);
  const WhpFunctions& whp = library.functions();
  WHV_PARTITION_HANDLE handle = nullptr;
  if (const HRESULT hr = whp.create_partition(&handle); FAILED(hr)) {
    return Fail{hresult_error("create partition (WHvCreatePartition)", hr)};
  }
  std::unique_ptr<Partition> partition(new Partition(whp, handle));
  RUNHV_TRY(partition->configure(processor_count));
  if (const HRESULT hr = whp.setup_partition(handle); FAILED(hr)) {
    return Fail{hresult_error("set up partition (WHvSetupPartition)", hr)};
  }
  // One after the other: parallel creation has crashed Windows 11.
  for (std::uint32_t i = 0; i < processor_count; ++i) {
    if (const HRESULT hr = whp.create_virtual_processor(handle, i, 0); FAILED(hr)) {
      return Fail{hresult_error("create virtual processor " + std::to_string(i), hr)};
    }
    partition->processors_.push_back(std::make_unique<VirtualProcessor>(whp, handle, i));
  }
  return partition;
}

Partition::~Partition() {
  processors_.clear();
  whp_.delete_partition(handle_);
}

Result<void> Partition::configure(std::uint32_t processor_count) {
  const UINT32 count = processor_count;
  RUNHV_TRY(set_property(WHvPartitionPropertyCodeProcessorCount, &count, sizeof count,
                         "processor count"));
  const auto features = synthetic_features();
  RUNHV_TRY(set_property(WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks, &features,
                         sizeof features, "Hyper-V enlightenments"));
  WHV_X64_LOCAL_APIC_EMULATION_MODE mode = WHvX64LocalApicEmulationModeX2Apic;
  const auto x2apic = set_property(WHvPartitionPropertyCodeLocalApicEmulationMode, &mode,
                                   sizeof mode, "x2APIC emulation");
  if (!x2apic) {
    debug_log("hv", "%s", to_string(x2apic.error()).c_str());
    mode = WHvX64LocalApicEmulationModeXApic;
    RUNHV_TRY(set_property(WHvPartitionPropertyCodeLocalApicEmulationMode, &mode, sizeof mode,
                           "local APIC emulation"));
  }
  // Registers that the hypervisor does not know read as zero in the run loop instead of raising
  // #GP.
  WHV_EXTENDED_VM_EXITS exits{};
  exits.X64MsrExit = 1;
  RUNHV_TRY(
      set_property(WHvPartitionPropertyCodeExtendedVmExits, &exits, sizeof exits, "MSR exits"));
  WHV_X64_MSR_EXIT_BITMAP msrs{};
  msrs.UnhandledMsrs = 1;
  RUNHV_TRY(set_property(WHvPartitionPropertyCodeX64MsrExitBitmap, &msrs, sizeof msrs,
                         "exits of unknown MSRs"));
  // Windows Server 2022 and newer do the same without an exit.
  const WHV_MSR_ACTION ignore = WHvMsrActionIgnoreWriteReadZero;
  const auto ignored = set_property(WHvPartitionPropertyCodeUnimplementedMsrAction, &ignore,
                                    sizeof ignore, "action for unknown MSRs");
  if (!ignored) debug_log("hv", "%s", to_string(ignored.error()).c_str());
  return {};
}

Result<void> Partition::set_property(std::uint32_t code, const void* value, std::uint32_t size,
                                     const char* name) {
  const HRESULT hr = whp_.set_partition_property(
      handle_, static_cast<WHV_PARTITION_PROPERTY_CODE>(code), value, size);
  if (FAILED(hr)) {
    return Fail{hresult_error(
        std::string("set partition property ") + name + " (WHvSetPartitionProperty)", hr)};
  }
  return {};
}

Result<void> Partition::map(Gpa gpa, std::span<std::byte> memory) {
  const HRESULT hr = whp_.map_gpa_range(
      handle_, memory.data(), gpa.value, memory.size(),
      WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite | WHvMapGpaRangeFlagExecute);
  if (FAILED(hr)) {
    return Fail{hresult_error(
        "map " + std::to_string(memory.size() >> 10) + " KiB of guest memory (WHvMapGpaRange)",
        hr)};
  }
  return {};
}

Result<void> Partition::request_interrupt(const Interrupt& interrupt) {
  WHV_INTERRUPT_CONTROL control{};
  control.Type = static_cast<UINT64>(interrupt.type);
  control.DestinationMode = interrupt.logical_destination ? WHvX64InterruptDestinationModeLogical
                                                          : WHvX64InterruptDestinationModePhysical;
  control.TriggerMode =
      interrupt.level_triggered ? WHvX64InterruptTriggerModeLevel : WHvX64InterruptTriggerModeEdge;
  control.Destination = interrupt.destination;
  control.Vector = interrupt.vector;
  if (const HRESULT hr = whp_.request_interrupt(handle_, &control, sizeof control); FAILED(hr)) {
    return Fail{hresult_error("interrupt the guest (WHvRequestInterrupt)", hr)};
  }
  return {};
}

void Partition::memory_written(Gpa gpa, std::uint64_t size_bytes) {
  if (whp_.memory_written != nullptr) whp_.memory_written(handle_, gpa.value, size_bytes);
}

}  // namespace runhv::hv
