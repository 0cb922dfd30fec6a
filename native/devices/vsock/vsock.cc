#include "devices/vsock/vsock.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "devices/virtio/spec.h"
#include "devices/vsock/connection.h"

namespace runhv::devices {
namespace {

constexpr std::uint64_t kFeatureStream = 1ull << 0;  // virtio 1.2 §5.10.3
constexpr std::uint32_t kConfigBytes = 8;            // §5.10.4: guest_cid
constexpr std::size_t kScratchBytes = 64 * 1024;

// While so many refusals wait for buffers, no packet is taken from the guest.
constexpr std::size_t kMaxWaitingResets = 64;

}  // namespace

VsockDevice::VsockDevice(VsockService& service) : service_(service), scratch_(kScratchBytes) {}

VsockDevice::~VsockDevice() { stop(); }

VirtioTraits VsockDevice::traits() const {
  return {.device_id = virtio::kIdSocket,
          .features = kFeatureStream,
          .config_size = kConfigBytes,
          .queue_sizes = kQueueSizes};
}

void VsockDevice::read_config(std::uint32_t offset, std::span<std::byte> out) const {
  std::array<std::byte, kConfigBytes> config;
  store_le<std::uint64_t>(config, 0, kVsockGuestCid);
  std::memcpy(out.data(), config.data() + offset, out.size());
}

Result<void> VsockDevice::start(const Activation& activation) {
  to_guest_ = &activation.queues[kReceiveQueue];
  from_guest_ = &activation.queues[kTransmitQueue];
  to_guest_->suppress_notifications();
  activation.queues[kEventQueue].suppress_notifications();  // no event is ever sent
  return {};
}

void VsockDevice::stop() {
  to_guest_ = from_guest_ = nullptr;
  resets_.clear();
  while (!connections_.empty()) remove(*connections_.back());
}

void VsockDevice::on_notify(std::uint16_t) { pump(); }

void VsockDevice::wake(VsockConnectionId id) {
  {
    const std::lock_guard lock(woken_mutex_);
    if (std::find(woken_.begin(), woken_.end(), id) != woken_.end()) return;
    woken_.push_back(id);
    // While the device is paused, one call waits for all that are woken.
    if (woken_.size() > 1) return;
  }
  handle_->enter([this] { serve_woken(); });
}

void VsockDevice::serve_woken() {
  std::vector<VsockConnectionId> woken;
  {
    const std::lock_guard lock(woken_mutex_);
    woken.swap(woken_);
  }
  if (to_guest_ == nullptr) return;
  for (const VsockConnectionId id : woken) {
    const auto found = std::find_if(connections_.begin(), connections_.end(),
                                    [&](const auto& connection) { return connection->id == id; });
    if (found == connections_.end()) continue;
    (*found)->offer_held();
    if (settle(**found)) (*found)->may_send = true;
  }
  pump();
}

void VsockDevice::pump() {
  give_packets();
  while (take_packets()) give_packets();
}

// False where nothing was taken.
bool VsockDevice::take_packets() {
  bool taken = false;
  while (resets_.size() < kMaxWaitingResets && from_guest_->pop(incoming_)) {
    take_packet(ReadCursor(incoming_.readable()));
    from_guest_->push(incoming_, 0);
    taken = true;
  }
  return taken;
}

void VsockDevice::take_packet(ReadCursor packet) {
  std::array<std::byte, kVsockHeaderBytes> bytes;
  if (packet.read(bytes) != bytes.size()) return from_guest_->mark_broken();
  const VsockHeader header = load_vsock_header(bytes);
  // §5.10.6.2: a packet of somebody else has no one to answer to.
  if (header.source_cid != kVsockGuestCid) return;

  const auto found =
      std::find_if(connections_.begin(), connections_.end(), [&](const auto& connection) {
        return connection->guest_port == header.source_port &&
               connection->host_port == header.destination_port;
      });
  const auto op = static_cast<VsockOp>(header.op);
  const bool ours = header.destination_cid == kVsockHostCid && header.type == kVsockStream;
  VsockConnection* connection = ours && found != connections_.end() ? found->get() : nullptr;
  if (op == VsockOp::kReset) {
    if (connection != nullptr) remove(*connection);
    return;
  }
  if (op == VsockOp::kRequest && ours) return handle_request(header, connection);
  if (connection == nullptr) return refuse(header);

  connection->set_guest_credit(header);
  connection->may_send = true;
  switch (op) {
    case VsockOp::kData:
      return handle_data(*connection, header, packet);
    case VsockOp::kShutdown:
      return handle_shutdown(*connection, header);
    case VsockOp::kCreditUpdate:
      return;
    case VsockOp::kCreditRequest:
      connection->credit_asked = true;
      return;
    default:
      return reset(*connection);
  }
}

void VsockDevice::handle_request(const VsockHeader& header, VsockConnection* existing) {
  // A second request for a connection that is open: the guest has lost its way.
  if (existing != nullptr) return reset(*existing);
  if (connections_.size() >= kMaxConnections) return refuse(header);
  const VsockConnectionId id = next_id_++;
  auto endpoint = service_.accept(id, header.source_port, header.destination_port);
  if (endpoint == nullptr) return refuse(header);
  const bool wide = wide_connections_ < kWideConnections;
  if (wide) ++wide_connections_;
  connections_.push_back(std::make_unique<VsockConnection>(
      id, header.source_port, header.destination_port, std::move(endpoint),
      wide ? kWideBufferBytes : kNarrowBufferBytes));
  connections_.back()->set_guest_credit(header);
}

void VsockDevice::handle_data(VsockConnection& connection, const VsockHeader& header,
                              ReadCursor payload) {
  if (!connection.guest_sends || header.payload_bytes > payload.remaining() ||
      !connection.fits(header.payload_bytes)) {
    return reset(connection);
  }
  // Through a copy: an endpoint may look twice at what it gets, the guest may change it meanwhile.
  for (std::size_t left = header.payload_bytes; left > 0;) {
    const std::size_t part = payload.read(std::span(scratch_).first(std::min(left, kScratchBytes)));
    connection.receive(std::span(scratch_).first(part));
    left -= part;
  }
  (void)settle(connection);
}

void VsockDevice::handle_shutdown(VsockConnection& connection, const VsockHeader& header) {
  if ((header.flags & kVsockShutdownSend) != 0) connection.guest_sends = false;
  if ((header.flags & kVsockShutdownReceive) != 0) connection.guest_receives = false;
  (void)settle(connection);
}

bool VsockDevice::settle(VsockConnection& connection) {
  if (!connection.guest_sends && connection.held_bytes() == 0) {
    if (!std::exchange(connection.guest_finish_told, true)) {
      connection.endpoint->on_guest_finished();
    }
    // §5.10.6.6: both directions are shut down, and the reset confirms it.
    if (!connection.guest_receives) {
      reset(connection);
      return false;
    }
  }
  if (connection.endpoint->closed()) {
    reset(connection);
    return false;
  }
  return true;
}

void VsockDevice::refuse(const VsockHeader& header) {
  resets_.push_back({.host_cid = header.destination_cid,
                     .host_port = header.destination_port,
                     .guest_port = header.source_port,
                     .type = header.type});
}

void VsockDevice::reset(VsockConnection& connection) {
  resets_.push_back({.host_cid = kVsockHostCid,
                     .host_port = connection.host_port,
                     .guest_port = connection.guest_port,
                     .type = kVsockStream});
  remove(connection);
}

void VsockDevice::remove(VsockConnection& connection) {
  connection.endpoint->on_disconnect();
  if (connection.buffer_bytes == kWideBufferBytes) --wide_connections_;
  std::erase_if(connections_, [&](const auto& other) { return other.get() == &connection; });
}

void VsockDevice::give_packets() {
  while (!resets_.empty() || something_to_send()) {
    if (!to_guest_->pop(outgoing_)) return;  // its next buffer notifies us
    const WriteCursor packet(outgoing_.writable());
    // A buffer that takes no byte of payload would come back for ever.
    if (packet.remaining() <= kVsockHeaderBytes) {
      to_guest_->mark_broken();
      return to_guest_->unpop(outgoing_);
    }
    WriteCursor payload = packet;
    payload.skip(kVsockHeaderBytes);
    const std::optional<VsockHeader> header = next_packet(payload);
    if (!header) return to_guest_->unpop(outgoing_);
    WriteCursor(packet).write(store_vsock_header(*header));
    to_guest_->push(outgoing_,
                    static_cast<std::uint32_t>(kVsockHeaderBytes + header->payload_bytes));
  }
}

bool VsockDevice::something_to_send() const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->may_send; });
}

VsockHeader VsockDevice::take_reset() {
  const Reset waiting = resets_.front();
  resets_.pop_front();
  return {.source_cid = waiting.host_cid,
          .destination_cid = kVsockGuestCid,
          .source_port = waiting.host_port,
          .destination_port = waiting.guest_port,
          .type = waiting.type,
          .op = static_cast<std::uint16_t>(VsockOp::kReset)};
}

// The next packet to the guest, its payload written; connections take turns.
std::optional<VsockHeader> VsockDevice::next_packet(WriteCursor payload) {
  if (!resets_.empty()) return take_reset();
  for (std::size_t asked = connections_.size(); asked > 0; --asked) {
    if (next_turn_ >= connections_.size()) next_turn_ = 0;
    VsockConnection& connection = *connections_[next_turn_];
    ++next_turn_;
    if (!connection.may_send) continue;
    const std::optional<VsockHeader> header = connection.next_packet(payload);
    const bool alive = settle(connection);
    if (header) return header;
    if (!alive) return take_reset();
  }
  return std::nullopt;
}

}  // namespace runhv::devices
