#include "devices/rng/rng.h"

#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {

VirtioTraits RngDevice::traits() const {
  return {
      .device_id = virtio::kIdEntropy, .features = 0, .config_size = 0, .queue_sizes = kQueueSizes};
}

Result<void> RngDevice::start(const Activation& activation) {
  queue_ = &activation.queues[0];
  return {};
}

void RngDevice::on_notify(std::uint16_t) {
  while (queue_->pop(chain_)) {
    WriteCursor out(chain_.writable());
    std::uint32_t written = 0;
    while (written < kMaxRequestBytes) {
      const std::span<std::byte> part = out.take(kMaxRequestBytes - written);
      if (part.empty()) break;
      random_.fill(part);
      written += static_cast<std::uint32_t>(part.size());
    }
    queue_->push(chain_, written);
  }
}

}  // namespace runhv::devices
