#include "oci/verbs.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>

#include "oci/container_verbs.h"
#include "oci/create.h"
#include "oci/documents.h"
#include "oci/exec.h"
#include "oci/log.h"

namespace runhv::oci {
namespace {

constexpr std::size_t kAny = SIZE_MAX;

constexpr Option kCreateOptions[] = {
    {"bundle", 'b', "DIR", "the bundle's folder (default: this one)"},
    {"console-socket", 0, "SOCKET", "where the terminal's other end is sent"},
    {"pid-file", 0, "FILE", "where the container's pid is written, at last"},
    {"preserve-fds", 0, "N", "so many descriptors from 3 on are the program's too"},
    {"no-pivot", 0, "", "accepted: the guest's root is mounted in its own way"},
    {"no-new-keyring", 0, "", "accepted: the guest has keyrings of its own"},
};
constexpr Option kKillOptions[] = {
    {"all", 'a', "", "every process; with the first one all others end anyhow"},
};
constexpr Option kDeleteOptions[] = {
    {"force", 'f', "", "kills it if it runs, and says nothing where there is none"},
};
constexpr Option kListOptions[] = {
    {"format", 'f', "table|json", "json: the OCI state of each"},
    {"json", 0, "", "all that is known of each"},
    {"quiet", 'q', "", "names only"},
};
constexpr Option kPsOptions[] = {
    {"format", 'f', "table|json", "json: the numbers alone (default table)"},
};
constexpr Option kExecOptions[] = {
    {"process", 'p', "FILE", "the process object as JSON; - is stdin"},
    {"detach", 'd', "", "does not wait for its end"},
    {"tty", 't', "", "a terminal"},
    {"interactive", 'i', "", "accepted: stdin is connected"},
    {"console-socket", 0, "SOCKET", "where the terminal's other end is sent"},
    {"pid-file", 0, "FILE", "where the pid of its stand-in is written, at last"},
    {"cwd", 0, "DIR", "its folder (default: the container's)"},
    {"env", 'e', "NAME=VALUE", "one more variable"},
    {"user", 'u', "UID[:GID]", "numbers (default: the container's)"},
    {"additional-gids", 'g', "GID", "one more group"},
    {"cap", 'c', "CAPABILITY", "one more capability"},
    {"no-new-privs", 0, "", "no program gives it more rights"},
    {"apparmor", 0, "PROFILE", "accepted: the guest has no AppArmor"},
    {"process-label", 0, "LABEL", "accepted: the guest has no SELinux"},
    {"preserve-fds", 0, "N", "so many descriptors from 3 on are the program's too"},
    {"no-subreaper", 0, "", "accepted: runhv reaps nobody"},
};
constexpr Option kExportOptions[] = {
    {"output", 'o', "FILE", "the archive's name (default: stdout)"},
};
constexpr Option kEventsOptions[] = {
    {"stats", 0, "", "one line of statistics, and no more"},
    {"interval", 0, "DURATION", "between two lines of statistics, as 5s (default 5s)"},
};
constexpr Option kUpdateOptions[] = {
    {"resources", 'r', "FILE", "a LinuxResources object as JSON; - is stdin"},
    {"memory", 0, "BYTES",
     "of the guest's processes; at most the memory that the guest began with"},
    {"memory-reservation", 0, "BYTES", "what is left to them longest"},
    {"memory-swap", 0, "BYTES", "memory and swap of them together"},
    {"pids-limit", 0, "N", "how many they may be; -1 is any number"},
    {"cpu-period", 0, "MICROSECONDS", "of the VM's cgroup"},
    {"cpu-quota", 0, "MICROSECONDS", "the same"},
    {"cpu-share", 0, "N", "the same"},
    {"cpuset-cpus", 0, "LIST", "the same"},
    {"cpuset-mems", 0, "LIST", "the same"},
};
constexpr Option kSpecOptions[] = {
    {"bundle", 'b', "DIR", "where config.json is written (default: here)"},
};

Result<int> create_verb(const Call& call) {
  const Arguments& arguments = call.arguments;
  RUNHV_TRY_ASSIGN(const unsigned preserved,
                   read_preserved("create", arguments.value("preserve-fds")));
  RUNHV_TRY(create_container(call.globals, {.id = arguments.positional.front(),
                                            .bundle = arguments.value("bundle"),
                                            .console_socket = arguments.value("console-socket"),
                                            .pid_file = arguments.value("pid-file"),
                                            .preserve_fds = preserved}));
  return 0;
}

Result<int> start_verb(const Call& call) {
  RUNHV_TRY(start_container(call.globals, call.arguments.positional.front()));
  return 0;
}

Result<int> exec_verb(const Call& call) {
  const Arguments& arguments = call.arguments;
  ExecOptions options;
  RUNHV_TRY_ASSIGN(options.preserve_fds, read_preserved("exec", arguments.value("preserve-fds")));
  options.id = arguments.positional.front();
  options.detach = arguments.has("detach");
  options.console_socket = arguments.value("console-socket");
  options.pid_file = arguments.value("pid-file");
  ProcessWishes& wishes = options.wishes;
  if (arguments.has("process")) {
    RUNHV_TRY_ASSIGN(wishes.process, read_input("exec", arguments.value("process")));
  } else if (arguments.positional.size() < 2) {
    return Fail{Error{Code::kInvalidArgument, "exec", "expected a command; see runhv help exec"}};
  }
  wishes.arguments.assign(arguments.positional.begin() + 1, arguments.positional.end());
  wishes.environment = arguments.values("env");
  wishes.cwd = arguments.value("cwd");
  wishes.user = arguments.value("user");
  wishes.additional_groups = arguments.values("additional-gids");
  wishes.capabilities = arguments.values("cap");
  wishes.no_new_privileges = arguments.has("no-new-privs");
  wishes.terminal = arguments.has("tty");
  return exec_process(call.globals, options);
}

Result<int> export_verb(const Call& call) {
  RUNHV_TRY(
      export_root(call.globals, call.arguments.positional.front(), call.arguments.value("output")));
  return 0;
}

template <const char* Name>
Result<int> not_supported(const Call&) {
  return Fail{Error{Code::kUnsupported, Name, "not supported: snapshots are not in this version"}};
}
constexpr char kCheckpoint[] = "checkpoint";
constexpr char kRestore[] = "restore";

constexpr Verb kVerbs[] = {
    {"create", "ID", "Makes a container of a bundle, up to its program, and leaves it at that.",
     kCreateOptions, Order::kMixed, 1, 1, kVerbFailed, create_verb},
    {"start",
     "ID",
     "Lets the program of a container that was created run.",
     {},
     Order::kMixed,
     1,
     1,
     kVerbFailed,
     start_verb},
    {"list", "", "The containers of this user. ls is the same.", kListOptions, Order::kMixed, 0, 0,
     kVerbFailed, list_verb},
    {"state",
     "ID",
     "The state of a container as JSON, as the OCI runtime specification has it. Its status is\n"
     "creating, created, running, paused or stopped.",
     {},
     Order::kMixed,
     1,
     1,
     kVerbFailed,
     state_verb},
    {"kill", "ID [SIGNAL]",
     "Sends a signal to the container's first process: a name (TERM, SIGHUP, RTMIN+1) or a\n"
     "number; without it TERM. KILL ends the container at once. 0 sends none, and fails where the\n"
     "process has ended.",
     kKillOptions, Order::kMixed, 1, 2, kVerbFailed, kill_verb},
    {"delete", "ID",
     "Removes what is left of a container that has ended, or one that was not started.",
     kDeleteOptions, Order::kMixed, 1, 1, kVerbFailed, delete_verb},
    {"exec", "ID COMMAND [ARG...]",
     "Runs one more process in a container that runs. The exit status is the process's; 255 where "
     "it\n"
     "could not be started.",
     kExecOptions, Order::kOptionsFirst, 1, kAny, kNotStarted, exec_verb},
    {"export", "ID",
     "Writes the root file system of a container that runs as a tar archive, without what is "
     "mounted "
     "over\nit; runhv import makes an image of it.",
     kExportOptions, Order::kMixed, 1, 1, kVerbFailed, export_verb},
    {"ps", "ID [PS-OPTION...]",
     "The processes of the host that stand for a container: its VM, and one for each process of "
     "exec,\nas ps(1) shows them with these options (default -ef).",
     kPsOptions, Order::kOptionsFirst, 1, kAny, kVerbFailed, ps_verb},
    {"pause",
     "ID",
     "No instruction of the container runs until it is resumed.",
     {},
     Order::kMixed,
     1,
     1,
     kVerbFailed,
     pause_verb},
    {"resume",
     "ID",
     "Lets a paused container go on.",
     {},
     Order::kMixed,
     1,
     1,
     kVerbFailed,
     resume_verb},
    {"events", "ID",
     "What happens to a container, and its statistics, a JSON object a line, until it has ended.",
     kEventsOptions, Order::kMixed, 1, 1, kVerbFailed, events_verb},
    {"update", "ID", "Changes what the VM's cgroup allows.", kUpdateOptions, Order::kMixed, 1, 1,
     kVerbFailed, update_verb},
    {"features",
     "",
     "What this runtime can do, as the OCI runtime specification has it.",
     {},
     Order::kMixed,
     0,
     0,
     kVerbFailed,
     features_verb},
    {"spec", "", "Writes a config.json to begin with.", kSpecOptions, Order::kMixed, 0, 0,
     kVerbFailed, spec_verb},
    {"checkpoint",
     "ID",
     "Not supported.",
     {},
     Order::kOptionsFirst,
     0,
     kAny,
     kVerbFailed,
     not_supported<kCheckpoint>},
    {"restore",
     "ID",
     "Not supported.",
     {},
     Order::kOptionsFirst,
     0,
     kAny,
     kVerbFailed,
     not_supported<kRestore>},
};

Result<int> perform(const Verb& verb, const Globals& globals,
                    std::span<const std::string_view> given) {
  const std::string name(verb.name);
  // What cannot be is said by name, whatever stands behind it.
  const bool reads = verb.run != not_supported<kCheckpoint> && verb.run != not_supported<kRestore>;
  Call call{globals, {}};
  if (reads) {
    RUNHV_TRY_ASSIGN(call.arguments, parse_arguments(name, verb.options, verb.order, given));
    const std::size_t count = call.arguments.positional.size();
    if (count < verb.least_arguments || count > verb.most_arguments) {
      return Fail{Error{Code::kInvalidArgument, name,
                        "expected " +
                            (verb.usage.empty() ? "no argument" : std::string(verb.usage)) +
                            "; see runhv help " + name}};
    }
  }
  return verb.run(call);
}

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

const Verb* find_verb(std::string_view name) {
  if (name == "ls") name = "list";
  const auto* found = std::ranges::find(kVerbs, name, &Verb::name);
  return found == std::end(kVerbs) ? nullptr : found;
}

std::string help_text(const Verb& verb) {
  return help_text(verb.name, verb.usage, verb.about, verb.options);
}

int run_verb(const Verb& verb, const Globals& globals,
             std::span<const std::string_view> arguments) {
  const auto status = perform(verb, globals, arguments);
  if (status && std::fflush(stdout) == 0) return *status;
  if (!status) report(globals, Level::kError, status.error());
  return verb.failure_status;
}

}  // namespace runhv::oci
