// The devices of a machine and where they sit: ports, memory-mapped registers, interrupt pins.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/blk/blk.h"
#include "devices/bus.h"
#include "devices/exitport/exit_port.h"
#include "devices/fs/fs.h"
#include "devices/ioapic/ioapic.h"
#include "devices/rtc/rtc.h"
#include "devices/virtio/mmio_slot.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/vsock/vsock_host.h"
#include "machine/machine.h"
#include "memory/guest_memory.h"
#include "platform/random.h"

namespace runhv::machine {

class DeviceSet {
 public:
  // Takes `config`'s disks and shares. `sink` and `events` outlive it.
  static Result<std::unique_ptr<DeviceSet>> create(
      MachineConfig& config, const std::shared_ptr<const memory::GuestMemory>& memory,
      devices::InterruptSink& sink, devices::ExitPortEvents& events);
  // As stop() with a deadline that has passed.
  ~DeviceSet();
  DeviceSet(const DeviceSet&) = delete;
  DeviceSet& operator=(const DeviceSet&) = delete;

  devices::Bus& ports() { return ports_; }
  devices::Bus& mmio() { return mmio_; }
  devices::IoApic& io_apic() { return io_apic_; }
  // Of the vsock device; null without one.
  devices::VsockWaker* vsock_waker() { return vsock_waker_; }

  // Interrupts 1..n go to pins 1..n of the I/O APIC; the slots of networks share the last.
  std::uint32_t interrupt_count() const {
    return static_cast<std::uint32_t>(transports_.size() + (network_slots_.empty() ? 0 : 1));
  }

  // Kernel parameters that say where the virtio devices are.
  std::string command_line() const;

  // Until resume() no device touches guest memory or interrupts a processor; what they would give
  // waits. Processors do not run meanwhile. False, and nothing is paused: a disk was still at work
  // at the deadline (monotonic_ns). Threads: one at a time with resume() and stop().
  bool pause(std::uint64_t deadline_ns);
  void resume();

  // As Machine's. Threads: as pause().
  std::uint32_t network_slot_number(std::size_t slot) const {
    return static_cast<std::uint32_t>(transports_.size() + slot);
  }
  void plug_network(std::size_t slot, const MachineNetwork& network);
  void unplug_network(std::size_t slot);

  Result<std::size_t> add_share(devices::Share share);
  void remove_share(std::size_t index);
  std::vector<devices::DiskCounts> disk_counts() const;

  // On return, which is at the deadline (monotonic_ns) at the latest, no interrupt comes and no
  // guest memory is touched, but by disks that hang: then false, and the thread of each is left
  // alone and keeps the memory alive. Idempotent.
  bool stop(std::uint64_t deadline_ns);

 private:
  class Jobs;
  class Console;
  DeviceSet(std::uint32_t processor_count, std::size_t pin_count,
            const std::shared_ptr<const memory::GuestMemory>& memory, devices::InterruptSink& sink,
            devices::ExitPortEvents& events);
  Result<void> add_buses();
  Result<void> attach(std::unique_ptr<devices::VirtioDevice> device);
  Result<void> add_network_slots(const MachineConfig& config);
  std::vector<devices::MmioTransport*> transports();

  const std::shared_ptr<const memory::GuestMemory> memory_;
  devices::Bus ports_;
  devices::Bus mmio_;
  devices::IoApic io_apic_;
  devices::Rtc rtc_;
  devices::ExitPort exit_port_;
  platform::OsRandomSource random_;
  std::unique_ptr<Console> console_;
  // The first has turns that are left; each disk has its own, and so have the shares.
  std::vector<std::unique_ptr<Jobs>> jobs_;
  std::vector<std::unique_ptr<devices::MmioTransport>> transports_;
  std::vector<std::unique_ptr<devices::MmioSlot>> network_slots_;  // behind them
  devices::VsockWaker* vsock_waker_ = nullptr;
  std::vector<const devices::BlkDevice*> disks_;
  devices::FsDevice* files_ = nullptr;  // null without shares
  std::size_t share_count_ = 0;
};

}  // namespace runhv::machine
