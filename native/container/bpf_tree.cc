#include "container/bpf_tree.h"

#include <algorithm>
#include <span>

#include "base/check.h"

namespace runhv::container {
namespace {

// Classic BPF, net/core/filter.c; struct seccomp_data of seccomp(2).
constexpr std::uint16_t kLoadWord = 0x20;  // BPF_LD | BPF_W | BPF_ABS
constexpr std::uint16_t kAnd = 0x54;       // BPF_ALU | BPF_AND | BPF_K
constexpr std::uint16_t kJump = 0x05;      // BPF_JMP | BPF_JA
constexpr std::uint16_t kJumpEqual = 0x15;
constexpr std::uint16_t kJumpGreater = 0x25;
constexpr std::uint16_t kJumpGreaterOrEqual = 0x35;
constexpr std::uint16_t kReturn = 0x06;

constexpr std::uint32_t kNumberOffset = 0;
constexpr std::uint32_t kArchitectureOffset = 4;
constexpr std::uint32_t kArgumentsOffset = 16;
constexpr std::uint32_t kX32Bit = 0x40000000;

using Program = std::vector<BpfInstruction>;

// Numbers from `first` up to the next range's first.
struct Range {
  std::uint32_t first;
  const BpfVerdict* verdict;  // null: `action` alone
  std::uint32_t action;
};

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

// Where a jump of a condition goes when it does not fall through.
enum class Exit { kNext, kHolds, kFails };

struct Branch {
  std::size_t at;
  bool on_true;
  Exit exit;
};

// One condition; its jumps out are left in `branches` for the caller to aim.
class ConditionCode {
 public:
  ConditionCode(Program& program, std::vector<Branch>& branches)
      : program_(program), branches_(branches) {}

  void append(const BpfCondition& condition) {
    const std::uint32_t offset = kArgumentsOffset + 8 * condition.argument;
    const std::uint64_t value = condition.value;
    switch (condition.compare) {
      case BpfCompare::kEqual:
        load(offset + 4);
        test(kJumpEqual, high(value), Exit::kNext, Exit::kFails);
        load(offset);
        return test(kJumpEqual, low(value), Exit::kHolds, Exit::kFails);
      case BpfCompare::kNotEqual:
        load(offset + 4);
        test(kJumpEqual, high(value), Exit::kNext, Exit::kHolds);
        load(offset);
        return test(kJumpEqual, low(value), Exit::kFails, Exit::kHolds);
      case BpfCompare::kMaskedEqual:
        load(offset + 4);
        mask(high(condition.mask));
        test(kJumpEqual, high(value), Exit::kNext, Exit::kFails);
        load(offset);
        mask(low(condition.mask));
        return test(kJumpEqual, low(value), Exit::kHolds, Exit::kFails);
      case BpfCompare::kGreater:
        return order(offset, value, kJumpGreater, Exit::kHolds, Exit::kFails);
      case BpfCompare::kGreaterOrEqual:
        return order(offset, value, kJumpGreaterOrEqual, Exit::kHolds, Exit::kFails);
      case BpfCompare::kLess:
        return order(offset, value, kJumpGreaterOrEqual, Exit::kFails, Exit::kHolds);
      case BpfCompare::kLessOrEqual:
        return order(offset, value, kJumpGreater, Exit::kFails, Exit::kHolds);
    }
  }

 private:
  void load(std::uint32_t offset) { program_.push_back({kLoadWord, 0, 0, offset}); }
  void mask(std::uint32_t bits) { program_.push_back({kAnd, 0, 0, bits}); }

  void test(std::uint16_t code, std::uint32_t value, Exit if_true, Exit if_false) {
    if (if_true != Exit::kNext) branches_.push_back({program_.size(), true, if_true});
    if (if_false != Exit::kNext) branches_.push_back({program_.size(), false, if_false});
    program_.push_back({code, 0, 0, value});
  }

  // The upper halves decide unless they are equal.
  void order(std::uint32_t offset, std::uint64_t value, std::uint16_t low_code, Exit if_true,
             Exit if_false) {
    load(offset + 4);
    test(kJumpGreater, high(value), if_true, Exit::kNext);
    test(kJumpEqual, high(value), Exit::kNext, if_false);
    load(offset);
    test(low_code, low(value), if_true, if_false);
  }

  Program& program_;
  std::vector<Branch>& branches_;
};

void aim(Program& program, const Branch& branch, std::size_t target) {
  const std::size_t distance = target - branch.at - 1;
  RUNHV_CHECK(distance <= UINT8_MAX);  // six conditions of seven instructions at most
  auto& instruction = program[branch.at];
  (branch.on_true ? instruction.jump_true : instruction.jump_false) =
      static_cast<std::uint8_t>(distance);
}

void append_rule(Program& program, const BpfRule& rule) {
  std::vector<Branch> failures;
  for (const BpfCondition& condition : rule.conditions) {
    std::vector<Branch> branches;
    ConditionCode(program, branches).append(condition);
    for (const Branch& branch : branches) {
      if (branch.exit == Exit::kHolds) {
        aim(program, branch, program.size());
      } else {
        failures.push_back(branch);
      }
    }
  }
  program.push_back({kReturn, 0, 0, rule.action});
  for (const Branch& branch : failures) aim(program, branch, program.size());
}

void append_leaf(Program& program, const Range& range) {
  if (range.verdict != nullptr) {
    for (const BpfRule& rule : range.verdict->rules) append_rule(program, rule);
  }
  program.push_back({kReturn, 0, 0, range.action});
}

void append_tree(Program& program, std::span<const Range> ranges) {
  if (ranges.size() == 1) return append_leaf(program, ranges.front());
  const std::size_t middle = ranges.size() / 2;
  const std::size_t test = program.size();
  program.push_back({kJumpGreaterOrEqual, 0, 0, ranges[middle].first});
  // The far half may be further than eight bits reach; a plain jump reaches everywhere.
  const std::size_t jump = program.size();
  program.push_back({kJump, 0, 0, 0});
  append_tree(program, ranges.first(middle));
  const std::size_t far = program.size();
  append_tree(program, ranges.subspan(middle));
  program[test].jump_true = 0;
  program[test].jump_false = 1;
  program[jump].k = static_cast<std::uint32_t>(far - jump - 1);
}

std::vector<Range> make_ranges(const BpfPolicy& policy, std::uint32_t foreign) {
  std::vector<Range> ranges;
  const auto add = [&](std::uint32_t first, const BpfVerdict* verdict, std::uint32_t action) {
    const bool merges = verdict == nullptr && !ranges.empty() && ranges.back().verdict == nullptr &&
                        ranges.back().action == action;
    if (!merges) ranges.push_back({first, verdict, action});
  };
  std::uint32_t next = 0;
  for (const auto& [number, verdict] : policy.verdicts) {
    if (number > next) add(next, nullptr, policy.otherwise);
    add(number, verdict.rules.empty() ? nullptr : &verdict, verdict.otherwise);
    next = number + 1;
  }
  if (next <= policy.last_known) add(next, nullptr, policy.otherwise);
  add(policy.last_known + 1, nullptr, policy.newer);
  if (policy.architecture == linux_abi::Architecture::kX86_64) add(kX32Bit, nullptr, foreign);
  return ranges;
}

}  // namespace

std::vector<BpfInstruction> compile_bpf(std::span<const BpfPolicy> policies,
                                        std::uint32_t foreign) {
  Program program;
  program.push_back({kLoadWord, 0, 0, kArchitectureOffset});
  for (const BpfPolicy& policy : policies) {
    program.push_back({kJumpEqual, 1, 0, static_cast<std::uint32_t>(policy.architecture)});
    const std::size_t jump = program.size();
    program.push_back({kJump, 0, 0, 0});
    program.push_back({kLoadWord, 0, 0, kNumberOffset});
    append_tree(program, make_ranges(policy, foreign));
    // A tree leaves by its returns alone: the architecture is still loaded where this jump goes.
    program[jump].k = static_cast<std::uint32_t>(program.size() - jump - 1);
  }
  program.push_back({kReturn, 0, 0, foreign});
  return program;
}

}  // namespace runhv::container
