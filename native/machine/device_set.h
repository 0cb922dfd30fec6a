// The devices of a machine and where they sit: ports, memory-mapped registers, interrupt pins.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/bus.h"
#include "devices/console/console.h"
#include "devices/exitport/exit_port.h"
#include "devices/ioapic/ioapic.h"
#include "devices/rtc/rtc.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/vsock/vsock.h"
#include "machine/machine.h"
#include "memory/guest_memory.h"

namespace runhv {

class DeviceSet {
 public:
  // Takes `config`'s disks. `memory`, `sink` and `events` outlive it.
  static Result<std::unique_ptr<DeviceSet>> create(MachineConfig& config, const GuestMemory& memory,
                                                   InterruptSink& sink, ExitPortEvents& events);
  DeviceSet(const DeviceSet&) = delete;
  DeviceSet& operator=(const DeviceSet&) = delete;

  Bus& ports() { return ports_; }
  Bus& mmio() { return mmio_; }
  IoApic& io_apic() { return io_apic_; }
  VsockWaker* vsock_waker() { return vsock_waker_.get(); }

  // Interrupts 1..n go to pins 1..n of the I/O APIC.
  std::uint32_t interrupt_count() const { return static_cast<std::uint32_t>(transports_.size()); }

  // Kernel parameters that say where the virtio devices are.
  std::string command_line() const;

  // No guest memory is touched again. Idempotent.
  void stop();

 private:
  DeviceSet(std::uint32_t processor_count, std::size_t virtio_count, InterruptSink& sink,
            ExitPortEvents& events);
  Result<void> add_buses();
  Result<void> attach(std::unique_ptr<VirtioDevice> device, const GuestMemory& memory);

  Bus ports_;
  Bus mmio_;
  IoApic io_apic_;
  Rtc rtc_;
  ExitPort exit_port_;
  std::unique_ptr<ConsoleSink> console_sink_;
  std::vector<std::unique_ptr<MmioTransport>> transports_;
  std::unique_ptr<VsockDeviceWaker> vsock_waker_;
};

}  // namespace runhv
