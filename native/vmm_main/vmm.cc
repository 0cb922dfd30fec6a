#include "vmm_main/vmm.h"

#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/scope_exit.h"
#include "platform/child.h"
#include "platform/clock.h"
#include "platform/complain.h"
#include "platform/file.h"
#include "platform/local_socket.h"
#include "platform/lossy_writer.h"
#include "platform/os_error.h"
#include "platform/standard_streams.h"
#include "platform/terminal.h"
#include "vmm_main/confinement.h"
#include "vmm_main/distribution_files.h"
#include "vmm_main/timings.h"

namespace runhv::vmm_main {
namespace {

constexpr int kKill = 9;            // Linux: SIGKILL
constexpr int kWindowChanged = 28;  // SIGWINCH
// After the end, for clients to take what they were told.
constexpr std::uint64_t kReadPatienceNs = 500'000'000;
// For a launcher that looks for us.
constexpr std::uint64_t kLauncherPatienceNs = 60'000'000'000;

void fill_defaults(VmmOptions& options, const std::string& share) {
  if (options.kernel.empty()) options.kernel = default_kernel(share);
  if (options.initrd.empty()) options.initrd = default_initrd(share);
  if (options.spawned_at_ns == 0) options.spawned_at_ns = platform::process_start_ns();
}

platform::ShownFiles files_of(const container::ContainerSpec& spec) {
  platform::ShownFiles files;
  files.root = spec.root_folder();
  files.read_only = spec.root_read_only;
  for (const container::MountSpec& mount : spec.mounts) {
    platform::ShownMount shown;
    shown.place = mount.destination;
    // What only the guest has is nothing that anybody could write to.
    if (mount.share) {
      const container::ShareSpec& share = spec.shares[*mount.share];
      shown.source = share.path;
      shown.read_only = share.read_only;
      shown.cross_mounts = share.cross_mounts;
    }
    files.mounts.push_back(std::move(shown));
  }
  return files;
}

Result<platform::LocalConnection> await_launcher(platform::EventLoop& loop,
                                                 const std::string& folder) {
  RUNHV_TRY(platform::make_private_directory(folder));
  RUNHV_TRY_ASSIGN(auto listener, platform::LocalListener::bind(folder, "control"));
  RUNHV_TRY(listener.bind(loop));
  const std::uint64_t deadline_ns = platform::monotonic_ns() + kLauncherPatienceNs;
  while (platform::monotonic_ns() < deadline_ns) {
    RUNHV_TRY_ASSIGN(auto connection, listener.accept());
    if (connection) return *std::move(connection);
    listener.on_connection([] {});
    RUNHV_TRY(loop.run_once(deadline_ns));
  }
  return Fail{
      Error{Code::kTimedOut, "wait for the launcher at " + folder, "it has not come for 60 s"}};
}

// Those that were kept open for the first process.
Result<std::vector<container::HostDescriptor>> preserved_descriptors(std::uint64_t count) {
  std::vector<platform::UniqueHandle> handles;
  for (std::uint64_t i = 0; i < count; ++i) {
    handles.emplace_back(platform::kFirstPreserved + static_cast<platform::OsHandle>(i));
  }
  return container::take_descriptors(std::move(handles));
}

// The annotation by which whoever made the bundle says of which image.
constexpr const char* kImageAnnotation = "dev.runhv.image";

}  // namespace

void Vmm::MadeBundle::remove() {
  if (path_.empty()) return;
  if (const auto removed = platform::remove_tree(path_); !removed)
    platform::complain(removed.error());
  path_.clear();
}

int Vmm::run(std::span<const std::string_view> arguments, const LauncherOptions& launcher,
             const Result<void>& closed) {
  if (const auto connected = connect_launcher(launcher); !connected) {
    return platform::complain(connected.error());
  }
  if (const auto begun = begin(arguments, launcher, closed); !begun) {
    container_.reset();
    member_.reset();
    bundle_.remove();
    options_.keep = false;  // the same
    finish(api::ended_event(Fail{begun.error()}));
  }
  if (const auto served = loop_.run(); !served) return platform::complain(served.error());
  return end_ ? end_->status.exit_status : platform::kOurFailure;
}

Result<void> Vmm::connect_launcher(const LauncherOptions& launcher) {
  if (launcher.control_fd) {
    RUNHV_TRY_ASSIGN(auto connection, platform::LocalConnection::adopt_owned(
                                          platform::UniqueHandle(*launcher.control_fd)));
    return server_.add_launcher(std::move(connection));
  }
  if (!launcher.control_connect.empty()) {
    RUNHV_TRY_ASSIGN(auto connection, platform::LocalConnection::connect(launcher.control_connect));
    return server_.add_launcher(std::move(connection));
  }
  if (!launcher.control_listen.empty()) {
    RUNHV_TRY_ASSIGN(auto connection, await_launcher(loop_, launcher.control_listen));
    return server_.add_launcher(std::move(connection));
  }
  return {};
}

Result<void> Vmm::begin(std::span<const std::string_view> arguments,
                        const LauncherOptions& launcher, const Result<void>& closed) {
  // Given back once everything is open.
  const platform::UniqueHandle lease(launcher.lease_fd.value_or(platform::kInvalidHandle));
  RUNHV_TRY(closed);
  RUNHV_TRY(watch_signals());
  RUNHV_TRY_ASSIGN(options_, parse_vmm_options(arguments));
  if (options_.remove_bundle) bundle_.own(options_.bundle);
  if (options_.debug) {
    set_debug_log([](std::string_view line) { platform::lossy_stderr().write(line); });
  }
  RUNHV_TRY_ASSIGN(const std::string share, share_directory());
  fill_defaults(options_, share);
  RUNHV_TRY(watch_parent());
  RUNHV_TRY_ASSIGN(root_, control::runhv_root(options_.root));
  RUNHV_TRY(take_name(launcher));
  RUNHV_TRY(options_.join.empty() ? make_container(share) : make_member());
  // Everything is open now: even a SIGKILL from here on leaves no bundle behind.
  bundle_.remove();
  // Before anything of it is read: on Windows a call that has begun reads a line.
  if (options_.terminal) RUNHV_TRY(take_terminal());
  RUNHV_TRY(options_.created ? ask([](auto& it) { return it.boot(); }) : start());
  say_which_engine();
  return {};
}

Result<void> Vmm::watch_signals() {
  RUNHV_TRY_ASSIGN(signals_, platform::SignalQueue::create());
  RUNHV_TRY(signals_->bind(loop_));
  signals_->on_signal([this] { forward_signals(); });
  return {};
}

void Vmm::forward_signals() {
  while (const auto number = signals_->next()) {
    if (!bundle() || end_) continue;
    if (*number == kWindowChanged && bundle()->process.terminal) {
      follow_terminal_size();
    } else {
      static_cast<void>(signal(container::kFirstProcess, *number));
    }
  }
  signals_->on_signal([this] { forward_signals(); });
}

// A person's: whatever ends this process but SIGKILL, it is as it was before. After that its
// launcher restores it.
Result<void> Vmm::take_terminal() {
  RUNHV_TRY_ASSIGN(terminal_mode_, platform::TerminalMode::save(platform::standard_stream(0)));
  return platform::make_terminal_raw(platform::standard_stream(0));
}

// The guest's kernel tells the process of it.
void Vmm::follow_terminal_size() {
  if (const auto size = platform::terminal_size(platform::standard_stream(0))) {
    static_cast<void>(resize(container::kFirstProcess, size->columns, size->rows));
  }
}

// Until it is started, a container belongs to whoever creates and starts it: it is they who say
// what goes wrong, and stderr is the container's.
bool Vmm::is_told_elsewhere() const { return options_.created && !was_started_; }

// The process that wants us no longer than itself. Where the system cannot tell of its end, the
// container outlives it, as without the option.
Result<void> Vmm::watch_parent() {
  if (options_.end_with == 0) return {};
  auto parent = platform::ProcessEnd::watch(options_.end_with);
  if (!parent && parent.error().code == Code::kUnsupported) {
    debug_log("vmm", "%s", to_string(parent.error()).c_str());
    return {};
  }
  if (!parent) return Fail{std::move(parent).error()};
  parent_.emplace(*std::move(parent));
  RUNHV_TRY(parent_->bind(loop_));
  parent_->on_end([this] { static_cast<void>(signal(container::kFirstProcess, kKill)); });
  return {};
}

Result<void> Vmm::take_name(const LauncherOptions& launcher) {
  launcher_runs_hooks_ = launcher.lock_fd.has_value();
  if (launcher.lock_fd) {
    RUNHV_TRY_ASSIGN(folder_, control::ContainerFolder::adopt(
                                  root_, options_.id, platform::UniqueHandle(*launcher.lock_fd)));
    RUNHV_TRY_ASSIGN(stored_, folder_->read());
  } else {
    RUNHV_TRY_ASSIGN(folder_, control::ContainerFolder::take(root_, options_.id));
    RUNHV_TRY_ASSIGN(
        const std::vector<std::byte> config,
        platform::read_file(options_.bundle + "/config.json", container::kMaxConfigBytes));
    RUNHV_TRY(folder_->keep_config(config));
    stored_.created_ns = platform::realtime_ns();
  }
  stored_.id = options_.id;
  stored_.bundle = options_.bundle;
  stored_.pid = platform::current_process_id();
  stored_.ephemeral = !options_.keep;
  stored_.status = container::status_name(container::ContainerStatus::kCreating);
  RUNHV_TRY(folder_->write(stored_));
  return server_.listen(folder_->path(), "control");
}

Result<void> Vmm::make_member() {
  RUNHV_TRY_ASSIGN(auto descriptors, preserved_descriptors(options_.preserve_fds));
  RUNHV_TRY_ASSIGN(member_, Member::create(loop_,
                                           {.id = options_.id,
                                            .bundle = options_.bundle,
                                            .pod = options_.join,
                                            .root = root_,
                                            .descriptors = std::move(descriptors)},
                                           *this));
  return {};
}

Result<void> Vmm::make_container(const std::string& share) {
  container::ContainerConfig config;
  config.id = options_.id;
  config.bundle = options_.bundle;
  config.engine = options_.engine;
  config.default_kernel = options_.kernel;
  config.default_initrd = options_.initrd;
  config.default_modules = options_.modules;
  config.default_scratch = share + "/scratch.ext4";
  config.console = options_.debug;
  config.own_network_namespace = options_.own_network;
  if (options_.uid_map && options_.gid_map) {
    container::UserMaps& maps = config.users.emplace();
    RUNHV_TRY_ASSIGN(maps.users, container::parse_id_map(*options_.uid_map, "take --uid-map"));
    RUNHV_TRY_ASSIGN(maps.groups, container::parse_id_map(*options_.gid_map, "take --gid-map"));
  }
  config.runs_hooks = launcher_runs_hooks_;
  config.before_guest = [this] { return confine(); };
  for (int i = 0; i < 3; ++i) {
    RUNHV_TRY_ASSIGN(config.streams[static_cast<std::size_t>(i)],
                     platform::Stream::adopt(platform::standard_stream(i), i == 0));
  }
  RUNHV_TRY_ASSIGN(config.descriptors, preserved_descriptors(options_.preserve_fds));
  config.terminal = options_.terminal;
  if (const auto size = platform::terminal_size(platform::standard_stream(0))) {
    config.columns = size->columns;
    config.rows = size->rows;
  }
  config.spawned_at_ns = options_.spawned_at_ns;
  RUNHV_TRY_ASSIGN(container_, container::Container::create(loop_, std::move(config), *this));
  const container::Bundle& bundle = container_->bundle();
  stored_.command = bundle.process.arguments;
  stored_.annotations = bundle.annotations;
  stored_.rootfs = bundle.container.root_folder();
  if (const auto image = bundle.annotations.find(kImageAnnotation);
      image != bundle.annotations.end()) {
    stored_.image = image->second;
  }
  // Where the guest's processes have closed a stream, its readers see that: we hold no second end.
  // A terminal's size is asked of stdin.
  // Whoever it ends with waits for it, and wants to be told.
  const bool given_up =
      options_.created && options_.end_with == 0 && !options_.debug && !bundle.process.terminal;
  return given_up ? platform::give_up_standard_streams() : Result<void>();
}

void Vmm::say_which_engine() {
  // Asked first: statistics look through all of the process's memory.
  const bool wanted = options_.debug || platform::is_terminal(platform::standard_stream(2));
  if (options_.engine != "auto" || !wanted || options_.created) return;
  const container::ContainerStatistics statistics = container_->statistics();
  if (statistics.engine_reason.empty()) return;
  const bool slow = statistics.engine == "soft";
  const std::string end = options_.terminal ? "\r\n" : "\n";  // of a line on a raw terminal
  platform::lossy_stderr().write("runhv: engine " + statistics.engine + ": " +
                                 statistics.engine_reason +
                                 (slow ? "; the embedded software CPU runs this container, slower "
                                         "(--engine soft says that you know)"
                                       : "") +
                                 end);
}

void Vmm::on_event(const runhv_event& event) {
  switch (event.kind) {
    case RUNHV_EVENT_ENDED:
      // A start that failed was told already.
      if (!end_) finish(event);
      return;
    case RUNHV_EVENT_STARTED:
      was_started_ = true;
      [[fallthrough]];
    case RUNHV_EVENT_CREATED:
    case RUNHV_EVENT_PAUSED:
    case RUNHV_EVENT_RESUMED:
      keep_state();
      break;
    case RUNHV_EVENT_WARNING:
      if (!is_told_elsewhere())
        platform::complain("warning: " + to_string(api::from_abi(event.error)));
      break;
    default:
      break;
  }
  server_.tell(event);
  // While nobody waits, and before it can run. The places of its mounts are made by now.
  if (event.kind == RUNHV_EVENT_CREATED && options_.created) show_files();
}

void Vmm::keep_state() {
  const container::ContainerState now = container_ ? container_->state() : member_->state();
  stored_.status = container::status_name(now.status);
  stored_.started_ns = now.started_at_ns;
  stored_.ended_ns = now.ended_at_ns;
  if (const auto written = folder_->write(stored_); !written) platform::complain(written.error());
}

void Vmm::show_files() {
  const auto shown = first_thread_.show(files_of(bundle()->container));
  // Who may make no mount namespace has none of the host's rights to lose.
  if (!shown && shown.error().code != Code::kAccessDenied) platform::complain(shown.error());
  files_are_shown_ = true;
  if (!confinement_) return;
  if (const auto confined = confine_first_thread(); !confined) {
    platform::complain(confined.error());
    static_cast<void>(signal(container::kFirstProcess, kKill));
  }
}

// Between the last file that is opened for the machine and its first instruction.
Result<void> Vmm::confine() {
  // Leftovers of others, which from here on are out of reach.
  control::sweep_containers(root_);
  if (platform::kIsInstrumented || platform::environment("RUNHV_CONFINEMENT") == "off") {
    debug_log("vmm", "this process is not confined");
    return {};
  }
  const ConfinedContainer what{.bundle = *bundle(),
                               .folder = folder_->path(),
                               .created = options_.created,
                               .own_network = options_.own_network};
  RUNHV_TRY_ASSIGN(confinement_, platform::Confinement::prepare(duties_of(what)));
  if (!confinement_->missing().empty()) {
    debug_log("vmm", "confinement: %s", confinement_->missing().c_str());
  }
  if (const auto confined = confinement_->confine_other_threads(); !confined) {
    Error error = confined.error();
    error.detail += "; RUNHV_CONFINEMENT=off goes on without";
    return Fail{std::move(error)};
  }
  // To show the container's files it mounts them, which only the guest's agent comes before.
  return options_.created && !files_are_shown_ ? Result<void>() : confine_first_thread();
}

Result<void> Vmm::confine_first_thread() {
  return first_thread_.do_there([this]() -> Result<void> {
    const int failed = confinement_->confine_this_thread();
    return failed == 0 ? Result<void>()
                       : Fail{platform::os_error("confine the first thread", failed)};
  });
}

// One line for each thing that a person wants to know; what the exit status says, it says.
api::AbiEnd Vmm::tell_people(const runhv_event& event) const {
  api::AbiEnd end{event.code, event.status, event.error};
  if (is_told_elsewhere()) return end;
  if (end.code != RUNHV_OK) {
    platform::complain(api::from_abi(end.error));
    return end;
  }
  if (end.status.end == RUNHV_END_NOT_STARTED) {
    // The words say it, and the number is the guest's.
    end.error.domain = RUNHV_DOMAIN_NONE;
    platform::complain(api::from_abi(end.error));
  }
  if (const std::uint32_t kills = end.status.oom_kills; kills != 0) {
    platform::complain("memory ran out in the container, and its kernel killed " +
                       std::to_string(kills) + (kills == 1 ? " process" : " processes") +
                       "; -m says how much it has");
  }
  return end;
}

void Vmm::finish(const runhv_event& event) {
  terminal_mode_.reset();
  // Asking for them looks through all of the process's memory, and the kernel's file.
  const bool counts =
      container_ && (server_.has_clients() || options_.timings != TimingsFormat::kNone);
  auto numbers = api::sized<runhv_statistics>();
  if (counts) numbers = api::to_abi(container_->statistics());
  // Who is told of the end may use the name again at once.
  if (folder_ && options_.keep) {
    stored_.status = container::status_name(container::ContainerStatus::kStopped);
    stored_.ended_ns = platform::realtime_ns();
    stored_.end = control::StoredEnd{
        end_name({event.code, event.status, event.error}), event.status.value,
        event.error.code != RUNHV_OK ? std::optional(api::from_abi(event.error)) : std::nullopt};
    if (const auto written = folder_->write(stored_); !written) platform::complain(written.error());
  } else if (folder_) {
    if (const auto removed = folder_->remove(); !removed) platform::complain(removed.error());
  }
  if (counts) server_.tell_last(numbers);
  server_.tell(event);
  end_ = tell_people(event);
  if (container_ && options_.timings != TimingsFormat::kNone) {
    const bool colour = platform::is_terminal(platform::standard_stream(2)) &&
                        platform::environment("NO_COLOR").empty();
    platform::lossy_stderr().write(options_.timings == TimingsFormat::kTable
                                       ? timings_table(options_.id, numbers, *end_, colour)
                                       : timings_json(options_.id, numbers, *end_),
                                   platform::kStderrPatienceNs);
  }
  server_.when_read(platform::monotonic_ns() + kReadPatienceNs, [this] { loop_.stop(); });
}

Error Vmm::no_container() const {
  return Error{Code::kConflict, "serve container " + options_.id,
               end_ ? "container not running" : "the container is being created"};
}

runhv_state Vmm::state() {
  if (container_) return api::to_abi(options_.id, container_->state(), container_->end());
  auto state = api::to_abi(options_.id, member_ ? member_->state() : container::ContainerState{},
                           std::nullopt);
  if (!end_) return state;
  state.status = RUNHV_STATUS_STOPPED;
  state.end_code = end_->code;
  state.end = end_->status;
  return state;
}

Result<runhv_statistics> Vmm::statistics() {
  if (member_) return member_->statistics();
  if (!container_) return Fail{no_container()};
  return api::to_abi(container_->statistics());
}

const container::Bundle* Vmm::bundle() const {
  if (container_) return &container_->bundle();
  return member_ ? &member_->bundle() : nullptr;
}

Result<void> Vmm::start() {
  return ask([](auto& it) { return it.start(); });
}

Result<void> Vmm::signal(container::ProcessNumber process, int signal) {
  return ask([&](auto& it) { return it.signal(process, signal); });
}

Result<void> Vmm::stop(int signal, std::uint32_t grace_ms) {
  return ask([&](auto& it) { return it.stop(signal, grace_ms); });
}

Result<void> Vmm::pause() {
  return ask([](auto& it) { return it.pause(); });
}

Result<void> Vmm::resume() {
  return ask([](auto& it) { return it.resume(); });
}

Result<container::ProcessNumber> Vmm::start_process(container::ProcessConfig config) {
  return ask([&](auto& it) { return it.start_process(std::move(config)); });
}

Result<container::ProcessNumber> Vmm::join(container::JoinConfig config) {
  RUNHV_TRY_ASSIGN(const auto joining, control::find_container(root_, config.id));
  RUNHV_TRY_ASSIGN(const std::string json, control::kept_config(joining.folder));
  config.bundle = joining.state.bundle;
  config.json = json;
  return ask([&](auto& it) { return it.join(std::move(config)); });
}

Result<void> Vmm::resize(container::ProcessNumber process, std::uint16_t columns,
                         std::uint16_t rows) {
  return ask([&](auto& it) { return it.resize(process, columns, rows); });
}

Result<void> Vmm::update(container::ProcessNumber which, std::string_view json,
                         container::UpdateDone done) {
  return ask([&](auto& it) { return it.update(which, json, std::move(done)); });
}

Result<void> Vmm::attach(container::ProcessNumber process, int stream,
                         std::optional<platform::Stream> end) {
  return ask([&](auto& it) { return it.attach(process, stream, std::move(end)); });
}

}  // namespace runhv::vmm_main
