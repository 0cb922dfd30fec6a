// A virtio device, seen from its transport, and the device's way back. Virtio 1.2.
//
// A device that answers at once pops a chain and pushes it, all in one call. One that must wait for
// the host keeps the chain, has a JobQueue do the work, and gives the chain back through its
// DeviceHandle (docs/adr/0008-devices-finish-later.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/result.h"

namespace runhv::devices {

class DescriptorChain;  // devices/virtio/queue.h
class Virtqueue;

struct VirtioTraits {
  std::uint32_t device_id;  // virtio 1.2 §5
  std::uint64_t features;   // offered, VIRTIO_F_VERSION_1 is added by the transport
  std::uint32_t config_size;
  std::span<const std::uint16_t> queue_sizes;  // maximum of each queue; one per queue
  // How long a driver that looks for answers as soon as its notification is over, and wants no
  // interrupt, is worth waiting for: its notification ends with the first chain that is finished,
  // or then. 0: no time.
  std::uint64_t notification_waits_ns = 0;
  // Shared memory region 0 (§2.10): guest-physical; 0 bytes: there is none.
  std::uint64_t shared_memory = 0;
  std::uint64_t shared_memory_bytes = 0;
};

struct Activation {
  std::span<Virtqueue> queues;
  std::uint64_t features;  // negotiated
};

// What a device may ask of its transport, whatever thread it is on. Shared: it outlives the
// transport, whose end makes every call do nothing.
//
// Threads: any. The device must not be inside a call of its transport, or inside enter(), except
// for config_changed().
class DeviceHandle {
 public:
  virtual ~DeviceHandle() = default;

  // Runs `work` under the transport's lock, as a call of the device that no register caused, and
  // interrupts the guest afterwards where needed. Is the transport paused, it does so when it is
  // resumed; is it stopped, never.
  virtual void enter(std::function<void()> work) = 0;

  // The configuration that read_config() gives has changed: bumps its generation, and tells the
  // driver (virtio 1.2 §2.5.2, §4.2.2.1). REQUIRES: inside a call of the device or inside enter(),
  // together with the change, so that no driver sees one without the other.
  virtual void config_changed() = 0;

  // Before the bytes of a chain in flight are touched outside of a call of the device. Waits while
  // the transport is paused. False: the device was reset or stopped since the chain was popped; its
  // bytes must not be touched, only finish() is left to do.
  virtual bool begin(DescriptorChain& chain) = 0;

  // Gives a chain in flight back to the driver, in any order with others, and interrupts the guest
  // where needed. Each chain that was popped and not pushed is finished once, come what may: a
  // reset waits for it. Dropped where the device was reset or stopped since.
  virtual void finish(DescriptorChain chain, std::uint32_t written_bytes) = 0;
};

// Seven functions; who wants an eighth writes an ADR. Threads: all calls come with the transport's
// lock held, from a virtual processor's thread or any other; a device needs no lock of its own and
// must not block.
class VirtioDevice {
 public:
  virtual ~VirtioDevice() = default;
  virtual VirtioTraits traits() const = 0;
  // offset + out.size() <= config_size: the transport has checked.
  virtual void read_config(std::uint32_t offset, std::span<std::byte> out) const = 0;
  virtual void write_config(std::uint32_t offset, std::span<const std::byte> in) = 0;
  // Once, before anything but traits(). A device that answers at once needs no handle.
  virtual void attach(const std::shared_ptr<DeviceHandle>&) {}
  // After DRIVER_OK. The queues live until stop().
  virtual Result<void> start(const Activation& activation) = 0;
  // After start(). On return no chain is popped and no guest memory touched again, except by chains
  // in flight that have begun.
  virtual void stop() = 0;
  // The driver has made chains available, or a turn has ended before the queue was empty.
  virtual void on_notify(std::uint16_t queue_index) = 0;
};

// How a device interrupts the guest. Threads: any.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  // One edge. A device's lock may be held.
  virtual void pulse() = 0;
};

}  // namespace runhv::devices
