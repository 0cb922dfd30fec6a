#include "container/seccomp.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>

#include "container/bpf_tree.h"
#include "container/linux_abi.h"

namespace runhv::container {
namespace {

// seccomp(2)
constexpr std::uint32_t kKillProcess = 0x80000000;
constexpr std::uint32_t kKillThread = 0x00000000;
constexpr std::uint32_t kTrap = 0x00030000;
constexpr std::uint32_t kErrno = 0x00050000;
constexpr std::uint32_t kTrace = 0x7ff00000;
constexpr std::uint32_t kLog = 0x7ffc0000;
constexpr std::uint32_t kAllow = 0x7fff0000;
constexpr std::uint32_t kEperm = 1;
constexpr std::uint32_t kEnosys = 38;
constexpr std::uint32_t kMaxErrno = 4095;

std::uint32_t read_action(const JsonNode& action, const JsonNode& errno_node) {
  static constexpr std::pair<std::string_view, std::uint32_t> kActions[] = {
      {"SCMP_ACT_KILL", kKillThread},
      {"SCMP_ACT_KILL_THREAD", kKillThread},
      {"SCMP_ACT_KILL_PROCESS", kKillProcess},
      {"SCMP_ACT_TRAP", kTrap},
      {"SCMP_ACT_ERRNO", kErrno},
      {"SCMP_ACT_TRACE", kTrace},
      {"SCMP_ACT_LOG", kLog},
      {"SCMP_ACT_ALLOW", kAllow}};
  const std::string name = action.required("a SCMP_ACT_ action").string();
  const auto* found =
      std::ranges::find(kActions, name, [](const auto& pair) { return pair.first; });
  if (found == std::end(kActions)) {
    action.complain("the action " + name + " is not in this version", Code::kUnsupported);
    return kKillProcess;
  }
  const bool takes_errno = found->second == kErrno || found->second == kTrace;
  if (!takes_errno) return found->second;
  const std::uint64_t number =
      errno_node.present() ? errno_node.unsigned_integer(0, kMaxErrno) : kEperm;
  return found->second | static_cast<std::uint32_t>(number);
}

std::optional<BpfCondition> read_condition(const JsonNode& node) {
  static constexpr std::pair<std::string_view, BpfCompare> kOperators[] = {
      {"SCMP_CMP_NE", BpfCompare::kNotEqual},          {"SCMP_CMP_LT", BpfCompare::kLess},
      {"SCMP_CMP_LE", BpfCompare::kLessOrEqual},       {"SCMP_CMP_EQ", BpfCompare::kEqual},
      {"SCMP_CMP_GE", BpfCompare::kGreaterOrEqual},    {"SCMP_CMP_GT", BpfCompare::kGreater},
      {"SCMP_CMP_MASKED_EQ", BpfCompare::kMaskedEqual}};
  const std::string name = node["op"].required("a SCMP_CMP_ operator").string();
  const auto* found =
      std::ranges::find(kOperators, name, [](const auto& pair) { return pair.first; });
  if (found == std::end(kOperators)) {
    node["op"].complain("unknown operator " + name);
    return std::nullopt;
  }
  BpfCondition condition;
  condition.argument =
      static_cast<std::uint32_t>(node["index"].required("an integer").unsigned_integer(0, 5));
  condition.compare = found->second;
  condition.value = node["value"].required("an integer").unsigned_integer(0, UINT64_MAX);
  if (condition.compare == BpfCompare::kMaskedEqual) {
    condition.mask = condition.value;
    condition.value = node["valueTwo"].unsigned_integer(0, UINT64_MAX);
  }
  return condition;
}

// Arguments of one rule must all match; an index that is there twice means "either", since no
// filter could ask twice for the same argument (runc's reading of the specification).
std::vector<std::vector<BpfCondition>> read_alternatives(const JsonNode& args) {
  std::vector<BpfCondition> all;
  for (const JsonNode& node : args.elements()) {
    if (const auto condition = read_condition(node)) all.push_back(*condition);
  }
  std::array<int, 6> uses{};
  for (const BpfCondition& condition : all) ++uses[condition.argument];
  const bool either = std::ranges::any_of(uses, [](int count) { return count > 1; });
  if (!either) return {all};
  std::vector<std::vector<BpfCondition>> alternatives;
  for (const BpfCondition& condition : all) alternatives.push_back({condition});
  return alternatives;
}

using Verdicts = std::map<std::uint32_t, BpfVerdict>;  // by system call number

void add_rule(Verdicts& verdicts, std::uint32_t number, std::uint32_t action,
              std::uint32_t default_action,
              const std::vector<std::vector<BpfCondition>>& alternatives) {
  BpfVerdict& verdict = verdicts.try_emplace(number, BpfVerdict{{}, default_action}).first->second;
  for (const auto& conditions : alternatives) {
    if (!conditions.empty()) {
      if (!verdict.unconditional) verdict.rules.push_back({conditions, action});
    } else if (!verdict.unconditional) {
      verdict = {{}, action, true};
    }
  }
}

void read_rules(const JsonNode& syscalls, BpfPolicy& policy) {
  for (const JsonNode& node : syscalls.elements()) {
    const std::uint32_t action = read_action(node["action"], node["errnoRet"]);
    const auto alternatives = read_alternatives(node["args"]);
    for (const std::string& name : node["names"].required("an array of strings").strings()) {
      const auto number = linux_abi::find_syscall(policy.architecture, name);
      if (!number) continue;
      policy.last_known = std::max(policy.last_known, *number);
      if (action != policy.otherwise) {
        add_rule(policy.verdicts, *number, action, policy.otherwise, alternatives);
      }
    }
  }
}

// Those of the guest that the profile is for: the native one, listed or not, first.
std::vector<linux_abi::Architecture> read_architectures(const JsonNode& architectures) {
  bool i386 = false;
  for (const JsonNode& node : architectures.elements()) {
    const std::string name = node.string();
    if (!name.starts_with("SCMP_ARCH_")) node.complain("unknown architecture " + name);
    i386 = i386 || name == "SCMP_ARCH_X86";
  }
  std::vector<linux_abi::Architecture> found{linux_abi::Architecture::kX86_64};
  if (i386) found.push_back(linux_abi::Architecture::kI386);
  return found;
}

std::uint32_t read_flags(const JsonNode& flags) {
  static constexpr std::pair<std::string_view, std::uint32_t> kFlags[] = {
      {"SECCOMP_FILTER_FLAG_TSYNC", 1u << 0},
      {"SECCOMP_FILTER_FLAG_LOG", 1u << 1},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1u << 2}};
  std::uint32_t bits = 0;
  for (const JsonNode& node : flags.elements()) {
    const std::string name = node.string();
    const auto* found =
        std::ranges::find(kFlags, name, [](const auto& pair) { return pair.first; });
    if (found == std::end(kFlags)) {
      node.complain("the flag " + name + " is not in this version", Code::kUnsupported);
    } else {
      bits |= found->second;
    }
  }
  return bits;
}

}  // namespace

SeccompFilter compile_seccomp(const JsonNode& section) {
  SeccompFilter result;
  const std::uint32_t default_action =
      read_action(section["defaultAction"], section["defaultErrnoRet"]);
  const auto architectures = read_architectures(section["architectures"]);
  result.flags = read_flags(section["flags"]);
  if (!section["listenerPath"].string().empty()) {
    section["listenerPath"].complain("not in this version", Code::kUnsupported);
  }
  // A program asks for a new system call and falls back on ENOSYS. A call that is newer than every
  // call that the profile's author knew must therefore not meet the profile's EPERM (as runc does).
  const bool refuses =
      default_action != kAllow && default_action != kLog && (default_action & 0xffff0000) != kTrace;
  std::vector<BpfPolicy> policies;
  for (const linux_abi::Architecture architecture : architectures) {
    BpfPolicy& policy = policies.emplace_back(BpfPolicy{architecture, {}, default_action, 0, 0});
    read_rules(section["syscalls"], policy);
    policy.newer = refuses && policy.last_known != 0 ? kErrno | kEnosys : default_action;
  }
  result.program = compile_bpf(policies, kKillProcess);
  if (result.program.size() > kMaxBpfInstructions) {
    section.complain("the filter has " + std::to_string(result.program.size()) +
                     " instructions; the kernel takes " + std::to_string(kMaxBpfInstructions));
  }
  return result;
}

}  // namespace runhv::container
