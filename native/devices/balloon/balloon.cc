#include "devices/balloon/balloon.h"

#include <algorithm>

#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"
#include "platform/memory_region.h"

namespace runhv::devices {
namespace {

constexpr std::uint64_t kFeaturePageReporting = 1ull << 5;  // §5.5.3

}  // namespace

VirtioTraits BalloonDevice::traits() const {
  return {.device_id = virtio::kIdBalloon,
          .features = kFeaturePageReporting,
          .config_size = kConfigBytes,
          .queue_sizes = kQueueSizes};
}

void BalloonDevice::read_config(std::uint32_t, std::span<std::byte> out) const {
  std::fill(out.begin(), out.end(), std::byte{0});
}

Result<void> BalloonDevice::start(const Activation& activation) {
  queues_ = activation.queues;
  return {};
}

void BalloonDevice::on_notify(std::uint16_t queue_index) {
  Virtqueue& queue = queues_[queue_index];
  while (queue.pop(chain_)) {
    if (queue_index == kReportingQueue) {
      WriteCursor pages(chain_.writable());
      std::uint64_t left = kMaxReportBytes;
      while (true) {
        const std::span<std::byte> part = pages.take(left);
        if (part.empty()) break;
        platform::MemoryRegion::give_back(part);
        left -= part.size();
      }
    }
    queue.push(chain_, 0);
  }
}

}  // namespace runhv::devices
