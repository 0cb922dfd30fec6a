#include "testing/virtio_driver.h"

#include <array>
#include <atomic>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/spec.h"
#include "testing/guest.h"

namespace runhv::testing {
namespace {

constexpr std::uint64_t kRingBytes = 64 * 1024;

Gpa at(Gpa base, std::uint64_t offset) { return Gpa{base.value + offset}; }

}  // namespace

DriverQueue::DriverQueue(devices::MmioTransport& transport, const memory::GuestMemory& memory,
                         std::uint16_t index, std::uint16_t size, Gpa rings, bool event_idx)
    : transport_(transport),
      memory_(memory),
      index_(index),
      size_(size),
      descriptors_(rings),
      avail_(at(rings, kRingBytes / 4)),
      used_(at(rings, kRingBytes / 2)),
      event_idx_(event_idx) {}

void DriverQueue::write16(Gpa address, std::uint16_t value) {
  const auto view = memory_.write_view(address, 2);
  RUNHV_CHECK(view);
  std::atomic_ref(*reinterpret_cast<std::uint16_t*>(view->data())).store(value);
}

std::uint16_t DriverQueue::read16(Gpa address) const {
  const auto view = memory_.write_view(address, 2);
  RUNHV_CHECK(view);
  return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(view->data())).load();
}

void DriverQueue::write_descriptor(std::uint16_t index, const RawDescriptor& descriptor) {
  std::array<std::byte, devices::virtio::kDescBytes> bytes;
  store_le(bytes, 0, descriptor.address);
  store_le(bytes, 8, descriptor.size);
  store_le(bytes, 12, descriptor.flags);
  store_le(bytes, 14, descriptor.next);
  put(memory_, at(descriptors_, devices::virtio::kDescBytes * index), bytes);
}

std::uint16_t DriverQueue::add(std::span<const Buffer> buffers) {
  RUNHV_CHECK(!buffers.empty() && buffers.size() <= size_);
  const std::uint16_t head = next_descriptor_;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const auto next = static_cast<std::uint16_t>((next_descriptor_ + 1) % size_);
    const bool last = i + 1 == buffers.size();
    write_descriptor(next_descriptor_,
                     {.address = buffers[i].address.value,
                      .size = buffers[i].size,
                      .flags = static_cast<std::uint16_t>(
                          (last ? 0 : devices::virtio::kDescNext) |
                          (buffers[i].writable ? devices::virtio::kDescWrite : 0)),
                      .next = next});
    next_descriptor_ = next;
  }
  offer(head);
  return head;
}

std::uint16_t DriverQueue::add_indirect(std::span<const Buffer> buffers, Gpa table) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    std::array<std::byte, devices::virtio::kDescBytes> bytes;
    store_le(bytes, 0, buffers[i].address.value);
    store_le(bytes, 8, buffers[i].size);
    store_le(bytes, 12,
             static_cast<std::uint16_t>((last ? 0 : devices::virtio::kDescNext) |
                                        (buffers[i].writable ? devices::virtio::kDescWrite : 0)));
    store_le(bytes, 14, static_cast<std::uint16_t>(i + 1));
    put(memory_, at(table, devices::virtio::kDescBytes * i), bytes);
  }
  const std::uint16_t head = next_descriptor_;
  write_descriptor(
      head, {.address = table.value,
             .size = static_cast<std::uint32_t>(devices::virtio::kDescBytes * buffers.size()),
             .flags = devices::virtio::kDescIndirect,
             .next = 0});
  next_descriptor_ = static_cast<std::uint16_t>((next_descriptor_ + 1) % size_);
  offer(head);
  return head;
}

void DriverQueue::offer(std::uint16_t head) {
  write16(at(avail_, 4 + 2 * (avail_idx_ % size_)), head);
  ++avail_idx_;
  write16(at(avail_, 2), avail_idx_);
}

void DriverQueue::write_avail_idx(std::uint16_t idx) { write16(at(avail_, 2), idx); }

bool DriverQueue::kick() {
  const std::uint16_t before = std::exchange(kicked_idx_, avail_idx_);
  bool wanted;
  if (event_idx_) {
    const std::uint16_t event = read16(at(used_, 4 + 8ull * size_));
    wanted = static_cast<std::uint16_t>(avail_idx_ - event - 1) <
             static_cast<std::uint16_t>(avail_idx_ - before);
  } else {
    wanted = (read16(used_) & devices::virtio::kUsedNoNotify) == 0;
  }
  if (wanted) force_kick();
  return wanted;
}

void DriverQueue::force_kick() { transport_.write(devices::virtio::mmio::kQueueNotify, 4, index_); }

std::optional<Used> DriverQueue::take_used() {
  if (read16(at(used_, 2)) == used_idx_) return std::nullopt;
  const auto bytes = get(memory_, at(used_, 4 + 8ull * (used_idx_ % size_)), 8);
  ++used_idx_;
  return Used{load_le<std::uint32_t>(bytes, 0), load_le<std::uint32_t>(bytes, 4)};
}

void DriverQueue::ask_interrupt_after(std::uint16_t chains) {
  write16(at(avail_, 4 + 2ull * size_), static_cast<std::uint16_t>(used_idx_ + chains - 1));
}

void DriverQueue::forbid_interrupts() { write16(avail_, devices::virtio::kAvailNoInterrupt); }

std::uint64_t VirtioDriver::features() {
  using namespace devices::virtio::mmio;
  write(kDeviceFeaturesSel, 1);
  const std::uint64_t high = read(kDeviceFeatures);
  write(kDeviceFeaturesSel, 0);
  return high << 32 | read(kDeviceFeatures);
}

void VirtioDriver::reset() {
  while (!transport_.write(devices::virtio::mmio::kStatus, 4, 0)) std::this_thread::yield();
}

bool VirtioDriver::start(std::uint64_t wanted) {
  using namespace devices::virtio::mmio;
  queues_.clear();
  write(kStatus, 0);
  if (read(kStatus) != 0) return false;
  write(kStatus, devices::virtio::kStatusAcknowledge);
  write(kStatus, devices::virtio::kStatusAcknowledge | devices::virtio::kStatusDriver);
  const std::uint64_t accepted = features() & (wanted | devices::virtio::kFeatureVersion1);
  write(kDriverFeaturesSel, 0);
  write(kDriverFeatures, static_cast<std::uint32_t>(accepted));
  write(kDriverFeaturesSel, 1);
  write(kDriverFeatures, static_cast<std::uint32_t>(accepted >> 32));
  const std::uint32_t negotiated = devices::virtio::kStatusAcknowledge |
                                   devices::virtio::kStatusDriver |
                                   devices::virtio::kStatusFeaturesOk;
  write(kStatus, negotiated);
  if (read(kStatus) != negotiated) return false;
  for (std::uint16_t index = 0;; ++index) {
    write(kQueueSel, index);
    const std::uint32_t size = read(kQueueNumMax);
    if (size == 0) break;
    const Gpa rings = at(rings_, kRingBytes * index);
    put(memory_, rings, std::vector<std::byte>(kRingBytes));
    const DriverQueue& queue =
        queues_.emplace_back(transport_, memory_, index, static_cast<std::uint16_t>(size), rings,
                             (accepted & devices::virtio::kFeatureEventIdx) != 0);
    write(kQueueNum, size);
    write(kQueueDescLow, static_cast<std::uint32_t>(queue.descriptor_area().value));
    write(kQueueDriverLow, static_cast<std::uint32_t>(queue.driver_area().value));
    write(kQueueDeviceLow, static_cast<std::uint32_t>(queue.device_area().value));
    write(kQueueReady, 1);
    if (read(kQueueReady) != 1) return false;
  }
  write(kStatus, negotiated | devices::virtio::kStatusDriverOk);
  return read(kStatus) == (negotiated | devices::virtio::kStatusDriverOk);
}

std::uint32_t VirtioDriver::take_interrupt_status() {
  const std::uint32_t status = read(devices::virtio::mmio::kInterruptStatus);
  write(devices::virtio::mmio::kInterruptAck, status);
  return status;
}

}  // namespace runhv::testing
