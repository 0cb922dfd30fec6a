// What runhv takes from a `process` object of the OCI runtime specification, whether it is a
// bundle's or that of one more process (docs/bundle.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runhv_agent.h"

namespace runhv::container {

inline constexpr std::size_t kMaxProcessJsonBytes = 1u << 20;

// One instruction of classic BPF, as struct sock_filter of the guest's kernel.
struct BpfInstruction {
  std::uint16_t code;
  std::uint8_t jump_true;
  std::uint8_t jump_false;
  std::uint32_t k;
};

struct SeccompFilter {
  std::uint32_t flags = 0;  // of seccomp(2)
  std::vector<BpfInstruction> program;
};

struct ProcessSpec {
  std::vector<std::string> arguments;  // at least one
  std::vector<std::string> environment;
  std::string cwd;
  runhv_user user{};
  bool has_umask = false;
  std::vector<std::uint32_t> groups;
  std::optional<runhv_caps> capabilities;  // nullopt = none in any set
  std::vector<runhv_rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<std::int32_t> oom_score_adj;
  std::optional<SeccompFilter> seccomp;
  std::optional<runhv_scheduler> scheduler;
  std::uint32_t io_priority = 0;    // of ioprio_set(2); 0 = as it is
  std::uint64_t exec_affinity = 0;  // bit n: the guest's processor n; 0 = any. Not the first one's
  std::uint32_t personality = 0;    // of personality(2)
  bool archive = false;  // in place of its program: RUNHV_PROCESS_ARCHIVE. Not of the first one
  bool terminal = false;
  std::uint16_t columns = 0;  // of the terminal; 0 = unknown
  std::uint16_t rows = 0;

  // What was asked for and will not be granted (RUNHV_EVENT_WARNING).
  std::vector<Error> warnings;
};

// One more process of a container. What the text leaves out is none: no variable, no capability, no
// limit, no filter; the user is 0, the folder /. linux.seccomp may stand beside the process's own
// members, as "seccomp". `operation` is that of every error.
Result<ProcessSpec> parse_process(std::string_view json, const std::string& operation);

}  // namespace runhv::container
