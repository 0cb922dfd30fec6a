#include "winhv_linux/engines/kvm_interrupts.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "winhv_linux/engines/kvm_error.h"

namespace runhv::winhv_linux {

// SDM Vol.3 §10.11: address and data of a message.
kvm_msi msi_of(const WHV_INTERRUPT_CONTROL& control, bool x2apic) {
  constexpr UINT32 kAddress = 0xFEE0'0000;
  constexpr UINT32 kLogical = 1 << 2;
  constexpr UINT32 kAssert = 1 << 14;
  constexpr UINT32 kLevel = 1 << 15;
  const bool logical = control.DestinationMode == WHvX64InterruptDestinationModeLogical;
  const bool level = control.TriggerMode == WHvX64InterruptTriggerModeLevel;
  kvm_msi message{};
  message.address_lo = kAddress | (control.Destination & 0xFF) << 12 | (logical ? kLogical : 0);
  message.address_hi = x2apic ? control.Destination & 0xFFFF'FF00 : 0;
  message.data = (control.Vector & 0xFF) | (static_cast<UINT32>(control.Type) & 7) << 8 | kAssert |
                 (level ? kLevel : 0);
  return message;
}

HRESULT KvmInterrupts::request(const WHV_INTERRUPT_CONTROL& control) {
  const kvm_msi message = msi_of(control, x2apic_);
  if (control.TriggerMode == WHvX64InterruptTriggerModeLevel) {
    if (const HRESULT result = route(message); FAILED(result)) return result;
  }
  const long result = vm_.request(KVM_SIGNAL_MSI, &message);
  // EPERM: no processor has that id, as with a message on a bus.
  return result < 0 && result != -EPERM ? kvm_error(result) : S_OK;
}

// Before the message: its end may come at once.
HRESULT KvmInterrupts::route(const kvm_msi& message) {
  const std::lock_guard lock(mutex_);
  const auto is_same = [&](const kvm_irq_routing_entry& each) {
    return each.u.msi.address_lo == message.address_lo &&
           each.u.msi.address_hi == message.address_hi && each.u.msi.data == message.data;
  };
  if (std::ranges::any_of(routes_, is_same)) return S_OK;
  kvm_irq_routing_entry entry{};
  entry.type = KVM_IRQ_ROUTING_MSI;
  entry.u.msi.address_lo = message.address_lo;
  entry.u.msi.address_hi = message.address_hi;
  entry.u.msi.data = message.data;
  auto routes = routes_;
  if (routes.size() < kRoutes) {
    entry.gsi = static_cast<UINT32>(routes.size());
    routes.push_back(entry);
  } else {  // what was asked for first
    entry.gsi = next_replaced_;
    routes[next_replaced_] = entry;
    next_replaced_ = (next_replaced_ + 1) % kRoutes;
  }
  const std::size_t entries_bytes = routes.size() * sizeof(kvm_irq_routing_entry);
  std::vector<std::byte> bytes(sizeof(KvmListHeader) + entries_bytes);
  const KvmListHeader header{.count = static_cast<UINT32>(routes.size()), .zero = 0};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, routes.data(), entries_bytes);
  const long result = vm_.request(kSetGsiRouting, bytes.data());
  if (result < 0) return kvm_error(result);
  routes_ = std::move(routes);
  return S_OK;
}

}  // namespace runhv::winhv_linux
