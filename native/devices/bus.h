// Which device answers at an address: one Bus for ports, one for memory-mapped registers.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace runhv::devices {

// Registers at consecutive addresses. Threads: any; a device locks for itself.
class BusDevice {
 public:
  virtual ~BusDevice() = default;
  // offset + size_bytes is within the range that the device was added with; size_bytes is 1, 2, 4
  // or 8. Bits above size_bytes of a read are ignored, of a written value are 0.
  virtual std::uint64_t read(std::uint64_t offset, unsigned size_bytes) = 0;
  // False: there is more to do than one exit of a guest may take. The guest executes the
  // instruction again, and meanwhile takes its interrupts.
  virtual bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) = 0;
};

class Bus {
 public:
  // `device` outlives the bus. Errors: an empty, wrapping or overlapping range. Before the guest
  // runs: not with read or write.
  Result<void> add(std::uint64_t first, std::uint64_t size, BusDevice& device);

  // An address of no device, or an access across the end of one, reads all ones and is not
  // written; write() returns what the device does. Threads: any.
  std::uint64_t read(std::uint64_t address, unsigned size_bytes);
  bool write(std::uint64_t address, unsigned size_bytes, std::uint64_t value);

 private:
  struct Entry {
    std::uint64_t first;
    std::uint64_t size;
    BusDevice* device;
  };
  const Entry* find(std::uint64_t address, unsigned size_bytes) const;
  std::vector<Entry> entries_;  // ascending
};

}  // namespace runhv::devices
