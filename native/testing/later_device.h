// A device that answers when a test says so: it keeps every chain that it is given.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"

namespace runhv::testing {

// The test's side; outlives the device. Threads: any.
class LaterWork {
 public:
  std::shared_ptr<devices::DeviceHandle> handle;
  std::array<std::byte, 4> config{};  // with the transport's lock held

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return chains_.size();
  }
  // Nothing where fewer chains are kept.
  std::optional<devices::DescriptorChain> take(std::size_t index) {
    const std::lock_guard lock(mutex_);
    if (index >= chains_.size()) return std::nullopt;
    std::optional<devices::DescriptorChain> chain(std::move(chains_[index]));
    chains_.erase(chains_.begin() + static_cast<std::ptrdiff_t>(index));
    return chain;
  }
  void keep(devices::DescriptorChain chain) {
    const std::lock_guard lock(mutex_);
    chains_.push_back(std::move(chain));
  }

  // What a worker of a device does with a chain: fills its first byte. False: it was told not to.
  bool serve(devices::DescriptorChain chain) {
    const bool may = handle->begin(chain);
    const bool writes = may && !chain.writable().empty();
    // A guest may give two chains the same byte.
    if (writes) std::atomic_ref(chain.writable()[0].bytes[0]).store(std::byte{0x77});
    handle->finish(std::move(chain), writes ? 1 : 0);
    return may;
  }
  bool serve(std::size_t index) {
    std::optional<devices::DescriptorChain> chain = take(index);
    return chain && serve(*std::move(chain));
  }
  void set_config(std::byte value) {
    handle->enter([this, value] {
      config.fill(value);
      handle->config_changed();
    });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<devices::DescriptorChain> chains_;
};

class LaterDevice final : public devices::VirtioDevice {
 public:
  explicit LaterDevice(LaterWork& work, std::uint64_t notification_waits_ns = 0)
      : work_(work), notification_waits_ns_(notification_waits_ns) {}
  devices::VirtioTraits traits() const override {
    return {42, 0, 4, kQueueSizes, notification_waits_ns_};
  }
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = work_.config[offset + i];
  }
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  void attach(const std::shared_ptr<devices::DeviceHandle>& handle) override {
    work_.handle = handle;
  }
  Result<void> start(const devices::Activation& activation) override {
    queue_ = &activation.queues[0];
    return {};
  }
  void stop() override { queue_ = nullptr; }
  void on_notify(std::uint16_t) override {
    devices::DescriptorChain chain;
    while (queue_->pop(chain)) work_.keep(std::move(chain));
  }

 private:
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{16};
  LaterWork& work_;
  const std::uint64_t notification_waits_ns_;
  devices::Virtqueue* queue_ = nullptr;
};

}  // namespace runhv::testing
