// The registers of one virtual processor, by WHP's names, in KVM's structures.
#pragma once

#include <span>

#include "platform/device_file.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/engines/kvm_interface.h"
#include "winhv_linux/engines/page_walk.h"

namespace runhv::winhv_linux {

// General, segment, control registers and events are in the page that KVM shares
// (KVM_CAP_SYNC_REGS): there they are read and changed without a request, and the next KVM_RUN
// takes what was changed. The others are asked of KVM. Values that no processor accepts are refused
// where KVM is asked, else by that KVM_RUN.
// Threads: one at a time, and none while the processor runs.
class KvmRegisters {
 public:
  // Both outlive it.
  KvmRegisters(const platform::DeviceFile& processor, kvm_run& run)
      : processor_(processor), run_(run) {}

  // Once, before all else.
  HRESULT load();

  HRESULT get(std::span<const WHV_REGISTER_NAME> names, WHV_REGISTER_VALUE* values) const;
  HRESULT set(std::span<const WHV_REGISTER_NAME> names, const WHV_REGISTER_VALUE* values);

  // As EngineVm's.
  HRESULT get_xsave(std::span<std::byte> area) const;
  HRESULT set_xsave(std::span<const std::byte> area);
  HRESULT get_apic(ApicRegisters& registers);
  HRESULT set_apic(const ApicRegisters& registers);

  ExitRegisters at_exit() const;
  PagingState paging() const;

  // What is shared, now.
  const kvm_sync_regs& shared() const { return run_.s.regs; }
  // Puts back what was shared before: a moment of this processor's past.
  void restore(const kvm_sync_regs& before);

 private:
  HRESULT give_system();
  void take_shared(const kvm_sync_regs& wanted);

  const platform::DeviceFile& processor_;
  kvm_run& run_;
};

}  // namespace runhv::winhv_linux
