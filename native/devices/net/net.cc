#include "devices/net/net.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {
namespace {

// Virtio 1.2 §5.1.3: feature bits.
constexpr std::uint64_t kFeatureChecksum = 1ull << 0;
constexpr std::uint64_t kFeatureGuestChecksum = 1ull << 1;
constexpr std::uint64_t kFeatureMtu = 1ull << 3;
constexpr std::uint64_t kFeatureMac = 1ull << 5;
constexpr std::uint64_t kFeatureGuestTcp4 = 1ull << 7;
constexpr std::uint64_t kFeatureGuestTcp6 = 1ull << 8;
constexpr std::uint64_t kFeatureHostTcp4 = 1ull << 11;
constexpr std::uint64_t kFeatureHostTcp6 = 1ull << 12;
constexpr std::uint64_t kFeatureMergedBuffers = 1ull << 15;

// §5.1.4: offsets in the configuration.
constexpr std::size_t kConfigMtu = 10;

// §5.1.6: the header.
constexpr std::size_t kFlags = 0;
constexpr std::size_t kSegmentation = 1;
constexpr std::size_t kSegmentBytes = 4;
constexpr std::size_t kChecksumStart = 6;
constexpr std::size_t kChecksumOffset = 8;
constexpr std::size_t kBufferCount = 10;
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kNoSegmentation = 0;
constexpr std::uint8_t kTcp4 = 1;
constexpr std::uint8_t kTcp6 = 4;

constexpr std::size_t kEthernetBytes = 14;
constexpr std::size_t kVlanTagBytes = 4;
constexpr std::size_t kTcpHeaderBytes = 20;
constexpr std::size_t kTcpChecksumOffset = 16;
// Linux's least segment (TCP_MIN_SND_MSS) less the most that options take. Smaller ones would make
// of one frame tens of thousands.
constexpr std::size_t kMinSegmentBytes = 8;

}  // namespace

NetDevice::NetDevice(NetBackend& backend, const MacAddress& mac, std::uint16_t mtu)
    : backend_(backend), mtu_(mtu), rest_(kNetHeaderBytes + kMaxFrameBytes) {
  std::memcpy(config_.data(), mac.data(), mac.size());
  store_le<std::uint16_t>(config_, kConfigMtu, mtu);
}

NetDevice::~NetDevice() { backend_.on_ready(nullptr); }

VirtioTraits NetDevice::traits() const {
  return {.device_id = virtio::kIdNetwork,
          .features = kFeatureChecksum | kFeatureGuestChecksum | kFeatureMtu | kFeatureMac |
                      kFeatureGuestTcp4 | kFeatureGuestTcp6 | kFeatureHostTcp4 | kFeatureHostTcp6 |
                      kFeatureMergedBuffers,
          .config_size = kConfigBytes,
          .queue_sizes = kQueueSizes};
}

void NetDevice::read_config(std::uint32_t offset, std::span<std::byte> out) const {
  std::memcpy(out.data(), config_.data() + offset, out.size());
}

void NetDevice::attach(const std::shared_ptr<DeviceHandle>& handle) {
  backend_.on_ready([this, handle] {
    handle->enter([this] {
      if (to_guest_ == nullptr) return;
      take_frames();
      give_frames();
    });
  });
}

Result<void> NetDevice::start(const Activation& activation) {
  features_ = activation.features;
  to_guest_ = &activation.queues[kReceiveQueue];
  from_guest_ = &activation.queues[kTransmitQueue];
  // §5.1.3.1: segmentation needs the checksum.
  const bool checksum = has(kFeatureGuestChecksum);
  const NetOffloads offloads{.checksum = checksum,
                             .tcp4 = checksum && has(kFeatureGuestTcp4),
                             .tcp6 = checksum && has(kFeatureGuestTcp6)};
  backend_.set_guest_offloads(offloads);
  largest_bytes_ =
      kNetHeaderBytes +
      (offloads.tcp4 || offloads.tcp6 ? kMaxFrameBytes : mtu_ + kEthernetBytes + kVlanTagBytes);
  give_frames();
  return {};
}

void NetDevice::on_notify(std::uint16_t queue_index) {
  if (queue_index == kTransmitQueue) return take_frames();
  give_frames();
}

// --- to the guest --------------------------------------------------------------------------------

void NetDevice::give_frames() {
  first_ = end_ = 0;
  while (gather_buffers()) {
    const std::size_t frame_bytes = backend_.receive(room_);
    if (frame_bytes == 0) break;
    // A frame that is larger than its room is lost, as on any wire.
    if (frame_bytes <= room_bytes_) use_buffers(frame_bytes);
  }
  for (; end_ > first_; --end_) to_guest_->unpop(buffers_[end_ - 1]);
}

// Room for the largest frame, where frames may lie in several buffers, else the next buffer. False:
// the guest has to give more, which notifies us.
bool NetDevice::gather_buffers() {
  const std::size_t wanted = has(kFeatureMergedBuffers) ? largest_bytes_ : 1;
  room_.clear();
  room_bytes_ = 0;
  for (std::size_t i = first_; room_bytes_ < wanted; ++i) {
    if (i == end_) {
      if (end_ == buffers_.size()) buffers_.emplace_back();
      if (!to_guest_->pop(buffers_[end_])) return false;
      ++end_;
    }
    const WriteCursor buffer(buffers_[i].writable());
    // §5.1.6.3.1: each buffer has room for a header.
    if (buffer.remaining() < kNetHeaderBytes) {
      to_guest_->mark_broken();
      return false;
    }
    if (room_.size() + buffers_[i].writable().size() >= kMaxFrameParts) break;
    for (const WriteSegment& segment : buffers_[i].writable()) room_.push_back(segment.bytes);
    room_bytes_ += buffer.remaining();
  }
  room_.emplace_back(rest_);
  return true;
}

// The first `frame_bytes` of the room are a frame.
void NetDevice::use_buffers(std::size_t frame_bytes) {
  const std::size_t head = first_;
  std::size_t left = frame_bytes;
  std::uint16_t count = 0;
  std::array<std::uint32_t, kQueueSizes[kReceiveQueue]> written;
  for (; left > 0; ++first_) {
    const std::size_t part = std::min(left, WriteCursor(buffers_[first_].writable()).remaining());
    written[count++] = static_cast<std::uint32_t>(part);
    left -= part;
  }
  // §5.1.6.4.1: 1 also where buffers are not merged.
  std::array<std::byte, 2> buffer_count;
  store_le<std::uint16_t>(buffer_count, 0, count);
  WriteCursor header(buffers_[head].writable());
  header.skip(kBufferCount);
  header.write(buffer_count);
  // The driver must not see a frame in part.
  for (std::size_t i = 0; i + 1 < count; ++i)
    to_guest_->push_unseen(buffers_[head + i], written[i]);
  to_guest_->push(buffers_[head + count - 1u], written[count - 1u]);
}

// --- from the guest ------------------------------------------------------------------------------

void NetDevice::take_frames() {
  while (from_guest_->pop(outgoing_)) {
    if (!take_frame()) return from_guest_->unpop(outgoing_);
    from_guest_->push(outgoing_, 0);
  }
}

// False: the backend has no room.
bool NetDevice::take_frame() {
  ReadCursor frame(outgoing_.readable());
  Header header;
  if (frame.read(header) != header.size()) {
    from_guest_->mark_broken();
    return true;
  }
  const std::optional<Header> sent_header = checked(header, frame.remaining());
  if (!sent_header) return true;  // lost, as on any wire
  sent_.clear();
  sent_.emplace_back(*sent_header);
  while (frame.remaining() > 0) sent_.push_back(frame.take(frame.remaining()));
  return backend_.send(sent_);
}

// What of the header counts; nothing where it asks for what was not negotiated, or does not fit the
// frame.
std::optional<NetDevice::Header> NetDevice::checked(const Header& header,
                                                    std::size_t frame_bytes) const {
  if (frame_bytes < kEthernetBytes || frame_bytes > kMaxFrameBytes) return std::nullopt;
  Header result{};
  // §5.1.6.2.1: other flags are ignored.
  const bool needs_checksum = (load_le<std::uint8_t>(header, kFlags) & kNeedsChecksum) != 0;
  const std::size_t start = load_le<std::uint16_t>(header, kChecksumStart);
  const std::size_t offset = load_le<std::uint16_t>(header, kChecksumOffset);
  if (needs_checksum) {
    if (!has(kFeatureChecksum) || start < kEthernetBytes || start + offset + 2 > frame_bytes) {
      return std::nullopt;
    }
    store_le<std::uint8_t>(result, kFlags, kNeedsChecksum);
    store_le<std::uint16_t>(result, kChecksumStart, static_cast<std::uint16_t>(start));
    store_le<std::uint16_t>(result, kChecksumOffset, static_cast<std::uint16_t>(offset));
  }
  const auto segmentation = load_le<std::uint8_t>(header, kSegmentation);
  if (segmentation == kNoSegmentation) {
    if (frame_bytes > mtu_ + kEthernetBytes + kVlanTagBytes) return std::nullopt;
    return result;
  }
  const bool offered = (segmentation == kTcp4 && has(kFeatureHostTcp4)) ||
                       (segmentation == kTcp6 && has(kFeatureHostTcp6));
  const auto segment_bytes = load_le<std::uint16_t>(header, kSegmentBytes);
  if (!offered || !needs_checksum || offset != kTcpChecksumOffset ||
      start + kTcpHeaderBytes > frame_bytes || segment_bytes < kMinSegmentBytes) {
    return std::nullopt;
  }
  store_le<std::uint8_t>(result, kSegmentation, segmentation);
  store_le<std::uint16_t>(result, kSegmentBytes, segment_bytes);
  return result;
}

}  // namespace runhv::devices
