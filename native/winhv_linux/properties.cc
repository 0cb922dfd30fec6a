#include "winhv_linux/properties.h"

#include <algorithm>
#include <cstring>

#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {
namespace {

// Bounds what a client can make us copy; real lists have tens of entries.
constexpr UINT32 kMaxListBytes = 1u << 20;

template <class T>
HRESULT set_number(T& to, const void* buffer, UINT32 size, UINT64 highest) {
  T value;
  if (size < sizeof value) return E_INVALIDARG;  // clients may pass the whole union
  std::memcpy(&value, buffer, sizeof value);
  if (value > highest) return E_INVALIDARG;
  to = value;
  return S_OK;
}

HRESULT set_bits(UINT64& to, const void* buffer, UINT32 size, UINT64 allowed) {
  UINT64 value = 0;
  if (size < sizeof value) return E_INVALIDARG;
  std::memcpy(&value, buffer, sizeof value);
  if ((value & ~allowed) != 0) return E_INVALIDARG;
  to = value;
  return S_OK;
}

template <class T>
HRESULT set_list(std::vector<T>& to, const void* buffer, UINT32 size) {
  if (size % sizeof(T) != 0 || size > kMaxListBytes) return E_INVALIDARG;
  std::vector<T> list(size / sizeof(T));
  if (size != 0) std::memcpy(list.data(), buffer, size);
  to = std::move(list);
  return S_OK;
}

HRESULT set_frequency(UINT64& to, const void* buffer, UINT32 size) {
  UINT64 hz = 0;
  const HRESULT result = set_number(hz, buffer, size, 1'000'000'000'000);
  if (FAILED(result)) return result;
  if (hz == 0) return E_INVALIDARG;
  to = hz;
  return S_OK;
}

HRESULT set_synthetic(WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS& to, const void* buffer, UINT32 size,
                      UINT64 allowed) {
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks;
  if (size < sizeof banks) return E_INVALIDARG;
  std::memcpy(&banks, buffer, sizeof banks);
  if (banks.BanksCount != WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT ||
      (banks.AsUINT64[0] & ~allowed) != 0) {
    return E_INVALIDARG;
  }
  to = banks;
  return S_OK;
}

HRESULT set_processor(std::array<UINT64, WHV_PROCESSOR_FEATURES_BANKS_COUNT>& to,
                      const void* buffer, UINT32 size,
                      const std::array<UINT64, WHV_PROCESSOR_FEATURES_BANKS_COUNT>& allowed) {
  WHV_PROCESSOR_FEATURES_BANKS banks;
  if (size < sizeof banks) return E_INVALIDARG;
  std::memcpy(&banks, buffer, sizeof banks);
  if (banks.BanksCount != allowed.size()) return E_INVALIDARG;
  for (std::size_t bank = 0; bank < allowed.size(); ++bank) {
    if ((banks.AsUINT64[bank] & ~allowed[bank]) != 0) return E_INVALIDARG;
  }
  std::copy(std::begin(banks.AsUINT64), std::end(banks.AsUINT64), to.begin());
  return S_OK;
}

HRESULT set_msr_actions(std::vector<WHV_MSR_ACTION_ENTRY>& to, const void* buffer, UINT32 size) {
  std::vector<WHV_MSR_ACTION_ENTRY> list;
  const HRESULT result = set_list(list, buffer, size);
  if (FAILED(result)) return result;
  for (const auto& entry : list) {
    if (entry.ReadAction > WHvMsrActionExit || entry.WriteAction > WHvMsrActionExit) {
      return E_INVALIDARG;
    }
  }
  to = std::move(list);
  return S_OK;
}

bool changes_after_setup(WHV_PARTITION_PROPERTY_CODE code) {
  return code == WHvPartitionPropertyCodeExtendedVmExits ||
         code == WHvPartitionPropertyCodeExceptionExitBitmap ||
         code == WHvPartitionPropertyCodeX64MsrExitBitmap ||
         code == WHvPartitionPropertyCodeCpuidExitList;
}

template <class T>
HRESULT copy_list(const std::vector<T>& list, void* buffer, UINT32 size, UINT32* written) {
  return copy_out(list.data(), static_cast<UINT32>(list.size() * sizeof(T)), buffer, size, written);
}

}  // namespace

HRESULT copy_out(const void* value, UINT32 value_size, void* buffer, UINT32 size, UINT32* written) {
  if (written != nullptr) *written = value_size;
  if (size < value_size) return WHV_E_INSUFFICIENT_BUFFER;
  if (value_size != 0) std::memcpy(buffer, value, value_size);
  return S_OK;
}

HRESULT Properties::set(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size,
                        bool after_setup) {
  if (get(code, nullptr, 0, nullptr) == WHV_E_UNKNOWN_PROPERTY) return WHV_E_UNKNOWN_PROPERTY;
  if (after_setup && !changes_after_setup(code)) return E_INVALIDARG;
  switch (code) {
    case WHvPartitionPropertyCodeExtendedVmExits:
      return set_bits(extended_vm_exits.AsUINT64, buffer, size, can.extended_vm_exits);
    case WHvPartitionPropertyCodeExceptionExitBitmap:
      return set_bits(exception_exits, buffer, size, can.exception_exits);
    case WHvPartitionPropertyCodeX64MsrExitBitmap:
      return set_bits(msr_exits.AsUINT64, buffer, size, can.x64_msr_exits);
    case WHvPartitionPropertyCodeCpuidExitList:
      return set_list(cpuid_exits, buffer, size);
    case WHvPartitionPropertyCodeCpuidResultList:
      return set_list(cpuid_results, buffer, size);
    case WHvPartitionPropertyCodeCpuidResultList2:
      return set_list(cpuid_results2, buffer, size);
    case WHvPartitionPropertyCodeLocalApicEmulationMode:
      return set_number(local_apic_mode, buffer, size, WHvX64LocalApicEmulationModeX2Apic);
    case WHvPartitionPropertyCodeProcessorClockFrequency:
      return set_frequency(tsc_hz, buffer, size);
    case WHvPartitionPropertyCodeInterruptClockFrequency:
      return set_frequency(apic_hz, buffer, size);
    case WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks:
      return set_synthetic(synthetic, buffer, size, can.synthetic_features);
    case WHvPartitionPropertyCodeProcessorFeatures:
      return set_bits(processor_features.front(), buffer, size, can.processor_features.front());
    case WHvPartitionPropertyCodeProcessorFeaturesBanks:
      return set_processor(processor_features, buffer, size, can.processor_features);
    case WHvPartitionPropertyCodeProcessorXsaveFeatures:
      return set_bits(xsave_features, buffer, size, can.xsave_features);
    case WHvPartitionPropertyCodeProcessorPerfmonFeatures:
      return set_bits(perfmon_features, buffer, size, 0);
    case WHvPartitionPropertyCodeMsrActionList:
      return set_msr_actions(msr_actions, buffer, size);
    case WHvPartitionPropertyCodeUnimplementedMsrAction:
      return set_number(unimplemented_msr_action, buffer, size, WHvMsrActionExit);
    case WHvPartitionPropertyCodeProcessorCount: {
      UINT32 count = 0;
      const HRESULT result = set_number(count, buffer, size, kMaxProcessors);
      if (FAILED(result)) return result;
      if (count == 0) return E_INVALIDARG;
      processor_count = count;
      return S_OK;
    }
    default:
      return WHV_E_UNKNOWN_PROPERTY;
  }
}

HRESULT Properties::get(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size,
                        UINT32* written) const {
  const auto fixed = [&](const auto& value) {
    return copy_out(&value, sizeof value, buffer, size, written);
  };
  if (is_absent(version.absent_properties, static_cast<UINT32>(code))) {
    return WHV_E_UNKNOWN_PROPERTY;
  }
  switch (code) {
    case WHvPartitionPropertyCodeExtendedVmExits:
      return fixed(extended_vm_exits);
    case WHvPartitionPropertyCodeExceptionExitBitmap:
      return fixed(exception_exits);
    case WHvPartitionPropertyCodeX64MsrExitBitmap:
      return fixed(msr_exits);
    case WHvPartitionPropertyCodeCpuidExitList:
      return copy_list(cpuid_exits, buffer, size, written);
    case WHvPartitionPropertyCodeCpuidResultList:
      return copy_list(cpuid_results, buffer, size, written);
    case WHvPartitionPropertyCodeCpuidResultList2:
      return copy_list(cpuid_results2, buffer, size, written);
    case WHvPartitionPropertyCodeLocalApicEmulationMode:
      return fixed(local_apic_mode);
    case WHvPartitionPropertyCodeProcessorClockFrequency:
      return fixed(tsc_hz);
    case WHvPartitionPropertyCodeInterruptClockFrequency:
      return fixed(apic_hz);
    case WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks:
      return fixed(synthetic);
    case WHvPartitionPropertyCodeProcessorFeatures:
      if (!knows_processor(can)) return WHV_E_UNKNOWN_PROPERTY;
      return fixed(processor_features.front());
    case WHvPartitionPropertyCodeProcessorFeaturesBanks:
      if (!knows_processor(can)) return WHV_E_UNKNOWN_PROPERTY;
      return fixed(processor_banks(processor_features));
    case WHvPartitionPropertyCodeProcessorXsaveFeatures:
      if (!knows_processor(can)) return WHV_E_UNKNOWN_PROPERTY;
      return fixed(xsave_features);
    case WHvPartitionPropertyCodeProcessorPerfmonFeatures:
      return fixed(perfmon_features);
    case WHvPartitionPropertyCodeMsrActionList:
      return copy_list(msr_actions, buffer, size, written);
    case WHvPartitionPropertyCodeUnimplementedMsrAction:
      return fixed(unimplemented_msr_action);
    case WHvPartitionPropertyCodeProcessorCount:
      return fixed(processor_count);
    default:
      return WHV_E_UNKNOWN_PROPERTY;
  }
}

FeatureSets Properties::hidden_features() const {
  return {can.processor_features[0] & ~processor_features[0],
          can.processor_features[1] & ~processor_features[1], can.xsave_features & ~xsave_features};
}

}  // namespace runhv::winhv_linux
