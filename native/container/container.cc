#include "container/container.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/text.h"
#include "container/agent_request.h"
#include "container/container_impl.h"
#include "container/json_writer.h"
#include "container/linux_abi.h"
#include "container/machine_config.h"
#include "platform/clock.h"
#include "platform/file_node.h"
#include "platform/process.h"
#include "platform/random.h"

namespace runhv::container {

std::string state_for_hooks(const std::string& id, const std::string& folder,
                            const Bundle& bundle) {
  JsonWriter json;
  json.object([&] {
    json.member("ociVersion", bundle.oci_version);
    json.member("id", id);
    json.member("status", "created");
    if ((bundle.container.namespaces & linux_abi::kCloneNewpid) != 0) json.member("pid", 1);
    json.member("bundle", folder);
    json.object("annotations", [&] {
      for (const auto& [name, value] : bundle.annotations) json.member(name, value);
    });
  });
  return json.text();
}

Result<void> check_container_id(const std::string& id) {
  if (is_name(id, kMaxIdBytes)) return {};
  return Fail{Error{Code::kInvalidArgument, "name the container",
                    "a name has 1 to " + std::to_string(kMaxIdBytes) +
                        " of the characters A-Z a-z 0-9 _ . -, first a letter, digit or _"}};
}

Result<std::vector<HostDescriptor>> take_descriptors(std::vector<platform::UniqueHandle> handles) {
  std::vector<HostDescriptor> descriptors;
  for (platform::UniqueHandle& handle : handles) {
    RUNHV_TRY_ASSIGN(const bool for_reading, platform::is_for_reading(handle.get()));
    RUNHV_TRY_ASSIGN(auto end, platform::Stream::adopt_owned(std::move(handle), for_reading));
    descriptors.push_back({std::move(end), for_reading});
  }
  return descriptors;
}

const char* status_name(ContainerStatus status) {
  switch (status) {
    case ContainerStatus::kCreating:
      return "creating";
    case ContainerStatus::kCreated:
      return "created";
    case ContainerStatus::kRunning:
      return "running";
    case ContainerStatus::kPaused:
      return "paused";
    case ContainerStatus::kStopped:
      break;
  }
  return "stopped";
}

Container::Impl::Impl(platform::EventLoop& loop, ContainerEvents& events, std::string id,
                      std::uint64_t tick_ns)
    : loop_(loop),
      events_(events),
      id_(std::move(id)),
      tick_ns_(tick_ns),
      look_(loop, [this] { step(); }),
      channel_([this] { look_.request(); }),
      tick_(loop, [this] { on_tick(); }),
      last_words_(loop, [this] { on_last_words(); }),
      grace_(loop, [this] { kill(linux_abi::kSigkill); }) {}

Container::Impl::~Impl() {
  // Its devices speak to the channel and the streams until they are gone.
  machine_.reset();
  processes_.clear();
}

void keep_users_apart(ContainerSpec& container) {
  if (!platform::acts_for_all_users()) container.drop_user_namespace();
}

Result<void> Container::Impl::make(ContainerConfig config, const MakeMachine& make_machine) {
  RUNHV_TRY(check_container_id(id_));
  const std::uint64_t now = platform::monotonic_ns();
  RUNHV_TRY_ASSIGN(bundle_, read_bundle(config.bundle));
  keep_users_apart(bundle_.container);
  if (!bundle_.container.user_namespace.empty() &&
      (bundle_.container.namespaces & linux_abi::kCloneNewuser) != 0) {
    if (!config.users) {
      return Fail{Error{Code::kUnsupported, operation("make"),
                        "config.json names a user namespace by its path; runhv create and run read "
                        "whose it is"}};
    }
    bundle_.container.set_user_namespace(*std::move(config.users));
  }
  if (bundle_.container.has_host_hooks && !config.runs_hooks) {
    return Fail{Error{Code::kUnsupported, operation("make"),
                      "config.json has hooks; runhv create, start and delete run them"}};
  }
  if (!bundle_.container.start_hooks.empty()) {
    bundle_.container.hook_state = state_for_hooks(id_, config.bundle, bundle_);
  }
  bundle_.process.terminal = bundle_.process.terminal || config.terminal;
  if (config.columns != 0) bundle_.process.columns = config.columns;
  if (config.rows != 0) bundle_.process.rows = config.rows;
  timeline_.mark(Stage::kSpawn, config.spawned_at_ns != 0 ? config.spawned_at_ns : now);
  timeline_.mark(Stage::kPartition, now);
  timeline_.describe(bundle_.vm.processor_count, bundle_.vm.memory_bytes);

  if (!bundle_.connect_stdin) config.streams[0].reset();
  const auto on_first_byte = [this] {
    timeline_.mark(Stage::kFirstOutput, platform::monotonic_ns());
  };
  RUNHV_TRY_ASSIGN(auto process,
                   Process::create(next_number_, bundle_.process, std::move(config.streams), loop_,
                                   channel_, hooks(on_first_byte), bundle_.vm.memory_bytes));
  for (HostDescriptor& each : config.descriptors) {
    RUNHV_TRY(process->add_descriptor(std::move(each), loop_, hooks(nullptr)));
  }
  processes_.emplace(next_number_++, std::move(process));

  RUNHV_TRY_ASSIGN(machine_config_, machine_config(config, bundle_.vm, bundle_.container.shares));
  make_machine_ = make_machine;
  before_guest_ = std::move(config.before_guest);
  awaits_network_ =
      config.own_network_namespace && (bundle_.container.namespaces & linux_abi::kCloneNewnet) != 0;
  if (!awaits_network_) RUNHV_TRY(this->make_machine());
  created_at_ns_ = platform::realtime_ns();
  for (const Error& warning : bundle_.process.warnings) warn(kFirstProcess, warning);
  look_.request();
  return {};
}

Result<void> Container::Impl::make_machine() {
  ContainerSpec& container = bundle_.container;
  if (awaits_network_) {
    RUNHV_TRY_ASSIGN(network_, platform::TakenNetwork::take_own());
  } else if (!container.network_namespace.empty()) {
    RUNHV_TRY_ASSIGN(network_, platform::TakenNetwork::take(container.network_namespace));
  }
  std::optional<runhv_resolver> resolver;
  if (network_) {
    RUNHV_TRY(connect_network());
    RUNHV_TRY_ASSIGN(resolver, connect_resolver());
    // The guest's first namespace has the interfaces, and gives them away where others own what the
    // container sees.
    if (container.uid_map.empty()) container.namespaces &= ~linux_abi::kCloneNewnet;
  }
  RUNHV_TRY_ASSIGN(container_request_,
                   encode_container(container, network_messages({}, interfaces_), resolver));
  machine_config_.vsock = &channel_;
  machine_config_.observer = this;
  machine_config_.counts = timeline_.counts();
  RUNHV_TRY_ASSIGN(machine_, make_machine_(std::move(machine_config_)));
  timeline_.mark(Stage::kMemory, machine_->partition_made_ns());
  return {};
}

StreamPort::Hooks Container::Impl::hooks(std::function<void()> on_first_byte) {
  return {.on_change = [this] { look_.request(); },
          .on_first_byte = std::move(on_first_byte),
          .wake = [this](devices::VsockConnectionId connection) { wake(connection); }};
}

void Container::Impl::on_stage(std::uint8_t stage) {
  if (stage == RUNHV_STAGE_PORT_AGENT) timeline_.mark(Stage::kAgent, platform::monotonic_ns());
  if (stage == RUNHV_STAGE_PORT_FIRST_INSTRUCTION) {
    timeline_.mark_first_instruction(platform::monotonic_ns());
  }
}

void Container::Impl::on_ended() {
  timeline_.finish(platform::monotonic_ns());
  machine_ended_.store(true, std::memory_order_release);
  look_.request();
}

// --- requests ------------------------------------------------------------------------------------

Result<void> Container::Impl::boot() {
  if (phase_ != Phase::kMade || is_created_) {
    return Fail{Error{Code::kConflict, operation("boot"), "it was booted before"}};
  }
  if (awaits_network_) {
    on_created();
    look_.request();
    return {};
  }
  return run_machine();
}

Result<void> Container::Impl::start() {
  if (start_wanted_ || phase_ >= Phase::kStopping) {
    return Fail{Error{Code::kConflict, operation("start"),
                      start_wanted_ ? "it was started before" : "it has ended"}};
  }
  start_wanted_ = true;
  if (phase_ == Phase::kMade) return run_machine();
  if (phase_ == Phase::kCreated) {
    look_at_network();
    first().execute();
    phase_ = Phase::kStarting;
    look_.request();
  }
  return {};
}

Result<void> Container::Impl::run_machine() {
  if (awaits_network_) {
    if (auto made = make_machine(); !made) {
      fail(made.error());
      return made;
    }
  }
  if (before_guest_) {
    if (auto ready = before_guest_(); !ready) {
      fail(ready.error());
      return ready;
    }
  }
  phase_ = Phase::kBooting;
  if (network_) watch_network();
  // Answered where HELLO is heard, on a processor's thread: by way of the loop it would cost the
  // guest a halt and an interrupt.
  channel_.open_with([request = std::move(container_request_)]() mutable {
    std::array<std::byte, kEntropyBytes> entropy;
    platform::fill_random(entropy);
    append_identity(request, platform::realtime_ns(), entropy);
    return encode_frame(RUNHV_MSG_CONTAINER, request);
  });
  first().offer(start_wanted_);
  timeline_.mark(Stage::kKernel, platform::monotonic_ns());
  auto running = machine_->start();
  if (!running) {
    on_ended();
    fail(running.error());
  }
  look_.request();
  return running;
}

Result<Process*> Container::Impl::find(ProcessNumber number, const char* verb) {
  if (phase_ == Phase::kStopped) {
    return Fail{Error{Code::kClosed, operation(verb), "it has ended"}};
  }
  const auto found = processes_.find(number);
  if (found == processes_.end() || (number != kFirstProcess && found->second->ended())) {
    return Fail{Error{Code::kNotFound, verb + (" process " + std::to_string(number)),
                      "container " + id_ + " has no such process, or it has ended"}};
  }
  return found->second.get();
}

Result<void> Container::Impl::signal(ProcessNumber number, int signal) {
  if (signal < 1 || signal > linux_abi::kMaxSignal) {
    return Fail{Error{Code::kInvalidArgument, operation("signal"),
                      std::to_string(signal) + " is no signal; they are 1 to 64"}};
  }
  RUNHV_TRY_ASSIGN(Process* const process, find(number, "signal"));
  if (number == kFirstProcess) {
    const bool asks_to_end = signal == linux_abi::kSigint || signal == linux_abi::kSigterm;
    // A kernel that never comes to the agent would else be deaf to Ctrl-C, and an agent that never
    // starts the program to the second one.
    const bool deaf = phase_ <= Phase::kBooting || (asked_to_end_ && phase_ < Phase::kRunning);
    if (signal == linux_abi::kSigkill || (asks_to_end && deaf)) {
      kill(signal);
      return {};
    }
    if (asks_to_end && phase_ >= Phase::kDraining) output_given_up_ = true;
    asked_to_end_ = asked_to_end_ || asks_to_end;
  }
  process->signal(signal);
  look_.request();
  return {};
}

Result<void> Container::Impl::stop(int signal, std::uint32_t grace_ms) {
  RUNHV_TRY(this->signal(kFirstProcess, signal == 0 ? bundle_.stop_signal : signal));
  grace_.set(platform::monotonic_ns() + std::uint64_t{grace_ms} * 1'000'000);
  return {};
}

Result<void> Container::Impl::pause() {
  if (phase_ != Phase::kRunning || paused_) {
    return Fail{
        Error{Code::kConflict, operation("pause"), paused_ ? "it is paused" : "it does not run"}};
  }
  RUNHV_TRY(machine_->pause());
  paused_ = true;
  // What the guest has not answered it answers when it goes on: nobody waits so long.
  for (Update& update : updates_) answer_later(update);
  last_words_.cancel();
  tell([](ContainerEvents& events) { events.on_paused(); });
  look_.request();
  return {};
}

Result<void> Container::Impl::resume() {
  if (!paused_) {
    return Fail{Error{Code::kConflict, operation("resume"), "it is not paused"}};
  }
  RUNHV_TRY(machine_->resume());
  paused_ = false;
  look_at_network();
  if (deaf_) last_words_.set(platform::monotonic_ns() + kLastWordsNs);
  tell([](ContainerEvents& events) { events.on_resumed(); });
  look_.request();
  return {};
}

Result<ProcessNumber> Container::Impl::start_process(ProcessConfig config) {
  const std::string operation = "start a process in container " + id_;
  RUNHV_TRY(check_can_begin(operation));
  const auto member = members_.find(config.container);
  if (config.container != kFirstProcess && member == members_.end()) {
    return Fail{Error{
        Code::kNotFound, operation,
        "its VM has no container " + std::to_string(config.container) + ", or that has ended"}};
  }
  RUNHV_TRY_ASSIGN(ProcessSpec spec, parse_process(config.json, "read the process"));
  spec.personality =
      member == members_.end() ? bundle_.process.personality : member->second.personality;
  spec.archive = config.archive;
  spec.terminal = spec.terminal || config.terminal;
  if (config.columns != 0) spec.columns = config.columns;
  if (config.rows != 0) spec.rows = config.rows;
  return begin_process(spec, std::move(config.streams), std::move(config.descriptors),
                       {.container = config.container});
}

Result<void> Container::Impl::check_can_begin(const std::string& operation) const {
  const auto refuse = [&](const std::string& why) {
    return Fail{Error{Code::kConflict, operation, why}};
  };
  if (phase_ != Phase::kCreated && phase_ != Phase::kRunning) return refuse("it does not run");
  if (paused_) return refuse("it is paused");
  if (processes_.size() >= kMaxProcesses) {
    return refuse("it has " + std::to_string(kMaxProcesses) + " processes, the most it may have");
  }
  return {};
}

Result<ProcessNumber> Container::Impl::begin_process(const ProcessSpec& spec, HostStreams streams,
                                                     std::vector<HostDescriptor> descriptors,
                                                     const ProcessPlace& place) {
  RUNHV_TRY_ASSIGN(auto process,
                   Process::create(next_number_, spec, std::move(streams), loop_, channel_,
                                   hooks(nullptr), bundle_.vm.memory_bytes, place));
  for (HostDescriptor& each : descriptors) {
    RUNHV_TRY(process->add_descriptor(std::move(each), loop_, hooks(nullptr)));
  }
  const ProcessNumber number = next_number_++;
  process->prepare(true);
  processes_.emplace(number, std::move(process));
  for (const Error& warning : spec.warnings) warn(number, warning);
  look_.request();
  return number;
}

Result<void> Container::Impl::resize(ProcessNumber number, std::uint16_t columns,
                                     std::uint16_t rows) {
  RUNHV_TRY_ASSIGN(Process* const process, find(number, "resize the terminal of"));
  RUNHV_TRY(process->resize(columns, rows));
  look_.request();
  return {};
}

Result<void> Container::Impl::update(ProcessNumber which, std::string_view json, UpdateDone done) {
  const auto refuse = [&](const char* why, Code code = Code::kConflict) {
    return Fail{Error{code, operation("update"), why}};
  };
  RUNHV_TRY_ASSIGN(const auto settings, parse_cgroup_settings(json, "read the resources"));
  if (phase_ < Phase::kPreparing || phase_ > Phase::kRunning) return refuse("it does not run");
  const auto member = members_.find(which);
  if (which != kFirstProcess && member == members_.end()) {
    return refuse("the container has ended", Code::kNotFound);
  }
  const bool is_awaited = std::ranges::any_of(
      updates_, [which](const Update& each) { return each.container == which && !each.answered; });
  if (is_awaited || updates_.size() >= kMaxUpdates) return refuse("it is being updated");
  const bool has_cgroup =
      member == members_.end() ? bundle_.container.cgroup.has_value() : member->second.has_cgroup;
  if (!has_cgroup) {
    return refuse("it was made without linux.resources and linux.cgroupsPath", Code::kUnsupported);
  }
  RUNHV_TRY_ASSIGN(std::vector<std::byte> frame, encode_resources(which, settings));
  channel_.send(std::move(frame));
  updates_.push_back({which, std::move(done), false});
  if (paused_) answer_later(updates_.back());
  look_.request();
  return {};
}

// It is done as far as can be told while the guest does not run; what it refuses then is a warning.
void Container::Impl::answer_later(Update& update) {
  if (std::exchange(update.answered, true)) return;
  auto later = [this, which = update.container](const Result<void>& set) {
    if (!set) warn(which, set.error());
  };
  tell([done = std::exchange(update.done, std::move(later))](ContainerEvents&) { done({}); });
}

Result<void> Container::Impl::attach(ProcessNumber number, int stream,
                                     std::optional<platform::Stream> end) {
  RUNHV_TRY_ASSIGN(Process* const process, find(number, "attach to"));
  return process->attach(stream, std::move(end));
}

// --- questions -----------------------------------------------------------------------------------

ContainerState Container::Impl::state() const {
  ContainerState state{.status = ContainerStatus::kCreating,
                       .created_at_ns = created_at_ns_,
                       .started_at_ns = started_at_ns_,
                       .ended_at_ns = ended_at_ns_,
                       .process_count = 0};
  if (phase_ == Phase::kStopped) {
    state.status = ContainerStatus::kStopped;
    return state;
  }
  if (started_at_ns_ != 0) {
    state.status = paused_ ? ContainerStatus::kPaused : ContainerStatus::kRunning;
  } else if (is_created_) {
    state.status = ContainerStatus::kCreated;
  }
  for (const auto& [number, process] : processes_) {
    const Process::Phase phase = process->phase();
    if (phase == Process::Phase::kPrepared || phase == Process::Phase::kStarting ||
        phase == Process::Phase::kRunning) {
      ++state.process_count;
    }
  }
  return state;
}

ContainerStatistics Container::Impl::statistics() {
  const std::uint64_t resident_bytes =
      machine_ == nullptr ? 0 : machine_->guest_memory_resident_bytes();
  timeline_.set_resident_bytes(resident_bytes);
  // Read from the kernel's file, and asked for often.
  if (machine_ != nullptr && kernel_name_.empty()) kernel_name_ = machine_->kernel_name();
  return {machine_ == nullptr ? "" : machine_->engine_name(),
          machine_ == nullptr ? "" : machine_->engine_reason(),
          kernel_name_,
          bundle_.vm.processor_count,
          bundle_.vm.memory_bytes,
          timeline_.snapshot(),
          platform::private_bytes(),
          resident_bytes,
          machine_ == nullptr ? std::vector<devices::DiskCounts>() : machine_->disk_counts()};
}

// --- the public face -----------------------------------------------------------------------------

Result<std::unique_ptr<Container>> Container::create(platform::EventLoop& loop,
                                                     ContainerConfig config,
                                                     ContainerEvents& events,
                                                     const MakeMachine& make_machine) {
  auto impl = std::make_unique<Impl>(loop, events, config.id, config.tick_ns);
  RUNHV_TRY(impl->make(std::move(config), make_machine));
  return std::unique_ptr<Container>(new Container(std::move(impl)));
}

Container::Container(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Container::~Container() = default;

Result<void> Container::boot() { return impl_->boot(); }
Result<void> Container::start() { return impl_->start(); }
Result<void> Container::signal(ProcessNumber process, int signal) {
  return impl_->signal(process, signal);
}
Result<void> Container::stop(int signal, std::uint32_t grace_ms) {
  return impl_->stop(signal, grace_ms);
}
Result<void> Container::pause() { return impl_->pause(); }
Result<void> Container::resume() { return impl_->resume(); }
Result<ProcessNumber> Container::start_process(ProcessConfig config) {
  return impl_->start_process(std::move(config));
}
Result<ProcessNumber> Container::join(JoinConfig config) { return impl_->join(std::move(config)); }
Result<void> Container::resize(ProcessNumber process, std::uint16_t columns, std::uint16_t rows) {
  return impl_->resize(process, columns, rows);
}
Result<void> Container::update(ProcessNumber which, std::string_view json, UpdateDone done) {
  return impl_->update(which, json, std::move(done));
}
Result<void> Container::attach(ProcessNumber process, int stream,
                               std::optional<platform::Stream> end) {
  return impl_->attach(process, stream, std::move(end));
}
const std::string& Container::id() const { return impl_->id(); }
const Bundle& Container::bundle() const { return impl_->bundle(); }
ContainerState Container::state() const { return impl_->state(); }
const std::optional<Result<ExitStatus>>& Container::end() const { return impl_->end(); }
ContainerStatistics Container::statistics() { return impl_->statistics(); }
const StatisticsPage& Container::statistics_page() const { return impl_->statistics_page(); }
std::optional<machine::MachineMemory> Container::guest_memory(std::size_t index) const {
  return impl_->guest_memory(index);
}

}  // namespace runhv::container
