#include "devices/blk/blk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"

namespace runhv {
namespace {

constexpr std::uint64_t kSectorBytes = 512;

// Virtio 1.2 §5.2.3: feature bits.
constexpr std::uint64_t kFeatureSizeMax = 1ull << 1;
constexpr std::uint64_t kFeatureSegMax = 1ull << 2;
constexpr std::uint64_t kFeatureReadOnly = 1ull << 5;
constexpr std::uint64_t kFeatureFlush = 1ull << 9;

// §5.2.6: request types, status and header.
constexpr std::uint32_t kRead = 0;
constexpr std::uint32_t kWrite = 1;
constexpr std::uint32_t kFlush = 4;
constexpr std::uint32_t kGetId = 8;
constexpr std::uint8_t kOk = 0;
constexpr std::uint8_t kIoError = 1;
constexpr std::uint8_t kUnsupported = 2;
constexpr std::size_t kHeaderBytes = 16;

// §5.2.4. One request has at most 62 parts of 256 KiB.
constexpr std::uint32_t kMaxPartBytes = 256 * 1024;

}  // namespace

Result<std::unique_ptr<BlkDevice>> BlkDevice::create(File file, bool read_only,
                                                     std::string_view id) {
  const std::uint64_t size = file.size_bytes();
  if (size == 0 || size % kSectorBytes != 0) {
    return Fail{Error{Code::kInvalidArgument, "use " + file.path() + " as a disk",
                      "its size, " + std::to_string(size) + " bytes, is no multiple of 512"}};
  }
  return std::unique_ptr<BlkDevice>(new BlkDevice(std::move(file), read_only, id));
}

BlkDevice::BlkDevice(File file, bool read_only, std::string_view id)
    : file_(std::move(file)), read_only_(read_only) {
  std::memcpy(id_.data(), id.data(), std::min(id.size(), id_.size()));
  store_le<std::uint64_t>(config_, 0, file_.size_bytes() / kSectorBytes);
  store_le<std::uint32_t>(config_, 8, kMaxPartBytes);
  // The header and the status are two descriptors of the chain.
  store_le<std::uint32_t>(config_, 12, kQueueSize - 2);
}

VirtioTraits BlkDevice::traits() const {
  // §5.2.6.2: without FLUSH the driver asks for none, and nothing is written to a read-only disk.
  const std::uint64_t by_mode = read_only_ ? kFeatureReadOnly : kFeatureFlush;
  return {.device_id = virtio::kIdBlock,
          .features = kFeatureSizeMax | kFeatureSegMax | by_mode,
          .config_size = kConfigBytes,
          .queue_sizes = kQueueSizes};
}

void BlkDevice::read_config(std::uint32_t offset, std::span<std::byte> out) const {
  std::memcpy(out.data(), config_.data() + offset, out.size());
}

Result<void> BlkDevice::start(const Activation& activation) {
  queue_ = &activation.queues[0];
  return {};
}

void BlkDevice::on_notify(std::uint16_t) {
  while (queue_->pop(chain_)) {
    SegmentCursor in(chain_.readable());
    SegmentCursor out(chain_.writable());
    std::array<std::byte, kHeaderBytes> header;
    // §5.2.6.4: without a whole header and room for the status there is no way to answer.
    if (in.read(header) != kHeaderBytes || out.remaining() == 0) {
      queue_->mark_broken();
      return;
    }
    serve(header, in, out);
  }
}

void BlkDevice::serve(std::span<const std::byte> header, SegmentCursor in, SegmentCursor out) {
  const auto type = load_le<std::uint32_t>(header, 0);
  const auto sector = load_le<std::uint64_t>(header, 8);
  const std::size_t data_bytes = out.remaining() - 1;  // the last byte is the status
  std::uint8_t status = kUnsupported;
  switch (type) {
    case kRead:
      status = read(sector, out, data_bytes);
      break;
    case kWrite:
      status = write(sector, in);
      break;
    case kFlush:
      status = flush();
      break;
    case kGetId:
      status = identify(out, data_bytes);
      break;
    default:
      break;
  }
  out.skip(data_bytes);
  out.take(1)[0] = std::byte{status};
  // On failure the data is not there, so of the sequence nothing is promised.
  const std::size_t written = status == kOk ? data_bytes + 1 : 0;
  queue_->push(chain_, static_cast<std::uint32_t>(written));
}

bool BlkDevice::in_range(std::uint64_t sector, std::uint64_t size_bytes) const {
  const std::uint64_t capacity = file_.size_bytes() / kSectorBytes;
  return size_bytes % kSectorBytes == 0 && sector <= capacity &&
         size_bytes / kSectorBytes <= capacity - sector;
}

std::uint8_t BlkDevice::read(std::uint64_t sector, SegmentCursor out, std::size_t size) {
  if (!in_range(sector, size)) return kIoError;
  std::uint64_t offset = sector * kSectorBytes;
  while (size > 0) {
    const std::span<std::byte> part = out.take(size);
    if (part.size() > kMaxPartBytes) return kIoError;
    if (const auto done = file_.read_at(offset, part); !done) return failed(done.error());
    offset += part.size();
    size -= part.size();
  }
  return kOk;
}

std::uint8_t BlkDevice::write(std::uint64_t sector, SegmentCursor in) {
  if (read_only_ || !in_range(sector, in.remaining())) return kIoError;
  std::uint64_t offset = sector * kSectorBytes;
  while (in.remaining() > 0) {
    const std::span<const std::byte> part = in.take(in.remaining());
    if (part.size() > kMaxPartBytes) return kIoError;
    if (const auto done = file_.write_at(offset, part); !done) return failed(done.error());
    offset += part.size();
  }
  return kOk;
}

std::uint8_t BlkDevice::flush() {
  if (read_only_) return kUnsupported;
  if (const auto done = file_.flush(); !done) return failed(done.error());
  return kOk;
}

std::uint8_t BlkDevice::identify(SegmentCursor out, std::size_t size) const {
  if (size < id_.size()) return kIoError;
  out.write(id_);
  return kOk;
}

std::uint8_t BlkDevice::failed(const Error& error) const {
  debug_log("blk", "%s", to_string(error).c_str());
  return kIoError;
}

}  // namespace runhv
