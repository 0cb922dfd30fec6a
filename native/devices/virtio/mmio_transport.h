// Virtio over MMIO, version 2. Virtio 1.2 §4.2.
//
// Threads: virtual processors and the I/O thread enter at once; one mutex covers the transport and
// its device. The interrupt line is pulsed after unlocking.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "devices/bus.h"
#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"
#include "memory/guest_memory.h"

namespace runhv {

class MmioTransport final : public BusDevice {
 public:
  static constexpr std::uint64_t kSizeBytes = 0x200;

  // `memory` and `irq` outlive it.
  MmioTransport(std::unique_ptr<VirtioDevice> device, const GuestMemory& memory, IrqLine& irq);
  ~MmioTransport() override;

  std::uint64_t read(std::uint64_t offset, unsigned size_bytes) override;
  bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) override;

  // Runs `work` (which touches the device) under the lock, as a call of the device that no register
  // caused; interrupts the guest afterwards where needed. False: a queue's turn has ended before
  // the queue was empty, so call again. Threads: any, not from inside a device.
  template <class Work>
  bool enter(Work&& work) {
    bool interrupt = false;
    bool finished = true;
    {
      const std::lock_guard lock(mutex_);
      for (Virtqueue& queue : queues_) queue.begin_turn();
      work();
      interrupt = settle();
      for (const Virtqueue& queue : queues_) finished = finished && !queue.unfinished();
    }
    if (interrupt) irq_.pulse();
    return finished;
  }

  // Stops the device for good: no guest memory is touched again. Idempotent.
  void stop();

 private:
  struct QueueRegisters {
    std::uint16_t size = 0;
    std::uint64_t descriptor_area = 0;
    std::uint64_t driver_area = 0;
    std::uint64_t device_area = 0;
  };
  std::uint64_t read_config(std::uint32_t offset, unsigned size_bytes) const;
  void write_config(std::uint32_t offset, unsigned size_bytes, std::uint64_t value);
  std::uint32_t read_register(std::uint32_t offset) const;
  void write_register(std::uint32_t offset, std::uint32_t value);
  void write_queue_register(std::uint32_t offset, std::uint32_t value);
  void write_queue_ready(std::uint32_t value);
  void write_status(std::uint32_t value);
  void start_device();
  void reset();
  bool settle();

  const std::unique_ptr<VirtioDevice> device_;
  IrqLine& irq_;
  const VirtioTraits traits_;
  const std::uint64_t offered_features_;
  std::mutex mutex_;
  std::vector<Virtqueue> queues_;
  std::vector<QueueRegisters> queue_registers_;
  std::uint64_t driver_features_ = 0;
  std::uint32_t device_features_select_ = 0;
  std::uint32_t driver_features_select_ = 0;
  std::uint32_t queue_select_ = 0;
  std::uint32_t status_ = 0;
  std::uint32_t interrupt_status_ = 0;
  bool running_ = false;  // between start() and stop() of the device
  bool stopped_ = false;  // stop() of the transport
};

}  // namespace runhv
