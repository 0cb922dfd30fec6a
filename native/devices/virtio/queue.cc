#include "devices/virtio/queue.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {
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
std::uint16_t load16(std::span<const std::byte> ring, std::size_t offset, std::memory_order order) {
  RUNHV_CHECK(offset + 2 <= ring.size());
  // Guest memory is writable; std::atomic_ref has no form for what is only read.
  auto* number = const_cast<std::byte*>(ring.data() + offset);
  return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(number)).load(order);
}

void store16(std::span<std::byte> ring, std::size_t offset, std::uint16_t value) {
  RUNHV_CHECK(offset + 2 <= ring.size());
  std::atomic_ref(*reinterpret_cast<std::uint16_t*>(ring.data() + offset))
      .store(value, std::memory_order_seq_cst);
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
  const auto descriptors =
      memory_->read_view(layout.descriptor_area, virtio::kDescBytes * layout.size);
  const auto avail = memory_->read_view(layout.driver_area, avail_bytes(layout.size));
  const auto used = memory_->write_view(layout.device_area, used_bytes(layout.size));
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
  ++generation_;
  begin_turn();
  return true;
}

void Virtqueue::disable() {
  enabled_ = false;
  broken_ = false;
  unfinished_ = false;
  descriptors_ = avail_ = {};
  used_ = {};
}

void Virtqueue::begin_turn() {
  turn_chains_ = 0;
  turn_bytes_ = 0;
  unfinished_ = false;
}

bool Virtqueue::pop(DescriptorChain& chain) {
  if (!enabled_ || broken_) return false;
  // §2.7.13.3: the entry is read after the index that covers it.
  std::uint16_t idx = load16(avail_, kIdxOffset, std::memory_order_acquire);
  if (idx == next_avail_) {
    request_notifications();
    // The driver may have added a buffer before it could see the request.
    idx = load16(avail_, kIdxOffset, std::memory_order_seq_cst);
    if (idx == next_avail_) return false;
  }
  // §2.7.6: a chain has at least one descriptor, which is the device's until the chain is used.
  if (static_cast<std::uint16_t>(idx - next_avail_) > size_ || in_flight_ >= size_) {
    broken_ = true;
    return false;
  }
  if (turn_chains_ == size_ || turn_bytes_ >= kTurnBytes) {
    unfinished_ = true;
    return false;
  }
  const std::size_t slot = next_avail_ % size_;
  const std::uint16_t head =
      load16(avail_, kEntriesOffset + kAvailEntryBytes * slot, std::memory_order_relaxed);
  if (!read_chain(head, chain)) {
    broken_ = true;
    return false;
  }
  next_avail_ = plus(next_avail_, 1);
  ++in_flight_;
  ++turn_chains_;
  turn_bytes_ += chain.size_bytes();
  return true;
}

void Virtqueue::unpop(const DescriptorChain& chain) {
  next_avail_ = plus(next_avail_, -1);
  --in_flight_;
  --turn_chains_;
  turn_bytes_ -= chain.size_bytes();
}

bool Virtqueue::read_chain(std::uint16_t head, DescriptorChain& chain) {
  if (chain.memory_ != memory_) chain.memory_ = memory_;
  chain.queue_index_ = index_;
  chain.head_ = head;
  chain.generation_ = generation_;
  chain.begun_ = false;
  chain.size_bytes_ = 0;
  chain.readable_.clear();
  chain.writable_.clear();

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
      const auto indirect = memory_->read_view(Gpa{descriptor.address}, descriptor.size);
      if (entries > size_ || !indirect) return false;
      table = *indirect;
      table_entries = entries;
      index = 0;
      in_indirect = true;
      continue;
    }
    if (chain.readable_.size() + chain.writable_.size() == size_ || !append(descriptor, chain))
      return false;
    if ((descriptor.flags & virtio::kDescNext) == 0) return true;
    index = descriptor.next;
  }
  return false;
}

bool Virtqueue::append(const Descriptor& descriptor, DescriptorChain& chain) {
  // §2.7.5: a chain holds less than 2^32 bytes, so that its length fits in the used ring.
  chain.size_bytes_ += descriptor.size;
  if (chain.size_bytes_ > UINT32_MAX) return false;
  const Gpa address{descriptor.address};
  if ((descriptor.flags & virtio::kDescWrite) != 0) {
    const auto view = memory_->write_view(address, descriptor.size);
    if (view) chain.writable_.push_back({address, *view});
    return view.has_value();
  }
  // §2.7.4.2: the readable part comes first.
  if (!chain.writable_.empty()) return false;
  const auto view = memory_->read_view(address, descriptor.size);
  if (view) chain.readable_.push_back({address, *view});
  return view.has_value();
}

void Virtqueue::push(const DescriptorChain& chain, std::uint32_t written_bytes) {
  push_unseen(chain, written_bytes);
  if (!awaits(chain)) return;
  // §2.7.8.2: the entry before the index. Sequentially consistent, for take_interrupt() reads what
  // the driver writes when it looks at this index.
  store16(used_, kIdxOffset, next_used_);
  memory_->written(device_area_, used_.size());
}

void Virtqueue::push_unseen(const DescriptorChain& chain, std::uint32_t written_bytes) {
  RUNHV_CHECK(in_flight_ > 0);
  --in_flight_;
  if (!awaits(chain)) return;
  for (const WriteSegment& segment : chain.writable()) {
    memory_->written(segment.address, segment.bytes.size());
  }
  const std::size_t entry = kEntriesOffset + kUsedEntryBytes * (next_used_ % size_);
  store_le<std::uint32_t>(used_, entry, chain.head_);
  store_le<std::uint32_t>(used_, entry + 4, written_bytes);
  next_used_ = plus(next_used_, 1);
}

void Virtqueue::request_notifications() {
  if (event_idx_) {
    store16(used_, used_bytes(size_) - 2, next_avail_);
  } else {
    store16(used_, kFlagsOffset, 0);
  }
}

void Virtqueue::suppress_notifications() {
  if (!enabled_) return;
  if (event_idx_) {
    store16(used_, used_bytes(size_) - 2, plus(next_avail_, -1));
  } else {
    store16(used_, kFlagsOffset, virtio::kUsedNoNotify);
  }
}

bool Virtqueue::take_interrupt() {
  if (!enabled_ || broken_ || next_used_ == signalled_used_) return false;
  return asks_interrupt(next_used_, std::exchange(signalled_used_, next_used_));
}

bool Virtqueue::wants_no_interrupt() const {
  return enabled_ && !broken_ && !asks_interrupt(plus(next_used_, 1), next_used_);
}

// For the chains used from `before` to `after`.
bool Virtqueue::asks_interrupt(std::uint16_t after, std::uint16_t before) const {
  if (event_idx_) {
    const std::uint16_t event = load16(avail_, avail_bytes(size_) - 2, std::memory_order_seq_cst);
    return passes_event(event, after, before);
  }
  return (load16(avail_, kFlagsOffset, std::memory_order_seq_cst) & virtio::kAvailNoInterrupt) == 0;
}

}  // namespace runhv::devices
