// Console device: port 0, output only. Virtio 1.2 §5.3.
#pragma once

#include <array>
#include <cstdint>

#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"

namespace runhv::devices {

class ConsoleSink {
 public:
  virtual ~ConsoleSink() = default;
  // Guest output, any bytes, at most 4 KiB a call. Called with the device's lock held: must not
  // block for long and bounds what it keeps.
  virtual void write(std::span<const std::byte> bytes) = 0;
};

class ConsoleDevice final : public VirtioDevice {
 public:
  // `sink` outlives it.
  explicit ConsoleDevice(ConsoleSink& sink) : sink_(sink) {}

  VirtioTraits traits() const override;
  void read_config(std::uint32_t, std::span<std::byte>) const override {}
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  Result<void> start(const Activation& activation) override;
  void stop() override { transmit_ = nullptr; }
  void on_notify(std::uint16_t queue_index) override;

  // What one chain can say; the rest of it is lost.
  static constexpr std::size_t kMaxTextBytes = 64 * 1024;

 private:
  static constexpr std::uint16_t kReceiveQueue = 0;
  static constexpr std::uint16_t kTransmitQueue = 1;
  static constexpr std::array<std::uint16_t, 2> kQueueSizes{8, 64};
  ConsoleSink& sink_;
  Virtqueue* transmit_ = nullptr;
  DescriptorChain chain_;
};

}  // namespace runhv::devices
