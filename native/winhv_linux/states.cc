// WHvGet/SetVirtualProcessor…State and …Counters: what a processor has beside its registers.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "winhv_linux/partition.h"
#include "winhv_linux/properties.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT32 kApicRegisterStride = 16;
constexpr UINT32 kApicUsedBytes = kApicRegisterStride * std::tuple_size_v<ApicRegisters>;

// The older form: no source tells more than that the requests are packed and that the processor's
// priority is not there (field guide §1.10). Ours has the page's registers, by their places in it,
// one behind the other: who keeps it and gives it back depends on no order.
constexpr std::array<UINT16, 43> kPackedRegisters{
    0x020, 0x030, 0x080, 0x0D0, 0x0E0, 0x0F0,                // identity, TPR, LDR, DFR, SVR
    0x100, 0x110, 0x120, 0x130, 0x140, 0x150, 0x160, 0x170,  // ISR
    0x180, 0x190, 0x1A0, 0x1B0, 0x1C0, 0x1D0, 0x1E0, 0x1F0,  // TMR
    0x200, 0x210, 0x220, 0x230, 0x240, 0x250, 0x260, 0x270,  // IRR
    0x280, 0x2F0, 0x300, 0x310,                              // ESR, CMCI, ICR
    0x320, 0x330, 0x340, 0x350, 0x360, 0x370,                // local vectors
    0x380, 0x390, 0x3E0};                                    // timer
using PackedApic = std::array<UINT32, kPackedRegisters.size()>;

std::array<std::byte, whpapi::kWhvInterruptControllerState2Bytes> page_of(
    const ApicRegisters& registers) {
  std::array<std::byte, whpapi::kWhvInterruptControllerState2Bytes> page{};
  for (std::size_t n = 0; n < registers.size(); ++n) {
    std::memcpy(page.data() + kApicRegisterStride * n, &registers[n], sizeof registers[n]);
  }
  return page;
}

// `page` has kApicUsedBytes at least.
ApicRegisters registers_of_page(std::span<const std::byte> page) {
  ApicRegisters registers{};
  for (std::size_t n = 0; n < registers.size(); ++n) {
    std::memcpy(&registers[n], page.data() + kApicRegisterStride * n, sizeof registers[n]);
  }
  return registers;
}

PackedApic packed(const ApicRegisters& registers) {
  PackedApic words{};
  for (std::size_t n = 0; n < words.size(); ++n) {
    words[n] = registers[kPackedRegisters[n] / kApicRegisterStride];
  }
  return words;
}

ApicRegisters unpacked(std::span<const std::byte> bytes) {
  PackedApic words{};
  std::memcpy(words.data(), bytes.data(), sizeof words);
  ApicRegisters registers{};
  for (std::size_t n = 0; n < words.size(); ++n) {
    registers[kPackedRegisters[n] / kApicRegisterStride] = words[n];
  }
  return registers;
}

}  // namespace

HRESULT Partition::get_state(UINT32 index, ProcessorState state, void* buffer, UINT32 size,
                             UINT32* written) {
  if (const HRESULT stopped = stopped_processor(index); FAILED(stopped)) return stopped;
  const std::shared_lock machine(machine_mutex_);
  if (state == ProcessorState::kXsave) {
    const XsaveLayout& layout = engine_.xsave();
    std::vector<std::byte> area(layout.standard_bytes());
    if (const HRESULT result = made_vm_->get_xsave(index, area); FAILED(result)) return result;
    std::vector<std::byte> compacted(layout.compacted_bytes());
    layout.compact(area, compacted);
    return copy_out(compacted.data(), layout.compacted_bytes(), buffer, size, written);
  }

  if (!has_apic()) return E_INVALIDARG;
  ApicRegisters registers{};
  if (const HRESULT result = made_vm_->get_apic(index, registers); FAILED(result)) return result;
  if (state == ProcessorState::kPackedApic) {
    const PackedApic words = packed(registers);
    return copy_out(words.data(), sizeof words, buffer, size, written);
  }
  const auto page = page_of(registers);
  return copy_out(page.data(), sizeof page, buffer, size, written);
}

HRESULT Partition::set_state(UINT32 index, ProcessorState state, std::span<const std::byte> bytes) {
  if (const HRESULT stopped = stopped_processor(index); FAILED(stopped)) return stopped;
  const std::shared_lock machine(machine_mutex_);
  if (state == ProcessorState::kXsave) {
    const XsaveLayout& layout = engine_.xsave();
    std::vector<std::byte> area(layout.standard_bytes());
    return layout.expand(bytes, area) ? made_vm_->set_xsave(index, area) : E_INVALIDARG;
  }

  if (!has_apic()) return E_INVALIDARG;
  const bool is_packed = state == ProcessorState::kPackedApic;
  if (bytes.size() < (is_packed ? sizeof(PackedApic) : kApicUsedBytes)) {
    return WHV_E_INSUFFICIENT_BUFFER;
  }
  return made_vm_->set_apic(index, is_packed ? unpacked(bytes) : registers_of_page(bytes));
}

HRESULT Partition::processor_counters(UINT32 index, WHV_PROCESSOR_COUNTER_SET set, void* buffer,
                                      UINT32 size, UINT32* written) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  constexpr std::uint64_t kNsPerUnit = 100;
  const auto told = [&](EngineExitReason reason) {
    return WHV_PROCESSOR_INTERCEPT_COUNTER{
        .Count = vp->exits[static_cast<std::size_t>(reason)].load(), .Time100ns = 0};
  };
  switch (set) {
    case WHvProcessorCounterSetRuntime: {
      const WHV_PROCESSOR_RUNTIME_COUNTERS counters{
          .TotalRuntime100ns = vp->run_ns.load() / kNsPerUnit, .HypervisorRuntime100ns = 0};
      return copy_out(&counters, sizeof counters, buffer, size, written);
    }
    case WHvProcessorCounterSetIntercepts: {
      // Those that the client is told of; the engine does not say what it does on its own.
      WHV_PROCESSOR_ACTIVITY_COUNTERS counters{};
      counters.IoInstructions = told(EngineExitReason::kPort);
      counters.HaltInstructions = told(EngineExitReason::kHalt);
      counters.CpuidInstructions = told(EngineExitReason::kCpuid);
      counters.MsrAccesses = told(EngineExitReason::kMsr);
      counters.NestedPageFaultIntercepts = told(EngineExitReason::kMemory);
      counters.PendingInterrupts = told(EngineExitReason::kWindow);
      counters.OtherIntercepts = told(EngineExitReason::kException);
      return copy_out(&counters, sizeof counters, buffer, size, written);
    }
    default:
      return WHV_E_UNKNOWN_PROPERTY;
  }
}

}  // namespace runhv::winhv_linux
