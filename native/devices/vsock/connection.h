// One stream between a guest port and a host port: the endpoint, the credit of both sides (virtio
// 1.2 §5.10.6.3) and the bytes that the endpoint has not taken yet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/virtio/segment_cursor.h"
#include "devices/vsock/packet.h"
#include "devices/vsock/vsock_host.h"

namespace runhv::devices {

class VsockConnection {
 public:
  VsockConnection(VsockConnectionId number, std::uint32_t from_port, std::uint32_t to_port,
                  std::unique_ptr<VsockEndpoint> service_end, std::uint32_t granted_bytes)
      : id(number),
        guest_port(from_port),
        host_port(to_port),
        buffer_bytes(granted_bytes),
        endpoint(std::move(service_end)) {}

  const VsockConnectionId id;
  const std::uint32_t guest_port;
  const std::uint32_t host_port;
  const std::uint32_t buffer_bytes;  // what we grant the guest, and so the bound of what is held
  const std::unique_ptr<VsockEndpoint> endpoint;

  bool may_send = true;            // next_packet() may have something
  bool credit_asked = false;       // CREDIT_REQUEST, to be answered
  bool guest_sends = true;         // until its SHUTDOWN(send)
  bool guest_receives = true;      // until its SHUTDOWN(receive)
  bool guest_finish_told = false;  // on_guest_finished() is called

  void set_guest_credit(const VsockHeader& header) {
    guest_buffer_ = header.buffer_bytes;
    guest_forwarded_ = header.forwarded_bytes;
  }
  // The next packet of this connection to the guest, its payload written to `payload`. Nothing:
  // may_send is false until something happens.
  std::optional<VsockHeader> next_packet(WriteCursor payload);

  std::size_t held_bytes() const { return held_count_; }
  // Of the guest: whether it keeps to the credit that it has.
  bool fits(std::uint32_t bytes) const { return bytes <= buffer_bytes - held_count_; }
  // Offers the bytes to the endpoint, after those that are held. REQUIRES: fits().
  void receive(std::span<const std::byte> bytes);
  // Offers what is held again.
  void offer_held();

 private:
  std::uint32_t guest_room() const;
  std::uint32_t send(WriteCursor payload);
  bool credit_update_due() const;
  void hold(std::span<const std::byte> bytes);

  bool response_due_ = true;
  bool shutdown_told_ = false;  // our SHUTDOWN(send) is sent
  std::uint32_t guest_buffer_ = 0;
  std::uint32_t guest_forwarded_ = 0;
  std::uint32_t sent_ = 0;
  std::uint32_t forwarded_ = 0;
  std::uint32_t told_forwarded_ = 0;
  // A ring of buffer_bytes, or nothing before the first byte is held.
  std::vector<std::byte> held_;
  std::size_t held_first_ = 0;
  std::size_t held_count_ = 0;
};

}  // namespace runhv::devices
