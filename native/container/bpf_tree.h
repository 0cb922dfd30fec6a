// A decision table over system calls as classic BPF: a balanced tree over the numbers, so that a
// call costs a logarithm of the profile's length and not the length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "container/linux_abi.h"
#include "container/process_spec.h"

namespace runhv::container {

inline constexpr std::size_t kMaxBpfInstructions = 4096;  // BPF_MAXINSNS

enum class BpfCompare {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual  // (argument & mask) == value
};

struct BpfCondition {
  std::uint32_t argument = 0;  // 0..5
  BpfCompare compare = BpfCompare::kEqual;
  std::uint64_t value = 0;
  std::uint64_t mask = 0;
};

struct BpfRule {
  std::vector<BpfCondition> conditions;  // all must hold
  std::uint32_t action;
};

struct BpfVerdict {
  std::vector<BpfRule> rules;  // the first that holds
  std::uint32_t otherwise;
  bool unconditional = false;  // `otherwise` was asked for: no rule may join
};

// For the calls of one architecture.
struct BpfPolicy {
  linux_abi::Architecture architecture;
  std::map<std::uint32_t, BpfVerdict> verdicts;  // by system call number
  std::uint32_t otherwise;
  std::uint32_t last_known;
  std::uint32_t newer;  // for numbers above last_known
};

// `foreign` is for calls of every other architecture, and for the x32 numbers.
std::vector<BpfInstruction> compile_bpf(std::span<const BpfPolicy> policies, std::uint32_t foreign);

}  // namespace runhv::container
