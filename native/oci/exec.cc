#include "oci/exec.h"

#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "control/client.h"
#include "oci/console_socket.h"
#include "oci/container.h"
#include "oci/create.h"
#include "oci/log.h"
#include "platform/child.h"
#include "platform/file.h"
#include "platform/path.h"
#include "platform/process.h"
#include "platform/signals.h"
#include "platform/standard_streams.h"
#include "platform/terminal.h"

namespace runhv::oci {
namespace {

using control::Client;

constexpr int kKilled = 137;        // 128 + SIGKILL
constexpr int kWindowChanged = 28;  // Linux: SIGWINCH

// The user who sees all of a root file system, and the right to take it from under its mounts.
constexpr const char* kArchiver =
    R"({"args":["runhv-export"],"cwd":"/","capabilities":{)"
    R"("bounding":["CAP_SYS_ADMIN","CAP_DAC_READ_SEARCH","CAP_DAC_OVERRIDE"],)"
    R"("permitted":["CAP_SYS_ADMIN","CAP_DAC_READ_SEARCH","CAP_DAC_OVERRIDE"],)"
    R"("effective":["CAP_SYS_ADMIN","CAP_DAC_READ_SEARCH","CAP_DAC_OVERRIDE"]}})";

Fail<Error> refuse(Code code, const std::string& detail) {
  return Fail{Error{code, "exec", detail}};
}

// `verb`: that of every error.
Result<control::FoundContainer> find_running(const Globals& globals, const std::string& verb,
                                             const std::string& id) {
  const auto refused = [&](const std::string& why) {
    return Fail{Error{Code::kConflict, verb, why}};
  };
  RUNHV_TRY_ASSIGN(auto container, find(verb, globals.root, id));
  if (!is_there(container)) return refused("cannot exec in a container that is not running");
  const std::string& status = container.state.status;
  if (status == "paused") return refused("cannot exec in a paused container");
  if (status != "running" && status != "created") {
    return refused("container not running: it is " + status);
  }
  return container;
}

// What a process of the guest and its stand-in have to say to each other.
class StandIn {
 public:
  StandIn(const Globals& globals, Client client) : globals_(globals), client_(std::move(client)) {}

  // `streams`: the process's; with a terminal what is typed and what is shown. `preserved`: so many
  // more of this process's, which it has no longer then.
  Result<void> start(const ProcessJson& process, const std::array<platform::OsHandle, 3>& streams,
                     unsigned preserved, std::uint32_t flags = 0) {
    auto request = api::sized<runhv_control_process_start>();
    request.flags = flags;
    if (process.terminal) {
      terminal_ = streams[0];
      request.flags |= RUNHV_PROCESS_TERMINAL;
      if (const auto size = platform::terminal_size(terminal_)) {
        request.columns = size->columns;
        request.rows = size->rows;
      }
    }
    std::vector<platform::UniqueHandle> owned;
    std::vector<platform::OsHandle> more;
    for (unsigned i = 0; i < preserved; ++i) {
      more.push_back(platform::kFirstPreserved + static_cast<platform::OsHandle>(i));
      owned.emplace_back(more.back());
    }
    // However long the program's start takes, it is the VMM that watches it.
    client_.set_deadline(std::nullopt);
    RUNHV_TRY_ASSIGN(
        process_,
        client_.begin(RUNHV_CONTROL_PROCESS_START, request, process.json,
                      std::span(streams).first(process.terminal ? 2 : streams.size()), more));
    return {};
  }

  // Until its program is in place. A program that has ended by then is in place as well.
  Result<void> wait_until_started() {
    while (!status_) {
      RUNHV_TRY_ASSIGN(const auto event, client_.event());
      if (event->kind == RUNHV_EVENT_PROCESS_STARTED && event->process == process_) return {};
      RUNHV_TRY(take(*event));
    }
    return {};
  }

  // The process's status, once it has ended. `signals` are passed on to it.
  Result<int> wait_until_ended(platform::SignalQueue& signals) {
    RUNHV_TRY(signals.bind(client_.loop()));
    while (!status_) {
      auto event = client_.event(&signals);
      // The container was ended, and all that was in it.
      if (!event && event.error().code == Code::kClosed) return kKilled;
      if (!event) return Fail{std::move(event).error()};
      if (*event) {
        RUNHV_TRY(take(**event));
        continue;
      }
      while (const auto number = signals.next()) RUNHV_TRY(pass_on(*number));
    }
    RUNHV_TRY(client_.deliver());
    return *status_;
  }

  // Once it has ended: why its status does not tell all, such as output that was not written.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  Result<void> take(const runhv_event& event) {
    if (event.kind == RUNHV_EVENT_WARNING && event.process == process_) {
      report(globals_, Level::kWarning, api::from_abi(event.error));
    }
    if (event.kind == RUNHV_EVENT_ENDED && !status_) status_ = kKilled;
    if (event.kind != RUNHV_EVENT_PROCESS_ENDED || event.process != process_) return {};
    status_ = event.status.exit_status;
    if (event.status.end == RUNHV_END_NOT_STARTED) return Fail{api::from_abi(event.error)};
    if (event.error.code != 0) failure_ = api::from_abi(event.error);
    return {};
  }

  Result<void> pass_on(int signal) {
    auto passed = signal == kWindowChanged && terminal_ != platform::kInvalidHandle
                      ? resize()
                      : client_.signal(process_, signal);
    // It has ended meanwhile, and its event is on the way.
    if (!passed &&
        (passed.error().code == Code::kNotFound || passed.error().code == Code::kClosed)) {
      return {};
    }
    return passed;
  }

  Result<void> resize() {
    const auto size = platform::terminal_size(terminal_);
    if (!size) return {};
    auto request = api::sized<runhv_control_resize>();
    request.process = process_;
    request.columns = size->columns;
    request.rows = size->rows;
    RUNHV_TRY(client_.ask(RUNHV_CONTROL_RESIZE, control::structure_bytes(request)));
    return {};
  }

  const Globals& globals_;
  Client client_;
  runhv_process process_ = 0;
  platform::OsHandle terminal_ = platform::kInvalidHandle;
  std::optional<int> status_;
  std::optional<Error> failure_;
};

// A child that this process leaves behind once the program is in place. All of the channel is its
// own: an event loop does not outlive a fork.
Result<platform::Child> leave_behind(const Globals& globals,
                                     const control::FoundContainer& container,
                                     const ProcessJson& process,
                                     const std::array<platform::OsHandle, 3>& streams,
                                     unsigned preserved, std::optional<Console>& console) {
  return platform::start_child([&](const platform::Ready& ready) -> Result<int> {
    platform::Placement placement;
    placement.cgroups = container.state.cgroups;
    RUNHV_TRY(platform::place_this_process(placement));
    RUNHV_TRY(platform::begin_session(console ? console->slave() : platform::kInvalidHandle));
    RUNHV_TRY_ASSIGN(const auto signals, platform::SignalQueue::create_for_all());
    RUNHV_TRY_ASSIGN(Client client, connect("exec", container, Client::Events::kKept));
    StandIn stand_in(globals, std::move(client));
    RUNHV_TRY(stand_in.start(process, streams, preserved));
    RUNHV_TRY(stand_in.wait_until_started());
    if (console) RUNHV_TRY(console->send_master());
    // The streams are the process's: who waits for their end waits for it alone.
    RUNHV_TRY(platform::give_up_standard_streams());
    ready();
    return stand_in.wait_until_ended(*signals);
  });
}

}  // namespace

Result<int> exec_process(const Globals& globals, const ExecOptions& options) {
  if (options.detach) RUNHV_TRY(platform::check_can_fork("exec --detach"));
  RUNHV_TRY(check_preserved("exec", options.preserve_fds));
  RUNHV_TRY_ASSIGN(const auto container, find_running(globals, "exec", options.id));
  RUNHV_TRY_ASSIGN(const std::string config, control::kept_config(container.folder));
  RUNHV_TRY_ASSIGN(const ProcessJson process, process_json(config, options.wishes, "exec"));
  if (options.detach && process.terminal && options.console_socket.empty()) {
    return refuse(Code::kInvalidArgument,
                  "cannot allocate tty if runhv will detach without setting console socket");
  }
  if (!options.console_socket.empty() && !(options.detach && process.terminal)) {
    return refuse(Code::kInvalidArgument,
                  "cannot use console socket if runhv will not detach or allocate tty");
  }
  std::optional<Console> console;
  if (!options.console_socket.empty()) {
    RUNHV_TRY_ASSIGN(console, Console::open(options.console_socket));
  }
  std::array<platform::OsHandle, 3> streams{
      platform::standard_stream(0), platform::standard_stream(1), platform::standard_stream(2)};
  if (console) streams[0] = streams[1] = console->slave();
  if (options.detach) {
    RUNHV_TRY_ASSIGN(const platform::Child child, leave_behind(globals, container, process, streams,
                                                               options.preserve_fds, console));
    if (options.pid_file.empty()) return 0;
    if (auto written = write_pid_file(options.pid_file, child.pid()); !written) {
      platform::kill_process(child.pid());
      return Fail{std::move(written).error()};
    }
    return 0;
  }

  RUNHV_TRY_ASSIGN(const auto signals, platform::SignalQueue::create_for_all());
  std::optional<platform::TerminalMode> mode;
  if (process.terminal && platform::is_terminal(streams[0])) {
    RUNHV_TRY_ASSIGN(mode, platform::TerminalMode::save(streams[0]));
    RUNHV_TRY(platform::make_terminal_raw(streams[0]));
  }
  RUNHV_TRY_ASSIGN(Client client, connect("exec", container, Client::Events::kKept));
  StandIn stand_in(globals, std::move(client));
  RUNHV_TRY(stand_in.start(process, streams, options.preserve_fds));
  if (!options.pid_file.empty()) {
    RUNHV_TRY(stand_in.wait_until_started());
    RUNHV_TRY(write_pid_file(options.pid_file, platform::current_process_id()));
  }
  return stand_in.wait_until_ended(*signals);
}

Result<void> export_root(const Globals& globals, const std::string& id, const std::string& file) {
  constexpr const char* kVerb = "export";
  if (file.empty() && platform::is_terminal(platform::standard_stream(1))) {
    return Fail{Error{Code::kInvalidArgument, kVerb, "stdout is a terminal: name a FILE with -o"}};
  }
  RUNHV_TRY_ASSIGN(const auto container, find_running(globals, kVerb, id));
  // Before there is a file that a signal would leave.
  RUNHV_TRY_ASSIGN(const auto signals, platform::SignalQueue::create_for_all());
  std::optional<platform::NewFile> made;
  if (!file.empty()) {
    std::error_code failure;
    const auto there = std::filesystem::status(platform::filesystem_path(file), failure);
    if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) {
      return Fail{
          Error{Code::kInvalidArgument, kVerb, file + " is no regular file: use > instead"}};
    }
    RUNHV_TRY_ASSIGN(auto opened, platform::NewFile::create(file));
    made.emplace(std::move(opened));
  }
  const platform::OsHandle output = made ? made->file().handle() : platform::standard_stream(1);
  RUNHV_TRY_ASSIGN(Client client, connect(kVerb, container, Client::Events::kKept));
  StandIn stand_in(globals, std::move(client));
  RUNHV_TRY(stand_in.start({kArchiver, false},
                           {platform::kInvalidHandle, output, platform::standard_stream(2)}, 0,
                           RUNHV_PROCESS_ARCHIVE));
  RUNHV_TRY_ASSIGN(const int status, stand_in.wait_until_ended(*signals));
  if (stand_in.failure()) return Fail{*stand_in.failure()};
  if (status == kKilled) {
    return Fail{Error{Code::kClosed, kVerb, "it was ended before the archive was whole"}};
  }
  if (status != 0) {
    return Fail{Error{Code::kHostFailed, kVerb, "not all of the root file system could be read"}};
  }
  return made ? std::move(*made).put_in_place(platform::Durability::kUnsynced) : Result<void>();
}

}  // namespace runhv::oci
