#include "devices/virtio/mmio_slot.h"

#include <utility>

#include "base/check.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {

void MmioSlot::put(std::unique_ptr<MmioTransport> transport) {
  const std::lock_guard lock(mutex_);
  RUNHV_CHECK(transport_ == nullptr);
  transport_ = std::move(transport);
}

std::unique_ptr<MmioTransport> MmioSlot::take() {
  const std::lock_guard lock(mutex_);
  return std::move(transport_);
}

std::uint64_t MmioSlot::read(std::uint64_t offset, unsigned size_bytes) {
  const std::lock_guard lock(mutex_);
  if (transport_ != nullptr) return transport_->read(offset, size_bytes);
  if (size_bytes != 4) return 0;
  switch (offset) {
    case virtio::mmio::kMagicValue:
      return virtio::mmio::kMagic;
    case virtio::mmio::kVersion:
      return virtio::mmio::kTransportVersion;
    default:  // the device ID, too
      return 0;
  }
}

bool MmioSlot::write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) {
  const std::lock_guard lock(mutex_);
  return transport_ == nullptr || transport_->write(offset, size_bytes, value);
}

}  // namespace runhv::devices
