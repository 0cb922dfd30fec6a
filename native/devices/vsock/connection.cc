#include "devices/vsock/connection.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace runhv::devices {
namespace {
constexpr std::uint32_t kMaxPayloadBytes = 64 * 1024;
}

std::optional<VsockHeader> VsockConnection::next_packet(WriteCursor payload) {
  VsockHeader header{.source_cid = kVsockHostCid,
                     .destination_cid = kVsockGuestCid,
                     .source_port = host_port,
                     .destination_port = guest_port};
  VsockOp op;
  if (std::exchange(response_due_, false)) {
    op = VsockOp::kResponse;
  } else if (header.payload_bytes = send(payload); header.payload_bytes > 0) {
    op = VsockOp::kData;
  } else if (endpoint->send_finished() && !std::exchange(shutdown_told_, true)) {
    op = VsockOp::kShutdown;
    header.flags = kVsockShutdownSend;
  } else if (credit_update_due()) {
    op = VsockOp::kCreditUpdate;
  } else {
    may_send = false;
    return std::nullopt;
  }
  header.op = static_cast<std::uint16_t>(op);
  header.buffer_bytes = buffer_bytes;
  header.forwarded_bytes = told_forwarded_ = forwarded_;
  credit_asked = false;
  return header;
}

std::uint32_t VsockConnection::send(WriteCursor payload) {
  if (!guest_receives || shutdown_told_) return 0;
  std::uint32_t room = std::min(guest_room(), kMaxPayloadBytes);
  std::uint32_t total = 0;
  while (room > 0) {
    const std::span<std::byte> part = payload.take(room);
    if (part.empty()) break;
    const std::size_t size = std::min(endpoint->send(part), part.size());
    total += static_cast<std::uint32_t>(size);
    room -= static_cast<std::uint32_t>(size);
    if (size < part.size()) break;
  }
  sent_ += total;
  return total;
}

// How many bytes the guest takes now. The counters wrap and are the guest's to falsify.
std::uint32_t VsockConnection::guest_room() const {
  const std::uint32_t in_flight = sent_ - guest_forwarded_;
  return in_flight >= guest_buffer_ ? 0 : guest_buffer_ - in_flight;
}

// Worth a packet of its own: half of what the guest may have on its way has become free since it
// was told. One that is out of credit gets it at the latest when the endpoint has taken everything.
// Linux has no more on its way than a buffer of its own size (6.12, virtio_transport_has_space).
bool VsockConnection::credit_update_due() const {
  const std::uint32_t untold = forwarded_ - told_forwarded_;
  return credit_asked || (untold > 0 && untold >= std::min(buffer_bytes, guest_buffer_) / 2);
}

void VsockConnection::receive(std::span<const std::byte> bytes) {
  RUNHV_CHECK(bytes.size() <= buffer_bytes - held_count_);
  if (held_count_ == 0) {
    const std::size_t taken = std::min(endpoint->receive(bytes), bytes.size());
    forwarded_ += static_cast<std::uint32_t>(taken);
    bytes = bytes.subspan(taken);
  }
  if (!bytes.empty()) hold(bytes);
}

void VsockConnection::hold(std::span<const std::byte> bytes) {
  if (held_.empty()) held_.resize(buffer_bytes);
  while (!bytes.empty()) {
    const std::size_t end = (held_first_ + held_count_) % buffer_bytes;
    const std::size_t part = std::min(bytes.size(), buffer_bytes - end);
    std::memcpy(held_.data() + end, bytes.data(), part);
    held_count_ += part;
    bytes = bytes.subspan(part);
  }
}

void VsockConnection::offer_held() {
  while (held_count_ > 0) {
    const std::size_t part = std::min(held_count_, buffer_bytes - held_first_);
    const std::size_t taken =
        std::min(endpoint->receive(std::span(held_).subspan(held_first_, part)), part);
    held_first_ = (held_first_ + taken) % buffer_bytes;
    held_count_ -= taken;
    forwarded_ += static_cast<std::uint32_t>(taken);
    if (taken < part) return;
  }
}

}  // namespace runhv::devices
