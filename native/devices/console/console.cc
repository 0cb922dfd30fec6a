#include "devices/console/console.h"

#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"

namespace runhv {

VirtioTraits ConsoleDevice::traits() const {
  return {
      .device_id = virtio::kIdConsole, .features = 0, .config_size = 0, .queue_sizes = kQueueSizes};
}

Result<void> ConsoleDevice::start(const Activation& activation) {
  transmit_ = &activation.queues[kTransmitQueue];
  // There is no input, so buffers for it stay where they are.
  activation.queues[kReceiveQueue].suppress_notifications();
  return {};
}

void ConsoleDevice::on_notify(std::uint16_t queue_index) {
  if (queue_index != kTransmitQueue) return;
  while (transmit_->pop(chain_)) {
    SegmentCursor text(chain_.readable());
    std::array<std::byte, 4096> copy;
    while (const std::size_t size = text.read(copy)) sink_.write(std::span(copy).first(size));
    transmit_->push(chain_, 0);
  }
}

}  // namespace runhv
