#include "container/container.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "container/agent_session.h"
#include "container/linux_abi.h"
#include "container/oci_config.h"
#include "container/start_message.h"
#include "machine/machine.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/poller.h"
#include "platform/process.h"
#include "platform/stream.h"
#include "platform/thread.h"
#include "runhv/runhv.h"

namespace runhv {
namespace {

constexpr std::uint64_t kMachineEndedToken = 3;  // 0 to 2 are the session's streams

// A guest that was told to power off, or whose agent has gone, gets this long to end by itself.
constexpr std::uint64_t kLastWordsNs = 1'000'000'000;

Result<void> check_id(const std::string& id) {
  static constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (!id.empty() && id.size() <= RUNHV_MAX_ID_BYTES && id.front() != '.' && id.front() != '-' &&
      id.find_first_not_of(kAllowed) == std::string::npos) {
    return {};
  }
  return Fail{Error{Code::kInvalidArgument, "name the container",
                    "a name has 1 to " + std::to_string(RUNHV_MAX_ID_BYTES) +
                        " of the characters A-Z a-z 0-9 _ . -, first a letter, digit or _"}};
}

Result<OciConfig> read_bundle(const std::string& bundle) {
  const std::string path = bundle + "/config.json";
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> text, read_file(path, kMaxConfigBytes));
  return parse_oci_config({reinterpret_cast<const char*>(text.data()), text.size()},
                          "read " + path);
}

// A disk that is gone with the last handle of it: the template's file system at the beginning of a
// larger disk. The guest grows it.
Result<File> make_scratch_disk(const std::string& template_path, std::uint64_t size_bytes) {
  if (template_path.empty()) {
    return Fail{Error{Code::kInvalidArgument, "make a scratch disk",
                      "dev.runhv.scratch needs the template share/runhv/scratch.ext4, and the "
                      "caller named none"}};
  }
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> content,
                   read_file(template_path, kScratchUnitBytes));
  RUNHV_TRY_ASSIGN(File disk, File::create_anonymous(temporary_directory(), size_bytes));
  RUNHV_TRY(disk.write_at(0, content));
  return disk;
}

bool is_automatic(const std::string& engine) { return engine.empty() || engine == "auto"; }

class RunningContainer final : public Container {
 public:
  static Result<std::unique_ptr<Container>> create(const ContainerConfig& config);
  ~RunningContainer() override;

  Result<void> start() override;
  Result<std::optional<ContainerEnd>> wait(std::optional<std::uint64_t> deadline_ns) override;
  Result<void> signal(int signal) override;
  ContainerStatistics statistics() override;
  const runhv_statistics_page& statistics_page() const override { return timeline_.page(); }
  std::optional<MachineMemory> guest_memory(std::size_t index) const override {
    return machine_->guest_memory(index);
  }

 private:
  RunningContainer(std::string id, std::uint64_t memory_bytes, std::uint64_t tick_ns)
      : id_(std::move(id)),
        memory_bytes_(memory_bytes),
        tick_ns_(tick_ns),
        patience_(memory_bytes) {}

  void run_io();
  std::optional<std::uint64_t> next_look() const;
  void wake(VsockConnectionId connection);
  std::optional<std::string> lose_patience();
  // What to do after something happened; true when the container is over.
  bool step();
  bool step_after_end(const AgentSession::View& now);
  bool finish(Result<ContainerEnd> result);
  bool deadline_passed() const { return deadline_ns_ && monotonic_ns() >= *deadline_ns_; }
  Error machine_failure() const;

  const std::string id_;
  const std::uint64_t memory_bytes_;
  const std::uint64_t tick_ns_;
  std::uint32_t processor_count_ = 0;
  Timeline timeline_;
  std::unique_ptr<Poller> poller_;
  std::unique_ptr<AgentSession> session_;
  std::unique_ptr<Machine> machine_;  // before the session and the poller in destruction
  std::thread io_;

  // Of the I/O thread.
  std::optional<MachineEnd> machine_end_;
  std::optional<std::uint64_t> deadline_ns_;
  std::uint64_t next_tick_ns_ = 0;
  Patience patience_;
  bool powering_off_ = false;

  std::mutex mutex_;
  std::condition_variable finished_;
  bool started_ = false;
  std::optional<int> killed_by_;  // SIGKILL, or what came before there was anyone to tell
  bool asked_to_end_ = false;     // SIGINT or SIGTERM, at any time
  bool output_given_up_ = false;  // the same after the end
  bool closing_ = false;
  bool ended_ = false;  // EXITED was said
  std::optional<Result<ContainerEnd>> result_;
};

Result<std::unique_ptr<Container>> RunningContainer::create(const ContainerConfig& config) {
  RUNHV_TRY(check_id(config.id));
  const std::uint64_t now = monotonic_ns();
  RUNHV_TRY_ASSIGN(const OciConfig bundle, read_bundle(config.bundle));
  std::unique_ptr<RunningContainer> made(
      new RunningContainer(config.id, bundle.memory_bytes, config.tick_ns));
  made->timeline_.mark(Stage::kSpawn, config.spawned_at_ns != 0 ? config.spawned_at_ns : now);
  made->timeline_.mark(Stage::kPartition, now);

  made->processor_count_ = bundle.processor_count;
  RUNHV_TRY_ASSIGN(made->poller_, Poller::create());

  std::array<std::optional<Stream>, 3> streams;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const bool wanted = i != 0 || bundle.connect_stdin;
    if (config.stdio[i] == kInvalidHandle || !wanted) continue;
    RUNHV_TRY_ASSIGN(streams[i], Stream::adopt(config.stdio[i], i == 0));
  }
  RUNHV_TRY_ASSIGN(std::vector<std::byte> start,
                   encode_start(bundle, AgentSession::ports(streams)));
  made->session_ = std::make_unique<AgentSession>(std::move(start), std::move(streams),
                                                  *made->poller_, made->timeline_);

  MachineConfig machine;
  machine.engine = is_automatic(config.engine) ? bundle.engine : config.engine;
  if (machine.engine.empty()) machine.engine = "auto";
  machine.kernel_path = bundle.kernel.empty() ? config.default_kernel : bundle.kernel;
  for (const std::string& archive :
       {bundle.initrd.empty() ? config.default_initrd : bundle.initrd,
        bundle.kernel.empty() ? config.default_modules : bundle.modules}) {
    if (!archive.empty()) machine.initrd_paths.push_back(archive);
  }
  machine.extra_command_line = bundle.kernel_parameters;
  machine.memory_bytes = bundle.memory_bytes;
  machine.processor_count = bundle.processor_count;
  RUNHV_TRY_ASSIGN(File image, File::open(bundle.root_image, File::Access::kRead));
  machine.disks.push_back({std::move(image), true});
  if (bundle.scratch_bytes != 0) {
    RUNHV_TRY_ASSIGN(File scratch, make_scratch_disk(config.default_scratch, bundle.scratch_bytes));
    machine.disks.push_back({std::move(scratch), false});
  }
  machine.vsock = made->session_.get();
  machine.console = config.console;
  machine.timeline = &made->timeline_;
  RUNHV_TRY_ASSIGN(made->machine_, Machine::create(std::move(machine)));
  RUNHV_TRY(made->poller_->watch(made->machine_->ended_handle(), kMachineEndedToken, true, false));
  return std::unique_ptr<Container>(std::move(made));
}

RunningContainer::~RunningContainer() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  if (io_.joinable()) {
    poller_->wake();
    io_.join();
  }
  // Its devices speak to the session until they are gone.
  machine_.reset();
}

Result<void> RunningContainer::start() {
  {
    const std::lock_guard lock(mutex_);
    if (started_) {
      return Fail{Error{Code::kConflict, "start container " + id_, "it was started before"}};
    }
    started_ = true;
  }
  if (auto running = machine_->start(); !running) {
    finish(Fail{running.error()});
    return Fail{running.error()};
  }
  io_ = std::thread([this] { run_io(); });
  return {};
}

void RunningContainer::run_io() {
  block_forwarded_signals();
  set_thread_name("runhv-io");
  next_tick_ns_ = monotonic_ns() + tick_ns_;
  while (!step()) {
    const auto ready = poller_->wait(next_look());
    if (!ready) {
      machine_->stop();
      finish(Fail{ready.error()});
      return;
    }
    for (const Poller::Ready& event : *ready) {
      if (event.token == kMachineEndedToken) {
        poller_->forget(machine_->ended_handle());
        machine_end_ = machine_->wait(std::nullopt);
      } else if (const auto connection = session_->on_ready(event.token)) {
        wake(*connection);
      }
    }
  }
}

// No later than the next tick, while something is expected of the guest.
std::optional<std::uint64_t> RunningContainer::next_look() const {
  if (session_->waits_for().what == Patience::For::kNothing) return deadline_ns_;
  return std::min(next_tick_ns_, deadline_ns_.value_or(next_tick_ns_));
}

void RunningContainer::wake(VsockConnectionId connection) {
  machine_->vsock_waker()->wake(connection);
}

std::optional<std::string> RunningContainer::lose_patience() {
  const std::uint64_t now = monotonic_ns();
  if (now < next_tick_ns_) return std::nullopt;
  next_tick_ns_ = now + tick_ns_;
  return patience_.tick(session_->waits_for());
}

bool RunningContainer::step() {
  std::optional<int> killed_by;
  bool closing = false;
  {
    const std::lock_guard lock(mutex_);
    killed_by = killed_by_;
    closing = closing_;
  }
  const AgentSession::View now = session_->view();
  if (closing) {
    return finish(Fail{Error{Code::kClosed, "run container " + id_, "it was destroyed"}});
  }
  if (killed_by) {
    if (now.end) return finish(*now.end);
    timeline_.mark(Stage::kExit, monotonic_ns());
    return finish(ContainerEnd{ContainerEnd::Kind::kSignaled, *killed_by, std::nullopt});
  }
  if (now.failure) return finish(Fail{*now.failure});
  if (const auto fault = lose_patience(); fault && !machine_end_ && !powering_off_) {
    return finish(Fail{Error{Code::kGuestFailed, "run container " + id_, *fault}});
  }
  if (now.end) return step_after_end(now);
  if (machine_end_) return finish(Fail{machine_failure()});
  if (now.lost && !deadline_ns_) deadline_ns_ = monotonic_ns() + kLastWordsNs;
  if (deadline_passed()) {
    return finish(
        Fail{Error{Code::kGuestFailed, "run container " + id_, "the agent closed its connection"}});
  }
  if (const auto control = session_->take_control_wake()) wake(*control);
  return false;
}

bool RunningContainer::step_after_end(const AgentSession::View& now) {
  const ContainerEnd& end = *now.end;
  bool delivered = now.delivered;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    // A program that was never in place has written nothing; its streams stay open in the agent.
    delivered = delivered || output_given_up_ || end.kind == ContainerEnd::Kind::kNotStarted;
  }
  if (machine_end_ || deadline_passed()) {
    // A status of success would hide that output, or the rest of the input, was not there.
    if (now.lost_bytes) return finish(Fail{*now.lost_bytes});
    return finish(end);
  }
  if (delivered && !std::exchange(powering_off_, true)) {
    session_->power_off();
    deadline_ns_ = monotonic_ns() + kLastWordsNs;
  }
  if (const auto control = session_->take_control_wake()) wake(*control);
  return false;
}

bool RunningContainer::finish(Result<ContainerEnd> result) {
  machine_->stop();
  machine_->wait(std::nullopt);
  {
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
  }
  finished_.notify_all();
  return true;
}

Error RunningContainer::machine_failure() const {
  switch (*machine_end_) {
    case MachineEnd::kTripleFault:
    case MachineEnd::kGuestStuck:
    case MachineEnd::kFailed:
      return machine_->error();
    case MachineEnd::kPoweredOff:
    case MachineEnd::kStopped:
      break;
  }
  return Error{Code::kGuestFailed, "run container " + id_,
               "the guest powered off and gave no exit status"};
}

Result<std::optional<ContainerEnd>> RunningContainer::wait(
    std::optional<std::uint64_t> deadline_ns) {
  std::unique_lock lock(mutex_);
  if (!started_) {
    return Fail{Error{Code::kConflict, "wait for container " + id_, "it was not started"}};
  }
  const auto over = [&] { return result_.has_value(); };
  if (!deadline_ns) {
    finished_.wait(lock, over);
  } else {
    const std::uint64_t now = monotonic_ns();
    const std::uint64_t left = *deadline_ns > now ? *deadline_ns - now : 0;
    if (!finished_.wait_for(lock, std::chrono::nanoseconds(left), over)) {
      return std::optional<ContainerEnd>();
    }
  }
  if (!*result_) return Fail{result_->error()};
  return std::optional<ContainerEnd>(**result_);
}

Result<void> RunningContainer::signal(int signal) {
  if (signal < 1 || signal > linux_abi::kMaxSignal) {
    return Fail{Error{Code::kInvalidArgument, "signal container " + id_,
                      std::to_string(signal) + " is no signal; they are 1 to 64"}};
  }
  {
    const std::lock_guard lock(mutex_);
    if (result_) return Fail{Error{Code::kClosed, "signal container " + id_, "it has ended"}};
    const bool asks_to_end = signal == linux_abi::kSigint || signal == linux_abi::kSigterm;
    if (asks_to_end) output_given_up_ = output_given_up_ || ended_;
    // A kernel that never comes to the agent would else be deaf to Ctrl-C, and an agent that never
    // starts the program to the second one.
    const bool deaf = !session_->heard() || (asked_to_end_ && !session_->started());
    if (signal == linux_abi::kSigkill || (asks_to_end && deaf)) killed_by_ = signal;
    asked_to_end_ = asked_to_end_ || asks_to_end;
  }
  if (signal != linux_abi::kSigkill) session_->signal(signal);
  poller_->wake();
  return {};
}

ContainerStatistics RunningContainer::statistics() {
  const std::uint64_t resident_bytes = machine_->guest_memory_resident_bytes();
  timeline_.set_resident_bytes(resident_bytes);
  return {machine_->engine_name(), machine_->kernel_name(), processor_count_, memory_bytes_,
          timeline_.snapshot(),    private_bytes(),         resident_bytes};
}

}  // namespace

Result<std::unique_ptr<Container>> Container::create(const ContainerConfig& config) {
  return RunningContainer::create(config);
}

}  // namespace runhv
