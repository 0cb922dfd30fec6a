#include "container/cgroup_settings.h"

#include <algorithm>
#include <cstdint>

namespace runhv::container {
namespace {

// A limit of the specification: -1 = none, 0 = not said.
void read_limit(const JsonNode& node, const char* file, std::vector<CgroupSetting>& settings) {
  const std::int64_t limit = node.signed_integer(-1, INT64_MAX);
  if (limit != 0) settings.push_back({file, limit < 0 ? "max" : std::to_string(limit)});
}

// The specification's swap is memory and swap together.
void read_swap(const JsonNode& memory, std::vector<CgroupSetting>& settings) {
  const JsonNode node = memory["swap"];
  const std::int64_t both = node.signed_integer(-1, INT64_MAX);
  const std::int64_t limit = memory["limit"].signed_integer(-1, INT64_MAX);
  if (both <= 0) return read_limit(node, "memory.swap.max", settings);
  if (limit <= 0 || both < limit) return node.complain("expected at least memory.limit, beside it");
  settings.push_back({"memory.swap.max", std::to_string(both - limit)});
}

void read_memory(const JsonNode& memory, std::vector<CgroupSetting>& settings) {
  read_swap(memory, settings);
  read_limit(memory["limit"], "memory.max", settings);
  read_limit(memory["reservation"], "memory.low", settings);
  // Of cgroup v1 alone.
  for (const char* name : {"kernel", "kernelTCP"}) {
    (void)memory[name].signed_integer(-1, INT64_MAX);
  }
  (void)memory["swappiness"].unsigned_integer(0, 100);
  for (const char* name : {"disableOOMKiller", "useHierarchy", "checkBeforeUpdate"}) {
    (void)memory[name].boolean();
  }
}

void read_cpu(const JsonNode& cpu, std::vector<CgroupSetting>& settings) {
  if (const std::uint64_t shares = cpu["shares"].unsigned_integer(0, INT64_MAX); shares != 0) {
    settings.push_back({"cpu.weight", std::to_string(cpu_weight(shares))});
  }
  if (const JsonNode idle = cpu["idle"]; idle.present()) {
    settings.push_back({"cpu.idle", std::to_string(idle.signed_integer(0, 1))});
  }
}

void read_unified(const JsonNode& unified, std::vector<CgroupSetting>& settings) {
  for (const auto& [name, node] : unified.members()) {
    // The agent's rule.
    if (name.empty() || name.front() < 'a' || name.front() > 'z' ||
        name.find('/') != std::string::npos) {
      node.complain("expected the name of a file of a cgroup, such as memory.high");
    }
    settings.push_back({name, node.string()});
  }
}

}  // namespace

std::uint64_t cpu_weight(std::uint64_t shares) {
  const std::uint64_t bounded = std::clamp<std::uint64_t>(shares, 2, 262'144);
  return 1 + (bounded - 2) * 9999 / 262'142;
}

std::vector<CgroupSetting> read_cgroup_settings(const JsonNode& resources) {
  std::vector<CgroupSetting> settings;
  read_memory(resources["memory"], settings);
  read_cpu(resources["cpu"], settings);
  read_limit(resources["pids"]["limit"], "pids.max", settings);
  for (const JsonNode& node : resources["hugepageLimits"].elements()) {
    (void)node["pageSize"].required("a size such as 2MB").string();
    (void)node["limit"].unsigned_integer(0, UINT64_MAX);
  }
  read_unified(resources["unified"], settings);
  return settings;
}

Result<std::vector<CgroupSetting>> parse_cgroup_settings(std::string_view json,
                                                         const std::string& operation) {
  RUNHV_TRY_ASSIGN(const auto reader, JsonReader::parse(json, operation));
  auto settings = read_cgroup_settings(reader->root());
  if (reader->error()) return Fail{*reader->error()};
  return settings;
}

}  // namespace runhv::container
