// WHvRequestInterrupt on KVM: messages to the local APICs that KVM has, and routes that make it
// tell of the end of a level-triggered interrupt.
#pragma once

#include <mutex>
#include <vector>

#include "platform/device_file.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/engines/kvm_interface.h"

namespace runhv::winhv_linux {

// Threads: any.
class KvmInterrupts {
 public:
  // Level-triggered sources that are remembered. IOAPICs of our machines have 24 pins.
  static constexpr UINT32 kRoutes = 24;

  KvmInterrupts(const platform::DeviceFile& vm, bool x2apic) : vm_(vm), x2apic_(x2apic) {}

  HRESULT request(const WHV_INTERRUPT_CONTROL& control);

 private:
  HRESULT route(const kvm_msi& message);

  const platform::DeviceFile& vm_;
  const bool x2apic_;
  std::mutex mutex_;  // of the rest
  std::vector<kvm_irq_routing_entry> routes_;
  UINT32 next_replaced_ = 0;
};

// Bits 24 to 31 of a 32-bit APIC id are beside the others in the upper half of the address
// (KVM_CAP_X2APIC_API).
kvm_msi msi_of(const WHV_INTERRUPT_CONTROL& control, bool x2apic);

}  // namespace runhv::winhv_linux
