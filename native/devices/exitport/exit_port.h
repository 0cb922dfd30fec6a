// Two ports with which the agent speaks to the machine: power off, and "the start is this far".
#pragma once

#include <cstdint>

#include "devices/bus.h"
#include "runhv_agent.h"

namespace runhv::devices {

class ExitPortEvents {
 public:
  virtual ~ExitPortEvents() = default;
  // On a virtual processor's thread; must not wait for it.
  virtual void on_power_off() = 0;
  // Any number, as the guest wrote it.
  virtual void on_stage(std::uint8_t stage) = 0;
};

class ExitPort final : public BusDevice {
 public:
  static constexpr std::uint16_t kFirstPort = RUNHV_PORT_EXIT;
  static constexpr std::uint16_t kPortCount = 2;
  static_assert(RUNHV_PORT_STAGE == RUNHV_PORT_EXIT + 1);

  // `events` outlives it.
  explicit ExitPort(ExitPortEvents& events) : events_(events) {}

  std::uint64_t read(std::uint64_t offset, unsigned size_bytes) override;
  bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) override;

 private:
  ExitPortEvents& events_;
};

}  // namespace runhv::devices
