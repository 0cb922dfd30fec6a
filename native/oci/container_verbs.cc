#include "oci/container_verbs.h"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <tuple>

#include "api/abi.h"
#include "base/text.h"
#include "container/cgroup_settings.h"
#include "container/json_writer.h"
#include "container/linux_abi.h"
#include "container/process_spec.h"
#include "control/client.h"
#include "oci/cgroups.h"
#include "oci/container.h"
#include "oci/hooks.h"
#include "oci/log.h"
#include "oci/network_use.h"
#include "oci/process_table.h"
#include "oci/systemd_scope.h"
#include "oci/wait.h"
#include "platform/clock.h"
#include "platform/file_node.h"
#include "platform/path.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

using control::Client;
using control::FoundContainer;

constexpr std::uint64_t kMaxPsBytes = 64ull << 20;

Fail<Error> refuse(const std::string& verb, Code code, const std::string& detail) {
  return Fail{Error{code, verb, detail}};
}

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

Result<FoundContainer> find_for(const Call& call, const char* verb) {
  return find(verb, call.globals.root, call.arguments.positional.front());
}

Result<void> signal(const std::string& verb, const FoundContainer& container, int number) {
  RUNHV_TRY_ASSIGN(Client client, connect(verb, container));
  auto sent = client.signal(RUNHV_FIRST_PROCESS, number);
  if (!sent && sent.error().code == Code::kClosed) {
    return refuse(verb, Code::kConflict, "container not running");
  }
  if (!sent) return Fail{of_verb(verb, std::move(sent).error())};
  return {};
}

// A VMM that does not answer is ended as every process can be.
Result<void> kill_and_wait(const FoundContainer& container) {
  if (!signal("delete", container, container::linux_abi::kSigkill))
    platform::kill_process(container.state.pid);
  RUNHV_TRY_ASSIGN(bool ended,
                   wait_for_end(container.state.pid, platform::monotonic_ns() + kEndNs));
  if (!ended) {
    platform::kill_process(container.state.pid);
    RUNHV_TRY_ASSIGN(ended, wait_for_end(container.state.pid, platform::monotonic_ns() + kEndNs));
  }
  if (ended) return {};
  return refuse("delete", Code::kTimedOut,
                "process " + std::to_string(container.state.pid) + " does not end");
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return escape_controls(text);
}

control::StoredState with_pid(const FoundContainer& container) {
  control::StoredState state = container.state;
  state.pid = pid_of(container);
  return state;
}

// Of the cgroup where it has one.
std::vector<std::uint64_t> processes(const FoundContainer& container) {
  auto found = processes_in_cgroups(container.state.cgroups);
  if (found.empty() && pid_of(container) != 0) found.push_back(pid_of(container));
  return found;
}

// With Go's names, as runc has them of interfaces alone.
void write_use(container::JsonWriter& json, const InterfaceUse& use) {
  json.object([&] {
    json.member("Name", use.name);
    json.member("RxBytes", use.received.bytes);
    json.member("RxPackets", use.received.packets);
    json.member("RxErrors", use.received.errors);
    json.member("RxDropped", use.received.dropped);
    json.member("TxBytes", use.sent.bytes);
    json.member("TxPackets", use.sent.packets);
    json.member("TxErrors", use.sent.errors);
    json.member("TxDropped", use.sent.dropped);
  });
}

// As Linux numbers the disks of our kernel: the first major number that it gives out, and sixteen
// minor ones for each.
constexpr unsigned kDiskMajor = 254;
constexpr unsigned kMinorsOfADisk = 16;

// Of each of the guest's disks, in runc's words for those of a cgroup.
void write_disks(container::JsonWriter& json, const char* name, const runhv_statistics& statistics,
                 std::uint64_t runhv_disk_counts::*read,
                 std::uint64_t runhv_disk_counts::*written) {
  json.array(name, [&] {
    for (unsigned i = 0; i < statistics.disk_count && i < RUNHV_MAX_DISKS; ++i) {
      const runhv_disk_counts& disk = statistics.disks[i];
      for (const auto& [operation, value] :
           {std::pair("Read", disk.*read), std::pair("Write", disk.*written)}) {
        json.object([&, operation = operation, value = value] {
          json.member("major", kDiskMajor);
          json.member("minor", i * kMinorsOfADisk);
          json.member("op", operation);
          json.member("value", value);
        });
      }
    }
  });
}

// The statistics as runc prints them, as far as the host knows them.
std::string statistics_line(const FoundContainer& container, const runhv_statistics& statistics,
                            std::size_t process_count) {
  container::JsonWriter json;
  json.object([&] {
    json.member("type", "stats");
    json.member("id", container.state.id);
    json.object("data", [&] {
      if (const auto time = processor_time(container.state.cgroups)) {
        json.object("cpu", [&] {
          json.object("usage", [&] {
            json.member("total", time->total_ns);
            json.member("user", time->user_ns);
            json.member("kernel", time->kernel_ns);
          });
        });
      }
      json.object("memory", [&] {
        json.object("usage", [&] {
          json.member("limit", statistics.memory_bytes);
          json.member("usage", statistics.guest_memory_resident_bytes);
        });
      });
      json.object("pids", [&] { json.member("current", process_count); });
      json.object("blkio", [&] {
        write_disks(json, "ioServiceBytesRecursive", statistics, &runhv_disk_counts::read_bytes,
                    &runhv_disk_counts::written_bytes);
        write_disks(json, "ioServicedRecursive", statistics, &runhv_disk_counts::reads,
                    &runhv_disk_counts::writes);
      });
      json.array("network_interfaces", [&] {
        for (const InterfaceUse& use : network_use(pid_of(container))) write_use(json, use);
      });
    });
  });
  return json.text() + "\n";
}

Result<void> print_statistics(Client& client, const FoundContainer& container) {
  RUNHV_TRY_ASSIGN(const auto raw, client.ask(RUNHV_CONTROL_STATISTICS, {}));
  std::span<const std::byte> payload(raw);
  RUNHV_TRY_ASSIGN(const auto statistics, control::take_structure<runhv_statistics>(payload));
  RUNHV_TRY_ASSIGN(const auto raw_state, client.ask(RUNHV_CONTROL_STATE, {}));
  payload = raw_state;
  RUNHV_TRY_ASSIGN(const auto state, control::take_structure<runhv_state>(payload));
  print(statistics_line(container, statistics, state.process_count));
  std::fflush(stdout);
  return {};
}

// "5s", "500ms", "1m", as Go writes a duration.
std::optional<std::uint64_t> read_duration(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  static constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}};
  const auto* found = std::ranges::find(kUnits, unit, [](const auto& pair) { return pair.first; });
  if (failure != std::errc() || found == std::end(kUnits) || value == 0 || value > 1'000'000) {
    return std::nullopt;
  }
  return value * found->second;
}

Result<void> read_number(const Arguments& arguments, const char* option,
                         std::optional<std::int64_t>& value) {
  if (!arguments.has(option)) return {};
  const std::string text = arguments.value(option);
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || text.empty()) {
    return refuse("update", Code::kInvalidArgument,
                  std::string("--") + option + " " + text + ": expected a number");
  }
  value = number;
  return {};
}

// An option of update, and where it stands in linux.resources.
struct ResourceOption {
  const char* option;
  const char* section;
  const char* member;
};
constexpr ResourceOption kResourceNumbers[] = {
    {"memory", "memory", "limit"},     {"memory-reservation", "memory", "reservation"},
    {"memory-swap", "memory", "swap"}, {"cpu-quota", "cpu", "quota"},
    {"cpu-period", "cpu", "period"},   {"cpu-share", "cpu", "shares"},
    {"pids-limit", "pids", "limit"},
};
constexpr ResourceOption kResourceTexts[] = {
    {"cpuset-cpus", "cpu", "cpus"},
    {"cpuset-mems", "cpu", "mems"},
};

// linux.resources.
Result<std::string> wanted_resources(const Arguments& arguments) {
  if (arguments.has("resources")) return read_input("update", arguments.value("resources"));
  rapidjson::Document resources(rapidjson::kObjectType);
  auto& memory = resources.GetAllocator();
  const auto set = [&](const ResourceOption& option, rapidjson::Value value) {
    if (!resources.HasMember(option.section)) {
      resources.AddMember(rapidjson::StringRef(option.section),
                          rapidjson::Value(rapidjson::kObjectType), memory);
    }
    resources[option.section].AddMember(rapidjson::StringRef(option.member), value, memory);
  };
  for (const ResourceOption& each : kResourceNumbers) {
    std::optional<std::int64_t> number;
    RUNHV_TRY(read_number(arguments, each.option, number));
    if (number) set(each, rapidjson::Value(*number));
  }
  for (const ResourceOption& each : kResourceTexts) {
    const std::string text = arguments.value(each.option);
    if (!text.empty()) set(each, rapidjson::Value(text.c_str(), memory));
  }
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  resources.Accept(writer);
  return std::string(buffer.GetString(), buffer.GetSize());
}

Result<int> pause_or_resume(const Call& call, const char* verb, std::uint32_t request,
                            const char* status, const char* otherwise) {
  RUNHV_TRY_ASSIGN(const auto container, find_for(call, verb));
  if (!is_there(container) || container.state.status != status) {
    return refuse(verb, Code::kConflict, otherwise);
  }
  RUNHV_TRY_ASSIGN(Client client, connect(verb, container));
  if (auto answer = client.ask(request, {}); !answer) {
    return Fail{of_verb(verb, std::move(answer).error())};
  }
  return 0;
}

// The name of who has the container's folder, in /etc/passwd; else the number, as runc has it.
std::string owner_of(const std::string& folder) {
  const auto node = platform::FileNode::open(folder);
  platform::FileStatus status;
  if (!node || node->status(status) != 0) return "";
  const std::string number = std::to_string(status.uid);
  std::ifstream users("/etc/passwd");
  for (std::string line; std::getline(users, line);) {
    // NAME:PASSWORD:UID:...
    const std::size_t name = line.find(':');
    const std::size_t uid = name == std::string::npos ? name : line.find(':', name + 1);
    if (uid != std::string::npos && line.compare(uid + 1, number.size() + 1, number + ":") == 0) {
      return escape_controls(line.substr(0, name));
    }
  }
  return "#" + number;
}

// runc's columns, and the command behind them.
std::string containers_table(const std::vector<FoundContainer>& containers) {
  using Row = std::array<std::string, 7>;
  std::vector<Row> rows{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER", "COMMAND"}};
  for (const FoundContainer& each : containers) {
    rows.push_back({each.state.id, std::to_string(pid_of(each)), each.state.status,
                    escape_controls(each.state.bundle), control::rfc3339(each.state.created_ns),
                    owner_of(each.folder), joined(each.state.command)});
  }
  std::array<std::size_t, std::tuple_size_v<Row> - 1> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (Row& row : rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      row[i].resize(widths[i] + 2, ' ');
      text += row[i];
    }
    text += row.back() + "\n";
  }
  return text;
}

// All that is known of each.
std::string containers_json(const std::vector<FoundContainer>& containers) {
  std::string text = "[";
  for (const FoundContainer& each : containers) {
    std::string one = control::state_json(with_pid(each));
    one.pop_back();
    text += (text.size() > 1 ? ",\n" : "") + one;
  }
  return text + "]\n";
}

}  // namespace

Result<std::string> read_input(const std::string& operation, const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(platform::filesystem_path(path), std::ios::binary);
  std::istream& input = path == "-" ? std::cin : file;
  std::string text(container::kMaxProcessJsonBytes + 1, '\0');
  input.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(input.gcount()));
  if (input.bad() || (path != "-" && !file.is_open())) {
    return refuse(operation, Code::kNotFound, path + ": it cannot be read");
  }
  if (text.size() > container::kMaxProcessJsonBytes) {
    return refuse(operation, Code::kInvalidArgument,
                  path + ": at most " + std::to_string(container::kMaxProcessJsonBytes) +
                      " bytes are possible");
  }
  return text;
}

Result<int> list_verb(const Call& call) {
  const std::string format = call.arguments.value("format");
  if (!format.empty() && format != "table" && format != "json") {
    return refuse("list", Code::kInvalidArgument,
                  "--format " + format + ": expected table or json");
  }
  RUNHV_TRY_ASSIGN(const std::string folder, control::runhv_root(call.globals.root));
  RUNHV_TRY_ASSIGN(const auto containers, control::list_containers(folder));
  if (call.arguments.has("quiet")) {
    for (const FoundContainer& each : containers) print(each.state.id + "\n");
  } else if (call.arguments.has("json")) {
    print(containers_json(containers));
  } else if (format == "json") {
    std::string text;
    for (const FoundContainer& each : containers) {
      text += (text.empty() ? "" : ",") +
              control::oci_state_line(with_pid(each), owner_of(each.folder));
    }
    print("[" + text + "]\n");
  } else {
    print(containers_table(containers));
  }
  return 0;
}

Result<int> state_verb(const Call& call) {
  RUNHV_TRY_ASSIGN(const auto container, find_for(call, "state"));
  print(control::oci_state_json(with_pid(container), owner_of(container.folder)));
  return 0;
}

Result<int> kill_verb(const Call& call) {
  int number = container::linux_abi::kSigterm;
  const bool only_looks =
      call.arguments.positional.size() == 2 && call.arguments.positional[1] == "0";
  if (call.arguments.positional.size() == 2 && !only_looks) {
    const std::string& name = call.arguments.positional[1];
    const auto found = container::linux_abi::find_signal(name);
    if (!found) {
      return refuse(
          "kill", Code::kInvalidArgument,
          "signal \"" + name + "\": expected a name as TERM or RTMIN+1, or a number up to 64");
    }
    number = *found;
  }
  RUNHV_TRY_ASSIGN(const auto container, find_for(call, "kill"));
  if (is_there(container)) {
    if (!only_looks) RUNHV_TRY(signal("kill", container, number));
    return 0;
  }
  // Whoever wants nobody to be left has it.
  if (call.arguments.has("all")) return 0;
  return refuse("kill", Code::kConflict, "container not running");
}

Result<int> delete_verb(const Call& call) {
  const bool force = call.arguments.has("force");
  RUNHV_TRY_ASSIGN(const std::string root, control::runhv_root(call.globals.root));
  // What is left by a delete that was killed.
  control::sweep_removed(root);
  auto container = find_for(call, "delete");
  // As runc has it: --force makes sure that there is none.
  if (!container && container.error().code == Code::kNotFound && force) {
    RUNHV_TRY(control::remove_unfinished(root, call.arguments.positional.front()));
    return 0;
  }
  if (!container) return Fail{std::move(container).error()};
  // One that was created and not started has nothing to lose.
  const std::string& status = container->state.status;
  if (is_there(*container) && !force && status != "created") {
    return refuse("delete", Code::kConflict,
                  "cannot delete container " + container->state.id +
                      " that is not stopped: it is " + status + "; --force kills it");
  }
  const auto host = host_spec(*container);
  if (!host) report(call.globals, Level::kWarning, host.error());
  // More than once: where create was killed, what it left in its place holds the name.
  for (const std::uint64_t deadline = platform::monotonic_ns() + 2 * kEndNs; container->lives;) {
    if (is_there(*container)) {
      RUNHV_TRY(kill_and_wait(*container));
    } else {
      RUNHV_TRY(wait_for_end(container->state.pid, platform::monotonic_ns() + kEndNs));
    }
    auto now = find_for(call, "delete");
    if (!now) break;
    if (platform::monotonic_ns() > deadline) {
      return refuse("delete", Code::kTimedOut, "its process does not end");
    }
    *container = *std::move(now);
  }
  RUNHV_TRY(remove_cgroups(container->state.cgroups));
  if (const auto stopped = stop_scope(container->state); !stopped) {
    report(call.globals, Level::kWarning, stopped.error());
  }
  RUNHV_TRY(control::remove_container(*container));
  if (!host) return 0;
  control::StoredState stopped = container->state;
  stopped.status = "stopped";
  stopped.pid = 0;
  // The specification: it is told, and the container is gone nevertheless.
  if (const auto run = run_hooks("poststop", host->hooks.poststop, stopped); !run) {
    report(call.globals, Level::kWarning, run.error());
  }
  return 0;
}

Result<int> ps_verb(const Call& call) {
  const std::string format = call.arguments.value("format");
  if (!format.empty() && format != "table" && format != "json") {
    return refuse("ps", Code::kInvalidArgument, "--format " + format + ": expected table or json");
  }
  RUNHV_TRY_ASSIGN(const auto container, find_for(call, "ps"));
  const std::vector<std::uint64_t> found = processes(container);
  if (format == "json") {
    std::string text;
    for (const std::uint64_t pid : found) text += (text.empty() ? "" : ",") + std::to_string(pid);
    print("[" + text + "]\n");
    return 0;
  }
  std::vector<std::string> arguments{"ps"};
  const auto& given = call.arguments.positional;
  arguments.insert(arguments.end(), given.begin() + 1, given.end());
  if (given.size() == 1) arguments.emplace_back("-ef");
  RUNHV_TRY_ASSIGN(const platform::Captured ps,
                   platform::run_captured("/usr/bin/env", arguments, "/", "", kMaxPsBytes));
  if (ps.exit_status != 0) {
    return refuse("ps", Code::kHostFailed,
                  "ps(1) has exit status " + std::to_string(ps.exit_status) + ": " +
                      escape_controls(ps.early_errors + ps.output) +
                      "; --format json asks it for nothing");
  }
  RUNHV_TRY_ASSIGN(const std::string table, rows_of_processes(ps.output, found));
  print(table);
  return 0;
}

Result<int> pause_verb(const Call& call) {
  return pause_or_resume(call, "pause", RUNHV_CONTROL_PAUSE, "running", "container not running");
}

Result<int> resume_verb(const Call& call) {
  return pause_or_resume(call, "resume", RUNHV_CONTROL_RESUME, "paused", "container not paused");
}

// Whether the container's end is what comes next.
bool ends_now(Client& client) {
  while (true) {
    const auto event = client.event();
    if (!event) return event.error().code == Code::kClosed;
    if ((*event)->kind == RUNHV_EVENT_ENDED) return true;
  }
}

Result<int> events_verb(const Call& call) {
  std::uint64_t interval_ns = 5'000'000'000;
  if (call.arguments.has("interval")) {
    const auto duration = read_duration(call.arguments.value("interval"));
    if (!duration) {
      return refuse("events", Code::kInvalidArgument,
                    "--interval: expected a time such as 5s, 500ms or 1m");
    }
    interval_ns = *duration;
  }
  RUNHV_TRY_ASSIGN(const auto container, find_for(call, "events"));
  if (!is_there(container)) return refuse("events", Code::kConflict, "container not running");
  RUNHV_TRY_ASSIGN(Client client, connect("events", container, Client::Events::kKept));
  if (call.arguments.has("stats")) {
    RUNHV_TRY(print_statistics(client, container));
    return 0;
  }
  for (std::uint64_t next = platform::monotonic_ns() + interval_ns;;) {
    client.set_deadline(next);
    const auto event = client.event();
    if (event && (*event)->kind == RUNHV_EVENT_OUT_OF_MEMORY) {
      container::JsonWriter json;
      json.object([&] {
        json.member("type", "oom");
        json.member("id", container.state.id);
      });
      print(json.text() + "\n");
      std::fflush(stdout);
    }
    if (event && (*event)->kind == RUNHV_EVENT_ENDED) return 0;
    if (!event && event.error().code == Code::kClosed) return 0;
    if (!event && event.error().code != Code::kTimedOut) return Fail{event.error()};
    if (platform::monotonic_ns() < next) continue;
    next += interval_ns;
    client.set_deadline(platform::monotonic_ns() + kEndNs);
    const auto printed = print_statistics(client, container);
    if (printed) continue;
    // Who ends meanwhile has nothing to tell any more.
    if (ends_now(client)) return 0;
    return Fail{printed.error()};
  }
}

Result<int> update_verb(const Call& call) {
  RUNHV_TRY_ASSIGN(const auto container, find_for(call, "update"));
  if (!is_there(container)) return refuse("update", Code::kConflict, "container not running");
  RUNHV_TRY_ASSIGN(const std::string json, wanted_resources(call.arguments));
  RUNHV_TRY_ASSIGN(Resources resources, parse_resources(json, "update"));
  RUNHV_TRY_ASSIGN(const auto settings, container::parse_cgroup_settings(json, "update"));
  RUNHV_TRY_ASSIGN(Client client, connect("update", container));
  RUNHV_TRY_ASSIGN(const auto raw, client.ask(RUNHV_CONTROL_STATISTICS, {}));
  std::span<const std::byte> payload(raw);
  RUNHV_TRY_ASSIGN(const auto statistics, control::take_structure<runhv_statistics>(payload));
  if (const auto limit = resources.memory_limit_bytes;
      limit && *limit > 0 && static_cast<std::uint64_t>(*limit) > statistics.memory_bytes) {
    return refuse("update", Code::kUnsupported,
                  "the guest has " + std::to_string(statistics.memory_bytes) +
                      " bytes of memory, and cannot have more while it runs");
  }
  if (container.state.cgroups.empty()) {
    return refuse("update", Code::kUnsupported, "the container has no cgroup");
  }
  std::optional<Systemd> systemd;  // whoever cannot be asked changes nothing
  if (!container.state.scope.empty()) {
    RUNHV_TRY_ASSIGN(systemd, Systemd::connect());
  }
  if (!settings.empty()) {
    if (auto updated = client.update(RUNHV_FIRST_PROCESS, json); !updated) {
      return Fail{of_verb("update", std::move(updated).error())};
    }
  }
  if (systemd) {
    // Before systemd, which rounds a quota, has written its own.
    resources = with_whole_cpu_time(container.state.cgroups, std::move(resources));
    RUNHV_TRY(systemd->change(container.state.scope, resources, statistics.memory_bytes));
  }
  RUNHV_TRY(limit_cgroups(container.state.cgroups, resources, statistics.memory_bytes));
  return 0;
}

}  // namespace runhv::oci
