#include "winhv_linux/engines/kvm_engine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "winhv_linux/engines/kvm_cpuid.h"
#include "winhv_linux/engines/kvm_device.h"
#include "winhv_linux/engines/kvm_error.h"
#include "winhv_linux/engines/kvm_interrupts.h"
#include "winhv_linux/engines/kvm_memory.h"
#include "winhv_linux/engines/kvm_msr_filter.h"
#include "winhv_linux/engines/kvm_processor.h"

namespace runhv::winhv_linux {
namespace {

// X64MsrExit, and ExceptionExit of no vector: KVM executes CPUID alone.
constexpr UINT64 kKvmVmExits = 0x6;
constexpr UINT64 kApicHz = 1'000'000'000;  // of KVM's APIC timer

// Where KVM on Intel keeps three pages and one of its own (KVM_SET_TSS_ADDR,
// KVM_SET_IDENTITY_MAP_ADDR): below the reset vector, where no machine of ours has anything.
constexpr UINT64 kIdentityMap = 0xFFFB'C000;
constexpr UINT64 kTaskState = 0xFFFB'D000;

UINT32 physical_address_width(std::span<const kvm_cpuid_entry2> cpuid) {
  for (const kvm_cpuid_entry2& entry : cpuid) {
    if (entry.function == 0x80000008) return entry.eax & 0xFF;
  }
  return 36;  // SDM Vol.2 CPUID: where the leaf is not there
}

Capabilities capabilities_of(const KvmDevice& device) {
  WHV_CAPABILITY_FEATURES features{};
  features.PartialUnmap = 1;
  features.LocalApicEmulation = 1;
  features.Xsave = 1;
  features.DirtyPageTracking = 1;
  const auto [bank0, bank1, xsave] = features_of(device.supported_cpuid());
  return {.features = features.AsUINT64,
          .extended_vm_exits = kKvmVmExits,
          .x64_msr_exits = kX64MsrExits,
          .synthetic_features = kSyntheticFeatures,
          .processor_features = {bank0, bank1},
          .xsave_features = xsave,
          .tsc_hz = device.tsc_hz(),
          .apic_hz = kApicHz,
          .physical_address_width = physical_address_width(device.supported_cpuid())};
}

// The components that the processors save, and that fit in KVM's area.
XsaveLayout xsave_of(std::span<const kvm_cpuid_entry2> cpuid) {
  constexpr UINT32 kLeaf = 0xD;
  constexpr UINT32 kFirst = 2;  // behind x87 and SSE
  UINT64 supported = 0;
  for (const kvm_cpuid_entry2& entry : cpuid) {
    if (entry.function == kLeaf && entry.index == 0)
      supported = entry.eax | UINT64{entry.edx} << 32;
  }
  std::vector<XsaveComponent> components;
  for (const kvm_cpuid_entry2& entry : cpuid) {
    const bool is_component = entry.function == kLeaf && entry.index >= kFirst &&
                              entry.index < 63 && (supported >> entry.index & 1) != 0;
    if (is_component && UINT64{entry.eax} + entry.ebx <= kXsaveBytes) {
      components.push_back({.number = entry.index,
                            .size = entry.eax,
                            .offset = entry.ebx,
                            .is_aligned = (entry.ecx & 2) != 0});
    }
  }
  std::ranges::sort(components, {}, &XsaveComponent::number);
  return XsaveLayout(std::move(components));
}

class KvmVm final : public EngineVm {
 public:
  KvmVm(const KvmDevice& device, platform::DeviceFile file, const VmShape& shape,
        DirtyPages& dirty_pages)
      : device_(device),
        file_(std::move(file)),
        shape_(shape),
        memory_({[this](const kvm_userspace_memory_region& region) {
                   return file_.request(KVM_SET_USER_MEMORY_REGION, &region);
                 },
                 [this](UINT32 slot, std::span<UINT64> bitmap) { return take_log(slot, bitmap); }},
                device.slot_count(), dirty_pages),
        interrupts_(file_, shape.local_apic_mode == WHvX64LocalApicEmulationModeX2Apic) {}
  KvmVm(const KvmVm&) = delete;
  KvmVm& operator=(const KvmVm&) = delete;

  HRESULT create(CpuAnswers& answers);

  HRESULT map(UINT64 gpa, const GpaRange& range) override { return memory_.map(gpa, range); }
  HRESULT unmap(UINT64 gpa, UINT64 size) override { return memory_.unmap(gpa, size); }
  // Hardware sees what it runs.
  HRESULT memory_written(UINT64, UINT64) override { return S_OK; }
  HRESULT take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) override {
    return memory_.take_dirty(gpa, size, bitmap);
  }
  // With a local APIC KVM does not tell of HLT: it waits, whatever is asked for.
  HRESULT run(UINT32 index, OnHalt, EngineExit& exit) override {
    return processors_[index]->run(exit);
  }
  void cancel(UINT32 index) override { processors_[index]->cancel(); }
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL& control) override {
    return interrupts_.request(control);
  }
  HRESULT get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        WHV_REGISTER_VALUE* values) override {
    return processors_[index]->registers().get(names, values);
  }
  HRESULT set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        const WHV_REGISTER_VALUE* values) override {
    return processors_[index]->registers().set(names, values);
  }
  HRESULT get_xsave(UINT32 index, std::span<std::byte> area) override {
    return processors_[index]->registers().get_xsave(area);
  }
  HRESULT set_xsave(UINT32 index, std::span<const std::byte> area) override {
    return processors_[index]->registers().set_xsave(area);
  }
  HRESULT get_apic(UINT32 index, ApicRegisters& registers) override {
    return processors_[index]->registers().get_apic(registers);
  }
  HRESULT set_apic(UINT32 index, const ApicRegisters& registers) override {
    return processors_[index]->registers().set_apic(registers);
  }
  bool translate(UINT32 index, UINT64 gva, WHV_MEMORY_ACCESS_TYPE access, UINT64& gpa) override {
    return processors_[index]->translate(gva, access, gpa);
  }

 private:
  bool has_apic() const { return shape_.local_apic_mode != WHvX64LocalApicEmulationModeNone; }
  HRESULT configure(CpuAnswers& answers);
  HRESULT add_processor(UINT32 index, CpuAnswers& answers);
  HRESULT make_apics_known() const;
  long take_log(UINT32 slot, std::span<UINT64> bitmap) const;

  const KvmDevice& device_;
  const platform::DeviceFile file_;
  const VmShape shape_;
  KvmMemory memory_;
  KvmInterrupts interrupts_;
  std::vector<std::unique_ptr<KvmProcessor>> processors_;
};

HRESULT KvmVm::create(CpuAnswers& answers) {
  if (shape_.apic_hz != kApicHz) return WHV_E_INVALID_PARTITION_CONFIG;
  if (const HRESULT result = configure(answers); FAILED(result)) return result;
  for (UINT32 index = 0; index < shape_.processor_count; ++index) {
    if (const HRESULT result = add_processor(index, answers); FAILED(result)) return result;
  }
  return has_apic() ? make_apics_known() : S_OK;
}

// KVM sends nothing to a local APIC that nobody has written since its processor was added.
HRESULT KvmVm::make_apics_known() const {
  for (const auto& processor : processors_) {
    kvm_lapic_state state{};
    long result = processor->file().request(KVM_GET_LAPIC, &state);
    if (result >= 0) result = processor->file().request(KVM_SET_LAPIC, &state);
    if (result < 0) return kvm_error(result);
  }
  return S_OK;
}

long KvmVm::take_log(UINT32 slot, std::span<UINT64> bitmap) const {
  kvm_dirty_log log{};
  log.slot = slot;
  log.dirty_bitmap = bitmap.data();
  return file_.request(KVM_GET_DIRTY_LOG, &log);
}

HRESULT KvmVm::configure(CpuAnswers& answers) {
  long result = enable_capability(file_, KVM_CAP_X86_USER_SPACE_MSR,
                                  KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN);
  // Else an OUT to that port is told of after it, unlike all others. Absent before Linux 5.2 and
  // where it is refused, no machine of ours has the port.
  enable_capability(file_, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_OUT_7E_INC_RIP);
  if (result >= 0) result = file_.request(KVM_SET_IDENTITY_MAP_ADDR, &kIdentityMap);
  if (result >= 0) result = file_.request(KVM_SET_TSS_ADDR, std::uintptr_t{kTaskState});
  if (result >= 0 && has_apic()) {
    result = enable_capability(file_, KVM_CAP_SPLIT_IRQCHIP, KvmInterrupts::kRoutes);
  }
  if (result >= 0 && shape_.local_apic_mode == WHvX64LocalApicEmulationModeX2Apic) {
    result =
        enable_capability(file_, KVM_CAP_X2APIC_API,
                          KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
  }
  if (result >= 0) result = set_msr_filter(file_, answers);
  return result < 0 ? kvm_error(result) : S_OK;
}

HRESULT KvmVm::add_processor(UINT32 index, CpuAnswers& answers) {
  const long made = file_.request(KVM_CREATE_VCPU, std::uintptr_t{index});
  if (made < 0) return kvm_error(made);
  platform::DeviceFile file{platform::UniqueHandle(made)};
  if (shape_.tsc_hz != device_.tsc_hz()) {  // only where the host can scale it
    const long set = file.request(KVM_SET_TSC_KHZ, std::uintptr_t{shape_.tsc_hz / 1000});
    if (set < 0) return WHV_E_INVALID_PARTITION_CONFIG;
  }
  const auto cpuid = guest_cpuid(device_.supported_cpuid(), index, shape_,
                                 has_apic() && device_.has_tsc_deadline(), answers);
  std::unique_ptr<KvmProcessor> processor;
  const HRESULT result = KvmProcessor::create(std::move(file), device_.run_bytes(), index, cpuid,
                                              memory_, answers, processor);
  if (SUCCEEDED(result)) processors_.push_back(std::move(processor));
  return result;
}

class KvmEngine final : public Engine {
 public:
  explicit KvmEngine(KvmDevice device)
      : device_(std::move(device)),
        capabilities_(capabilities_of(device_)),
        xsave_(xsave_of(device_.supported_cpuid())) {}

  const Capabilities& capabilities() const override { return capabilities_; }
  const XsaveLayout& xsave() const override { return xsave_; }
  HRESULT create_vm(const VmShape& shape, CpuAnswers& answers, DirtyPages& dirty_pages,
                    std::unique_ptr<EngineVm>& vm) const override {
    auto file = device_.create_vm();
    if (!file) return kvm_error(-static_cast<long>(file.error().os_code));
    auto made = std::make_unique<KvmVm>(device_, std::move(*file), shape, dirty_pages);
    const HRESULT result = made->create(answers);
    if (SUCCEEDED(result)) vm = std::move(made);
    return result;
  }

 private:
  const KvmDevice device_;
  const Capabilities capabilities_;
  const XsaveLayout xsave_;
};

}  // namespace

Result<std::unique_ptr<Engine>> open_kvm_engine(const std::string& path) {
  RUNHV_TRY_ASSIGN(KvmDevice device, KvmDevice::open(path));
  return std::unique_ptr<Engine>(std::make_unique<KvmEngine>(std::move(device)));
}

}  // namespace runhv::winhv_linux
