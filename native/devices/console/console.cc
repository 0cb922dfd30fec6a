#include "devices/console/console.h"

#include <algorithm>

#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {

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
    ReadCursor text(chain_.readable());
    std::array<std::byte, 4096> copy;
    // Its parts may overlap: a chain can say more than the guest has memory.
    for (std::size_t left = kMaxTextBytes; left > 0;) {
      const std::size_t size = text.read(std::span(copy).first(std::min(copy.size(), left)));
      if (size == 0) break;
      sink_.write(std::span(copy).first(size));
      left -= size;
    }
    transmit_->push(chain_, 0);
  }
}

}  // namespace runhv::devices
