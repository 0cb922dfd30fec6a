#include "oci/create.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "base/scope_exit.h"
#include "container/bundle.h"
#include "container/container.h"
#include "control/client.h"
#include "control/container_folder.h"
#include "oci/cgroups.h"
#include "oci/console_socket.h"
#include "oci/container.h"
#include "oci/distribution.h"
#include "oci/gate.h"
#include "oci/hooks.h"
#include "oci/log.h"
#include "oci/pod.h"
#include "oci/systemd_scope.h"
#include "oci/user_namespace.h"
#include "oci/wait.h"
#include "platform/child.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/local_socket.h"
#include "platform/os_error.h"
#include "platform/process.h"
#include "platform/standard_streams.h"
#include "platform/stream.h"

namespace runhv::oci {
namespace {

namespace fs = std::filesystem;
using control::Client;

class Creation {
 public:
  Creation(const Globals& globals, const CreateOptions& options)
      : globals_(globals), options_(options) {}

  Result<platform::Child> run() {
    RUNHV_TRY(platform::check_can_fork("create"));
    RUNHV_TRY(check_preserved("create", options_.preserve_fds));
    ScopeExit undo([this] { this->undo(); });
    RUNHV_TRY(read_config());
    RUNHV_TRY(find_scope());
    RUNHV_TRY(take_name());
    if (!scope_) RUNHV_TRY(make_cgroups_of_it());
    if (!options_.console_socket.empty()) {
      RUNHV_TRY_ASSIGN(console_, Console::open(options_.console_socket));
    }
    RUNHV_TRY_ASSIGN(auto gate, Gate::make());
    RUNHV_TRY_ASSIGN(auto ends, platform::LocalConnection::pair());
    RUNHV_TRY_ASSIGN(child_, start_vmm(gate, std::move(ends.second)));
    stored_.pid = child_->pid();
    if (scope_) RUNHV_TRY(start_scope());
    RUNHV_TRY(run_hooks("prestart", host_.hooks.prestart, stored_));
    RUNHV_TRY(run_hooks("createRuntime", host_.hooks.create_runtime, stored_));
    RUNHV_TRY(run_hooks("createContainer", host_.hooks.create_container, stored_));
    // From here on the name is the VMM's alone: however it ends, the name is free.
    folder_.reset();
    gate.open();
    RUNHV_TRY(wait_until_created(std::move(ends.first)));
    if (console_) RUNHV_TRY(console_->send_master());
    if (!options_.pid_file.empty()) RUNHV_TRY(write_pid_file(options_.pid_file, child_->pid()));
    undo.release();
    return *std::move(child_);
  }

 private:
  Result<void> read_config() {
    std::error_code failure;
    bundle_folder_ = fs::absolute(options_.bundle.empty() ? "." : options_.bundle, failure)
                         .lexically_normal()
                         .string();
    while (bundle_folder_.size() > 1 && bundle_folder_.ends_with('/')) bundle_folder_.pop_back();
    const std::string path = bundle_folder_ + "/config.json";
    RUNHV_TRY_ASSIGN(config_, platform::read_file(path, container::kMaxConfigBytes));
    const std::string_view text(reinterpret_cast<const char*>(config_.data()), config_.size());
    RUNHV_TRY_ASSIGN(host_, parse_host_spec(text, "read " + path));
    RUNHV_TRY_ASSIGN(root_, control::runhv_root(globals_.root));
    RUNHV_TRY_ASSIGN(stored_.pod, find_pod(root_, host_));
    RUNHV_TRY_ASSIGN(bundle_,
                     container::parse_bundle(text, "read " + path,
                                             stored_.pod.empty() ? container::Joins::kNothing
                                                                 : container::Joins::kMachine));
    container::find_shares(bundle_folder_, bundle_);
    RUNHV_TRY(find_users());
    if (options_.attached) return {};
    // In runc's words.
    if (bundle_.process.terminal && options_.console_socket.empty()) {
      return invalid_argument(
          "create", "cannot allocate tty if runhv will detach without setting console socket");
    }
    if (!bundle_.process.terminal && !options_.console_socket.empty()) {
      return invalid_argument("create",
                              "cannot use console socket if runhv will not detach or allocate tty");
    }
    return {};
  }

  // Of a user namespace that is named by its path. Whoever is not root has none.
  Result<void> find_users() {
    const std::string& path = bundle_.container.user_namespace;
    if (path.empty() || !platform::acts_for_all_users()) return {};
    if (!bundle_.container.joins_users) {
      RUNHV_TRY_ASSIGN(const container::UserMaps maps, maps_of_user_namespace(root_, path));
      stored_.users = {.uid_map = container::id_map_text(maps.users),
                       .gid_map = container::id_map_text(maps.groups)};
      return {};
    }
    RUNHV_TRY_ASSIGN(const bool is_of_it, is_of_pod(root_, stored_.pod, path));
    if (is_of_it) return {};
    return Fail{Error{Code::kUnsupported, "create",
                      "it joins the VM of container " + stored_.pod + ", and user namespace " +
                          path + " is not that of its process"}};
  }

  Result<void> take_name() {
    auto taken = control::ContainerFolder::take(root_, options_.id);
    if (!taken && taken.error().code == Code::kConflict) {
      return Fail{Error{Code::kConflict, "create", "container with given ID already exists"}};
    }
    if (!taken) return Fail{std::move(taken).error()};
    folder_.emplace(*std::move(taken));
    stored_.id = options_.id;
    stored_.bundle = bundle_folder_;
    stored_.rootfs = bundle_.container.root_folder();
    stored_.pid = platform::current_process_id();
    stored_.ephemeral = false;
    stored_.status = "creating";
    stored_.created_ns = platform::realtime_ns();
    stored_.annotations = bundle_.annotations;
    stored_.command = bundle_.process.arguments;
    // A name without a cgroup is what a user who may make none has.
    if (auto folders = cgroup_folders(cgroups_path())) {
      // Whatever is in its cgroups when a container is deleted is killed.
      if (const std::size_t others = processes_in_cgroups(*folders).size(); others != 0) {
        return Fail{Error{
            Code::kConflict, "create",
            "container's cgroup is not empty: " + std::to_string(others) + " process(es) found"}};
      }
      stored_.cgroups = *std::move(folders);
      if (scope_) stored_.scope = scope_->unit;
    } else if (!host_.cgroups_path.empty() || scope_) {
      return Fail{std::move(folders).error()};
    }
    RUNHV_TRY(folder_->keep_config(config_));
    return folder_->write(stored_);
  }

  // Where systemd is to make the cgroup.
  Result<void> find_scope() {
    if (!globals_.systemd_cgroup) return {};
    if (!systemd_runs()) {
      if (host_.cgroups_path.empty()) return {};
      return invalid_argument(
          "create",
          "systemd cgroup flag passed, but systemd support for managing cgroups is not available");
    }
    RUNHV_TRY_ASSIGN(
        scope_, parse_scope(host_.cgroups_path, options_.id, platform::current_user_id() == 0));
    RUNHV_TRY_ASSIGN(const std::string path, scope_path(*scope_));
    auto systemd = Systemd::connect();
    if (!systemd && may_miss_cgroup()) {
      scope_.reset();
      return {};
    }
    RUNHV_TRY_ASSIGN(systemd_, std::move(systemd));
    RUNHV_TRY_ASSIGN(scope_path_, systemd_->cgroup());
    scope_path_ += path;
    return {};
  }

  // As runc has it for a user who is not root: what nobody asked for is not missed.
  bool may_miss_cgroup() const {
    return host_.cgroups_path.empty() && platform::current_user_id() != 0;
  }

  std::string cgroups_path() const {
    if (scope_) return scope_path_;
    return host_.cgroups_path.empty() ? options_.id : host_.cgroups_path;
  }

  // The child waits, and has not begun to use memory.
  Result<void> start_scope() {
    if (auto started =
            systemd_->start(*scope_, child_->pid(), host_.resources, bundle_.vm.memory_bytes);
        !started) {
      // Whoever has the name keeps it, and its cgroup. Ours goes with the child.
      stored_.scope.clear();
      stored_.cgroups.clear();
      return started;
    }
    // Of version 1 systemd has made some.
    RUNHV_TRY(make_cgroups(stored_.cgroups));
    RUNHV_TRY(limit_cgroups(stored_.cgroups, host_.resources, bundle_.vm.memory_bytes));
    return enter_cgroups(stored_.cgroups, child_->pid());
  }

  Result<void> make_cgroups_of_it() {
    const auto made = make_cgroups(stored_.cgroups);
    if (!made && may_miss_cgroup()) {
      stored_.cgroups.clear();
      return folder_->write(stored_);
    }
    RUNHV_TRY(made);
    return limit_cgroups(stored_.cgroups, host_.resources, bundle_.vm.memory_bytes);
  }

  // Only root can make one.
  bool has_own_network() const {
    return host_.has_network_namespace && host_.network_namespace.empty() &&
           platform::current_user_id() == 0;
  }

  platform::Placement placement() const {
    platform::Placement placement;
    if (!scope_) placement.cgroups = stored_.cgroups;
    placement.network_namespace = host_.network_namespace;
    placement.new_network_namespace = has_own_network();
    placement.oom_score_adj = host_.oom_score_adj;
    return placement;
  }

  std::vector<std::string> vmm_arguments(const platform::LocalConnection& control) const {
    std::vector<std::string> arguments{"--id",         options_.id,
                                       "--root",       root_,
                                       "--bundle",     bundle_folder_,
                                       "--lock-fd",    std::to_string(folder_->lock()),
                                       "--control-fd", std::to_string(control.handle()),
                                       "--created",    "--keep"};
    // By hooks, as dockerd did it up to version 28, or between create and start: else nobody looks
    // into it.
    const bool may_be_furnished = !host_.hooks.prestart.empty() ||
                                  !host_.hooks.create_runtime.empty() || host_.brings_resolver;
    if (has_own_network() && may_be_furnished) arguments.emplace_back("--own-network");
    if (options_.preserve_fds != 0) {
      arguments.insert(arguments.end(), {"--preserve-fds", std::to_string(options_.preserve_fds)});
    }
    if (!stored_.pod.empty()) arguments.insert(arguments.end(), {"--join", stored_.pod});
    if (stored_.users) {
      arguments.insert(arguments.end(),
                       {"--uid-map", stored_.users->uid_map, "--gid-map", stored_.users->gid_map});
    }
    if (globals_.debug) arguments.emplace_back("--debug");
    if (options_.attached) {
      arguments.insert(arguments.end(),
                       {"--end-with", std::to_string(platform::current_process_id())});
    }
    arguments.insert(arguments.end(), options_.vmm_options.begin(), options_.vmm_options.end());
    return arguments;
  }

  Result<platform::Child> start_vmm(Gate& gate, platform::LocalConnection control) {
    RUNHV_TRY_ASSIGN(const std::string home, distribution());
    const auto arguments = vmm_arguments(control);
    return platform::start_child([&](const platform::Ready& ready) -> Result<int> {
      RUNHV_TRY(platform::place_this_process(placement()));
      RUNHV_TRY(platform::begin_session(console_ ? console_->slave() : platform::kInvalidHandle));
      if (console_) {
        RUNHV_TRY(platform::set_standard_streams(
            {console_->slave(), console_->slave(), console_->slave()}));
      }
      RUNHV_TRY(platform::keep_across_become(folder_->lock()));
      RUNHV_TRY(platform::keep_across_become(control.handle()));
      ready();
      if (!gate.wait()) return 1;
      return Fail{platform::become(vmm_program(home), arguments)};
    });
  }

  Result<void> wait_until_created(platform::LocalConnection connection) {
    RUNHV_TRY_ASSIGN(Client client,
                     Client::greet(std::move(connection), std::nullopt, Client::Events::kKept));
    while (true) {
      RUNHV_TRY_ASSIGN(const auto event, client.event());
      switch (event->kind) {
        case RUNHV_EVENT_CREATED:
          return {};
        case RUNHV_EVENT_WARNING:
          report(globals_, Level::kWarning, api::from_abi(event->error));
          break;
        case RUNHV_EVENT_ENDED:
          if (event->error.code == RUNHV_OK) {
            return Fail{Error{Code::kClosed, "create", "the container was killed"}};
          }
          return Fail{api::from_abi(event->error)};
        default:
          break;
      }
    }
  }

  void undo() {
    if (child_) {
      platform::kill_process(child_->pid());
      static_cast<void>(child_->wait());
    }
    if (stored_.status.empty()) return;
    complain_of(remove_cgroups(stored_.cgroups));
    complain_of(stop_scope(stored_));
    stored_.status = "stopped";
    stored_.pid = 0;
    complain_of(run_hooks("poststop", host_.hooks.poststop, stored_));
    if (folder_) {
      complain_of(folder_->remove());
    } else if (const auto left = control::find_container(root_, options_.id);
               left && !left->lives) {
      // Nobody's but ours: the VMM was killed before it could remove it.
      if (left->state.created_ns == stored_.created_ns) complain_of(remove_container(*left));
    }
  }

  void complain_of(const Result<void>& result) const {
    if (!result) report(globals_, Level::kWarning, result.error());
  }

  const Globals& globals_;
  const CreateOptions& options_;
  std::string bundle_folder_;
  std::vector<std::byte> config_;
  container::Bundle bundle_;
  HostSpec host_;
  std::string root_;
  std::optional<Scope> scope_;
  std::optional<Systemd> systemd_;  // with a scope
  std::string scope_path_;
  std::optional<control::ContainerFolder> folder_;
  control::StoredState stored_;
  std::optional<Console> console_;
  std::optional<platform::Child> child_;
};

}  // namespace

Result<void> write_pid_file(const std::string& path, std::uint64_t pid) {
  // Beside it, for rename(2); readable for everybody, as runc's.
  const std::string temporary = path + "." + std::to_string(platform::current_process_id());
  std::ofstream file(temporary, std::ios::trunc);
  file << pid << std::flush;
  if (!file) return Fail{platform::os_error("write pid file " + path, errno)};
  file.close();
  std::error_code failure;
  fs::rename(temporary, path, failure);
  if (!failure) return {};
  fs::remove(temporary, failure);
  return Fail{platform::os_error("write pid file " + path, failure.value())};
}

Result<platform::Child> create_container(const Globals& globals, const CreateOptions& options) {
  return Creation(globals, options).run();
}

Result<unsigned> read_preserved(const std::string& verb, std::string_view count) {
  if (count.empty()) return 0;
  unsigned number = 0;
  const auto [end, failure] = std::from_chars(count.data(), count.data() + count.size(), number);
  if (failure == std::errc() && end == count.data() + count.size() &&
      number <= container::kMaxDescriptors) {
    return number;
  }
  return Fail{Error{Code::kInvalidArgument, verb,
                    "--preserve-fds " + std::string(count) + ": expected a number up to " +
                        std::to_string(container::kMaxDescriptors)}};
}

Result<void> check_preserved(const std::string& verb, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const auto usable = platform::is_for_reading(platform::kFirstPreserved + i);
    if (usable) continue;
    return Fail{
        Error{usable.error().code, verb,
              "--preserve-fds " + std::to_string(count) + ": " + to_string(usable.error())}};
  }
  return {};
}

bool asks_the_host(const std::string& bundle) {
  const auto config = platform::read_file(bundle + "/config.json", container::kMaxConfigBytes);
  if (!config) return false;
  const auto host = parse_host_spec({reinterpret_cast<const char*>(config->data()), config->size()},
                                    "read " + bundle);
  if (!host) return false;
  const Hooks& hooks = host->hooks;
  return !host->cgroups_path.empty() || !host->user_namespace.empty() || !hooks.prestart.empty() ||
         !hooks.create_runtime.empty() || !hooks.create_container.empty() ||
         !hooks.poststart.empty() || !hooks.poststop.empty();
}

Result<void> start_container(const Globals& globals, const std::string& id) {
  RUNHV_TRY_ASSIGN(auto container, find("start", globals.root, id));
  const auto refuse = [](const char* why) { return Fail{Error{Code::kConflict, "start", why}}; };
  if (!is_there(container)) return refuse("cannot start a container that has stopped");
  if (container.state.status != "created") {
    return refuse("cannot start an already running container");
  }
  // Whoever watches the VMM sees its end no later than our failure: containerd deletes what could
  // not be started once, at once, and not while its shim takes it for created.
  const auto fail = [&container](Error error) -> Fail<Error> {
    static_cast<void>(wait_for_end(container.state.pid, platform::monotonic_ns() + kEndNs));
    return Fail{std::move(error)};
  };
  RUNHV_TRY_ASSIGN(Client client, connect("start", container, Client::Events::kKept));
  if (auto answer = client.ask(RUNHV_CONTROL_START, {}); !answer) {
    // Somebody else has started it.
    if (answer.error().code == Code::kConflict) return Fail{std::move(answer).error()};
    return fail(std::move(answer).error());
  }
  client.set_deadline(std::nullopt);
  while (true) {
    auto event = client.event();
    if (!event) return fail(std::move(event).error());
    const runhv_event& told = **event;
    if (told.kind == RUNHV_EVENT_WARNING) {
      report(globals, Level::kWarning, api::from_abi(told.error));
    }
    if (told.kind == RUNHV_EVENT_ENDED && told.error.code != RUNHV_OK) {
      return fail(api::from_abi(told.error));
    }
    if (told.kind == RUNHV_EVENT_STARTED || told.kind == RUNHV_EVENT_ENDED) break;
  }
  RUNHV_TRY_ASSIGN(const HostSpec host, host_spec(container));
  container.state.status = "running";
  if (auto run = run_hooks("poststart", host.hooks.poststart, container.state); !run) {
    static_cast<void>(client.signal(RUNHV_FIRST_PROCESS, container::linux_abi::kSigkill));
    return fail(std::move(run).error());
  }
  return {};
}

}  // namespace runhv::oci
