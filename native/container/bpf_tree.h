// A decision table over system calls as classic BPF: a balanced tree over the numbers, so that a
// call costs a logarithm of the profile's length and not the length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "container/oci_config.h"

namespace runhv {

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

struct BpfPolicy {
  const std::map<std::uint32_t, BpfVerdict>& verdicts;  // by system call number
  std::uint32_t otherwise;
  std::uint32_t last_known;
  std::uint32_t newer;    // for numbers above last_known
  std::uint32_t foreign;  // another architecture, or the x32 numbers
};

std::vector<BpfInstruction> compile_bpf(const BpfPolicy& policy);

}  // namespace runhv
