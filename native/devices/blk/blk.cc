#include "devices/blk/blk.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "devices/virtio/segment_cursor.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {
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

struct Request {
  std::uint32_t type;
  std::uint64_t sector;
};

// §5.2.6.4: nothing where the chain has no whole header or no room for the status: then there is no
// way to answer.
std::optional<Request> parse(const DescriptorChain& chain) {
  std::array<std::byte, kHeaderBytes> header;
  if (ReadCursor(chain.readable()).read(header) != kHeaderBytes ||
      WriteCursor(chain.writable()).remaining() == 0) {
    return std::nullopt;
  }
  return Request{.type = load_le<std::uint32_t>(header, 0),
                 .sector = load_le<std::uint64_t>(header, 8)};
}

// The data of a request: what follows the header, what precedes the status.
ReadCursor data_in(const DescriptorChain& chain) {
  ReadCursor in(chain.readable());
  in.skip(kHeaderBytes);
  return in;
}
std::size_t data_out_bytes(const DescriptorChain& chain) {
  return WriteCursor(chain.writable()).remaining() - 1;
}

struct AtomicCounts {
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> bytes = 0;

  void add(std::size_t size) {
    requests.fetch_add(1, std::memory_order_relaxed);
    bytes.fetch_add(size, std::memory_order_relaxed);
  }
};

}  // namespace

// Serves requests. Shared with the jobs, of which one may hang for longer than the device lives.
class BlkDevice::Server {
 public:
  Server(std::shared_ptr<const Disk> disk, bool read_only, std::string_view id)
      : disk_(std::move(disk)), read_only_(read_only) {
    std::memcpy(id_.data(), id.data(), std::min(id.size(), id_.size()));
  }

  std::uint64_t sectors() const { return disk_->size_bytes() / kSectorBytes; }
  bool read_only() const { return read_only_; }

  // What the used ring says was written. Nothing: the disk has to be waited for.
  std::optional<std::uint32_t> serve_at_once(const Request& request, DescriptorChain& chain) {
    std::optional<std::uint8_t> status = kUnsupported;
    switch (request.type) {
      case kRead:
        status = read(request.sector, chain, Wait::kNo);
        break;
      case kWrite:
        if (!read_only_) return std::nullopt;
        status = kIoError;
        break;
      case kFlush:
        if (!read_only_) return std::nullopt;
        break;
      case kGetId:
        status = identify(chain);
        break;
      default:
        break;
    }
    if (!status) return std::nullopt;
    return finish(request, chain, *status);
  }

  std::uint32_t serve(const Request& request, DescriptorChain& chain) {
    switch (request.type) {
      case kRead:
        return finish(request, chain, *read(request.sector, chain, Wait::kYes));
      case kWrite:
        return finish(request, chain, write(request.sector, data_in(chain)));
      default:
        return finish(request, chain, flush());
    }
  }

  DiskCounts counts() const {
    return {.reads = reads_.requests.load(std::memory_order_relaxed),
            .read_bytes = reads_.bytes.load(std::memory_order_relaxed),
            .writes = writes_.requests.load(std::memory_order_relaxed),
            .written_bytes = writes_.bytes.load(std::memory_order_relaxed),
            .flushes = flushes_.requests.load(std::memory_order_relaxed)};
  }

  static std::uint32_t answer(DescriptorChain& chain, std::uint8_t status) {
    const std::size_t data_bytes = data_out_bytes(chain);
    WriteCursor out(chain.writable());
    out.skip(data_bytes);
    out.take(1)[0] = std::byte{status};
    // On failure the data is not there, so of the sequence nothing is promised.
    return status == kOk ? static_cast<std::uint32_t>(data_bytes + 1) : 0;
  }

 private:
  enum class Wait : bool { kNo, kYes };

  std::uint32_t finish(const Request& request, DescriptorChain& chain, std::uint8_t status) {
    if (status == kOk) {
      if (request.type == kRead) reads_.add(data_out_bytes(chain));
      if (request.type == kWrite) writes_.add(data_in(chain).remaining());
      if (request.type == kFlush) flushes_.add(0);
    }
    return answer(chain, status);
  }

  bool in_range(std::uint64_t sector, std::uint64_t size_bytes) const {
    return size_bytes % kSectorBytes == 0 && sector <= sectors() &&
           size_bytes / kSectorBytes <= sectors() - sector;
  }

  // Nothing: it would have to wait.
  std::optional<std::uint8_t> read(std::uint64_t sector, const DescriptorChain& chain,
                                   Wait wait) const {
    std::size_t size = data_out_bytes(chain);
    if (!in_range(sector, size)) return kIoError;
    WriteCursor out(chain.writable());
    std::uint64_t offset = sector * kSectorBytes;
    while (size > 0) {
      const std::span<std::byte> part = out.take(size);
      if (part.size() > kMaxPartBytes) return kIoError;
      if (wait == Wait::kNo) {
        if (!disk_->read_at_once(offset, part)) return std::nullopt;
      } else if (const auto done = disk_->read_at(offset, part); !done) {
        return failed(done.error());
      }
      offset += part.size();
      size -= part.size();
    }
    return kOk;
  }

  std::uint8_t write(std::uint64_t sector, ReadCursor in) const {
    if (!in_range(sector, in.remaining())) return kIoError;
    std::uint64_t offset = sector * kSectorBytes;
    while (in.remaining() > 0) {
      const std::span<const std::byte> part = in.take(in.remaining());
      if (part.size() > kMaxPartBytes) return kIoError;
      if (const auto done = disk_->write_at(offset, part); !done) return failed(done.error());
      offset += part.size();
    }
    return kOk;
  }

  std::uint8_t flush() const {
    if (const auto done = disk_->flush(); !done) return failed(done.error());
    return kOk;
  }

  std::uint8_t identify(DescriptorChain& chain) const {
    if (data_out_bytes(chain) < id_.size()) return kIoError;
    WriteCursor(chain.writable()).write(id_);
    return kOk;
  }

  static std::uint8_t failed(const Error& error) {
    debug_log("blk", "%s", to_string(error).c_str());
    return kIoError;
  }

  const std::shared_ptr<const Disk> disk_;
  const bool read_only_;
  std::array<std::byte, 20> id_{};
  AtomicCounts reads_;
  AtomicCounts writes_;
  AtomicCounts flushes_;
};

Result<std::unique_ptr<BlkDevice>> BlkDevice::create(std::shared_ptr<const Disk> disk,
                                                     bool read_only, std::string_view id,
                                                     JobQueue& jobs) {
  const std::uint64_t size = disk->size_bytes();
  if (size == 0 || size % kSectorBytes != 0) {
    return Fail{Error{Code::kInvalidArgument, "use " + disk->name() + " as a disk",
                      "its size, " + std::to_string(size) + " bytes, is no multiple of 512"}};
  }
  auto server = std::make_shared<Server>(std::move(disk), read_only, id);
  return std::unique_ptr<BlkDevice>(new BlkDevice(std::move(server), jobs));
}

BlkDevice::BlkDevice(std::shared_ptr<Server> server, JobQueue& jobs)
    : server_(std::move(server)), jobs_(jobs) {
  store_le<std::uint64_t>(config_, 0, server_->sectors());
  store_le<std::uint32_t>(config_, 8, kMaxPartBytes);
  // The header and the status are two descriptors of the chain.
  store_le<std::uint32_t>(config_, 12, kQueueSize - 2);
}

VirtioTraits BlkDevice::traits() const {
  // §5.2.6.2: without FLUSH the driver asks for none, and nothing is written to a read-only disk.
  const std::uint64_t by_mode = server_->read_only() ? kFeatureReadOnly : kFeatureFlush;
  return {.device_id = virtio::kIdBlock,
          .features = kFeatureSizeMax | kFeatureSegMax | by_mode,
          .config_size = kConfigBytes,
          .queue_sizes = kQueueSizes};
}

void BlkDevice::read_config(std::uint32_t offset, std::span<std::byte> out) const {
  std::memcpy(out.data(), config_.data() + offset, out.size());
}

DiskCounts BlkDevice::counts() const { return server_->counts(); }

Result<void> BlkDevice::start(const Activation& activation) {
  queue_ = &activation.queues[0];
  return {};
}

void BlkDevice::on_notify(std::uint16_t) {
  while (queue_->pop(chain_)) {
    const std::optional<Request> request = parse(chain_);
    if (!request) {
      queue_->mark_broken();
      return queue_->push(chain_, 0);
    }
    if (const auto written = server_->serve_at_once(*request, chain_)) {
      queue_->push(chain_, *written);
      continue;
    }
    // A job must be copyable.
    auto chain = std::make_shared<DescriptorChain>(std::move(chain_));
    const bool posted = jobs_.post([server = server_, handle = handle_, request = *request, chain] {
      const std::uint32_t written = handle->begin(*chain) ? server->serve(request, *chain) : 0;
      handle->finish(std::move(*chain), written);
    });
    if (!posted) queue_->push(*chain, Server::answer(*chain, kIoError));
  }
}

}  // namespace runhv::devices
