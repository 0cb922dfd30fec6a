// Entropy device. Virtio 1.2 §5.4.
#pragma once

#include <array>
#include <cstdint>

#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"
#include "platform/random.h"

namespace runhv::devices {

class RngDevice final : public VirtioDevice {
 public:
  // `random` outlives it.
  explicit RngDevice(platform::RandomSource& random) : random_(random) {}

  VirtioTraits traits() const override;
  void read_config(std::uint32_t, std::span<std::byte>) const override {}
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  Result<void> start(const Activation& activation) override;
  void stop() override { queue_ = nullptr; }
  void on_notify(std::uint16_t queue_index) override;

 private:
  static constexpr std::size_t kMaxRequestBytes = 64 * 1024;
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{8};
  platform::RandomSource& random_;
  Virtqueue* queue_ = nullptr;
  DescriptorChain chain_;
};

}  // namespace runhv::devices
