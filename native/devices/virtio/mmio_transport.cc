#include "devices/virtio/mmio_transport.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "devices/virtio/spec.h"

namespace runhv::devices {
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

// steady_clock is the clock of monotonic_ns() (platform/clock.h).
std::chrono::steady_clock::time_point steady_time(std::uint64_t monotonic_ns) {
  constexpr std::uint64_t kLast = INT64_MAX;
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(std::min(monotonic_ns, kLast)));
}

}  // namespace

// The device's way back, and what must outlive the transport for it: the mutex of both.
class MmioTransport::Handle final : public DeviceHandle,
                                    public std::enable_shared_from_this<Handle> {
 public:
  explicit Handle(MmioTransport& transport) : transport_(&transport) {}

  void enter(std::function<void()> work) override {
    const std::lock_guard lock(mutex);
    if (transport_ == nullptr || transport_->stopped_) return;
    if (transport_->paused_) return transport_->kept_work_.push_back(std::move(work));
    transport_->call_device(work);
    transport_->keep_for_later();
  }

  void config_changed() override {
    // The lock is held, so the transport is there.
    ++transport_->config_generation_;
    transport_->config_changed_ = true;
  }

  bool begin(DescriptorChain& chain) override {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return transport_ == nullptr || !transport_->paused_; });
    if (transport_ == nullptr || !transport_->queues_[chain.queue_index_].awaits(chain)) {
      return false;
    }
    chain.begun_ = true;
    ++transport_->at_work_;
    return true;
  }

  void finish(DescriptorChain chain, std::uint32_t written_bytes) override {
    const std::lock_guard lock(mutex);
    if (transport_ == nullptr) return;
    if (chain.begun_) --transport_->at_work_;
    Finished finished{std::move(chain), written_bytes};
    if (transport_->paused_ && !transport_->stopped_) {
      transport_->kept_finished_.push_back(std::move(finished));
    } else {
      transport_->give_back(std::move(finished));
      transport_->keep_for_later();
    }
    changed.notify_all();
  }

  void go_on() {
    const std::lock_guard lock(mutex);
    if (transport_ != nullptr) transport_->go_on();
  }

  // After this the transport is not touched.
  void let_go() {
    const std::lock_guard lock(mutex);
    transport_ = nullptr;
    changed.notify_all();
  }

  std::mutex mutex;
  std::condition_variable changed;  // of paused_, at_work_, chains in flight, the transport's end

 private:
  MmioTransport* transport_;
};

MmioTransport::MmioTransport(std::unique_ptr<VirtioDevice> device,
                             const std::shared_ptr<const memory::GuestMemory>& memory, IrqLine& irq,
                             JobQueue& later)
    : handle_(std::make_shared<Handle>(*this)),
      device_(std::move(device)),
      irq_(irq),
      later_(later),
      traits_(device_->traits()),
      offered_features_(traits_.features | virtio::kFeatureVersion1 | virtio::kFeatureEventIdx |
                        virtio::kFeatureIndirectDesc),
      queue_registers_(traits_.queue_sizes.size()),
      left_over_(traits_.queue_sizes.size()) {
  for (std::size_t i = 0; i < traits_.queue_sizes.size(); ++i) {
    queues_.emplace_back(memory, static_cast<std::uint16_t>(i));
  }
  device_->attach(handle_);
}

MmioTransport::~MmioTransport() {
  stop(0);
  handle_->let_go();
}

bool MmioTransport::stop(std::uint64_t deadline_ns) {
  std::unique_lock lock(handle_->mutex);
  if (!stopped_) {
    stopped_ = true;
    reset();
    paused_ = false;
    kept_work_.clear();
    for (Finished& finished : std::exchange(kept_finished_, {})) give_back(std::move(finished));
    handle_->changed.notify_all();
  }
  return handle_->changed.wait_until(lock, steady_time(deadline_ns),
                                     [this] { return in_flight() == 0; });
}

bool MmioTransport::pause(std::uint64_t deadline_ns) {
  std::unique_lock lock(handle_->mutex);
  if (stopped_) return true;
  paused_ = true;
  handle_->changed.notify_all();
  const bool quiet = handle_->changed.wait_until(lock, steady_time(deadline_ns),
                                                 [this] { return at_work_ == 0 || stopped_; });
  if (!quiet) resume_locked();
  return quiet;
}

void MmioTransport::resume() {
  const std::lock_guard lock(handle_->mutex);
  resume_locked();
}

void MmioTransport::resume_locked() {
  if (!std::exchange(paused_, false)) return;
  handle_->changed.notify_all();
  for (Finished& finished : std::exchange(kept_finished_, {})) give_back(std::move(finished));
  for (const std::function<void()>& work : std::exchange(kept_work_, {})) {
    call_device(work);
    keep_for_later();
  }
  keep_for_later();
}

std::uint64_t MmioTransport::read(std::uint64_t offset, unsigned size_bytes) {
  if (offset >= kSizeBytes) return 0;
  const auto at = static_cast<std::uint32_t>(offset);
  const std::lock_guard lock(handle_->mutex);
  if (at >= kConfig) return read_config(at - kConfig, size_bytes);
  // §4.2.2.2: registers are 32 bits wide, and so is each access.
  if (size_bytes != 4 || at % 4 != 0) return 0;
  return read_register(at);
}

bool MmioTransport::write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) {
  if (offset >= kSizeBytes) return true;
  const auto at = static_cast<std::uint32_t>(offset);
  std::unique_lock lock(handle_->mutex);
  if (stopped_) return true;
  if (paused_) return false;
  const std::size_t in_flight_before = in_flight();
  call_device([&] {
    if (at >= kConfig) {
      write_config(at - kConfig, size_bytes, value);
    } else if (size_bytes == 4 && at % 4 == 0) {
      write_register(at, static_cast<std::uint32_t>(value));
    }
  });
  // Linux 6.12 (vm_reset) does not look whether its reset has come to an end: it executes the write
  // until it has.
  const bool reset_waits = resetting_ && at == kStatus && value == 0;
  const bool complete = !unfinished() && !reset_waits;
  const bool more_in_flight = in_flight() > in_flight_before;
  if (complete && more_in_flight && driver_waits(static_cast<std::uint32_t>(value))) {
    handle_->changed.wait_for(lock, std::chrono::nanoseconds(traits_.notification_waits_ns),
                              [this, before = finished_] {
                                return finished_ != before || !running_ || paused_ || stopped_;
                              });
  }
  return complete;
}

// Of a queue that was notified.
bool MmioTransport::driver_waits(std::uint32_t queue_index) const {
  return traits_.notification_waits_ns != 0 && running_ && queue_index < queues_.size() &&
         queues_[queue_index].wants_no_interrupt();
}

// `work`, which may touch the device, is one turn of its queues.
template <class Work>
void MmioTransport::call_device(Work&& work) {
  for (Virtqueue& queue : queues_) queue.begin_turn();
  work();
  tell_driver();
}

bool MmioTransport::unfinished() const {
  return std::any_of(queues_.begin(), queues_.end(),
                     [](const Virtqueue& queue) { return queue.unfinished(); });
}

// What the last turn has left goes on in a turn of its own, for no register will be written again.
void MmioTransport::keep_for_later() {
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    if (queues_[i].unfinished()) left_over_[i] = true;
  }
  const bool any = std::find(left_over_.begin(), left_over_.end(), true) != left_over_.end();
  if (!any || going_on_ || stopped_) return;
  // Without a thread it goes on with the next call of the device that comes here.
  going_on_ = later_.post([handle = handle_] { handle->go_on(); });
}

void MmioTransport::go_on() {
  going_on_ = false;
  if (stopped_ || paused_) return;
  const std::vector<bool> queues = std::exchange(left_over_, std::vector<bool>(queues_.size()));
  call_device([&] {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      if (queues[i] && running_) device_->on_notify(static_cast<std::uint16_t>(i));
    }
  });
  keep_for_later();
}

void MmioTransport::give_back(Finished finished) {
  call_device(
      [&] { queues_[finished.chain.queue_index_].push(finished.chain, finished.written_bytes); });
  ++finished_;
  if (resetting_ && in_flight() == 0) finish_reset();
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
    case kShmLenLow:
      return half(has_selected_memory() ? traits_.shared_memory_bytes : UINT64_MAX, 0);
    case kShmLenHigh:
      return half(has_selected_memory() ? traits_.shared_memory_bytes : UINT64_MAX, 1);
    case kShmBaseLow:
      return half(has_selected_memory() ? traits_.shared_memory : UINT64_MAX, 0);
    case kShmBaseHigh:
      return half(has_selected_memory() ? traits_.shared_memory : UINT64_MAX, 1);
    case kConfigGeneration:
      return config_generation_;
    default:  // not readable or not there
      return 0;
  }
}

// §4.2.2: a region that does not exist has length and base of all ones.
bool MmioTransport::has_selected_memory() const {
  return shared_memory_select_ == 0 && traits_.shared_memory_bytes != 0;
}

void MmioTransport::write_register(std::uint32_t offset, std::uint32_t value) {
  if (resetting_) return;  // the driver has to wait
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
    case kShmSel:
      shared_memory_select_ = value;
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
  stop_device();
  status_ |= virtio::kStatusNeedsReset;
}

void MmioTransport::stop_device() {
  device_->stop();
  running_ = false;
}

std::size_t MmioTransport::in_flight() const {
  std::size_t sum = 0;
  for (const Virtqueue& queue : queues_) sum += queue.in_flight();
  return sum;
}

// §2.4: the status reads 0 when the reset is complete, and nothing of the driver's is touched from
// then on: not while chains are in flight.
void MmioTransport::reset() {
  if (running_) stop_device();
  for (Virtqueue& queue : queues_) queue.disable();
  resetting_ = in_flight() != 0;
  if (!resetting_) finish_reset();
}

void MmioTransport::finish_reset() {
  resetting_ = false;
  for (QueueRegisters& registers : queue_registers_) registers = {};
  driver_features_ = 0;
  device_features_select_ = driver_features_select_ = queue_select_ = shared_memory_select_ = 0;
  status_ = 0;
  interrupt_status_ = 0;
}

// Brings the driver up to date after the device has worked. A bit that the driver has not
// acknowledged yet needs no second pulse: it looks at its queues after acknowledging.
void MmioTransport::tell_driver() {
  const bool config_changed = std::exchange(config_changed_, false);
  if (!running_) return;
  std::uint32_t raised = config_changed ? kInterruptConfigChange : 0;
  bool broken = false;
  for (Virtqueue& queue : queues_) {
    if (queue.take_interrupt()) raised |= kInterruptUsedBuffer;
    broken = broken || queue.broken();
  }
  if (broken) {
    debug_log("virtio", "device %u: the driver broke a queue; it needs a reset", traits_.device_id);
    // §2.1.2: the driver learns of NEEDS_RESET by a configuration change.
    stop_device();
    for (Virtqueue& queue : queues_) {
      queue.mark_broken();  // for chains in flight of the others
      queue.begin_turn();   // nothing goes on
    }
    status_ |= virtio::kStatusNeedsReset;
    raised |= kInterruptConfigChange;
  }
  const std::uint32_t fresh = raised & ~interrupt_status_;
  interrupt_status_ |= raised;
  if (fresh != 0) irq_.pulse();
}

}  // namespace runhv::devices
