// Block device over a file of the host. Virtio 1.2 §5.2. Requests are served where they are
// notified, straight between the file and guest memory.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"
#include "platform/file.h"

namespace runhv {

class BlkDevice final : public VirtioDevice {
 public:
  // `id`: what the guest reads as the serial number; its first 20 bytes count. Errors: a file whose
  // size is 0 or no multiple of 512.
  static Result<std::unique_ptr<BlkDevice>> create(File file, bool read_only, std::string_view id);

  VirtioTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override;
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  Result<void> start(const Activation& activation) override;
  void stop() override { queue_ = nullptr; }
  void on_notify(std::uint16_t queue_index) override;

 private:
  static constexpr std::uint16_t kQueueSize = 64;
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};
  static constexpr std::uint32_t kConfigBytes = 16;  // capacity, size_max, seg_max

  BlkDevice(File file, bool read_only, std::string_view id);
  void serve(std::span<const std::byte> header, SegmentCursor in, SegmentCursor out);
  bool in_range(std::uint64_t sector, std::uint64_t size_bytes) const;
  std::uint8_t read(std::uint64_t sector, SegmentCursor out, std::size_t size);
  std::uint8_t write(std::uint64_t sector, SegmentCursor in);
  std::uint8_t flush();
  std::uint8_t identify(SegmentCursor out, std::size_t size) const;
  std::uint8_t failed(const Error& error) const;

  const File file_;
  const bool read_only_;
  std::array<std::byte, 20> id_{};
  std::array<std::byte, kConfigBytes> config_{};
  Virtqueue* queue_ = nullptr;
  DescriptorChain chain_;
};

}  // namespace runhv
