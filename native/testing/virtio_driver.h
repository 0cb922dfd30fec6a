// The driver's half of a virtio-mmio device. Virtio 1.2 §3.1.1, §2.7.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/guest_address.h"
#include "devices/virtio/mmio_transport.h"
#include "memory/guest_memory.h"

namespace runhv::testing {

struct Buffer {
  Gpa address;
  std::uint32_t size;
  bool writable;
};

struct RawDescriptor {
  std::uint64_t address;
  std::uint32_t size;
  std::uint16_t flags;
  std::uint16_t next;
};

struct Used {
  std::uint32_t head;
  std::uint32_t written_bytes;
};

// The rings of one queue in guest memory. Descriptors are taken in turn and never freed: a chain of
// a test is done before the ring of descriptors comes round.
class DriverQueue {
 public:
  DriverQueue(devices::MmioTransport& transport, const memory::GuestMemory& memory,
              std::uint16_t index, std::uint16_t size, Gpa rings, bool event_idx);

  // Adds a chain and returns its head; the device is not told.
  std::uint16_t add(std::span<const Buffer> buffers);
  std::uint16_t add_indirect(std::span<const Buffer> buffers, Gpa table);
  // Notifies the device where it asks for it; returns whether it did.
  bool kick();
  // The next chain that the device has returned.
  std::optional<Used> take_used();
  // An interrupt only when this many more chains have been returned; with event index.
  void ask_interrupt_after(std::uint16_t chains);
  void forbid_interrupts();  // without event index

  // What a hostile driver writes.
  void write_descriptor(std::uint16_t index, const RawDescriptor& descriptor);
  void offer(std::uint16_t head);
  void write_avail_idx(std::uint16_t idx);
  void force_kick();

  std::uint16_t size() const { return size_; }
  Gpa descriptor_area() const { return descriptors_; }
  Gpa driver_area() const { return avail_; }
  Gpa device_area() const { return used_; }

 private:
  void write16(Gpa at, std::uint16_t value);
  std::uint16_t read16(Gpa at) const;

  devices::MmioTransport& transport_;
  const memory::GuestMemory& memory_;
  const std::uint16_t index_;
  const std::uint16_t size_;
  const Gpa descriptors_;
  const Gpa avail_;
  const Gpa used_;
  const bool event_idx_;
  std::uint16_t next_descriptor_ = 0;
  std::uint16_t avail_idx_ = 0;
  std::uint16_t kicked_idx_ = 0;
  std::uint16_t used_idx_ = 0;
};

class VirtioDriver {
 public:
  // Rings from `rings` on, 64 KiB a queue.
  VirtioDriver(devices::MmioTransport& transport, const memory::GuestMemory& memory, Gpa rings)
      : transport_(transport), memory_(memory), rings_(rings) {}

  // As the guest does it, which executes the write again until it is done.
  void reset();
  // From reset to DRIVER_OK with those of `features` that are offered. False: the device refused,
  // or its reset waits for chains in flight.
  bool start(std::uint64_t features);
  // Offered by the device.
  std::uint64_t features();
  DriverQueue& queue(std::size_t index) { return queues_[index]; }
  std::size_t queue_count() const { return queues_.size(); }

  std::uint32_t read(std::uint32_t offset) {
    return static_cast<std::uint32_t>(transport_.read(offset, 4));
  }
  void write(std::uint32_t offset, std::uint32_t value) { transport_.write(offset, 4, value); }
  // What an interrupt handler does: reads and acknowledges.
  std::uint32_t take_interrupt_status();

 private:
  devices::MmioTransport& transport_;
  const memory::GuestMemory& memory_;
  const Gpa rings_;
  std::vector<DriverQueue> queues_;
};

}  // namespace runhv::testing
