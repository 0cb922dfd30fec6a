#include "container/cgroup_settings.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

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

constexpr std::uint32_t kBlock = 1, kCharacter = 2;               // runhv_device_rule::types
constexpr std::uint32_t kMknod = 1, kReadWriteMknod = 1 | 2 | 4;  // ::access

// What every container may use, as runc has it: null, zero, full, random, urandom, tty, ptmx and
// terminals. A node of another device may be made, and is of no use.
constexpr runhv_device_rule kAlways[] = {
    {1, kBlock | kCharacter, kMknod, RUNHV_ANY_DEVICE, RUNHV_ANY_DEVICE, 0},
    {1, kCharacter, kReadWriteMknod, 1, 3, 0},
    {1, kCharacter, kReadWriteMknod, 1, 5, 0},
    {1, kCharacter, kReadWriteMknod, 1, 7, 0},
    {1, kCharacter, kReadWriteMknod, 1, 8, 0},
    {1, kCharacter, kReadWriteMknod, 1, 9, 0},
    {1, kCharacter, kReadWriteMknod, 5, 0, 0},
    {1, kCharacter, kReadWriteMknod, 5, 2, 0},
    {1, kCharacter, kReadWriteMknod, 136, RUNHV_ANY_DEVICE, 0},
};
constexpr std::size_t kMaxRules = RUNHV_MAX_DEVICE_RULES - std::size(kAlways);

// -1 or nothing is each one.
std::uint32_t read_device_number(const JsonNode& node) {
  const std::int64_t number = node.present() ? node.signed_integer(-1, UINT32_MAX - 1) : -1;
  return number < 0 ? RUNHV_ANY_DEVICE : static_cast<std::uint32_t>(number);
}

std::uint32_t read_access(const JsonNode& node) {
  const std::string letters = node.present() ? node.string() : "rwm";
  std::uint32_t access = 0;
  for (const char letter : letters) {
    const std::size_t bit = std::string_view("mrw").find(letter);
    if (bit == std::string_view::npos) break;
    access |= 1u << bit;
  }
  if (access == 0 || letters.find_first_not_of("mrw") != std::string::npos) {
    node.complain("expected some of the letters r, w and m");
  }
  return access;
}

std::uint32_t read_types(const JsonNode& node) {
  const std::string type = node.string();
  if (type == "c") return kCharacter;
  if (type == "b") return kBlock;
  if (!type.empty() && type != "a") node.complain("expected a, b or c");
  return kBlock | kCharacter;
}

std::optional<std::vector<runhv_device_rule>> read_device_rules(const JsonNode& devices) {
  std::vector<runhv_device_rule> rules;
  for (const JsonNode& node : devices.elements()) {
    (void)node["allow"].required("true or false");
    rules.push_back({.allowed = node["allow"].boolean() ? 1u : 0u,
                     .types = read_types(node["type"]),
                     .access = read_access(node["access"]),
                     .major = read_device_number(node["major"]),
                     .minor = read_device_number(node["minor"]),
                     .zero = 0});
  }
  if (rules.empty()) return std::nullopt;
  if (rules.size() > kMaxRules) {
    devices.complain("at most " + std::to_string(kMaxRules) + " are possible");
    return std::nullopt;
  }
  rules.insert(rules.end(), std::begin(kAlways), std::end(kAlways));
  return rules;
}

}  // namespace

std::uint64_t cpu_weight(std::uint64_t shares) {
  const std::uint64_t bounded = std::clamp<std::uint64_t>(shares, 2, 262'144);
  return 1 + (bounded - 2) * 9999 / 262'142;
}

CgroupSettings read_cgroup_settings(const JsonNode& resources) {
  CgroupSettings settings;
  read_memory(resources["memory"], settings.files);
  read_cpu(resources["cpu"], settings.files);
  read_limit(resources["pids"]["limit"], "pids.max", settings.files);
  for (const JsonNode& node : resources["hugepageLimits"].elements()) {
    (void)node["pageSize"].required("a size such as 2MB").string();
    (void)node["limit"].unsigned_integer(0, UINT64_MAX);
  }
  read_unified(resources["unified"], settings.files);
  settings.devices = read_device_rules(resources["devices"]);
  return settings;
}

Result<CgroupSettings> parse_cgroup_settings(std::string_view json, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const auto reader, JsonReader::parse(json, operation));
  auto settings = read_cgroup_settings(reader->root());
  if (reader->error()) return Fail{*reader->error()};
  return settings;
}

}  // namespace runhv::container
