#include "machine/device_set.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "base/log.h"
#include "devices/balloon/balloon.h"
#include "devices/blk/blk.h"
#include "devices/console/console.h"
#include "devices/console/console_text.h"
#include "devices/fs/file_window.h"
#include "devices/fs/fs.h"
#include "devices/job_queue.h"
#include "devices/net/net.h"
#include "devices/rng/rng.h"
#include "devices/vsock/vsock.h"
#include "machine/memory_layout.h"
#include "platform/clock.h"
#include "platform/lossy_writer.h"
#include "platform/worker.h"

namespace runhv::machine {
namespace {

static_assert(devices::MmioTransport::kSizeBytes == kVirtioMmioSize);
static_assert(devices::IoApic::kDefaultAddress == kIoApicAddress.value);

// A job that has given its chain back has only to return.
constexpr std::uint64_t kJobsEndNs = 1'000'000'000;
// Requests for files that may wait for the host at once.
constexpr std::size_t kFileThreads = 8;

}  // namespace

// Jobs on threads of their own, which begin with the first: most disks never need one.
class DeviceSet::Jobs final : public devices::JobQueue {
 public:
  explicit Jobs(std::string thread_name, std::size_t most_threads = 1)
      : thread_name_(std::move(thread_name)), most_threads_(most_threads) {}

  bool post(std::function<void()> job) override {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    if (worker_ == nullptr) {
      auto worker = platform::Worker::create(thread_name_.c_str(), most_threads_);
      if (!worker) {
        debug_log("machine", "%s", to_string(worker.error()).c_str());
        return false;
      }
      worker_ = *std::move(worker);
    }
    return worker_->post(std::move(job));
  }

  void stop(std::uint64_t deadline_ns) {
    std::unique_ptr<platform::Worker> worker;
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      worker = std::move(worker_);
    }
    // Outside of the lock: its job may post another one.
    if (worker != nullptr) worker->stop(deadline_ns);
  }

 private:
  const std::string thread_name_;
  const std::size_t most_threads_;
  std::mutex mutex_;
  std::unique_ptr<platform::Worker> worker_;
  bool stopped_ = false;
};

// To stderr, as far as somebody reads it.
class DeviceSet::Console final : public devices::ConsoleSink {
 public:
  ~Console() override { platform::lossy_stderr().write(text_.finish()); }

  void write(std::span<const std::byte> bytes) override {
    const std::string lines =
        text_.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!lines.empty()) platform::lossy_stderr().write(lines);
  }

 private:
  devices::ConsoleText text_;
};

// Pins cost two exits for each of the kernel's looks at each of them: no more than there are
// devices, and pin 0 that Linux cannot use.
DeviceSet::DeviceSet(std::uint32_t processor_count, std::size_t pin_count,
                     const std::shared_ptr<const memory::GuestMemory>& memory,
                     devices::InterruptSink& sink, devices::ExitPortEvents& events)
    : memory_(memory),
      io_apic_(static_cast<std::uint8_t>(processor_count), pin_count + 1, sink),
      rtc_([] { return platform::realtime_ns(); }),
      exit_port_(events) {}

DeviceSet::~DeviceSet() { stop(0); }

Result<std::unique_ptr<DeviceSet>> DeviceSet::create(
    MachineConfig& config, const std::shared_ptr<const memory::GuestMemory>& memory,
    devices::InterruptSink& sink, devices::ExitPortEvents& events) {
  std::vector<std::unique_ptr<Jobs>> jobs;
  jobs.push_back(std::make_unique<Jobs>("devices"));
  std::vector<std::unique_ptr<devices::VirtioDevice>> devices;
  std::vector<const devices::BlkDevice*> disks;
  for (std::size_t i = 0; i < config.disks.size(); ++i) {
    const std::string name = "disk" + std::to_string(i);
    jobs.push_back(std::make_unique<Jobs>(name));
    MachineDisk& disk = config.disks[i];
    RUNHV_TRY_ASSIGN(auto blk, devices::BlkDevice::create(std::move(disk.disk), disk.read_only,
                                                          name, *jobs.back()));
    disks.push_back(blk.get());
    devices.push_back(std::move(blk));
  }
  devices::FsDevice* files = nullptr;
  const std::size_t share_count = config.shares.size();
  if (!config.shares.empty()) {
    jobs.push_back(std::make_unique<Jobs>("files", kFileThreads));
    RUNHV_TRY_ASSIGN(auto window, devices::FileWindow::create(memory));
    RUNHV_TRY_ASSIGN(auto shares, devices::FsDevice::create(std::move(config.shares), *jobs.back(),
                                                            std::move(window)));
    files = shares.get();
    devices.push_back(std::move(shares));
  }
  devices::VsockDevice* vsock = nullptr;
  if (config.vsock != nullptr) {
    vsock = new devices::VsockDevice(*config.vsock);
    devices.emplace_back(vsock);
  }
  if (config.page_reporting) devices.push_back(std::make_unique<devices::BalloonDevice>());
  std::unique_ptr<Console> console;
  if (config.console) {
    console = std::make_unique<Console>();
    devices.push_back(std::make_unique<devices::ConsoleDevice>(*console));
  }
  const std::size_t slots = std::max(config.network_slots, config.networks.size());
  const std::size_t pin_count = devices.size() + (config.entropy ? 1 : 0) + (slots != 0 ? 1 : 0);
  std::unique_ptr<DeviceSet> set(
      new DeviceSet(config.processor_count, pin_count, memory, sink, events));
  if (config.entropy) devices.push_back(std::make_unique<devices::RngDevice>(set->random_));
  set->console_ = std::move(console);
  set->jobs_ = std::move(jobs);
  set->vsock_waker_ = vsock;
  set->disks_ = std::move(disks);
  set->files_ = files;
  set->share_count_ = share_count;
  RUNHV_TRY(set->add_buses());
  for (std::unique_ptr<devices::VirtioDevice>& device : devices) {
    RUNHV_TRY(set->attach(std::move(device)));
  }
  RUNHV_TRY(set->add_network_slots(config));
  return set;
}

Result<void> DeviceSet::add_buses() {
  RUNHV_TRY(mmio_.add(kIoApicAddress.value, devices::IoApic::kSizeBytes, io_apic_));
  RUNHV_TRY(ports_.add(devices::Rtc::kFirstPort, devices::Rtc::kPortCount, rtc_));
  return ports_.add(devices::ExitPort::kFirstPort, devices::ExitPort::kPortCount, exit_port_);
}

Result<void> DeviceSet::attach(std::unique_ptr<devices::VirtioDevice> device) {
  const std::size_t index = transports_.size();
  transports_.push_back(std::make_unique<devices::MmioTransport>(
      std::move(device), memory_, io_apic_.line(index + 1), *jobs_.front()));
  return mmio_.add(kVirtioMmioAddress.value + index * kVirtioMmioSize, kVirtioMmioSize,
                   *transports_.back());
}

Result<void> DeviceSet::add_network_slots(const MachineConfig& config) {
  const std::size_t count = std::max(config.network_slots, config.networks.size());
  for (std::size_t slot = 0; slot < count; ++slot) {
    network_slots_.push_back(std::make_unique<devices::MmioSlot>());
    RUNHV_TRY(mmio_.add(kVirtioMmioAddress.value + network_slot_number(slot) * kVirtioMmioSize,
                        kVirtioMmioSize, *network_slots_.back()));
    if (slot < config.networks.size()) plug_network(slot, config.networks[slot]);
  }
  return {};
}

std::vector<devices::DiskCounts> DeviceSet::disk_counts() const {
  std::vector<devices::DiskCounts> counts;
  for (const devices::BlkDevice* disk : disks_) counts.push_back(disk->counts());
  return counts;
}

Result<std::size_t> DeviceSet::add_share(devices::Share share) {
  const auto refuse = [](const std::string& why) {
    return Fail{Error{Code::kUnsupported, "share one more file", why}};
  };
  if (files_ == nullptr) return refuse("the machine began without shared files");
  if (share_count_ == MachineLimits::kMaxShares) {
    return refuse("the machine has " + std::to_string(share_count_) + ", the most it may have");
  }
  auto index = files_->add_share(std::move(share));
  if (index) ++share_count_;
  return index;
}

void DeviceSet::remove_share(std::size_t index) {
  files_->remove_share(index);
  --share_count_;
}

void DeviceSet::plug_network(std::size_t slot, const MachineNetwork& network) {
  network_slots_[slot]->put(std::make_unique<devices::MmioTransport>(
      std::make_unique<devices::NetDevice>(*network.backend, network.mac, network.mtu), memory_,
      io_apic_.line(interrupt_count()), *jobs_.front()));
}

void DeviceSet::unplug_network(std::size_t slot) {
  if (const auto transport = network_slots_[slot]->take()) transport->stop(0);
}

std::vector<devices::MmioTransport*> DeviceSet::transports() {
  std::vector<devices::MmioTransport*> all;
  for (const auto& transport : transports_) all.push_back(transport.get());
  for (const auto& slot : network_slots_) {
    if (slot->transport() != nullptr) all.push_back(slot->transport());
  }
  return all;
}

std::string DeviceSet::command_line() const {
  std::string text;
  for (std::size_t i = 0; i < transports_.size() + network_slots_.size(); ++i) {
    std::array<char, 64> parameter;
    const std::uint64_t address = kVirtioMmioAddress.value + i * kVirtioMmioSize;
    std::snprintf(parameter.data(), parameter.size(), " virtio_mmio.device=512@0x%" PRIx64 ":%zu",
                  address, std::min<std::size_t>(i + 1, interrupt_count()));
    text += parameter.data();
  }
  return text;
}

bool DeviceSet::pause(std::uint64_t deadline_ns) {
  for (devices::MmioTransport* const transport : transports()) {
    if (transport->pause(deadline_ns)) continue;
    resume();
    return false;
  }
  return true;
}

void DeviceSet::resume() {
  for (devices::MmioTransport* const transport : transports()) transport->resume();
}

bool DeviceSet::stop(std::uint64_t deadline_ns) {
  bool idle = true;
  for (devices::MmioTransport* const transport : transports())
    idle = transport->stop(deadline_ns) && idle;
  const std::uint64_t jobs_deadline_ns = idle ? platform::monotonic_ns() + kJobsEndNs : deadline_ns;
  for (const auto& jobs : jobs_) jobs->stop(jobs_deadline_ns);
  return idle;
}

}  // namespace runhv::machine
