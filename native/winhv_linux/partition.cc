#include "winhv_linux/partition.h"

#include <algorithm>
#include <cstring>

#include "base/scope_exit.h"

namespace runhv::winhv_linux {
namespace {

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

}  // namespace

Partition::~Partition() { release_memory(this); }

// ---- configuration ----

HRESULT Partition::set_property(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size) {
  const std::lock_guard state(state_mutex_);
  const HRESULT result = properties_.set(code, buffer, size, frozen_);
  exception_exits_.store(
      properties_.extended_vm_exits.ExceptionExit != 0 ? properties_.exception_exits : 0);
  return result;
}

HRESULT Partition::get_property(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size,
                                UINT32* written) {
  const std::lock_guard state(state_mutex_);
  return properties_.get(code, buffer, size, written);
}

HRESULT Partition::setup() {
  const std::lock_guard structure(structure_mutex_);
  if (is_set_up()) return E_INVALIDARG;
  {
    const std::lock_guard state(state_mutex_);
    if (properties_.processor_count == 0) return WHV_E_INVALID_PARTITION_CONFIG;
    frozen_ = true;
    start_ns_ = clock_.now_ns();
    policy_.emplace(properties_, start_ns_);
    shape_ = {
        .processor_count = properties_.processor_count,
        .local_apic_mode =
            static_cast<WHV_X64_LOCAL_APIC_EMULATION_MODE>(properties_.local_apic_mode),
        .tsc_hz = properties_.tsc_hz,
        .apic_hz = properties_.apic_hz,
    };
  }
  const HRESULT result = engine_.create_vm(shape_, *this, dirty_pages_, made_vm_);
  if (FAILED(result)) {
    const std::lock_guard state(state_mutex_);
    frozen_ = false;
    return result;
  }
  reset_apic_bases();
  is_set_up_.store(true);
  return S_OK;
}

void Partition::reset_apic_bases() {
  constexpr UINT64 kEnabled = 0xFEE0'0800;
  constexpr UINT64 kOfTheFirst = 0x100;
  for (VirtualProcessor& vp : processors_) {
    vp.apic_base.store(kEnabled | (&vp == processors_.data() ? kOfTheFirst : 0));
  }
}

bool Partition::any_running() const {
  return std::ranges::any_of(processors_,
                             [](const VirtualProcessor& vp) { return vp.running.load(); });
}

HRESULT Partition::reset() {
  const std::lock_guard structure(structure_mutex_);
  if (!is_set_up()) return whpapi::kInvalidState;
  resetting_.store(true);
  const ScopeExit done([this] { resetting_.store(false); });
  // After resetting_: a run that this does not see sees that.
  if (any_running()) return whpapi::kInvalidState;

  std::unique_ptr<EngineVm> fresh;
  HRESULT result = engine_.create_vm(shape_, *this, dirty_pages_, fresh);
  for (const auto& [gpa, range] : memory_.ranges()) {
    if (SUCCEEDED(result)) result = fresh->map(gpa, range);
  }
  if (FAILED(result)) return result;

  const std::unique_lock machine(machine_mutex_);
  made_vm_ = std::move(fresh);
  for (VirtualProcessor& vp : processors_) {
    vp.canceled.store(false);
    vp.halt_reported = false;
  }
  reset_apic_bases();
  clock_.suspend();
  const std::lock_guard state(state_mutex_);
  policy_.emplace(properties_, start_ns_);
  return S_OK;
}

// ---- time ----

HRESULT Partition::suspend_time() {
  if (!is_set_up()) return E_INVALIDARG;
  if (!engine_.capabilities().time_stops) return E_NOTIMPL;
  clock_.suspend();
  // A run that begins now resumes it; one that had begun before is not to see its clock stop.
  if (!any_running()) return S_OK;
  clock_.resume();
  return WHV_E_INVALID_VP_STATE;
}

HRESULT Partition::resume_time() {
  if (!is_set_up()) return E_INVALIDARG;
  if (!engine_.capabilities().time_stops) return E_NOTIMPL;
  clock_.resume();
  return S_OK;
}

// ---- what guests ask ----

bool Partition::cpuid(UINT32 vp, UINT32 function, UINT32 index, std::array<UINT32, 4>& out) {
  const std::lock_guard state(state_mutex_);
  return policy_->cpuid(vp, function, index, out);
}

MsrAnswer Partition::read_msr(UINT32 vp, UINT32 msr, UINT64& value) {
  const std::lock_guard state(state_mutex_);
  return policy_->read_msr(vp, msr, clock_.now_ns(), value);
}

MsrAnswer Partition::write_msr(UINT32, UINT32 msr, UINT64 value) {
  const std::lock_guard state(state_mutex_);
  const MsrAnswer answer = policy_->write_msr(msr, value);
  const auto page = Hyperv::reference_tsc_page(msr, value);
  if (answer == MsrAnswer::kDone && page) {
    if (std::byte* host = memory_.host_at(*page)) std::memset(host, 0, 4);
  }
  return answer;
}

// ---- memory ----

HRESULT Partition::map(std::uint64_t gpa, const GpaRange& range) {
  const std::lock_guard structure(structure_mutex_);
  if (!is_set_up()) return E_INVALIDARG;
  WHV_CAPABILITY_FEATURES can{};
  can.AsUINT64 = properties_.can.features;
  if ((range.flags & WHvMapGpaRangeFlagTrackDirtyPages) != 0 && can.DirtyPageTracking == 0) {
    return E_INVALIDARG;
  }
  if (strictness_.enabled && !claim_memory(this)) return whpapi::kVidPartitionAlreadyExists;
  strictness_.pay_for_map(range.size);
  dirty_pages_.forget(gpa, range.size);  // of what is replaced
  const HRESULT result = made_vm_->map(gpa, range);
  const std::lock_guard state(state_mutex_);
  if (SUCCEEDED(result)) memory_.map(gpa, range);
  if (memory_.empty()) release_memory(this);
  return result;
}

HRESULT Partition::unmap(std::uint64_t gpa, std::uint64_t size) {
  const std::lock_guard structure(structure_mutex_);
  if (!is_set_up()) return E_INVALIDARG;
  {
    const std::lock_guard state(state_mutex_);
    if (!memory_.covers(gpa, size)) return WHV_E_GPA_RANGE_NOT_FOUND;
  }
  strictness_.pay_for_map(size);
  const HRESULT result = made_vm_->unmap(gpa, size);
  dirty_pages_.forget(gpa, size);
  const std::lock_guard state(state_mutex_);
  if (SUCCEEDED(result)) memory_.unmap(gpa, size);
  if (memory_.empty()) release_memory(this);
  return result;
}

HRESULT Partition::query_dirty(std::uint64_t gpa, std::uint64_t size, std::span<UINT64> bitmap) {
  const std::lock_guard structure(structure_mutex_);
  if (!is_set_up()) return E_INVALIDARG;
  {
    const std::lock_guard state(state_mutex_);
    if (!memory_.covers(gpa, size, WHvMapGpaRangeFlagTrackDirtyPages)) {
      return WHV_E_GPA_RANGE_NOT_FOUND;
    }
  }
  return made_vm_->take_dirty(gpa, size, bitmap);
}

HRESULT Partition::memory_counters(WHV_PARTITION_MEMORY_COUNTERS& counters) {
  if (!is_set_up()) return E_INVALIDARG;
  counters = {};
  const std::lock_guard state(state_mutex_);
  for (const auto& [gpa, range] : memory_.ranges()) counters.Mapped4KPageCount += range.size / 4096;
  return S_OK;
}

HRESULT Partition::translate(UINT32 index, std::uint64_t gva, WHV_TRANSLATE_GVA_FLAGS flags,
                             WHV_TRANSLATE_GVA_RESULT_CODE& result, std::uint64_t& gpa) {
  if (const HRESULT stopped = stopped_processor(index); FAILED(stopped)) return stopped;
  WHV_MEMORY_ACCESS_TYPE access = WHvMemoryAccessRead;
  if ((flags & WHvTranslateGvaFlagValidateWrite) != 0) access = WHvMemoryAccessWrite;
  if ((flags & WHvTranslateGvaFlagValidateExecute) != 0) access = WHvMemoryAccessExecute;

  const std::shared_lock machine(machine_mutex_);
  if (!made_vm_->translate(index, gva, access, gpa)) {
    result = WHvTranslateGvaResultPageNotPresent;
    return S_OK;
  }
  const std::lock_guard state(state_mutex_);
  const auto rights = memory_.flags_at(gpa);
  result = WHvTranslateGvaResultSuccess;
  if (!rights) {
    result = WHvTranslateGvaResultGpaUnmapped;
  } else if (access == WHvMemoryAccessWrite && (*rights & WHvMapGpaRangeFlagWrite) == 0) {
    result = WHvTranslateGvaResultGpaNoWriteAccess;
  } else if (access == WHvMemoryAccessRead && (*rights & WHvMapGpaRangeFlagRead) == 0) {
    result = WHvTranslateGvaResultGpaNoReadAccess;
  }
  return S_OK;
}

HRESULT Partition::memory_written(std::uint64_t gpa, std::uint64_t size) {
  if (!is_set_up()) return E_INVALIDARG;
  const std::shared_lock machine(machine_mutex_);
  return made_vm_->memory_written(gpa, size);
}

// ---- processors ----

bool Partition::has_all(std::span<const WHV_REGISTER_NAME> names) const {
  return std::ranges::none_of(names, [&](WHV_REGISTER_NAME name) {
    return is_absent(profile_.absent_registers, static_cast<UINT32>(name));
  });
}

VirtualProcessor* Partition::processor(UINT32 index) {
  if (index >= lives_.size() || lives_[index].load() != Life::kCreated) return nullptr;
  return &processors_[index];
}

HRESULT Partition::stopped_processor(UINT32 index) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  return vp->running.load() ? WHV_E_INVALID_VP_STATE : S_OK;
}

HRESULT Partition::create_processor(UINT32 index) {
  const std::lock_guard structure(structure_mutex_);
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
  if (const HRESULT stopped = stopped_processor(index); FAILED(stopped)) return stopped;
  lives_[index].store(Life::kDeleted);
  return S_OK;
}

HRESULT Partition::get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                                 WHV_REGISTER_VALUE* values) {
  if (const HRESULT stopped = stopped_processor(index); FAILED(stopped)) return stopped;
  if (!has_all(names)) return WHV_E_INVALID_VP_REGISTER_NAME;
  const std::shared_lock machine(machine_mutex_);
  const HRESULT result = made_vm_->get_registers(index, names, values);
  if (FAILED(result) || has_apic()) return result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == WHvX64RegisterApicBase) values[i].Reg64 = processors_[index].apic_base.load();
  }
  return S_OK;
}

HRESULT Partition::set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                                 const WHV_REGISTER_VALUE* values) {
  if (const HRESULT stopped = stopped_processor(index); FAILED(stopped)) return stopped;
  if (!has_all(names)) return WHV_E_INVALID_VP_REGISTER_NAME;
  const std::shared_lock machine(machine_mutex_);
  const HRESULT result = made_vm_->set_registers(index, names, values);
  if (FAILED(result) || has_apic()) return result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == WHvX64RegisterApicBase) processors_[index].apic_base.store(values[i].Reg64);
  }
  return S_OK;
}

HRESULT Partition::instruction_count(UINT32 index, std::uint64_t& count) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  count = vp->instructions.load();
  return S_OK;
}

HRESULT Partition::canceled_outside_run(UINT32 index, std::uint64_t& count) {
  const VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  count = vp->canceled_outside.load();
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
    return whpapi::kHvInvalidParameter;
  }
  const std::shared_lock machine(machine_mutex_);
  return made_vm_->request_interrupt(control);
}

HRESULT Partition::cancel(UINT32 index) {
  VirtualProcessor* vp = processor(index);
  if (vp == nullptr) return WHV_E_VP_DOES_NOT_EXIST;
  if (!vp->running.load()) vp->canceled_outside.fetch_add(1);
  // Before the engine's: who sees a run end by it must see whose cancel it was.
  vp->canceled.store(true);
  vp->canceled.notify_all();
  const std::shared_lock machine(machine_mutex_);
  made_vm_->cancel(index);
  return S_OK;
}

void Partition::close() {
  closed_.store(true);
  for (UINT32 index = 0; index < lives_.size(); ++index) {
    if (lives_[index].load() == Life::kNone) continue;
    processors_[index].canceled.store(true);
    processors_[index].canceled.notify_all();
    {
      const std::shared_lock machine(machine_mutex_);
      made_vm_->cancel(index);
    }
    processors_[index].running.wait(true);
  }
}

}  // namespace runhv::winhv_linux
