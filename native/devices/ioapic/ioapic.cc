#include "devices/ioapic/ioapic.h"

#include <utility>

#include "base/check.h"

namespace runhv::devices {
namespace {

// 82093AA §3.1: the two registers of the window; §3.2: what it shows.
constexpr std::uint64_t kSelectOffset = 0x00;
constexpr std::uint64_t kWindowOffset = 0x10;
constexpr std::uint32_t kIdRegister = 0x00;
constexpr std::uint32_t kVersionRegister = 0x01;
constexpr std::uint32_t kArbitrationRegister = 0x02;
constexpr std::uint32_t kFirstEntryRegister = 0x10;
constexpr std::uint32_t kVersionOf82093 = 0x11;

// §3.2.4: a redirection entry.
constexpr std::uint64_t kVectorMask = 0xff;
constexpr unsigned kDeliveryShift = 8;
constexpr std::uint64_t kDeliveryMask = 7;
constexpr std::uint64_t kLogical = 1ull << 11;
constexpr std::uint64_t kDeliveryStatus = 1ull << 12;
constexpr std::uint64_t kRemoteIrr = 1ull << 14;
constexpr std::uint64_t kLevelTriggered = 1ull << 15;
constexpr std::uint64_t kMasked = 1ull << 16;
constexpr unsigned kDestinationShift = 56;
constexpr std::uint64_t kWritable = 0xff0000000001ffffull & ~(kDeliveryStatus | kRemoteIrr);

}  // namespace

class IoApic::Line final : public IrqLine {
 public:
  Line(IoApic& ioapic, std::size_t pin) : ioapic_(ioapic), pin_(pin) {}
  void pulse() override { ioapic_.pulse(pin_); }

 private:
  IoApic& ioapic_;
  const std::size_t pin_;
};

IoApic::IoApic(std::uint8_t apic_id, std::size_t pin_count, InterruptSink& sink)
    : sink_(sink), apic_id_(apic_id & 0xf), pins_(pin_count, Pin{.entry = kMasked}) {
  RUNHV_CHECK(pin_count >= 1 && pin_count <= kMaxPins);
  for (std::size_t pin = 0; pin < pin_count; ++pin) {
    lines_.push_back(std::make_unique<Line>(*this, pin));
  }
}

IoApic::~IoApic() = default;

IrqLine& IoApic::line(std::size_t pin) {
  RUNHV_CHECK(pin < lines_.size());
  return *lines_[pin];
}

std::uint64_t IoApic::read(std::uint64_t offset, unsigned size_bytes) {
  if (size_bytes != 4) return 0;
  const std::lock_guard lock(mutex_);
  if (offset == kSelectOffset) return select_;
  if (offset == kWindowOffset) return read_register(select_);
  return 0;
}

bool IoApic::write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) {
  if (size_bytes != 4) return true;
  std::optional<ApicMessage> message;
  {
    const std::lock_guard lock(mutex_);
    if (offset == kSelectOffset) select_ = static_cast<std::uint8_t>(value);
    if (offset == kWindowOffset) {
      write_register(select_, static_cast<std::uint32_t>(value), message);
    }
  }
  if (message) sink_.request(*message);
  return true;
}

std::uint32_t IoApic::read_register(std::uint32_t index) const {
  switch (index) {
    case kIdRegister:
    case kArbitrationRegister:
      return std::uint32_t{apic_id_} << 24;
    case kVersionRegister:
      return kVersionOf82093 | static_cast<std::uint32_t>(pins_.size() - 1) << 16;
    default:
      break;
  }
  if (index < kFirstEntryRegister) return 0;
  const std::size_t pin = (index - kFirstEntryRegister) / 2;
  if (pin >= pins_.size()) return 0;
  const bool high_half = index % 2 != 0;
  return static_cast<std::uint32_t>(pins_[pin].entry >> (high_half ? 32 : 0));
}

void IoApic::write_register(std::uint32_t index, std::uint32_t value,
                            std::optional<ApicMessage>& message) {
  if (index == kIdRegister) {
    apic_id_ = (value >> 24) & 0xf;
    return;
  }
  if (index < kFirstEntryRegister) return;
  const std::size_t number = (index - kFirstEntryRegister) / 2;
  if (number >= pins_.size()) return;
  Pin& pin = pins_[number];
  const unsigned shift = index % 2 != 0 ? 32 : 0;
  const std::uint64_t mask = kWritable & (0xffffffffull << shift);
  pin.entry = (pin.entry & ~mask) | ((std::uint64_t{value} << shift) & mask);
  // §3.2.4: remote IRR has a meaning for level-triggered interrupts only.
  if ((pin.entry & kLevelTriggered) == 0) pin.entry &= ~kRemoteIrr;
  message = take_message(pin);
}

// What the pin has to say now, and notes that it was said.
//
// The 82093AA forgets an edge on a pin that is masked or in service. It is kept here: Linux masks
// an entry for the moment in which it moves the interrupt to another processor, and a virtio device
// does not repeat an interrupt.
std::optional<ApicMessage> IoApic::take_message(Pin& pin) {
  if ((pin.entry & (kMasked | kRemoteIrr)) != 0) return std::nullopt;
  if (!std::exchange(pin.edge_waiting, false)) return std::nullopt;
  const bool level = (pin.entry & kLevelTriggered) != 0;
  if (level) pin.entry |= kRemoteIrr;
  return ApicMessage{
      .delivery = static_cast<ApicMessage::Delivery>((pin.entry >> kDeliveryShift) & kDeliveryMask),
      .logical_destination = (pin.entry & kLogical) != 0,
      .level_triggered = level,
      .destination = static_cast<std::uint8_t>(pin.entry >> kDestinationShift),
      .vector = static_cast<std::uint8_t>(pin.entry & kVectorMask)};
}

void IoApic::pulse(std::size_t number) {
  RUNHV_CHECK(number < pins_.size());
  std::optional<ApicMessage> message;
  {
    const std::lock_guard lock(mutex_);
    Pin& pin = pins_[number];
    pin.edge_waiting = true;
    message = take_message(pin);
  }
  if (message) sink_.request(*message);
}

void IoApic::end_of_interrupt(std::uint8_t vector) {
  std::vector<ApicMessage> messages;
  {
    const std::lock_guard lock(mutex_);
    for (Pin& pin : pins_) {
      if ((pin.entry & kRemoteIrr) == 0 || (pin.entry & kVectorMask) != vector) continue;
      pin.entry &= ~kRemoteIrr;
      if (const auto message = take_message(pin)) messages.push_back(*message);
    }
  }
  for (const ApicMessage& message : messages) sink_.request(message);
}

}  // namespace runhv::devices
