#include "container/process_spec.h"

#include <algorithm>

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

}  // namespace

void read_process(const JsonNode& process, ProcessSpec& spec) {
  spec.arguments = process["args"].required("an array of strings").strings();
  if (process["args"].present() && spec.arguments.empty()) {
    process["args"].complain("expected at least one string");
  }
  for (const JsonNode& node : process["env"].elements()) {
    spec.environment.push_back(node.string());
    const std::size_t equals = spec.environment.back().find('=');
    if (equals == std::string::npos || equals == 0) node.complain("expected NAME=value");
  }
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
  refuse(process["scheduler"], "not in this version");
  refuse(process["ioPriority"], "not in this version");
  refuse(process["execCPUAffinity"], "not in this version");
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
