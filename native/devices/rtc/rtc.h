// The real-time clock, as far as a kernel reads it: Motorola MC146818A, at ports 0x70 and 0x71.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "devices/bus.h"

namespace runhv::devices {

class Rtc final : public BusDevice {
 public:
  static constexpr std::uint16_t kFirstPort = 0x70;
  static constexpr std::uint16_t kPortCount = 2;

  // `now_ns`: nanoseconds since 1970-01-01 UTC; called from any thread.
  explicit Rtc(std::function<std::uint64_t()> now_ns) : now_ns_(std::move(now_ns)) {}

  std::uint64_t read(std::uint64_t offset, unsigned size_bytes) override;
  bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) override;

 private:
  std::uint8_t read_register(std::uint8_t index) const;
  std::function<std::uint64_t()> now_ns_;
  std::mutex mutex_;
  std::uint8_t index_ = 0;
};

}  // namespace runhv::devices
