#include "machine/machine.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "hv/partition.h"
#include "hv/whp_library.h"
#include "machine/acpi.h"
#include "machine/boot_params.h"
#include "machine/device_set.h"
#include "machine/entry_state.h"
#include "machine/kernel_loader.h"
#include "machine/memory_layout.h"
#include "machine/mptable.h"
#include "machine/processor_loop.h"
#include "machine/run_state.h"
#include "memory/guest_memory.h"
#include "platform/clock.h"
#include "platform/thread.h"

namespace runhv::machine {
namespace {

// A processor leaves its run in microseconds, and waits for no device but the disk of a file that
// the guest has mapped.
constexpr std::uint64_t kPausePatienceNs = 10'000'000'000;

std::string mib(std::uint64_t bytes) {
  const bool whole = bytes % (1u << 20) == 0;
  return whole ? std::to_string(bytes >> 20) + " MiB" : std::to_string(bytes) + " bytes";
}

Result<void> check(const MachineConfig& config) {
  const auto invalid = [](std::string operation, std::string detail) {
    return Fail{Error{Code::kInvalidArgument, std::move(operation), std::move(detail)}};
  };
  const std::uint64_t memory = config.memory_bytes;
  if (memory < MachineLimits::kMinMemoryBytes || memory > MachineLimits::kMaxMemoryBytes) {
    return invalid("give the machine a memory of " + mib(memory),
                   mib(MachineLimits::kMinMemoryBytes) + " to " +
                       mib(MachineLimits::kMaxMemoryBytes) + " are possible");
  }
  if (memory % kPageSize != 0) {
    return invalid("give the machine a memory of " + mib(memory), "no multiple of 4096 bytes");
  }
  const std::uint32_t processors = config.processor_count;
  if (processors < 1 || processors > MachineLimits::kMaxProcessors) {
    return invalid("give the machine " + std::to_string(processors) + " cpus",
                   "1 to " + std::to_string(MachineLimits::kMaxProcessors) + " are possible");
  }
  if (config.disks.size() > MachineLimits::kMaxDisks) {
    return invalid("give the machine " + std::to_string(config.disks.size()) + " disks",
                   "at most " + std::to_string(MachineLimits::kMaxDisks) + " are possible");
  }
  RUNHV_CHECK(config.network_slots <= MachineLimits::kMaxNetworks);
  if (config.networks.size() > MachineLimits::kMaxNetworks) {
    return invalid(
        "give the machine " + std::to_string(config.networks.size()) + " network interfaces",
        "at most " + std::to_string(MachineLimits::kMaxNetworks) + " are possible");
  }
  if (config.shares.size() > MachineLimits::kMaxShares) {
    return invalid("share " + std::to_string(config.shares.size()) + " files and folders",
                   "at most " + std::to_string(MachineLimits::kMaxShares) + " are possible");
  }
  if (config.kernel_path.empty()) return invalid("start the machine", "no kernel was given");
  return {};
}

// Linux parameters. The devices come before anything of the user's: after a "--" they would be the
// arguments of pid 1.
std::string command_line(const MachineConfig& config, const DeviceSet& devices) {
  // A panic ends the machine at once, by triple fault: there is no firmware to ask. On one
  // processor the kernel would else rewrite 7100 LOCK prefixes. Whoever waits for a grace period of
  // RCU, as the making of a cgroup does, would else wait for three ticks of an idle guest.
  std::string text = "reboot=t panic=-1 noreplace-smp rcupdate.rcu_expedited=1";
  text += config.console ? " console=hvc0" : " quiet";
  text += devices.command_line();
  if (!config.extra_command_line.empty()) text += " " + config.extra_command_line;
  return text;
}

Result<std::shared_ptr<memory::GuestMemory>> make_memory(const RamLayout& layout,
                                                         const FileWindowLayout* files,
                                                         memory::MemoryWriteObserver* observer) {
  std::vector<memory::GuestRange> ranges;
  RUNHV_TRY_ASSIGN(auto low, platform::MemoryRegion::reserve(layout.low_bytes));
  ranges.push_back({Gpa{0}, std::move(low)});
  if (layout.high_bytes != 0) {
    RUNHV_TRY_ASSIGN(auto high, platform::MemoryRegion::reserve(layout.high_bytes));
    ranges.push_back({kDeviceSpaceEnd, std::move(high)});
  }
  if (files != nullptr) {
    RUNHV_TRY_ASSIGN(auto window, platform::MemoryRegion::reserve(files->bytes));
    ranges.push_back({files->first, std::move(window), true});
  }
  return memory::GuestMemory::create(std::move(ranges), observer);
}

class WhpMachine final : public Machine,
                         private memory::MemoryWriteObserver,
                         private devices::InterruptSink,
                         private devices::ExitPortEvents {
 public:
  static Result<std::unique_ptr<Machine>> create(MachineConfig config);
  ~WhpMachine() override;

  Result<void> start() override;
  void stop() override { end_with(MachineEnd::kStopped); }
  Result<void> pause() override;
  Result<void> resume() override;
  MachineEnd end() const override { return state_.reason().value_or(MachineEnd::kStopped); }
  Error error() const override;
  devices::VsockWaker* vsock_waker() override { return devices_->vsock_waker(); }
  std::string engine_name() const override { return library_->engine(); }
  std::string engine_reason() const override { return library_->reason(); }
  std::string kernel_name() const override { return kernel_release(kernel_); }
  std::uint64_t partition_made_ns() const override { return partition_made_ns_; }
  std::uint64_t guest_memory_resident_bytes() const override { return memory_->resident_bytes(); }
  std::vector<devices::DiskCounts> disk_counts() const override { return devices_->disk_counts(); }
  std::uint32_t network_slot_number(std::size_t slot) const override {
    return devices_->network_slot_number(slot);
  }
  void plug_network(std::size_t slot, const MachineNetwork& network) override {
    devices_->plug_network(slot, network);
  }
  void unplug_network(std::size_t slot) override { devices_->unplug_network(slot); }
  Result<std::size_t> add_share(devices::Share share) override {
    return devices_->add_share(std::move(share));
  }
  void remove_share(std::size_t index) override { devices_->remove_share(index); }
  std::optional<MachineMemory> guest_memory(std::size_t index) const override;

 private:
  enum class Phase { kMade, kRunning, kPaused, kNeverRuns };

  WhpMachine(platform::File kernel, const MachineConfig& config)
      : kernel_(std::move(kernel)), observer_(*config.observer), counts_(config.counts) {}

  Result<void> make(MachineConfig config);
  bool shows_files(const MachineConfig& config) const;
  Result<void> load(const MachineConfig& config, const RamLayout& layout);
  void run_processor(std::uint32_t index);
  void end_with(MachineEnd reason);
  void cancel_processors();
  void join();

  void written(Gpa first, std::uint64_t size_bytes) override;
  void request(const devices::ApicMessage& message) override;
  void on_power_off() override { end_with(MachineEnd::kPoweredOff); }
  void on_stage(std::uint8_t stage) override { observer_.on_stage(stage); }

  const platform::File kernel_;
  MachineObserver& observer_;
  const std::span<ProcessorCounts> counts_;
  RunState state_;
  std::uint64_t partition_made_ns_ = 0;

  // Given back in the reverse order: devices, partition, memory.
  std::unique_ptr<hv::WhpLibrary> library_;
  std::shared_ptr<memory::GuestMemory> memory_;
  std::unique_ptr<hv::Partition> partition_;
  std::unique_ptr<DeviceSet> devices_;

  // Of the owner's thread.
  Phase phase_ = Phase::kMade;
  std::vector<platform::Thread> threads_;
};

Result<std::unique_ptr<Machine>> WhpMachine::create(MachineConfig config) {
  RUNHV_CHECK(config.observer != nullptr);
  RUNHV_TRY(check(config));
  RUNHV_CHECK(config.counts.size() >= config.processor_count);
  RUNHV_TRY_ASSIGN(platform::File kernel,
                   platform::File::open(config.kernel_path, platform::File::Access::kRead));
  std::unique_ptr<WhpMachine> machine(new WhpMachine(std::move(kernel), config));
  RUNHV_TRY(machine->make(std::move(config)));
  return std::unique_ptr<Machine>(std::move(machine));
}

Result<void> WhpMachine::make(MachineConfig config) {
  RUNHV_TRY_ASSIGN(library_, hv::WhpLibrary::open(config.engine));
  RUNHV_TRY_ASSIGN(partition_, hv::Partition::create(*library_, config.processor_count));

  partition_made_ns_ = platform::monotonic_ns();
  const RamLayout layout = ram_layout(config.memory_bytes);
  const FileWindowLayout files = file_window_layout(config.memory_bytes);
  RUNHV_TRY_ASSIGN(memory_, make_memory(layout, shows_files(config) ? &files : nullptr, this));
  RUNHV_TRY_ASSIGN(devices_, DeviceSet::create(config, memory_, *this, *this));
  // Before anything is written there: whoever maps memory may ask for its large pages.
  for (const memory::GuestRange& range : memory_->ranges()) {
    RUNHV_TRY(partition_->map(range.first, range.region.bytes()));
  }
  return load(config, layout);
}

// A processor of the host's that touches a page which a file has lost ends its run, and Linux
// before 6.8 does not tell KVM's caller which page it was. Such guests copy at the host's speed
// instead.
bool WhpMachine::shows_files(const MachineConfig& config) const {
  return !config.shares.empty() && library_->engine() == "soft";
}

Result<void> WhpMachine::load(const MachineConfig& config, const RamLayout& layout) {
  const std::span<std::byte> ram = memory_->ranges().front().region.bytes();
  RUNHV_TRY_ASSIGN(const LoadedKernel kernel, load_kernel(kernel_, ram));
  std::optional<LoadedInitrd> initrd;
  if (!config.initrd_paths.empty()) {
    std::vector<platform::File> archives;
    for (const std::string& path : config.initrd_paths) {
      RUNHV_TRY_ASSIGN(platform::File archive,
                       platform::File::open(path, platform::File::Access::kRead));
      archives.push_back(std::move(archive));
    }
    RUNHV_TRY_ASSIGN(initrd, load_initrd(archives, kernel, ram));
  }
  RUNHV_TRY(write_boot_params(layout, command_line(config, *devices_), kernel, initrd, ram));
  write_mp_table(config.processor_count, devices_->interrupt_count(), ram);
  write_acpi_tables(config.processor_count, devices_->interrupt_count(), ram);
  write_entry_tables(ram);
  return partition_->processor(0).write(entry_state(kernel.entry));
}

WhpMachine::~WhpMachine() {
  if (!threads_.empty()) stop();
  join();
  if (devices_) devices_->stop(platform::monotonic_ns() + kDiskPatienceNs);
}

void WhpMachine::join() {
  for (platform::Thread& thread : threads_) thread.join();
  threads_.clear();
}

Result<void> WhpMachine::start() {
  if (phase_ != Phase::kMade || state_.ending()) {
    return Fail{Error{Code::kConflict, "start the machine",
                      phase_ == Phase::kMade ? "it was stopped" : "it was started before"}};
  }
  const std::uint32_t count = partition_->processor_count();
  state_.enter(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    auto thread = platform::Thread::start(("vcpu" + std::to_string(i)).c_str(),
                                          [this, i] { run_processor(i); });
    if (!thread) {
      // Those that are there wait at the gate: nothing has run.
      phase_ = Phase::kNeverRuns;
      state_.end(MachineEnd::kStopped, std::nullopt);
      join();
      return Fail{std::move(thread).error()};
    }
    threads_.push_back(*std::move(thread));
  }
  phase_ = Phase::kRunning;
  state_.resume();
  return {};
}

void WhpMachine::run_processor(std::uint32_t index) {
  ProcessorLoop loop({.processor = partition_->processor(index),
                      .memory = *memory_,
                      .ports = devices_->ports(),
                      .mmio = devices_->mmio(),
                      .io_apic = devices_->io_apic(),
                      .state = state_,
                      .counts = counts_[index]});
  loop.run();
  cancel_processors();
  // A machine that was not started as a whole leaves its count above zero.
  if (state_.leave()) observer_.on_ended();
}

Result<void> WhpMachine::pause() {
  const auto refuse = [](Code code, const char* why) {
    return Fail{Error{code, "pause the machine", why}};
  };
  if (phase_ == Phase::kPaused) return refuse(Code::kConflict, "it is paused");
  if (phase_ != Phase::kRunning) return refuse(Code::kConflict, "it does not run");
  state_.hold();
  cancel_processors();
  if (!state_.wait_until_held(platform::monotonic_ns() + kPausePatienceNs)) {
    state_.resume();
    return refuse(Code::kTimedOut, "a processor did not leave the guest");
  }
  if (state_.ending()) return refuse(Code::kConflict, "it has ended");
  if (!devices_->pause(platform::monotonic_ns() + kDiskPatienceNs)) {
    state_.resume();
    return refuse(Code::kTimedOut, "a disk of the host does not answer");
  }
  phase_ = Phase::kPaused;
  return {};
}

Result<void> WhpMachine::resume() {
  if (phase_ != Phase::kPaused) {
    return Fail{Error{Code::kConflict, "resume the machine", "it is not paused"}};
  }
  phase_ = Phase::kRunning;
  devices_->resume();
  state_.resume();
  return {};
}

// The first end wins; whoever runs a processor leaves its loop.
void WhpMachine::end_with(MachineEnd reason) {
  if (state_.end(reason, std::nullopt)) cancel_processors();
}

void WhpMachine::cancel_processors() {
  for (std::uint32_t i = 0; i < partition_->processor_count(); ++i) {
    partition_->processor(i).cancel();
  }
}

Error WhpMachine::error() const {
  return state_.error().value_or(Error{Code::kGuestFailed, "run the guest", "it ended"});
}

std::optional<MachineMemory> WhpMachine::guest_memory(std::size_t index) const {
  const std::span<const memory::GuestRange> ranges = memory_->ranges();
  if (index >= ranges.size() || ranges[index].shows_files) return std::nullopt;
  return MachineMemory{ranges[index].first, ranges[index].region.bytes()};
}

void WhpMachine::written(Gpa first, std::uint64_t size_bytes) {
  if (partition_) partition_->memory_written(first, size_bytes);
}

void WhpMachine::request(const devices::ApicMessage& message) {
  hv::Interrupt interrupt{.type = hv::Interrupt::Type::kFixed,
                          .logical_destination = message.logical_destination,
                          .level_triggered = message.level_triggered,
                          .destination = message.destination,
                          .vector = message.vector};
  switch (message.delivery) {
    case devices::ApicMessage::Delivery::kFixed:
      break;
    case devices::ApicMessage::Delivery::kLowestPriority:
      interrupt.type = hv::Interrupt::Type::kLowestPriority;
      break;
    case devices::ApicMessage::Delivery::kNmi:
      interrupt.type = hv::Interrupt::Type::kNmi;
      break;
    case devices::ApicMessage::Delivery::kInit:
      interrupt.type = hv::Interrupt::Type::kInit;
      break;
    case devices::ApicMessage::Delivery::kSmi:
    case devices::ApicMessage::Delivery::kExtInt:
      return;  // WHP cannot deliver them, and Linux programs none
  }
  // What the guest has programmed wrong, it misses.
  if (const auto requested = partition_->request_interrupt(interrupt); !requested) {
    debug_log("machine", "%s", to_string(requested.error()).c_str());
  }
  state_.halt_gate().open();
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::create(MachineConfig config) {
  return WhpMachine::create(std::move(config));
}

}  // namespace runhv::machine
