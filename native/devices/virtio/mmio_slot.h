// A place for a device of virtio over MMIO that may come and go while the machine runs. A driver
// that looks at an empty one finds the device ID 0, and nothing (virtio 1.2 §4.2.2).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "devices/bus.h"
#include "devices/virtio/mmio_transport.h"

namespace runhv::devices {

// Threads: read() and write() as BusDevice; everything else on one thread, the owner's.
class MmioSlot final : public BusDevice {
 public:
  // REQUIRES: it is empty.
  void put(std::unique_ptr<MmioTransport> transport);
  // Null where it is empty. No processor is within the transport any more.
  std::unique_ptr<MmioTransport> take();
  MmioTransport* transport() { return transport_.get(); }

  std::uint64_t read(std::uint64_t offset, unsigned size_bytes) override;
  bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) override;

 private:
  std::mutex mutex_;
  std::unique_ptr<MmioTransport> transport_;  // changed with the mutex; null = empty
};

}  // namespace runhv::devices
