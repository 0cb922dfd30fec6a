// A virtio device, seen from its transport. Virtio 1.2.
//
// Six functions; who wants a seventh writes an ADR. Threads: all calls come with the transport's
// lock held, from a virtual processor's thread or from the I/O thread; a device needs no lock of
// its own and must not block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace runhv {

class Virtqueue;  // devices/virtio/queue.h

struct VirtioTraits {
  std::uint32_t device_id;  // virtio 1.2 §5
  std::uint64_t features;   // offered, VIRTIO_F_VERSION_1 is added by the transport
  std::uint32_t config_size;
  std::span<const std::uint16_t> queue_sizes;  // maximum of each queue; one per queue
};

struct Activation {
  std::span<Virtqueue> queues;
  std::uint64_t features;  // negotiated
};

class VirtioDevice {
 public:
  virtual ~VirtioDevice() = default;
  virtual VirtioTraits traits() const = 0;
  // offset + out.size() <= config_size: the transport has checked.
  virtual void read_config(std::uint32_t offset, std::span<std::byte> out) const = 0;
  virtual void write_config(std::uint32_t offset, std::span<const std::byte> in) = 0;
  // Once, after DRIVER_OK. The queues live until stop().
  virtual Result<void> start(const Activation& activation) = 0;
  // Idempotent; on return no guest memory is touched again.
  virtual void stop() = 0;
  virtual void on_notify(std::uint16_t queue_index) = 0;
};

// How a device interrupts the guest. Threads: any.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  // One edge.
  virtual void pulse() = 0;
};

}  // namespace runhv
