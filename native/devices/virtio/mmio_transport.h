// Virtio over MMIO, version 2. Virtio 1.2 §4.2.
//
// Threads: virtual processors, the I/O thread and workers enter at once; one mutex covers the
// transport and its device. The interrupt line is pulsed under it, so that whoever has paused or
// stopped the transport hears no late edge.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "devices/bus.h"
#include "devices/job_queue.h"
#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"
#include "memory/guest_memory.h"

namespace runhv::devices {

class MmioTransport final : public BusDevice {
 public:
  static constexpr std::uint64_t kSizeBytes = 0x200;

  // `irq` and `later`, which has the turns that no register causes, outlive it.
  MmioTransport(std::unique_ptr<VirtioDevice> device,
                const std::shared_ptr<const memory::GuestMemory>& memory, IrqLine& irq,
                JobQueue& later);
  // As stop() with a deadline that has passed.
  ~MmioTransport() override;

  std::uint64_t read(std::uint64_t offset, unsigned size_bytes) override;
  // False, so that the guest executes the instruction again: a queue's turn has ended before the
  // queue was empty; a reset waits for chains in flight; the transport is paused.
  // Waits as VirtioTraits::notification_waits_ns says.
  bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) override;

  // Until resume() the device touches no guest memory and interrupts nobody; what it would give
  // waits. False, and nothing has changed: a chain in flight was still at work at the deadline
  // (monotonic_ns). Idempotent. Threads: any, not inside the device.
  bool pause(std::uint64_t deadline_ns);
  void resume();

  // Stops the device for good and waits for its chains in flight. On return no interrupt comes and
  // no guest memory is touched, but for chains that still were at work at the deadline
  // (monotonic_ns): then false, and each of them keeps the memory alive until it ends. Idempotent.
  // Threads: any, not inside the device.
  bool stop(std::uint64_t deadline_ns);

 private:
  class Handle;
  struct QueueRegisters {
    std::uint16_t size = 0;
    std::uint64_t descriptor_area = 0;
    std::uint64_t driver_area = 0;
    std::uint64_t device_area = 0;
  };
  struct Finished {
    DescriptorChain chain;
    std::uint32_t written_bytes;
  };

  // With the lock held, as all that follows.
  template <class Work>
  void call_device(Work&& work);
  bool unfinished() const;
  bool driver_waits(std::uint32_t queue_index) const;
  void keep_for_later();
  void go_on();
  void give_back(Finished finished);
  void resume_locked();

  std::uint64_t read_config(std::uint32_t offset, unsigned size_bytes) const;
  void write_config(std::uint32_t offset, unsigned size_bytes, std::uint64_t value);
  std::uint32_t read_register(std::uint32_t offset) const;
  bool has_selected_memory() const;
  void write_register(std::uint32_t offset, std::uint32_t value);
  void write_queue_register(std::uint32_t offset, std::uint32_t value);
  void write_queue_ready(std::uint32_t value);
  void write_status(std::uint32_t value);
  void start_device();
  void stop_device();
  std::size_t in_flight() const;
  void reset();
  void finish_reset();
  void tell_driver();

  const std::shared_ptr<Handle> handle_;  // has the mutex
  const std::unique_ptr<VirtioDevice> device_;
  IrqLine& irq_;
  JobQueue& later_;
  const VirtioTraits traits_;
  const std::uint64_t offered_features_;
  std::vector<Virtqueue> queues_;
  std::vector<QueueRegisters> queue_registers_;
  std::uint64_t driver_features_ = 0;
  std::uint32_t device_features_select_ = 0;
  std::uint32_t driver_features_select_ = 0;
  std::uint32_t queue_select_ = 0;
  std::uint32_t shared_memory_select_ = 0;
  std::uint32_t status_ = 0;
  std::uint32_t interrupt_status_ = 0;
  std::uint32_t config_generation_ = 0;
  bool config_changed_ = false;  // the driver is to be told
  bool running_ = false;         // between start() and stop() of the device
  bool resetting_ = false;       // the driver has reset it, and chains are in flight
  bool paused_ = false;
  bool stopped_ = false;         // stop() of the transport
  std::size_t at_work_ = 0;      // chains between begin() and finish()
  std::uint64_t finished_ = 0;   // chains that were given back to the driver
  std::vector<bool> left_over_;  // by queue: its last turn ended before it was empty
  bool going_on_ = false;        // `later` has a job of ours
  std::vector<std::function<void()>> kept_work_;  // of enter(), while paused
  std::vector<Finished> kept_finished_;           // while paused
};

}  // namespace runhv::devices
