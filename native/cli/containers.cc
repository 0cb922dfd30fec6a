#include "cli/containers.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "container/linux_abi.h"
#include "control/client.h"
#include "platform/clock.h"
#include "platform/process.h"
#include "runhv/runhv.h"

namespace runhv {
namespace {

constexpr int kKill = 9;   // Linux: SIGKILL
constexpr int kTerm = 15;  // SIGTERM
constexpr std::uint64_t kAnswerNs = 10'000'000'000;
constexpr std::uint64_t kEndNs = 10'000'000'000;

Fail<Error> bad(const std::string& verb, const std::string& detail) {
  return Fail{Error{Code::kInvalidArgument, verb, detail}};
}

// The error of something that a verb needs is the verb's.
Error of_verb(const std::string& verb, Error error) {
  error.operation = verb;
  return error;
}

Result<control::FoundContainer> find(const std::string& verb, const std::string& root,
                                     std::string_view id) {
  RUNHV_TRY_ASSIGN(const std::string folder, control::runhv_root(root));
  auto found = control::find_container(folder, std::string(id));
  if (!found) return Fail{of_verb(verb, std::move(found).error())};
  return found;
}

bool is_running(const control::FoundContainer& container) {
  return container.lives && container.state.status != "stopped";
}

Result<void> signal(const std::string& verb, const control::FoundContainer& container, int number) {
  auto client = control::Client::connect(container.folder + "/control", monotonic_ns() + kAnswerNs);
  if (!client) return Fail{of_verb(verb, std::move(client).error())};
  if (auto sent = client->signal(RUNHV_FIRST_PROCESS, number); !sent) {
    return Fail{of_verb(verb, std::move(sent).error())};
  }
  return {};
}

// Waits for the end of its process, which gives the folder back.
Result<bool> wait_for_end(const control::FoundContainer& container, std::uint64_t deadline_ns) {
  auto process = ProcessEnd::watch(container.state.pid);
  if (!process && process.error().code == Code::kNotFound) return true;
  if (!process) return Fail{std::move(process).error()};
  RUNHV_TRY_ASSIGN(const auto loop, EventLoop::create());
  RUNHV_TRY(process->bind(*loop));
  bool ended = false;
  process->on_end([&ended] { ended = true; });
  while (!ended && monotonic_ns() < deadline_ns) RUNHV_TRY(loop->run_once(deadline_ns));
  return ended;
}

Result<void> kill_and_wait(const control::FoundContainer& container) {
  // A VMM that does not answer is ended as every process can be.
  if (const auto sent = signal("delete", container, kKill); !sent)
    kill_process(container.state.pid);
  RUNHV_TRY_ASSIGN(bool ended, wait_for_end(container, monotonic_ns() + kEndNs));
  if (!ended) {
    kill_process(container.state.pid);
    RUNHV_TRY_ASSIGN(ended, wait_for_end(container, monotonic_ns() + kEndNs));
  }
  if (ended) return {};
  return Fail{Error{Code::kTimedOut, "delete",
                    "process " + std::to_string(container.state.pid) + " does not end"}};
}

std::uint64_t pid_of(const control::FoundContainer& container) {
  return is_running(container) ? container.state.pid : 0;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return escape_controls(text);
}

}  // namespace

std::string containers_table(const std::vector<control::FoundContainer>& containers) {
  using Row = std::array<std::string, 5>;
  std::vector<Row> rows{{"NAME", "STATUS", "PID", "CREATED", "COMMAND"}};
  for (const control::FoundContainer& each : containers) {
    const std::string created = control::rfc3339(each.state.created_ns);
    rows.push_back({each.state.id, each.state.status, std::to_string(pid_of(each)),
                    created.substr(0, created.find('.')) + "Z", joined(each.state.command)});
  }
  std::array<std::size_t, 4> widths{};
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

std::string containers_json(const std::vector<control::FoundContainer>& containers) {
  std::string text = "[";
  for (const control::FoundContainer& each : containers) {
    control::StoredState state = each.state;
    state.pid = pid_of(each);
    std::string one = control::state_json(state);
    one.pop_back();
    text += (text.size() > 1 ? ",\n" : "") + one;
  }
  return text + "]\n";
}

Result<std::string> list_containers_verb(const std::string& root,
                                         std::span<const std::string_view> arguments) {
  bool json = false;
  bool quiet = false;
  for (const std::string_view argument : arguments) {
    if (argument == "--json") {
      json = true;
    } else if (argument == "-q" || argument == "--quiet") {
      quiet = true;
    } else {
      return bad("list", "unexpected " + std::string(argument) + "; see runhv help list");
    }
  }
  RUNHV_TRY_ASSIGN(const std::string folder, control::runhv_root(root));
  RUNHV_TRY_ASSIGN(const auto containers, control::list_containers(folder));
  if (json) return containers_json(containers);
  if (!quiet) return containers_table(containers);
  std::string text;
  for (const control::FoundContainer& each : containers) text += each.state.id + "\n";
  return text;
}

Result<std::string> state_verb(const std::string& root,
                               std::span<const std::string_view> arguments) {
  if (arguments.size() != 1) return bad("state", "expected one NAME; see runhv help state");
  RUNHV_TRY_ASSIGN(const auto container, find("state", root, arguments.front()));
  control::StoredState state = container.state;
  state.pid = pid_of(container);
  return control::oci_state_json(state);
}

Result<std::string> kill_verb(const std::string& root,
                              std::span<const std::string_view> arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    return bad("kill", "expected NAME and perhaps a SIGNAL; see runhv help kill");
  }
  int number = kTerm;
  if (arguments.size() == 2) {
    const auto found = linux_abi::find_signal(arguments[1]);
    if (!found) {
      return bad("kill", "signal \"" + std::string(arguments[1]) +
                             "\": expected a name as TERM or RTMIN+1, or a number from 1 to 64");
    }
    number = *found;
  }
  RUNHV_TRY_ASSIGN(const auto container, find("kill", root, arguments.front()));
  if (!is_running(container)) {
    return Fail{Error{Code::kConflict, "kill", "container not running"}};
  }
  RUNHV_TRY(signal("kill", container, number));
  return std::string();
}

Result<std::string> delete_verb(const std::string& root,
                                std::span<const std::string_view> arguments) {
  bool force = false;
  std::optional<std::string_view> name;
  for (const std::string_view argument : arguments) {
    if (argument == "--force" || argument == "-f") {
      force = true;
    } else if (argument.starts_with("-") || name) {
      return bad("delete", "unexpected " + std::string(argument) + "; see runhv help delete");
    } else {
      name = argument;
    }
  }
  if (!name) return bad("delete", "expected a NAME; see runhv help delete");
  const auto container = find("delete", root, *name);
  // As runc has it: --force makes sure that there is none.
  if (!container && container.error().code == Code::kNotFound && force) {
    RUNHV_TRY_ASSIGN(const std::string folder, control::runhv_root(root));
    RUNHV_TRY(control::remove_unfinished(folder, std::string(*name)));
    return std::string();
  }
  if (!container) return Fail{container.error()};
  // One that was created and not started has nothing to lose.
  if (is_running(*container) && !force && container->state.status != "created") {
    return Fail{Error{Code::kConflict, "delete", "container is running; --force kills it"}};
  }
  if (is_running(*container)) {
    RUNHV_TRY(kill_and_wait(*container));
  } else if (container->lives) {
    RUNHV_TRY(wait_for_end(*container, monotonic_ns() + kEndNs));
  }
  RUNHV_TRY(control::remove_container(*container));
  return std::string();
}

}  // namespace runhv
