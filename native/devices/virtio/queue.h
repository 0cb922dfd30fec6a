// The device's half of a split virtqueue. Virtio 1.2 §2.7, with indirect descriptors and event
// index.
//
// Everything in the rings is the guest's to write, at any moment: each number is read once, then
// checked. A ring that breaks the rules is broken() until the device is reset: pop() gives nothing
// more and the transport tells the driver (DEVICE_NEEDS_RESET).
//
// Threads: with the transport's lock held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/guest_address.h"
#include "devices/virtio/segment_cursor.h"
#include "memory/guest_memory.h"

namespace runhv::devices {

// One request: the parts that the device reads, then the parts that it may write. Views of guest
// memory, which the chain keeps alive.
//
// A device that pushes what it pops reuses one chain, which then allocates once. One that finishes
// later moves the chain out: from there on whoever holds it owes a DeviceHandle::finish().
class DescriptorChain {
 public:
  DescriptorChain() = default;
  DescriptorChain(DescriptorChain&&) = default;
  DescriptorChain& operator=(DescriptorChain&&) = default;

  std::span<const ReadSegment> readable() const { return readable_; }
  std::span<const WriteSegment> writable() const { return writable_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  friend class Virtqueue;
  friend class MmioTransport;
  std::shared_ptr<const memory::GuestMemory> memory_;
  std::uint16_t queue_index_ = 0;
  std::uint16_t head_ = 0;
  std::uint64_t generation_ = 0;  // of the queue, when it was popped
  bool begun_ = false;
  std::uint64_t size_bytes_ = 0;
  std::vector<ReadSegment> readable_;
  std::vector<WriteSegment> writable_;
};

struct QueueLayout {
  std::uint16_t size;
  Gpa descriptor_area;
  Gpa driver_area;  // available ring
  Gpa device_area;  // used ring
};

class Virtqueue {
 public:
  // After so many bytes a turn ends.
  static constexpr std::uint64_t kTurnBytes = 16ull << 20;

  Virtqueue(std::shared_ptr<const memory::GuestMemory> memory, std::uint16_t index)
      : memory_(std::move(memory)), index_(index) {}

  // False: a size that is no power of two, an area that is misaligned or not RAM.
  // `features`: negotiated.
  bool enable(const QueueLayout& layout, std::uint64_t features);
  void disable();
  bool enabled() const { return enabled_; }
  std::uint16_t size() const { return size_; }

  // For the transport, before each call of the device. A turn gives at most as many chains as the
  // queue holds, and none after kTurnBytes: a guest that refills the ring while the device drains
  // it would else keep the call for ever.
  void begin_turn();
  // pop() has kept chains back for another turn.
  bool unfinished() const { return unfinished_; }

  // The next available chain, from now on in flight; false where there is none: then the driver's
  // next buffer notifies the device. False as well at the end of a turn.
  bool pop(DescriptorChain& chain);
  // Undoes the last pop() that is neither pushed nor undone; `chain` is what it gave.
  void unpop(const DescriptorChain& chain);
  // Returns a chain to the driver, if it still waits for it: not after disable(), and not to a
  // queue that is broken. `written_bytes`: from the start of the writable part.
  void push(const DescriptorChain& chain, std::uint32_t written_bytes);
  // The same, but the driver sees it together with what is pushed next, in the same call.
  void push_unseen(const DescriptorChain& chain, std::uint32_t written_bytes);

  // Chains popped and not returned, of all generations. At most size(): a driver that makes more
  // available breaks the queue.
  std::size_t in_flight() const { return in_flight_; }
  // Whether push() would give it to the driver: it was popped since the last enable().
  bool awaits(const DescriptorChain& chain) const {
    return enabled_ && !broken_ && chain.generation_ == generation_;
  }

  // For a queue whose buffers wait until the device needs them: no notification until a pop() has
  // found the queue empty.
  void suppress_notifications();

  // The device has met a request that the driver may not make.
  void mark_broken() { broken_ = true; }
  bool broken() const { return broken_; }

  // For the transport, once after each call of the device: whether the chains pushed since the last
  // time ask for an interrupt (§2.7.7).
  bool take_interrupt();
  // Whether a chain pushed now would ask for none: the driver looks by itself.
  bool wants_no_interrupt() const;

 private:
  struct Descriptor;
  bool read_chain(std::uint16_t head, DescriptorChain& chain);
  bool append(const Descriptor& descriptor, DescriptorChain& chain);
  void request_notifications();
  bool asks_interrupt(std::uint16_t after, std::uint16_t before) const;

  std::shared_ptr<const memory::GuestMemory> memory_;
  std::uint16_t index_;
  std::uint64_t generation_ = 0;  // counts enable()
  std::size_t in_flight_ = 0;
  bool enabled_ = false;
  bool broken_ = false;
  bool event_idx_ = false;
  bool indirect_ = false;
  std::uint16_t size_ = 0;
  std::uint16_t next_avail_ = 0;
  std::uint16_t next_used_ = 0;
  std::uint16_t signalled_used_ = 0;  // next_used_ at the last take_interrupt()
  bool unfinished_ = false;
  std::uint16_t turn_chains_ = 0;  // taken in this turn
  std::uint64_t turn_bytes_ = 0;
  Gpa device_area_;
  std::span<const std::byte> descriptors_;
  std::span<const std::byte> avail_;
  std::span<std::byte> used_;
};

}  // namespace runhv::devices
