#include "vmm_main/member.h"

#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "api/abi.h"
#include "container/agent_request.h"
#include "container/linux_abi.h"
#include "control/answer.h"
#include "control/container_folder.h"
#include "platform/child.h"
#include "platform/clock.h"
#include "platform/file_node.h"
#include "platform/standard_streams.h"
#include "platform/terminal.h"

namespace runhv::vmm_main {
namespace {

namespace linux_abi = container::linux_abi;
using control::Client;

constexpr std::uint64_t kAnswerNs = 10'000'000'000;

// What JOIN has behind the name.
Result<std::vector<std::byte>> description_of(std::span<const platform::TakenNetwork::Part> parts) {
  std::vector<std::byte> description;
  container::NetworkState state;
  for (const platform::TakenNetwork::Part& part : parts) {
    auto tap = api::sized<runhv_control_tap>();
    tap.mtu = part.interface.mtu;
    const auto bytes = control::structure_bytes(tap);
    description.insert(description.end(), bytes.begin(), bytes.end());
    state.emplace(static_cast<std::uint32_t>(state.size()), part.interface);
  }
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> records,
                   container::encode_network({}, container::network_messages({}, state), {}));
  description.insert(description.end(), records.begin(), records.end());
  return description;
}

// The pod's process opens our files by their names. A manager may have begun either of us in a
// mount namespace of its own, which nothing comes into later; the first thread of the pod's has
// left the one where it began.
Result<void> check_mounts(std::uint64_t pod_process, const MemberConfig& config) {
  const auto ours = platform::identity_of("/proc/self/ns/mnt");
  std::error_code failure;
  const std::string tasks = "/proc/" + std::to_string(pod_process) + "/task";
  bool is_alone = ours.has_value();
  for (const auto& task : std::filesystem::directory_iterator(tasks, failure)) {
    if (platform::identity_of(task.path().string() + "/ns/mnt") == ours) is_alone = false;
  }
  if (!is_alone || failure) return {};  // a pod that has gone says so when it is asked
  return Fail{Error{Code::kUnsupported, "join container " + config.pod,
                    "its process is in another mount namespace, where the files of " + config.id +
                        " may not be: podman begins a container with maps of users in one of its "
                        "own"}};
}

std::vector<platform::OsHandle> handles_of(const std::vector<container::HostDescriptor>& these) {
  std::vector<platform::OsHandle> handles;
  for (const container::HostDescriptor& each : these) handles.push_back(each.end.handle());
  return handles;
}

}  // namespace

Result<std::unique_ptr<Member>> Member::create(platform::EventLoop& loop, MemberConfig config,
                                               api::AbiEvents& events) {
  RUNHV_TRY_ASSIGN(container::Bundle bundle,
                   container::read_bundle(config.bundle, container::Joins::kMachine));
  RUNHV_TRY_ASSIGN(const auto pod, control::find_container(config.root, config.pod));
  RUNHV_TRY(check_mounts(pod.state.pid, config));
  const std::string socket = pod.folder + "/control";
  RUNHV_TRY_ASSIGN(Client client, Client::connect(socket, platform::monotonic_ns() + kAnswerNs));
  RUNHV_TRY_ASSIGN(auto connection, platform::LocalConnection::connect(socket));
  std::unique_ptr<Member> member(new Member(loop, std::move(config), std::move(bundle),
                                            std::move(client), std::move(connection), events));
  member->pod_network_ = "/proc/" + std::to_string(pod.state.pid) + "/ns/net";
  RUNHV_TRY(member->connection_.bind(loop));
  RUNHV_TRY(member->say_hello());
  return member;
}

Member::Member(platform::EventLoop& loop, MemberConfig config, container::Bundle bundle,
               Client client, platform::LocalConnection connection, api::AbiEvents& events)
    : config_(std::move(config)),
      events_(events),
      bundle_(std::move(bundle)),
      client_(std::move(client)),
      connection_(std::move(connection)),
      reader_(RUNHV_CONTROL_MAX_ANSWER),
      turn_(loop, [this] { tell(); }),
      grace_(loop,
             [this] { static_cast<void>(signal(container::kFirstProcess, linux_abi::kSigkill)); }) {
  state_.created_at_ns = platform::realtime_ns();
}

Result<void> Member::say_hello() {
  auto hello = api::sized<runhv_control_hello>();
  hello.version = RUNHV_CONTROL_VERSION;
  hello.flags = RUNHV_CONTROL_WANTS_EVENTS;
  const std::vector<std::byte> frame =
      control::encode_frame(RUNHV_CONTROL_HELLO, 1, control::structure_bytes(hello));
  const platform::IoResult written = connection_.write(frame);
  if (written.status != platform::IoStatus::kDone || written.bytes != frame.size()) {
    return Fail{Error{Code::kClosed, "join container " + config_.pod, "its VMM does not listen"}};
  }
  wait_for_events();
  return {};
}

// --- what the pod's VMM tells --------------------------------------------------------------------

void Member::wait_for_events() {
  connection_.on_readable([this] { read_events(); });
}

void Member::read_events() {
  std::array<std::byte, 4096> bytes;
  const platform::IoResult read = connection_.read(bytes);
  if (read.status == platform::IoStatus::kWouldBlock) return wait_for_events();
  // With the pod's VMM its VM has gone.
  if (read.status != platform::IoStatus::kDone) return end_killed(linux_abi::kSigkill);
  reader_.append(std::span(bytes).first(read.bytes));
  while (true) {
    const auto frame = reader_.next();
    if (!frame) return end_killed(linux_abi::kSigkill);
    if (!*frame) break;
    const auto parsed = control::parse_answer(**frame);
    if (!parsed) return end_killed(linux_abi::kSigkill);
    if (const auto* event = std::get_if<control::Event>(&*parsed)) take(event->value);
  }
  wait_for_events();
}

void Member::take(const runhv_event& event) {
  const bool is_first = first_ && event.process == *first_;
  const bool is_other = others_.contains(event.process);
  runhv_event told = event;
  if (is_first) told.process = RUNHV_FIRST_PROCESS;
  switch (event.kind) {
    case RUNHV_EVENT_PROCESS_STARTED:
      if (is_first) {
        told.kind = RUNHV_EVENT_STARTED;
        state_.started_at_ns = platform::realtime_ns();
      }
      break;
    case RUNHV_EVENT_PROCESS_ENDED:
      if (is_first) return end(told);
      if (is_other) others_.erase(event.process);
      break;
    case RUNHV_EVENT_ENDED:
      return end_killed(linux_abi::kSigkill);
    case RUNHV_EVENT_WARNING:
      break;
    default:
      return;  // the pod's own
  }
  if (is_first || is_other) tell_later(told);
}

void Member::end(runhv_event event) {
  if (std::exchange(ended_, true)) return;
  grace_.cancel();
  state_.ended_at_ns = platform::realtime_ns();
  event.kind = RUNHV_EVENT_ENDED;
  event.process = RUNHV_FIRST_PROCESS;
  tell_later(event);
}

void Member::end_killed(int signal) {
  end(api::ended_event(
      container::ExitStatus{container::ExitStatus::Kind::kSignaled, signal, std::nullopt}));
}

void Member::tell_later(const runhv_event& event) {
  told_.push_back(event);
  turn_.set(0);
}

void Member::tell() {
  for (const runhv_event& event : std::exchange(told_, {})) events_.on_event(event);
  for (const container::UpdateDone& done : std::exchange(updated_, {})) done({});
}

// --- requests ------------------------------------------------------------------------------------

Result<void> Member::check_runs(const char* verb) const {
  if (state_.started_at_ns != 0 && !ended_) return {};
  return Fail{
      Error{Code::kConflict, std::string(verb) + " container " + config_.id, "it does not run"}};
}

Result<runhv_process> Member::number_of(container::ProcessNumber process) const {
  if (ended_) {
    return Fail{Error{Code::kClosed, "ask container " + config_.id, "it has ended"}};
  }
  if (process == container::kFirstProcess && first_) return *first_;
  if (others_.contains(process)) return process;
  return Fail{Error{Code::kNotFound, "find process " + std::to_string(process),
                    "container " + config_.id + " has no such process, or it has ended"}};
}

Result<std::vector<std::byte>> Member::ask(std::uint32_t type, std::span<const std::byte> payload) {
  client_.set_deadline(platform::monotonic_ns() + kAnswerNs);
  return client_.ask(type, payload);
}

Result<void> Member::boot() {
  auto event = api::sized<runhv_event>();
  event.kind = RUNHV_EVENT_CREATED;
  event.at_ns = platform::monotonic_ns();
  tell_later(event);
  return {};
}

Result<void> Member::start() {
  if (first_ || ended_) {
    return Fail{Error{Code::kConflict, "start container " + config_.id,
                      first_ ? "it was started before" : "it has ended"}};
  }
  auto begun = join_pod();
  if (!begun) {
    // A pod that is paused may be asked again.
    if (begun.error().code != Code::kConflict) end(api::ended_event(Fail{begun.error()}));
    return Fail{std::move(begun).error()};
  }
  first_ = *begun;
  config_.descriptors.clear();
  for (const int kept : std::exchange(signals_, {})) {
    RUNHV_TRY(signal(container::kFirstProcess, kept));
  }
  return bundle_.process.terminal ? Result<void>() : platform::give_up_standard_streams();
}

Result<runhv_process> Member::join_pod() {
  const std::array<platform::OsHandle, 3> streams{
      platform::standard_stream(0), platform::standard_stream(1), platform::standard_stream(2)};
  auto request = api::sized<runhv_control_process_start>();
  const bool terminal = bundle_.process.terminal;
  if (terminal) {
    request.flags = RUNHV_PROCESS_TERMINAL;
    if (const auto size = platform::terminal_size(streams[0])) {
      request.columns = size->columns;
      request.rows = size->rows;
    }
  }
  std::vector<platform::OsHandle> more = handles_of(config_.descriptors);
  std::vector<std::byte> description;
  RUNHV_TRY_ASSIGN(auto network, take_network());
  if (network) {
    request.flags |= RUNHV_CONTROL_OWN_NETWORK;
    request.taps = static_cast<std::uint32_t>(network->parts().size());
    for (const platform::TakenNetwork::Part& part : network->parts()) {
      more.push_back(part.tap.handle());
    }
    RUNHV_TRY_ASSIGN(description, description_of(network->parts()));
  }
  client_.set_deadline(platform::monotonic_ns() + kAnswerNs);
  RUNHV_TRY_ASSIGN(
      const runhv_process number,
      client_.begin(RUNHV_CONTROL_JOIN, request, config_.id,
                    std::span(streams).first(terminal ? 2 : streams.size()), more, description));
  if (!network) return number;
  network->parts().clear();  // the pod's VMM has the taps
  if (network->has_resolver()) {
    auto event = api::sized<runhv_event>();
    event.kind = RUNHV_EVENT_WARNING;
    event.process = RUNHV_FIRST_PROCESS;
    event.at_ns = platform::monotonic_ns();
    event.error = api::to_abi(
        Error{Code::kUnsupported, "start container " + config_.id,
              "docker's resolver of names is out of reach for a container in the VM of " +
                  config_.pod + " that has a network of its own"});
    tell_later(event);
  }
  network_ = std::move(network);
  return number;
}

// That of this process, where it is not the pod's. Interfaces may come until start().
Result<std::optional<platform::TakenNetwork>> Member::take_network() const {
  std::optional<platform::TakenNetwork> network;
  const auto pods = platform::identity_of(pod_network_);
  // A pod that has gone says so when it is asked.
  if (!pods || pods == platform::identity_of("/proc/self/ns/net")) return network;
  RUNHV_TRY_ASSIGN(network, platform::TakenNetwork::take_own());
  if (network->parts().size() > RUNHV_CONTROL_MAX_TAPS) {
    return Fail{Error{Code::kUnsupported, "start container " + config_.id,
                      "its network has " + std::to_string(network->parts().size()) +
                          " interfaces; a container in another one's VM has at most " +
                          std::to_string(RUNHV_CONTROL_MAX_TAPS)}};
  }
  return network;
}

Result<void> Member::signal(container::ProcessNumber process, int signal) {
  if (process == container::kFirstProcess && !first_ && !ended_) {
    if (signal < 1 || signal > linux_abi::kMaxSignal) {
      return Fail{Error{Code::kInvalidArgument, "signal container " + config_.id,
                        std::to_string(signal) + " is no signal; they are 1 to 64"}};
    }
    if (signal == linux_abi::kSigkill || signal == linux_abi::kSigint ||
        signal == linux_abi::kSigterm) {
      end_killed(signal);
    } else {
      signals_.push_back(signal);
    }
    return {};
  }
  RUNHV_TRY_ASSIGN(const runhv_process number, number_of(process));
  client_.set_deadline(platform::monotonic_ns() + kAnswerNs);
  return client_.signal(number, signal);
}

Result<void> Member::stop(int signal, std::uint32_t grace_ms) {
  RUNHV_TRY(this->signal(container::kFirstProcess, signal == 0 ? bundle_.stop_signal : signal));
  grace_.set(platform::monotonic_ns() + std::uint64_t{grace_ms} * 1'000'000);
  return {};
}

Result<container::ProcessNumber> Member::start_process(container::ProcessConfig config) {
  RUNHV_TRY(check_runs("start a process in"));
  if (paused_) {
    return Fail{
        Error{Code::kConflict, "start a process in container " + config_.id, "it is paused"}};
  }
  auto request = api::sized<runhv_control_process_start>();
  if (config.terminal) request.flags |= RUNHV_PROCESS_TERMINAL;
  if (config.archive) request.flags |= RUNHV_PROCESS_ARCHIVE;
  request.columns = config.columns;
  request.rows = config.rows;
  request.container = *first_;
  std::array<platform::OsHandle, 3> ends{};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    ends[i] = config.streams[i] ? config.streams[i]->handle() : platform::kInvalidHandle;
  }
  client_.set_deadline(platform::monotonic_ns() + kAnswerNs);
  RUNHV_TRY_ASSIGN(const runhv_process number,
                   client_.begin(RUNHV_CONTROL_PROCESS_START, request, config.json,
                                 std::span(ends).first(config.terminal ? 2 : ends.size()),
                                 handles_of(config.descriptors)));
  others_.insert(number);
  return number;
}

Result<void> Member::pause() {
  RUNHV_TRY(check_runs("pause"));
  if (paused_) {
    return Fail{Error{Code::kConflict, "pause container " + config_.id, "it is paused"}};
  }
  return freeze(true);
}

Result<void> Member::resume() {
  if (!paused_) {
    return Fail{Error{Code::kConflict, "resume container " + config_.id, "it is not paused"}};
  }
  return freeze(false);
}

Result<void> Member::freeze(bool frozen) {
  client_.set_deadline(platform::monotonic_ns() + kAnswerNs);
  RUNHV_TRY(client_.update(*first_, frozen ? R"({"unified":{"cgroup.freeze":"1"}})"
                                           : R"({"unified":{"cgroup.freeze":"0"}})"));
  paused_ = frozen;
  auto event = api::sized<runhv_event>();
  event.kind = frozen ? RUNHV_EVENT_PAUSED : RUNHV_EVENT_RESUMED;
  event.at_ns = platform::monotonic_ns();
  tell_later(event);
  return {};
}

Result<void> Member::update(container::ProcessNumber which, std::string_view json,
                            container::UpdateDone done) {
  RUNHV_TRY(check_runs("update"));
  RUNHV_TRY_ASSIGN(const runhv_process number, number_of(which));
  client_.set_deadline(platform::monotonic_ns() + kAnswerNs);
  RUNHV_TRY(client_.update(number, json));
  updated_.push_back(std::move(done));
  turn_.set(0);
  return {};
}

Result<void> Member::attach(container::ProcessNumber, int, const std::optional<platform::Stream>&) {
  return Fail{
      Error{Code::kUnsupported, "attach to container " + config_.id,
            "it is in the VM of container " + config_.pod + ", whose process has the streams"}};
}

Result<void> Member::resize(container::ProcessNumber process, std::uint16_t columns,
                            std::uint16_t rows) {
  auto request = api::sized<runhv_control_resize>();
  RUNHV_TRY_ASSIGN(request.process, number_of(process));
  request.columns = columns;
  request.rows = rows;
  RUNHV_TRY(ask(RUNHV_CONTROL_RESIZE, control::structure_bytes(request)));
  return {};
}

Result<runhv_statistics> Member::statistics() {
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> answer, ask(RUNHV_CONTROL_STATISTICS, {}));
  std::span<const std::byte> payload(answer);
  return control::take_structure<runhv_statistics>(payload);
}

Result<container::ProcessNumber> Member::join(const container::JoinConfig& config) {
  return Fail{Error{Code::kUnsupported, "run container " + config.id + " with " + config_.id,
                    "that is in the VM of container " + config_.pod}};
}

container::ContainerState Member::state() const {
  container::ContainerState state = state_;
  if (ended_) {
    state.status = container::ContainerStatus::kStopped;
  } else if (state_.started_at_ns != 0) {
    state.status =
        paused_ ? container::ContainerStatus::kPaused : container::ContainerStatus::kRunning;
  } else {
    state.status = container::ContainerStatus::kCreated;
  }
  state.process_count = static_cast<std::uint32_t>(others_.size()) + (first_ && !ended_ ? 1 : 0);
  return state;
}

}  // namespace runhv::vmm_main
