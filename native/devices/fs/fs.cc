#include "devices/fs/fs.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "devices/fs/fuse_protocol.h"
#include "devices/fs/fuse_server.h"
#include "devices/virtio/spec.h"
#include "platform/file_node.h"
#include "platform/os_error.h"

namespace runhv::devices {
namespace {

// For everything else in this process: streams, sockets, disks.
constexpr std::size_t kOtherDescriptors = 1024;
constexpr std::size_t kLeastFiles = 512;
// What a sleep, an interrupt and a wake-up cost the guest is about 100 us; two changes of threads
// and what is in the host's memory are less, and a disk is more.
constexpr std::uint64_t kNotificationWaitsNs = 300'000;

std::size_t readable_bytes(const DescriptorChain& chain) {
  return ReadCursor(chain.readable()).remaining();
}

}  // namespace

Result<std::unique_ptr<FsDevice>> FsDevice::create(std::vector<Share> shares, JobQueue& jobs,
                                                   std::unique_ptr<FileWindow> window) {
  const std::size_t limit = platform::raise_descriptor_limit();
  if (limit < kOtherDescriptors + kLeastFiles) {
    return Fail{Error{Code::kOutOfMemory, "share files",
                      "this process may have " + std::to_string(limit) +
                          " descriptors (ulimit -n); " +
                          std::to_string(kOtherDescriptors + kLeastFiles) + " are needed"}};
  }
  return std::unique_ptr<FsDevice>(
      new FsDevice(std::move(shares), limit - kOtherDescriptors, jobs, std::move(window)));
}

FsDevice::FsDevice(std::vector<Share> shares, std::size_t limit, JobQueue& jobs,
                   std::unique_ptr<FileWindow> window)
    : window_(window == nullptr ? Gpa{0} : window->first()),
      window_bytes_(window == nullptr ? 0 : window->bytes()),
      server_(std::make_shared<FuseServer>(std::move(shares), limit, std::move(window))),
      jobs_(jobs) {
  std::memcpy(config_.data(), kTag.data(), kTag.size());
  store_le<std::uint32_t>(config_, kTagBytes, kQueueSizes.size() - 1);  // request queues
}

Result<std::size_t> FsDevice::add_share(Share share) {
  std::size_t index = 0;
  const int failed = server_->add_share(std::move(share), index);
  if (failed == 0) return index;
  return Fail{platform::os_error("share one more file", failed)};
}

void FsDevice::remove_share(std::size_t index) { server_->remove_share(index); }

VirtioTraits FsDevice::traits() const {
  return {.device_id = virtio::kIdFileSystem,
          .features = 0,
          .config_size = kConfigBytes,
          .queue_sizes = kQueueSizes,
          .notification_waits_ns = kNotificationWaitsNs,
          .shared_memory = window_.value,
          .shared_memory_bytes = window_bytes_};
}

void FsDevice::read_config(std::uint32_t offset, std::span<std::byte> out) const {
  std::memcpy(out.data(), config_.data() + offset, out.size());
}

Result<void> FsDevice::start(const Activation& activation) {
  queues_ = activation.queues;
  return {};
}

// A request that is at work may still show one: it is gone when the guest says INIT.
void FsDevice::stop() {
  queues_ = {};
  server_->hide_all();
}

void FsDevice::on_notify(std::uint16_t queue_index) {
  Virtqueue& queue = queues_[queue_index];
  while (queue.pop(chain_)) {
    if (readable_bytes(chain_) < fuse::kInHeaderBytes) {
      queue.mark_broken();
      return queue.push(chain_, 0);
    }
    // What lies in the host's memory costs no change of threads, of which the guest's processor
    // would sleep through two.
    if (const auto written = server_->serve_at_once(chain_.readable(), chain_.writable())) {
      queue.push(chain_, *written);
      continue;
    }
    // A job must be copyable.
    auto chain = std::make_shared<DescriptorChain>(std::move(chain_));
    const bool posted = jobs_.post([server = server_, handle = handle_, chain] {
      const std::uint32_t written =
          handle->begin(*chain) ? server->serve(chain->readable(), chain->writable()) : 0;
      handle->finish(std::move(*chain), written);
    });
    // Without a thread of the host nothing can be answered any more.
    if (!posted) {
      queue.mark_broken();
      return queue.push(*chain, 0);
    }
  }
}

}  // namespace runhv::devices
