#include "devices/virtio/mmio_transport.h"

#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "devices/virtio/spec.h"

namespace runhv {
namespace {

using namespace virtio::mmio;  // NOLINT(google-build-using-namespace): forty register names

constexpr std::uint32_t kOurVendor = 0x76684e52;  // "RNhv"; no meaning to any driver

void set_low(std::uint64_t& target, std::uint32_t value) {
  target = (target & ~0xffffffffull) | value;
}
void set_high(std::uint64_t& target, std::uint32_t value) {
  target = (target & 0xffffffffull) | (std::uint64_t{value} << 32);
}

std::uint32_t half(std::uint64_t features, std::uint32_t select) {
  if (select > 1) return 0;
  return static_cast<std::uint32_t>(features >> (32 * select));
}

}  // namespace

MmioTransport::MmioTransport(std::unique_ptr<VirtioDevice> device, const GuestMemory& memory,
                             IrqLine& irq)
    : device_(std::move(device)),
      irq_(irq),
      traits_(device_->traits()),
      offered_features_(traits_.features | virtio::kFeatureVersion1 | virtio::kFeatureEventIdx |
                        virtio::kFeatureIndirectDesc),
      queues_(traits_.queue_sizes.size(), Virtqueue(memory)),
      queue_registers_(traits_.queue_sizes.size()) {}

MmioTransport::~MmioTransport() { stop(); }

void MmioTransport::stop() {
  const std::lock_guard lock(mutex_);
  reset();
  stopped_ = true;
}

std::uint64_t MmioTransport::read(std::uint64_t offset, unsigned size_bytes) {
  if (offset >= kSizeBytes) return 0;
  const auto at = static_cast<std::uint32_t>(offset);
  const std::lock_guard lock(mutex_);
  if (at >= kConfig) return read_config(at - kConfig, size_bytes);
  // §4.2.2.2: registers are 32 bits wide, and so is each access.
  if (size_bytes != 4 || at % 4 != 0) return 0;
  return read_register(at);
}

bool MmioTransport::write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) {
  if (offset >= kSizeBytes) return true;
  const auto at = static_cast<std::uint32_t>(offset);
  return enter([&] {
    if (stopped_) return;
    if (at >= kConfig) {
      write_config(at - kConfig, size_bytes, value);
    } else if (size_bytes == 4 && at % 4 == 0) {
      write_register(at, static_cast<std::uint32_t>(value));
    }
  });
}

std::uint64_t MmioTransport::read_config(std::uint32_t offset, unsigned size_bytes) const {
  if (offset > traits_.config_size || traits_.config_size - offset < size_bytes) return 0;
  std::array<std::byte, 8> bytes{};
  device_->read_config(offset, std::span(bytes).first(size_bytes));
  return load_le<std::uint64_t>(bytes);
}

void MmioTransport::write_config(std::uint32_t offset, unsigned size_bytes, std::uint64_t value) {
  if (offset > traits_.config_size || traits_.config_size - offset < size_bytes) return;
  std::array<std::byte, 8> bytes;
  store_le(bytes, 0, value);
  device_->write_config(offset, std::span(bytes).first(size_bytes));
}

std::uint32_t MmioTransport::read_register(std::uint32_t offset) const {
  switch (offset) {
    case kMagicValue:
      return kMagic;
    case kVersion:
      return kTransportVersion;
    case kDeviceId:
      return traits_.device_id;
    case kVendorId:
      return kOurVendor;
    case kDeviceFeatures:
      return half(offered_features_, device_features_select_);
    case kQueueNumMax:
      return queue_select_ < queues_.size() ? traits_.queue_sizes[queue_select_] : 0;
    case kQueueReady:
      return queue_select_ < queues_.size() && queues_[queue_select_].enabled() ? 1 : 0;
    case kInterruptStatus:
      return interrupt_status_;
    case kStatus:
      return status_;
    // §4.2.2: a region that does not exist has length and base of all ones.
    case kShmLenLow:
    case kShmLenHigh:
    case kShmBaseLow:
    case kShmBaseHigh:
      return UINT32_MAX;
    // No device here changes its configuration, so its generation stays 0. Every other register is
    // not readable or does not exist.
    default:
      return 0;
  }
}

void MmioTransport::write_register(std::uint32_t offset, std::uint32_t value) {
  switch (offset) {
    case kDeviceFeaturesSel:
      device_features_select_ = value;
      break;
    case kDriverFeaturesSel:
      driver_features_select_ = value;
      break;
    case kDriverFeatures:
      // §3.1.1: fixed by FEATURES_OK.
      if ((status_ & virtio::kStatusFeaturesOk) != 0) break;
      if (driver_features_select_ == 0) set_low(driver_features_, value);
      if (driver_features_select_ == 1) set_high(driver_features_, value);
      break;
    case kQueueSel:
      queue_select_ = value;
      break;
    case kQueueNotify:
      if (running_ && value < queues_.size()) {
        device_->on_notify(static_cast<std::uint16_t>(value));
      }
      break;
    case kInterruptAck:
      interrupt_status_ &= ~value;
      break;
    case kStatus:
      write_status(value);
      break;
    default:
      write_queue_register(offset, value);
  }
}

void MmioTransport::write_queue_register(std::uint32_t offset, std::uint32_t value) {
  if (queue_select_ >= queues_.size()) return;
  if (offset == kQueueReady) return write_queue_ready(value);
  QueueRegisters& registers = queue_registers_[queue_select_];
  switch (offset) {
    case kQueueNum:
      // A size that does not fit is kept as 0, which write_queue_ready() refuses.
      registers.size =
          value <= traits_.queue_sizes[queue_select_] ? static_cast<std::uint16_t>(value) : 0;
      break;
    case kQueueDescLow:
      set_low(registers.descriptor_area, value);
      break;
    case kQueueDescHigh:
      set_high(registers.descriptor_area, value);
      break;
    case kQueueDriverLow:
      set_low(registers.driver_area, value);
      break;
    case kQueueDriverHigh:
      set_high(registers.driver_area, value);
      break;
    case kQueueDeviceLow:
      set_low(registers.device_area, value);
      break;
    case kQueueDeviceHigh:
      set_high(registers.device_area, value);
      break;
    default:
      break;
  }
}

void MmioTransport::write_queue_ready(std::uint32_t value) {
  Virtqueue& queue = queues_[queue_select_];
  if (value == 0) {
    queue.disable();
    return;
  }
  // §3.1.1: queues are set up after the features and before DRIVER_OK; the areas of a queue in use
  // do not move.
  if ((status_ & virtio::kStatusFeaturesOk) == 0 || (status_ & virtio::kStatusDriverOk) != 0 ||
      queue.enabled()) {
    return;
  }
  const QueueRegisters& registers = queue_registers_[queue_select_];
  // Where this fails, QueueReady keeps reading 0.
  (void)queue.enable({.size = registers.size,
                      .descriptor_area = Gpa{registers.descriptor_area},
                      .driver_area = Gpa{registers.driver_area},
                      .device_area = Gpa{registers.device_area}},
                     driver_features_);
}

void MmioTransport::write_status(std::uint32_t value) {
  if (value == 0) return reset();
  // §2.1.1: a driver never clears a bit; NEEDS_RESET is the device's to set.
  const std::uint32_t added = value & ~status_ & ~virtio::kStatusNeedsReset;
  status_ |= added & (virtio::kStatusAcknowledge | virtio::kStatusDriver | virtio::kStatusFailed);
  if ((added & virtio::kStatusFeaturesOk) != 0 && (status_ & virtio::kStatusDriver) != 0) {
    const bool acceptable = (driver_features_ & ~offered_features_) == 0 &&
                            (driver_features_ & virtio::kFeatureVersion1) != 0;
    if (acceptable) status_ |= virtio::kStatusFeaturesOk;
  }
  if ((added & virtio::kStatusDriverOk) != 0 && (status_ & virtio::kStatusFeaturesOk) != 0) {
    status_ |= virtio::kStatusDriverOk;
    start_device();
  }
}

void MmioTransport::start_device() {
  running_ = true;
  const Result<void> started = device_->start({.queues = queues_, .features = driver_features_});
  if (started) return;
  debug_log("virtio", "device %u: %s", traits_.device_id, to_string(started.error()).c_str());
  device_->stop();
  running_ = false;
  status_ |= virtio::kStatusNeedsReset;
}

void MmioTransport::reset() {
  if (running_) device_->stop();
  running_ = false;
  for (Virtqueue& queue : queues_) queue.disable();
  for (QueueRegisters& registers : queue_registers_) registers = {};
  driver_features_ = 0;
  device_features_select_ = driver_features_select_ = queue_select_ = 0;
  status_ = 0;
  interrupt_status_ = 0;
}

// Brings the driver up to date after the device has worked. True: pulse the line. A bit that the
// driver has not acknowledged yet needs no second pulse: it looks at its queues after
// acknowledging.
bool MmioTransport::settle() {
  if (!running_) return false;
  std::uint32_t raised = 0;
  bool broken = false;
  for (Virtqueue& queue : queues_) {
    if (queue.take_interrupt()) raised |= kInterruptUsedBuffer;
    broken = broken || queue.broken();
  }
  if (broken) {
    debug_log("virtio", "device %u: the driver broke a queue; it needs a reset", traits_.device_id);
    // §2.1.2: the driver learns of NEEDS_RESET by a configuration change.
    device_->stop();
    running_ = false;
    for (Virtqueue& queue : queues_) queue.begin_turn();  // nothing goes on
    status_ |= virtio::kStatusNeedsReset;
    raised |= kInterruptConfigChange;
  }
  const std::uint32_t fresh = raised & ~interrupt_status_;
  interrupt_status_ |= raised;
  return fresh != 0;
}

}  // namespace runhv
