// Socket device: streams between the guest (CID 3) and the host's services (CID 2), opened by the
// guest. Virtio 1.2 §5.10.
//
// Memory is bounded whatever the guest does: at most kMaxConnections, of which kWideConnections at
// a time are granted kWideBufferBytes that their endpoints have not taken, the others
// kNarrowBufferBytes: 30 MiB in all. Bytes to the guest are never kept.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"
#include "devices/virtio/segment_cursor.h"
#include "devices/vsock/packet.h"
#include "devices/vsock/vsock_host.h"

namespace runhv::devices {

class VsockConnection;

class VsockDevice final : public VirtioDevice, public VsockWaker {
 public:
  static constexpr std::size_t kMaxConnections = 512;
  static constexpr std::size_t kWideConnections = 64;
  static constexpr std::uint32_t kWideBufferBytes = 256 * 1024;
  static constexpr std::uint32_t kNarrowBufferBytes = 32 * 1024;

  // `service` outlives it.
  explicit VsockDevice(VsockService& service);
  ~VsockDevice() override;

  VirtioTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override;
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  void attach(const std::shared_ptr<DeviceHandle>& handle) override { handle_ = handle; }
  Result<void> start(const Activation& activation) override;
  void stop() override;
  void on_notify(std::uint16_t queue_index) override;

  // VsockWaker; after the device is attached.
  void wake(VsockConnectionId id) override;

 private:
  static constexpr std::uint16_t kReceiveQueue = 0;  // of the guest
  static constexpr std::uint16_t kTransmitQueue = 1;
  static constexpr std::uint16_t kEventQueue = 2;
  static constexpr std::array<std::uint16_t, 3> kQueueSizes{128, 128, 8};

  // A refusal that waits for a buffer of the guest.
  struct Reset {
    std::uint64_t host_cid;
    std::uint32_t host_port;
    std::uint32_t guest_port;
    std::uint16_t type;
  };

  void serve_woken();
  void pump();
  bool take_packets();
  void take_packet(ReadCursor packet);
  void give_packets();
  bool something_to_send() const;
  std::optional<VsockHeader> next_packet(WriteCursor payload);
  VsockHeader take_reset();

  void handle_request(const VsockHeader& header, VsockConnection* existing);
  void handle_data(VsockConnection& connection, const VsockHeader& header, ReadCursor payload);
  void handle_shutdown(VsockConnection& connection, const VsockHeader& header);

  // False: the connection is over and gone.
  bool settle(VsockConnection& connection);
  void refuse(const VsockHeader& header);
  void reset(VsockConnection& connection);
  void remove(VsockConnection& connection);

  VsockService& service_;
  std::shared_ptr<DeviceHandle> handle_;
  std::mutex woken_mutex_;
  std::vector<VsockConnectionId> woken_;  // each once; not empty: a call of serve_woken() is due
  Virtqueue* to_guest_ = nullptr;
  Virtqueue* from_guest_ = nullptr;
  DescriptorChain incoming_;
  DescriptorChain outgoing_;
  std::vector<std::byte> scratch_;
  std::vector<std::unique_ptr<VsockConnection>> connections_;
  std::size_t wide_connections_ = 0;
  std::size_t next_turn_ = 0;  // in connections_: who is asked first for a packet to the guest
  std::deque<Reset> resets_;
  VsockConnectionId next_id_ = 1;
};

}  // namespace runhv::devices
