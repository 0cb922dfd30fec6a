// Memory balloon device, of which only free page reporting is used. Virtio 1.2 §5.5.
//
// The guest tells of pages that it does not use, and they are the host's again until the guest
// touches them. The balloon itself stays empty: the host asks for no page.
#pragma once

#include <array>
#include <cstdint>

#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"

namespace runhv::devices {

class BalloonDevice final : public VirtioDevice {
 public:
  // Of one report; of a larger one the rest stays. What Linux reports at once.
  static constexpr std::uint64_t kMaxReportBytes = 128ull << 20;

  VirtioTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override;
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  Result<void> start(const Activation& activation) override;
  void stop() override { queues_ = {}; }
  void on_notify(std::uint16_t queue_index) override;

 private:
  static constexpr std::uint32_t kConfigBytes = 8;  // num_pages, actual
  // inflateq, deflateq, reporting_vq. Linux wants room for 32 pieces of a report.
  static constexpr std::array<std::uint16_t, 3> kQueueSizes{8, 8, 32};
  static constexpr std::uint16_t kReportingQueue = 2;

  std::span<Virtqueue> queues_;
  DescriptorChain chain_;
};

}  // namespace runhv::devices
