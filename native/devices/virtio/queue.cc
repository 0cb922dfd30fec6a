#include "devices/virtio/queue.h"

#include <atomic>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/spec.h"

namespace runhv {
namespace {

// §2.7.6 and §2.7.8: flags, idx, the entries, and with event index one more number.
constexpr std::size_t kFlagsOffset = 0;
constexpr std::size_t kIdxOffset = 2;
constexpr std::size_t kEntriesOffset = 4;
constexpr std::size_t kAvailEntryBytes = 2;
constexpr std::size_t kUsedEntryBytes = 8;

constexpr std::size_t avail_bytes(std::uint16_t size) {
  return kEntriesOffset + kAvailEntryBytes * size + 2;
}
constexpr std::size_t used_bytes(std::uint16_t size) {
  return kEntriesOffset + kUsedEntryBytes * size + 2;
}

// enable() has checked that the rings are aligned.
std::atomic_ref<std::uint16_t> shared16(std::span<std::byte> ring, std::size_t offset) {
  RUNHV_CHECK(offset + 2 <= ring.size());
  return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(ring.data() + offset));
}

// §2.7.7.1: whether the step from `old_idx` to `new_idx` passes `event`.
bool passes_event(std::uint16_t event, std::uint16_t new_idx, std::uint16_t old_idx) {
  return static_cast<std::uint16_t>(new_idx - event - 1) <
         static_cast<std::uint16_t>(new_idx - old_idx);
}

std::uint16_t plus(std::uint16_t idx, int step) { return static_cast<std::uint16_t>(idx + step); }

}  // namespace

struct Virtqueue::Descriptor {
  std::uint64_t address;
  std::uint32_t size;
  std::uint16_t flags;
  std::uint16_t next;

  static Descriptor load(std::span<const std::byte> table, std::size_t index) {
    std::byte copy[virtio::kDescBytes];
    std::memcpy(copy, table.subspan(index * virtio::kDescBytes, virtio::kDescBytes).data(),
                sizeof copy);
    // The guest can change the table at any moment: what was copied must not be loaded again.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return {load_le<std::uint64_t>(copy, 0), load_le<std::uint32_t>(copy, 8),
            load_le<std::uint16_t>(copy, 12), load_le<std::uint16_t>(copy, 14)};
  }
};

bool Virtqueue::enable(const QueueLayout& layout, std::uint64_t features) {
  if (layout.size > virtio::kMaxQueueSize || !std::has_single_bit(layout.size)) return false;
  // §2.7: alignment of the three areas.
  if (layout.descriptor_area.value % 16 != 0 || layout.driver_area.value % 2 != 0 ||
      layout.device_area.value % 4 != 0) {
    return false;
  }
  const auto descriptors = memory_.view(layout.descriptor_area, virtio::kDescBytes * layout.size);
  const auto avail = memory_.view(layout.driver_area, avail_bytes(layout.size));
  const auto used = memory_.view(layout.device_area, used_bytes(layout.size));
  if (!descriptors || !avail || !used) return false;

  descriptors_ = *descriptors;
  avail_ = *avail;
  used_ = *used;
  device_area_ = layout.device_area;
  size_ = layout.size;
  event_idx_ = (features & virtio::kFeatureEventIdx) != 0;
  indirect_ = (features & virtio::kFeatureIndirectDesc) != 0;
  next_avail_ = next_used_ = signalled_used_ = 0;
  broken_ = false;
  enabled_ = true;
  begin_turn();
  return true;
}

void Virtqueue::disable() {
  enabled_ = false;
  broken_ = false;
  unfinished_ = false;
  descriptors_ = avail_ = used_ = {};
}

void Virtqueue::begin_turn() {
  turn_chains_ = 0;
  turn_bytes_ = 0;
  unfinished_ = false;
}

bool Virtqueue::pop(DescriptorChain& chain) {
  if (!enabled_ || broken_) return false;
  // §2.7.13.3: the entry is read after the index that covers it.
  std::uint16_t idx = shared16(avail_, kIdxOffset).load(std::memory_order_acquire);
  if (idx == next_avail_) {
    request_notifications();
    // The driver may have added a buffer before it could see the request.
    idx = shared16(avail_, kIdxOffset).load(std::memory_order_seq_cst);
    if (idx == next_avail_) return false;
  }
  if (static_cast<std::uint16_t>(idx - next_avail_) > size_) {
    broken_ = true;
    return false;
  }
  if (turn_chains_ == size_ || turn_bytes_ >= kTurnBytes) {
    unfinished_ = true;
    return false;
  }
  const std::size_t slot = next_avail_ % size_;
  const std::uint16_t head =
      shared16(avail_, kEntriesOffset + kAvailEntryBytes * slot).load(std::memory_order_relaxed);
  if (!read_chain(head, chain)) {
    broken_ = true;
    return false;
  }
  next_avail_ = plus(next_avail_, 1);
  ++turn_chains_;
  popped_bytes_ = chain.size_bytes();
  turn_bytes_ += popped_bytes_;
  return true;
}

void Virtqueue::unpop() {
  next_avail_ = plus(next_avail_, -1);
  --turn_chains_;
  turn_bytes_ -= popped_bytes_;
}

bool Virtqueue::read_chain(std::uint16_t head, DescriptorChain& chain) {
  chain.head_ = head;
  chain.readable_count_ = 0;
  chain.size_bytes_ = 0;
  chain.segments_.clear();

  std::span<const std::byte> table = descriptors_;
  std::size_t table_entries = size_;
  std::size_t index = head;
  bool in_indirect = false;
  // §2.7.5.3.1: no chain is longer than the queue, so a loop ends here too.
  for (std::size_t steps = 0; steps < std::size_t{size_} + 1; ++steps) {
    if (index >= table_entries) return false;
    const Descriptor descriptor = Descriptor::load(table, index);
    if ((descriptor.flags & virtio::kDescIndirect) != 0) {
      // §2.7.5.3.1: never within an indirect table, never with NEXT.
      if (!indirect_ || in_indirect || (descriptor.flags & virtio::kDescNext) != 0 ||
          descriptor.size == 0 || descriptor.size % virtio::kDescBytes != 0) {
        return false;
      }
      const std::size_t entries = descriptor.size / virtio::kDescBytes;
      const auto indirect = memory_.view(Gpa{descriptor.address}, descriptor.size);
      if (entries > size_ || !indirect) return false;
      table = *indirect;
      table_entries = entries;
      index = 0;
      in_indirect = true;
      continue;
    }
    if (chain.segments_.size() == size_ || !append(descriptor, chain)) return false;
    if ((descriptor.flags & virtio::kDescNext) == 0) return true;
    index = descriptor.next;
  }
  return false;
}

bool Virtqueue::append(const Descriptor& descriptor, DescriptorChain& chain) {
  const bool writable = (descriptor.flags & virtio::kDescWrite) != 0;
  // §2.7.4.2: the readable part comes first.
  if (!writable && chain.segments_.size() != chain.readable_count_) return false;
  const auto view = memory_.view(Gpa{descriptor.address}, descriptor.size);
  if (!view) return false;
  // §2.7.5: a chain holds less than 2^32 bytes, so that its length fits in the used ring.
  chain.size_bytes_ += descriptor.size;
  if (chain.size_bytes_ > UINT32_MAX) return false;
  chain.segments_.push_back({Gpa{descriptor.address}, *view});
  if (!writable) ++chain.readable_count_;
  return true;
}

void Virtqueue::push(const DescriptorChain& chain, std::uint32_t written_bytes) {
  if (!enabled_ || broken_) return;
  for (const Segment& segment : chain.writable()) {
    memory_.written(segment.address, segment.bytes.size());
  }
  const std::size_t entry = kEntriesOffset + kUsedEntryBytes * (next_used_ % size_);
  store_le<std::uint32_t>(used_, entry, chain.head_);
  store_le<std::uint32_t>(used_, entry + 4, written_bytes);
  next_used_ = plus(next_used_, 1);
  // §2.7.8.2: the entry before the index. Sequentially consistent, for take_interrupt() reads what
  // the driver writes when it looks at this index.
  shared16(used_, kIdxOffset).store(next_used_, std::memory_order_seq_cst);
  memory_.written(device_area_, used_.size());
}

void Virtqueue::request_notifications() {
  if (event_idx_) {
    shared16(used_, used_bytes(size_) - 2).store(next_avail_, std::memory_order_seq_cst);
  } else {
    shared16(used_, kFlagsOffset).store(0, std::memory_order_seq_cst);
  }
}

void Virtqueue::suppress_notifications() {
  if (!enabled_) return;
  if (event_idx_) {
    shared16(used_, used_bytes(size_) - 2).store(plus(next_avail_, -1), std::memory_order_seq_cst);
  } else {
    shared16(used_, kFlagsOffset).store(virtio::kUsedNoNotify, std::memory_order_seq_cst);
  }
}

bool Virtqueue::take_interrupt() {
  if (!enabled_ || broken_ || next_used_ == signalled_used_) return false;
  const std::uint16_t before = signalled_used_;
  signalled_used_ = next_used_;
  if (event_idx_) {
    const std::uint16_t event =
        shared16(avail_, avail_bytes(size_) - 2).load(std::memory_order_seq_cst);
    return passes_event(event, next_used_, before);
  }
  return (shared16(avail_, kFlagsOffset).load(std::memory_order_seq_cst) &
          virtio::kAvailNoInterrupt) == 0;
}

}  // namespace runhv
