#include "winhv_linux/partition.h"

#include <algorithm>
#include <cstring>

#include "platform/clock.h"
#include "winhv_linux/strict.h"

namespace runhv::winhv {
namespace {

static_assert(sizeof(softcpu_value) == sizeof(WHV_REGISTER_VALUE));

// Field guide §1.9: shipping Windows has at most one partition with mapped memory per process.
std::atomic<const Partition*> partition_with_memory{nullptr};

bool claim_memory(const Partition* self) {
  const Partition* owner = nullptr;
  return partition_with_memory.compare_exchange_strong(owner, self) || owner == self;
}

void release_memory(const Partition* self) {
  const Partition* owner = self;
  partition_with_memory.compare_exchange_strong(owner, nullptr);
}

HRESULT hresult(softcpu_status status) {
  switch (status) {
    case SOFTCPU_OK:
      return S_OK;
    case SOFTCPU_E_MEMORY:
      return E_OUTOFMEMORY;
    case SOFTCPU_E_REGISTER:
      return WHV_E_INVALID_VP_REGISTER_NAME;
    case SOFTCPU_E_ABI:
      return WHV_E_UNSUPPORTED_HYPERVISOR_CONFIG;
    case SOFTCPU_E_INVALID:
      break;
  }
  return E_INVALIDARG;
}

}  // namespace

Partition::~Partition() {
  release_memory(this);
  if (is_set_up()) engine_.destroy(vm_);
}

// ---- configuration ----

HRESULT Partition::set_property(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size) {
  const EngineTurn turn(*this, Turn::kNext);
  return properties_.set(code, buffer, size, is_set_up());
}

HRESULT Partition::get_property(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size,
                                UINT32* written) {
  const EngineTurn turn(*this, Turn::kNext);
  return properties_.get(code, buffer, size, written);
}

HRESULT Partition::setup() {
  const EngineTurn turn(*this, Turn::kNext);
  if (is_set_up()) return E_INVALIDARG;
  if (properties_.processor_count == 0) return WHV_E_INVALID_PARTITION_CONFIG;

  policy_.emplace(properties_, monotonic_ns());
  softcpu_config config{};
  config.abi_version = SOFTCPU_ABI_VERSION;
  config.struct_size = sizeof config;
  config.cpu_count = properties_.processor_count;
  config.apic_mode = properties_.local_apic_mode;  // the two enumerations have the same values
  config.tsc_hz = properties_.tsc_hz;
  config.apic_hz = properties_.apic_hz;
  config.callbacks.now_ns = [](void*) { return monotonic_ns(); };
  config.callbacks.cpuid = on_cpuid;
  config.callbacks.read_msr = on_read_msr;
  config.callbacks.write_msr = on_write_msr;
  config.context = this;
  softcpu_vm* vm = nullptr;
  const softcpu_status status = engine_.create(&config, &vm);
  vm_.store(vm);
  return hresult(status);
}

static_assert(SOFTCPU_APIC_NONE == int{WHvX64LocalApicEmulationModeNone} &&
              SOFTCPU_APIC_XAPIC == int{WHvX64LocalApicEmulationModeXApic} &&
              SOFTCPU_APIC_X2APIC == int{WHvX64LocalApicEmulationModeX2Apic});

softcpu_answer Partition::on_cpuid(void* self, std::uint32_t cpu, std::uint32_t function,
                                   std::uint32_t index, std::uint32_t out[4]) {
  auto& partition = *static_cast<Partition*>(self);
  if (!partition.policy_->cpuid(cpu, function, index, out)) return SOFTCPU_ANSWER_DONE;
  for (int i = 0; i < 4; ++i) partition.processors_[cpu].cpuid_default[i] = out[i];
  return SOFTCPU_ANSWER_EXIT;
}

softcpu_answer Partition::on_read_msr(void* self, std::uint32_t cpu, std::uint32_t msr,
                                      std::uint64_t* value) {
  return static_cast<Partition*>(self)->policy_->read_msr(cpu, msr, monotonic_ns(), *value);
}

softcpu_answer Partition::on_write_msr(void* self, std::uint32_t, std::uint32_t msr,
                                       std::uint64_t value) {
  auto& partition = *static_cast<Partition*>(self);
  const softcpu_answer answer = partition.policy_->write_msr(msr, value);
  const auto page = Hyperv::reference_tsc_page(msr, value);
  if (answer == SOFTCPU_ANSWER_DONE && page) {
    if (std::byte* host = partition.memory_.host_at(*page)) std::memset(host, 0, 4);
  }
  return answer;
}

// ---- memory ----

HRESULT Partition::map(std::uint64_t gpa, const GpaRange& range) {
  const EngineTurn turn(*this, Turn::kNext);
  if (!is_set_up()) return E_INVALIDARG;
  if (strictness().enabled && !claim_memory(this)) return kVidPartitionAlreadyExists;
  // WHV_MAP_GPA_RANGE_FLAGS and SOFTCPU_MAP_* have the same bits.
  const softcpu_status status = engine_.map(vm_, gpa, range.size, range.host, range.flags);
  if (status == SOFTCPU_OK) memory_.map(gpa, range);
  if (memory_.empty()) release_memory(this);
  return hresult(status);
}

static_assert(SOFTCPU_MAP_READ == int{WHvMapGpaRangeFlagRead} &&
              SOFTCPU_MAP_WRITE == int{WHvMapGpaRangeFlagWrite} &&
              SOFTCPU_MAP_EXECUTE == int{WHvMapGpaRangeFlagExecute});

HRESULT Partition::unmap(std::uint64_t gpa, std::uint64_t size) {
  const EngineTurn turn(*this, Turn::kNext);
  if (!is_set_up()) return E_INVALIDARG;
  if (!memory_.covers(gpa, size)) return WHV_E_GPA_RANGE_NOT_FOUND;
  const softcpu_status status = engine_.unmap(vm_, gpa, size);
  if (status == SOFTCPU_OK) memory_.unmap(gpa, size);
  if (memory_.empty()) release_memory(this);
  return hresult(status);
}

HRESULT Partition::translate(UINT32 index, std::uint64_t gva, WHV_TRANSLATE_GVA_FLAGS flags,
                             WHV_TRANSLATE_GVA_RESULT_CODE& result, std::uint64_t& gpa) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (vp->running.load()) return WHV_E_INVALID_VP_STATE;
  std::uint32_t access = 0;
  if ((flags & WHvTranslateGvaFlagValidateWrite) != 0) access = 1;
  if ((flags & WHvTranslateGvaFlagValidateExecute) != 0) access = 2;

  const EngineTurn turn(*this, Turn::kNext);
  if (engine_.translate(vm_, index, gva, access, &gpa) != SOFTCPU_OK) {
    result = WHvTranslateGvaResultPageNotPresent;
    return S_OK;
  }
  const auto rights = memory_.flags_at(gpa);
  result = WHvTranslateGvaResultSuccess;
  if (!rights) {
    result = WHvTranslateGvaResultGpaUnmapped;
  } else if (access == 1 && (*rights & WHvMapGpaRangeFlagWrite) == 0) {
    result = WHvTranslateGvaResultGpaNoWriteAccess;
  } else if (access == 0 && (*rights & WHvMapGpaRangeFlagRead) == 0) {
    result = WHvTranslateGvaResultGpaNoReadAccess;
  }
  return S_OK;
}

HRESULT Partition::memory_written(std::uint64_t gpa, std::uint64_t size) {
  // Waits for the running slice to end, rather than leave a note for the next one: a guest that
  // polls memory may see the write, and jump into it, without any interrupt in between.
  const EngineTurn turn(*this, Turn::kNext);
  if (!is_set_up()) return E_INVALIDARG;
  return hresult(engine_.memory_written(vm_, gpa, size));
}

// ---- processors ----

// A register that only partitions with a local APIC have (field guide §1.7).
bool Partition::has_all(std::span<const WHV_REGISTER_NAME> names) const {
  return has_apic() || std::find(names.begin(), names.end(), WHvX64RegisterApicBase) == names.end();
}

VirtualProcessor* Partition::processor(UINT32 index) {
  if (index >= lives_.size() || lives_[index].load() != Life::kCreated) return nullptr;
  return &processors_[index];
}

HRESULT Partition::create_processor(UINT32 index) {
  const EngineTurn turn(*this, Turn::kNext);
  if (!is_set_up() || index >= properties_.processor_count) return E_INVALIDARG;
  switch (lives_[index].load()) {
    case Life::kCreated:
      return WHV_E_VP_ALREADY_EXISTS;
    case Life::kDeleted:
      return E_INVALIDARG;  // as Windows 10 19045 does (field guide §1.4)
    case Life::kNone:
      break;
  }
  lives_[index].store(Life::kCreated);
  return S_OK;
}

HRESULT Partition::delete_processor(UINT32 index) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (vp->running.load()) return WHV_E_INVALID_VP_STATE;
  lives_[index].store(Life::kDeleted);
  return S_OK;
}

HRESULT Partition::get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                                 WHV_REGISTER_VALUE* values) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (vp->running.load()) return WHV_E_INVALID_VP_STATE;
  if (!has_all(names)) return WHV_E_INVALID_VP_REGISTER_NAME;
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(engine_.get(vm_, index, reinterpret_cast<const std::uint32_t*>(names.data()),
                             static_cast<std::uint32_t>(names.size()),
                             reinterpret_cast<softcpu_value*>(values)));
}

HRESULT Partition::set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                                 const WHV_REGISTER_VALUE* values) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (vp->running.load()) return WHV_E_INVALID_VP_STATE;
  if (!has_all(names)) return WHV_E_INVALID_VP_REGISTER_NAME;
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(engine_.set(vm_, index, reinterpret_cast<const std::uint32_t*>(names.data()),
                             static_cast<std::uint32_t>(names.size()),
                             reinterpret_cast<const softcpu_value*>(values)));
}

HRESULT Partition::instruction_count(UINT32 index, std::uint64_t& count) {
  if (processor(index) == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  const EngineTurn turn(*this, Turn::kNext);
  count = engine_.instructions(vm_, index);
  return S_OK;
}

HRESULT Partition::request_interrupt(const WHV_INTERRUPT_CONTROL& control) {
  if (!is_set_up() || !has_apic()) return E_INVALIDARG;
  const bool has_vector =
      control.Type == WHvX64InterruptTypeFixed || control.Type == WHvX64InterruptTypeLowestPriority;
  const bool known = has_vector || control.Type == WHvX64InterruptTypeNmi ||
                     control.Type == WHvX64InterruptTypeInit ||
                     control.Type == WHvX64InterruptTypeSipi;
  // An MSI that the guest has not programmed (0, 0) is refused (field guide §2.2).
  if (!known || control.Vector > 255 || (has_vector && control.Vector < 16)) {
    return kHvInvalidParameter;
  }
  softcpu_interrupt interrupt{};
  interrupt.type = static_cast<std::uint32_t>(control.Type);
  interrupt.logical_destination = control.DestinationMode == WHvX64InterruptDestinationModeLogical;
  interrupt.level_triggered = control.TriggerMode == WHvX64InterruptTriggerModeLevel;
  interrupt.destination = control.Destination;
  interrupt.vector = control.Vector;
  if (engine_.request_interrupt(vm_, &interrupt) != SOFTCPU_OK) return kHvInvalidParameter;
  wake_sleepers();
  return S_OK;
}

HRESULT Partition::cancel(UINT32 index) {
  VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  vp->canceled.store(true);
  engine_.cancel(vm_, index);
  wake_sleepers();
  return S_OK;
}

void Partition::close() {
  closed_.store(true);
  for (UINT32 index = 0; index < lives_.size(); ++index) {
    if (lives_[index].load() == Life::kNone) continue;
    engine_.cancel(vm_, index);
    wake_sleepers();
    processors_[index].running.wait(true);
  }
}

}  // namespace runhv::winhv
