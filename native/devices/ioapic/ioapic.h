// The I/O APIC: turns interrupt pins into messages to local APICs. Intel 82093AA data sheet (1996).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "devices/bus.h"
#include "devices/virtio/device.h"

namespace runhv::devices {

// 82093AA §3.2.4: bits 0..16 and 56..63 of a redirection entry.
struct ApicMessage {
  enum class Delivery : std::uint8_t {
    kFixed = 0,
    kLowestPriority = 1,
    kSmi = 2,
    kNmi = 4,
    kInit = 5,
    kExtInt = 7
  };
  Delivery delivery = Delivery::kFixed;
  bool logical_destination = false;
  bool level_triggered = false;
  std::uint8_t destination = 0;
  std::uint8_t vector = 0;
};

class InterruptSink {
 public:
  virtual ~InterruptSink() = default;
  // No lock of the IoApic is held; a device's may be. Threads: any.
  virtual void request(const ApicMessage& message) = 0;
};

class IoApic final : public BusDevice {
 public:
  static constexpr std::uint64_t kDefaultAddress = 0xfec00000;
  static constexpr std::uint64_t kSizeBytes = 0x1000;
  static constexpr std::size_t kMaxPins = 240;

  // `sink` outlives it. 1..kMaxPins pins.
  IoApic(std::uint8_t apic_id, std::size_t pin_count, InterruptSink& sink);
  ~IoApic() override;

  std::uint64_t read(std::uint64_t offset, unsigned size_bytes) override;
  bool write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) override;

  // The pin as a device's line; lives as long as the IoApic. Threads: any.
  IrqLine& line(std::size_t pin);
  // A rise and a fall of the pin, as one step: two threads that pulse a pin at once are two edges.
  // Threads: any.
  void pulse(std::size_t pin);
  // A local APIC has finished an interrupt of this vector, which the guest has programmed as
  // level-triggered. Threads: any.
  void end_of_interrupt(std::uint8_t vector);

 private:
  class Line;
  struct Pin {
    std::uint64_t entry;
    bool edge_waiting = false;  // was not sent yet: the pin is masked, or in service
  };
  std::uint32_t read_register(std::uint32_t index) const;
  void write_register(std::uint32_t index, std::uint32_t value,
                      std::optional<ApicMessage>& message);
  std::optional<ApicMessage> take_message(Pin& pin);

  std::vector<std::unique_ptr<Line>> lines_;
  InterruptSink& sink_;
  mutable std::mutex mutex_;
  std::uint8_t apic_id_;
  std::uint8_t select_ = 0;
  std::vector<Pin> pins_;
};

}  // namespace runhv::devices
