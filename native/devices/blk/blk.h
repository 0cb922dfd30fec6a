// Block device over a disk of the host. Virtio 1.2 §5.2.
//
// What the host has in memory is read where the driver notifies; all else is a job of `jobs`, one
// after another, straight between the disk and guest memory. So a flush comes after the writes that
// were made available before it, and no processor thread waits for a disk.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "devices/blk/disk.h"
#include "devices/job_queue.h"
#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"

namespace runhv::devices {

class BlkDevice final : public VirtioDevice {
 public:
  // `id`: what the guest reads as the serial number; its first 20 bytes count. `jobs`, which is
  // this device's alone, outlives it. Errors: a disk whose size is 0 or no multiple of 512.
  static Result<std::unique_ptr<BlkDevice>> create(std::shared_ptr<const Disk> disk, bool read_only,
                                                   std::string_view id, JobQueue& jobs);

  VirtioTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override;
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  void attach(const std::shared_ptr<DeviceHandle>& handle) override { handle_ = handle; }
  Result<void> start(const Activation& activation) override;
  void stop() override { queue_ = nullptr; }
  void on_notify(std::uint16_t queue_index) override;

  // Until now; each number is one that was, and all only grow. Threads: any.
  DiskCounts counts() const;

 private:
  static constexpr std::uint16_t kQueueSize = 64;
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};
  static constexpr std::uint32_t kConfigBytes = 16;  // capacity, size_max, seg_max
  class Server;

  BlkDevice(std::shared_ptr<Server> server, JobQueue& jobs);

  const std::shared_ptr<Server> server_;
  JobQueue& jobs_;
  std::array<std::byte, kConfigBytes> config_{};
  std::shared_ptr<DeviceHandle> handle_;
  Virtqueue* queue_ = nullptr;
  DescriptorChain chain_;
};

}  // namespace runhv::devices
