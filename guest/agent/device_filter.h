// The devices that the processes of a cgroup may use, as a program for the kernel
// (BPF_PROG_TYPE_CGROUP_DEVICE).
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "failure.h"
#include "runhv_agent.h"

namespace runhv::agent {

class DeviceFilter {
 public:
  // Of the records DEVICE_RULE, at most RUNHV_MAX_DEVICE_RULES.
  explicit DeviceFilter(std::span<const std::byte> records);

  std::span<const bpf_insn> program() const { return {code_, size_}; }

 private:
  static constexpr std::size_t kInstructionsOfARule = 9;

  void add_rule(const runhv_device_rule& rule);
  void add(int code, std::uint8_t to, std::uint8_t from, std::size_t offset, std::uint32_t value);

  runhv_device_rule rules_[RUNHV_MAX_DEVICE_RULES];
  std::size_t count_ = 0;
  bpf_insn code_[RUNHV_MAX_DEVICE_RULES * kInstructionsOfARule + 8];
  std::size_t size_ = 0;
};

// The program with the kernel: a descriptor, or -1 with `failure`.
int load_device_filter(std::span<const std::byte> records, Failure& failure);
// For the processes of `cgroup`, a folder, in place of `before`; negative = of none.
bool attach_device_filter(int cgroup, int program, int before, Failure& failure);

}  // namespace runhv::agent
