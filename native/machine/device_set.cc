#include "machine/device_set.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "devices/blk/blk.h"
#include "machine/memory_layout.h"
#include "platform/clock.h"
#include "platform/lossy_writer.h"

namespace runhv {
namespace {

static_assert(MmioTransport::kSizeBytes == kVirtioMmioSize);
static_assert(IoApic::kDefaultAddress == kIoApicAddress.value);

// Whole lines: Linux gives its console 16 bytes at a time, and other lines come between.
class StderrSink final : public ConsoleSink {
 public:
  ~StderrSink() override { lossy_stderr().write(line_); }

  void write(std::span<const std::byte> bytes) override {
    line_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t newline = line_.rfind('\n');
    const std::size_t whole = newline != std::string::npos     ? newline + 1
                              : line_.size() >= kLongLineBytes ? line_.size()
                                                               : 0;
    if (whole == 0) return;
    lossy_stderr().write(std::string_view(line_).substr(0, whole));
    line_.erase(0, whole);
  }

 private:
  static constexpr std::size_t kLongLineBytes = 1024;
  std::string line_;
};

std::size_t virtio_count(const MachineConfig& config) {
  return config.disks.size() + (config.vsock != nullptr ? 1 : 0) + (config.console ? 1 : 0);
}

}  // namespace

// Pins cost two exits for each of the kernel's looks at each of them: no more than there are
// devices, and pin 0 that Linux cannot use.
DeviceSet::DeviceSet(std::uint32_t processor_count, std::size_t virtio_devices, InterruptSink& sink,
                     ExitPortEvents& events)
    : io_apic_(static_cast<std::uint8_t>(processor_count), virtio_devices + 1, sink),
      rtc_([] { return realtime_ns(); }),
      exit_port_(events) {}

Result<std::unique_ptr<DeviceSet>> DeviceSet::create(MachineConfig& config,
                                                     const GuestMemory& memory, InterruptSink& sink,
                                                     ExitPortEvents& events) {
  std::unique_ptr<DeviceSet> set(
      new DeviceSet(config.processor_count, virtio_count(config), sink, events));
  RUNHV_TRY(set->add_buses());
  for (std::size_t i = 0; i < config.disks.size(); ++i) {
    MachineDisk& disk = config.disks[i];
    RUNHV_TRY_ASSIGN(auto blk, BlkDevice::create(std::move(disk.file), disk.read_only,
                                                 "disk" + std::to_string(i)));
    RUNHV_TRY(set->attach(std::move(blk), memory));
  }
  if (config.vsock != nullptr) {
    auto vsock = std::make_unique<VsockDevice>(*config.vsock);
    VsockDevice& device = *vsock;
    RUNHV_TRY(set->attach(std::move(vsock), memory));
    set->vsock_waker_ = std::make_unique<VsockDeviceWaker>(*set->transports_.back(), device);
  }
  if (config.console) {
    set->console_sink_ = std::make_unique<StderrSink>();
    RUNHV_TRY(set->attach(std::make_unique<ConsoleDevice>(*set->console_sink_), memory));
  }
  return set;
}

Result<void> DeviceSet::add_buses() {
  RUNHV_TRY(mmio_.add(kIoApicAddress.value, IoApic::kSizeBytes, io_apic_));
  RUNHV_TRY(ports_.add(Rtc::kFirstPort, Rtc::kPortCount, rtc_));
  return ports_.add(ExitPort::kFirstPort, ExitPort::kPortCount, exit_port_);
}

Result<void> DeviceSet::attach(std::unique_ptr<VirtioDevice> device, const GuestMemory& memory) {
  const std::size_t index = transports_.size();
  transports_.push_back(
      std::make_unique<MmioTransport>(std::move(device), memory, io_apic_.line(index + 1)));
  return mmio_.add(kVirtioMmioAddress.value + index * kVirtioMmioSize, kVirtioMmioSize,
                   *transports_.back());
}

std::string DeviceSet::command_line() const {
  std::string text;
  for (std::size_t i = 0; i < transports_.size(); ++i) {
    std::array<char, 64> parameter;
    const std::uint64_t address = kVirtioMmioAddress.value + i * kVirtioMmioSize;
    std::snprintf(parameter.data(), parameter.size(), " virtio_mmio.device=512@0x%" PRIx64 ":%zu",
                  address, i + 1);
    text += parameter.data();
  }
  return text;
}

void DeviceSet::stop() {
  for (const auto& transport : transports_) transport->stop();
}

}  // namespace runhv
