// Network device: frames between the guest and a NetBackend. Virtio 1.2 §5.1.
//
// No frame is kept here: the backend reads and writes guest memory. Frames to the guest wait in the
// backend until the guest has given buffers for the largest one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/net/net_backend.h"
#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"

namespace runhv::devices {

using MacAddress = std::array<std::uint8_t, 6>;

class NetDevice final : public VirtioDevice {
 public:
  // `backend` outlives it, and calls it no more once it is gone. `mtu`: of the packets in the
  // guest's frames, in bytes.
  NetDevice(NetBackend& backend, const MacAddress& mac, std::uint16_t mtu);
  ~NetDevice() override;

  VirtioTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override;
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  void attach(const std::shared_ptr<DeviceHandle>& handle) override;
  Result<void> start(const Activation& activation) override;
  void stop() override { to_guest_ = from_guest_ = nullptr; }
  void on_notify(std::uint16_t queue_index) override;

 private:
  static constexpr std::uint16_t kReceiveQueue = 0;  // of the guest
  static constexpr std::uint16_t kTransmitQueue = 1;
  static constexpr std::array<std::uint16_t, 2> kQueueSizes{256, 256};
  static constexpr std::uint32_t kConfigBytes = 12;  // mac, status, max_virtqueue_pairs, mtu
  using Header = std::array<std::byte, kNetHeaderBytes>;

  bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
  void give_frames();
  bool gather_buffers();
  void use_buffers(std::size_t frame_bytes);
  void take_frames();
  bool take_frame();
  std::optional<Header> checked(const Header& header, std::size_t frame_bytes) const;

  NetBackend& backend_;
  const std::uint16_t mtu_;
  std::array<std::byte, kConfigBytes> config_{};
  std::uint64_t features_ = 0;     // negotiated
  std::size_t largest_bytes_ = 0;  // of a frame to the guest, header included
  Virtqueue* to_guest_ = nullptr;
  Virtqueue* from_guest_ = nullptr;
  DescriptorChain outgoing_;
  std::vector<std::span<const std::byte>> sent_;
  // Within give_frames(): buffers_[first_] to buffers_[end_ - 1] are popped and hold no frame.
  std::vector<DescriptorChain> buffers_;
  std::size_t first_ = 0;
  std::size_t end_ = 0;
  std::vector<std::span<std::byte>> room_;  // of those
  std::size_t room_bytes_ = 0;
  std::vector<std::byte> rest_;  // takes the end of a frame for which the room is too small
};

}  // namespace runhv::devices
