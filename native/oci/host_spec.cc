#include "oci/host_spec.h"

#include "container/json_fields.h"
#include "container/json_reader.h"

namespace runhv::oci {
namespace {

// Where a hook names none: longer than any that sets a network up.
constexpr std::uint64_t kHookTimeoutNs = 300'000'000'000;
constexpr std::uint64_t kMaxHookSeconds = 86'400;

std::vector<Hook> read_hooks(const container::JsonNode& list) {
  std::vector<Hook> hooks;
  for (const container::JsonNode& node : list.elements()) {
    Hook hook;
    hook.path = container::host_path(node["path"].required("an absolute path"));
    hook.arguments = node["args"].strings();
    if (node["env"].present()) hook.environment = node["env"].strings();
    const std::uint64_t seconds = node["timeout"].unsigned_integer(1, kMaxHookSeconds);
    hook.timeout_ns = seconds != 0 ? seconds * 1'000'000'000 : kHookTimeoutNs;
    hooks.push_back(std::move(hook));
  }
  return hooks;
}

Resources read_resources(const container::JsonNode& node) {
  Resources resources;
  const container::JsonNode cpu = node["cpu"];
  if (const container::JsonNode limit = node["memory"]["limit"]; limit.present()) {
    resources.memory_limit_bytes = limit.signed_integer(-1, INT64_MAX);
  }
  if (cpu["shares"].present()) resources.cpu_shares = cpu["shares"].unsigned_integer(0, INT64_MAX);
  if (cpu["quota"].present()) {
    resources.cpu_quota_us = cpu["quota"].signed_integer(INT64_MIN, INT64_MAX);
  }
  if (cpu["period"].present()) {
    resources.cpu_period_us = cpu["period"].unsigned_integer(0, INT64_MAX);
  }
  resources.cpus = cpu["cpus"].string();
  resources.memory_nodes = cpu["mems"].string();
  return resources;
}

}  // namespace

Result<Resources> parse_resources(std::string_view json, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const auto reader, container::JsonReader::parse(json, operation));
  Resources resources = read_resources(reader->root());
  if (reader->error()) return Fail{*reader->error()};
  return resources;
}

Result<HostSpec> parse_host_spec(std::string_view config, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const auto reader, container::JsonReader::parse(config, operation));
  const container::JsonNode root = reader->root();
  HostSpec spec;
  spec.cgroups_path = root["linux"]["cgroupsPath"].string();
  spec.resources = read_resources(root["linux"]["resources"]);
  for (const container::JsonNode& node : root["linux"]["namespaces"].elements()) {
    const std::string type = node["type"].string();
    const std::string path = node["path"].string();
    if (type == "network") {
      spec.has_network_namespace = true;
      spec.network_namespace = path;
    } else if (type == "user") {
      spec.user_namespace = path;
    } else if ((type == "ipc" || type == "uts") && !path.empty()) {
      spec.joined_namespaces.push_back(path);
    }
  }
  if (spec.user_namespace.empty()) {
    spec.uid_map = container::read_id_map(root["linux"]["uidMappings"]);
    spec.gid_map = container::read_id_map(root["linux"]["gidMappings"]);
  }
  for (const container::JsonNode& node : root["mounts"].elements()) {
    if (node["destination"].string() == "/etc/resolv.conf") spec.brings_resolver = true;
  }
  if (const container::JsonNode score = root["process"]["oomScoreAdj"]; score.present()) {
    spec.oom_score_adj = static_cast<int>(score.signed_integer(-1000, 1000));
  }
  const container::JsonNode hooks = root["hooks"];
  spec.hooks = {read_hooks(hooks["prestart"]), read_hooks(hooks["createRuntime"]),
                read_hooks(hooks["createContainer"]), read_hooks(hooks["poststart"]),
                read_hooks(hooks["poststop"])};
  if (reader->error()) return Fail{*reader->error()};
  return spec;
}

}  // namespace runhv::oci
