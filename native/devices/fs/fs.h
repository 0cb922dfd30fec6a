// File system device: trees of the host, by FUSE. Virtio 1.2 §5.11.
//
// Each request is a job of `jobs`, which may run many at once and in any order: the guest's kernel
// keeps requests apart that depend on each other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/guest_address.h"
#include "devices/fs/share.h"
#include "devices/job_queue.h"
#include "devices/virtio/device.h"
#include "devices/virtio/queue.h"

namespace runhv::devices {

class FileWindow;  // devices/fs/file_window.h
class FuseServer;  // devices/fs/fuse_server.h

class FsDevice final : public VirtioDevice {
 public:
  // What the guest mounts: RUNHV_SHARES_TAG of guest/proto.
  static constexpr std::string_view kTag = "runhv";

  // `shares` are the entries "0", "1", … of the file system; `jobs` outlives the device; `window`:
  // where files are shown in the guest's memory, or null. Errors: a process that may have too few
  // descriptors.
  static Result<std::unique_ptr<FsDevice>> create(std::vector<Share> shares, JobQueue& jobs,
                                                  std::unique_ptr<FileWindow> window);

  // A share that comes while the guest runs: the number of its entry, which no other one has had;
  // one that is there already keeps its number. It goes when it was removed as often as it came.
  // Threads: any.
  Result<std::size_t> add_share(Share share);
  void remove_share(std::size_t index);

  VirtioTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> out) const override;
  void write_config(std::uint32_t, std::span<const std::byte>) override {}
  void attach(const std::shared_ptr<DeviceHandle>& handle) override { handle_ = handle; }
  Result<void> start(const Activation& activation) override;
  void stop() override;
  void on_notify(std::uint16_t queue_index) override;

 private:
  // §5.11.2: the first has what needs no answer (FORGET). A page of a request is a descriptor, so
  // one of 1 MiB has 256, and a few for its headers.
  static constexpr std::array<std::uint16_t, 2> kQueueSizes{64, 512};
  static constexpr std::uint32_t kTagBytes = 36;
  static constexpr std::uint32_t kConfigBytes = kTagBytes + 4;

  FsDevice(std::vector<Share> shares, std::size_t limit, JobQueue& jobs,
           std::unique_ptr<FileWindow> window);

  const Gpa window_;
  const std::uint64_t window_bytes_;          // 0: none
  const std::shared_ptr<FuseServer> server_;  // shared with jobs, of which one may hang
  JobQueue& jobs_;
  std::array<std::byte, kConfigBytes> config_{};
  std::shared_ptr<DeviceHandle> handle_;
  std::span<Virtqueue> queues_;
  DescriptorChain chain_;
};

}  // namespace runhv::devices
