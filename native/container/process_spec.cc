#include "container/process_spec.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "container/json_fields.h"
#include "container/linux_abi.h"
#include "container/process_reader.h"
#include "container/seccomp.h"

namespace runhv::container {
namespace {

// "Grant" is the operation of each warning.
Error not_granted(const std::string& what, const char* why) {
  return Error{Code::kUnsupported, "grant " + what, why};
}

std::uint64_t capability_set(const JsonNode& names, ProcessSpec& spec) {
  std::uint64_t bits = 0;
  for (const JsonNode& node : names.elements()) {
    const std::string name = node.string();
    if (const auto bit = linux_abi::find_capability(name)) {
      bits |= 1ull << *bit;
      continue;
    }
    const bool told = std::ranges::any_of(
        spec.warnings, [&](const Error& other) { return other.operation == "grant " + name; });
    if (!told) spec.warnings.push_back(not_granted(name, "there is no capability of that name"));
  }
  return bits;
}

void read_capabilities(const JsonNode& sets, ProcessSpec& spec) {
  if (!sets.present()) return;
  runhv_caps caps{};
  caps.bounding = capability_set(sets["bounding"], spec);
  caps.effective = capability_set(sets["effective"], spec);
  caps.permitted = capability_set(sets["permitted"], spec);
  caps.inheritable = capability_set(sets["inheritable"], spec);
  caps.ambient = capability_set(sets["ambient"], spec);
  // capabilities(7): none is ambient that is not both. "runc spec" of some versions asks for them.
  const std::uint64_t possible = caps.permitted & caps.inheritable;
  for (std::uint32_t bit = 0; bit < 64; ++bit) {
    if ((caps.ambient & ~possible & 1ull << bit) == 0) continue;
    spec.warnings.push_back(
        not_granted(std::string(linux_abi::capability_name(bit)) + " as ambient",
                    "an ambient capability must be permitted and inheritable, too"));
  }
  caps.ambient &= possible;
  spec.capabilities = caps;
}

void read_user(const JsonNode& user, ProcessSpec& spec) {
  spec.user.uid = static_cast<std::uint32_t>(user["uid"].unsigned_integer(0, UINT32_MAX - 1));
  spec.user.gid = static_cast<std::uint32_t>(user["gid"].unsigned_integer(0, UINT32_MAX - 1));
  spec.has_umask = user["umask"].present();
  spec.user.umask = static_cast<std::uint32_t>(user["umask"].unsigned_integer(0, 0777));
  for (const JsonNode& group : user["additionalGids"].elements()) {
    spec.groups.push_back(static_cast<std::uint32_t>(group.unsigned_integer(0, UINT32_MAX - 1)));
  }
}

void read_rlimits(const JsonNode& rlimits, ProcessSpec& spec) {
  for (const JsonNode& node : rlimits.elements()) {
    const std::string name = node["type"].required("a resource").string();
    const auto resource = linux_abi::find_rlimit(name);
    if (!resource) {
      node["type"].complain("unknown resource " + name);
      continue;
    }
    runhv_rlimit limit{};
    limit.resource = *resource;
    limit.soft = node["soft"].required("an integer").unsigned_integer(0, UINT64_MAX);
    limit.hard = node["hard"].required("an integer").unsigned_integer(0, UINT64_MAX);
    if (limit.soft > limit.hard) node["soft"].complain("more than the hard limit");
    if (std::ranges::any_of(spec.rlimits,
                            [&](const auto& other) { return other.resource == *resource; })) {
      node["type"].complain(name + " is there twice");
      continue;
    }
    spec.rlimits.push_back(limit);
  }
}

template <std::size_t kCount>
std::optional<std::uint32_t> one_of(
    const JsonNode& node, const std::pair<std::string_view, std::uint32_t> (&names)[kCount]) {
  const std::string name = node.string();
  const auto* found = std::ranges::find(names, name, [](const auto& pair) { return pair.first; });
  if (found != std::end(names)) return found->second;
  node.complain(name + " is none that Linux has");
  return std::nullopt;
}

// sched_setattr(2)
void read_scheduler(const JsonNode& node, ProcessSpec& spec) {
  static constexpr std::pair<std::string_view, std::uint32_t> kPolicies[] = {
      {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
      {"SCHED_BATCH", 3}, {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}};
  static constexpr std::pair<std::string_view, std::uint32_t> kFlags[] = {
      {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
      {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
      {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
      {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
  if (!node.present()) return;
  runhv_scheduler scheduler{};
  scheduler.policy = one_of(node["policy"].required("a SCHED_ policy"), kPolicies).value_or(0);
  scheduler.nice = static_cast<std::int32_t>(node["nice"].signed_integer(-20, 19));
  scheduler.priority = static_cast<std::uint32_t>(node["priority"].unsigned_integer(0, 99));
  for (const JsonNode& flag : node["flags"].elements()) {
    scheduler.flags |= one_of(flag, kFlags).value_or(0);
  }
  scheduler.runtime = node["runtime"].unsigned_integer(0, UINT64_MAX);
  scheduler.deadline = node["deadline"].unsigned_integer(0, UINT64_MAX);
  scheduler.period = node["period"].unsigned_integer(0, UINT64_MAX);
  spec.scheduler = scheduler;
}

// ioprio_set(2)
void read_io_priority(const JsonNode& node, ProcessSpec& spec) {
  static constexpr std::pair<std::string_view, std::uint32_t> kClasses[] = {
      {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
  constexpr std::uint32_t kClassShift = 13;
  if (!node.present()) return;
  const auto priority = static_cast<std::uint32_t>(node["priority"].unsigned_integer(0, 7));
  const auto kind = one_of(node["class"].required("an IOPRIO_CLASS_ class"), kClasses);
  spec.io_priority = kind.value_or(0) << kClassShift | priority;
}

// "0-3,7": the list format of cpuset(7).
std::uint64_t processors(const JsonNode& node) {
  const std::string list = node.string();
  std::uint64_t mask = 0;
  for (std::string_view rest = list; !rest.empty();) {
    std::string_view range = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), range.size() + 1));
    const std::size_t dash = range.find('-');
    const auto first = decimal(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : decimal(range.substr(dash + 1));
    if (!first || !last || *first > *last || *last > 63) {
      node.complain("expected numbers of processors from 0 to 63, such as 0-3,7");
      return 0;
    }
    for (std::uint64_t each = *first; each <= *last; ++each) mask |= std::uint64_t{1} << each;
  }
  return mask;
}

void read_affinity(const JsonNode& node, ProcessSpec& spec) {
  const std::uint64_t initial = processors(node["initial"]);
  const std::uint64_t final_one = processors(node["final"]);
  spec.exec_affinity = final_one != 0 ? final_one : initial;
}

}  // namespace

std::vector<std::string> read_environment(const JsonNode& variables) {
  std::vector<std::string> environment;
  std::unordered_map<std::string, std::size_t> places;
  for (const JsonNode& node : variables.elements()) {
    std::string variable = node.string();
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0) node.complain("expected NAME=value");
    const auto [place, is_new] = places.try_emplace(variable.substr(0, equals), environment.size());
    if (is_new) {
      environment.push_back(std::move(variable));
    } else {
      environment[place->second] = std::move(variable);
    }
  }
  return environment;
}

std::uint32_t read_personality(const JsonNode& node) {
  static constexpr std::pair<std::string_view, std::uint32_t> kDomains[] = {{"LINUX", 0},
                                                                            {"LINUX32", 8}};
  if (!node.present()) return 0;
  for (const JsonNode& flag : node["flags"].elements()) {
    flag.complain("no flag is known", Code::kUnsupported);
  }
  return one_of(node["domain"].required("LINUX or LINUX32"), kDomains).value_or(0);
}

void read_process(const JsonNode& process, ProcessSpec& spec) {
  spec.arguments = process["args"].required("an array of strings").strings();
  if (process["args"].present() && spec.arguments.empty()) {
    process["args"].complain("expected at least one string");
  }
  spec.environment = read_environment(process["env"]);
  spec.cwd = guest_path(process["cwd"]);
  read_user(process["user"], spec);
  read_capabilities(process["capabilities"], spec);
  read_rlimits(process["rlimits"], spec);
  spec.no_new_privileges = process["noNewPrivileges"].boolean();
  if (const JsonNode score = process["oomScoreAdj"]; score.present()) {
    spec.oom_score_adj = static_cast<std::int32_t>(score.signed_integer(-1000, 1000));
  }
  spec.terminal = process["terminal"].boolean();
  const JsonNode size = process["consoleSize"];
  spec.columns = static_cast<std::uint16_t>(size["width"].unsigned_integer(0, UINT16_MAX));
  spec.rows = static_cast<std::uint16_t>(size["height"].unsigned_integer(0, UINT16_MAX));
  // Of the host's security modules, which see no process of the guest (docs/bundle.md).
  (void)process["apparmorProfile"].string();
  (void)process["selinuxLabel"].string();
  read_scheduler(process["scheduler"], spec);
  read_io_priority(process["ioPriority"], spec);
  read_affinity(process["execCPUAffinity"], spec);
}

Result<ProcessSpec> parse_process(std::string_view json, const std::string& operation) {
  if (json.size() > kMaxProcessJsonBytes) {
    return Fail{Error{Code::kInvalidArgument, operation,
                      std::to_string(json.size()) + " bytes; at most " +
                          std::to_string(kMaxProcessJsonBytes) + " are possible"}};
  }
  RUNHV_TRY_ASSIGN(const auto reader, JsonReader::parse(json, operation));
  const JsonNode process = reader->root();
  ProcessSpec spec;
  read_process(process, spec);
  if (!process["cwd"].present()) spec.cwd = "/";
  if (const JsonNode filter = process["seccomp"]; filter.present()) {
    spec.seccomp = compile_seccomp(filter);
  }
  if (reader->error()) return Fail{*reader->error()};
  return spec;
}

}  // namespace runhv::container
