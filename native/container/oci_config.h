// What runhv takes from a bundle's config.json. docs/bundle.md says which fields and why not
// others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runhv_agent.h"

namespace runhv {

inline constexpr std::size_t kMaxConfigBytes = 8u << 20;

// A scratch disk is a whole number of these: the size of the file system in
// share/runhv/scratch.ext4, and enough for the tables of the last group of blocks when the guest
// grows it.
inline constexpr std::uint64_t kScratchUnitBytes = 16u << 20;
inline constexpr std::uint64_t kMaxScratchBytes = 1ull << 40;

struct OciMount {
  runhv_mount fixed{};
  std::string destination;
  std::string type;
  std::string source;
  std::string data;
};

struct OciDevice {
  runhv_device fixed{};
  std::string path;
};

// One instruction of classic BPF, as struct sock_filter of the guest's kernel.
struct BpfInstruction {
  std::uint16_t code;
  std::uint8_t jump_true;
  std::uint8_t jump_false;
  std::uint32_t k;
};

struct OciSeccomp {
  std::uint32_t flags = 0;  // of seccomp(2)
  std::vector<BpfInstruction> program;
};

struct OciConfig {
  std::vector<std::string> arguments;  // at least one
  std::vector<std::string> environment;
  std::string cwd;
  runhv_user user{};
  bool has_umask = false;
  std::vector<std::uint32_t> groups;
  std::optional<runhv_caps> capabilities;
  std::vector<runhv_rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<std::int32_t> oom_score_adj;

  std::string hostname;
  std::string domainname;
  bool root_read_only = false;
  std::uint32_t root_propagation = 0;
  std::string root_type;  // "erofs" or "ext4"
  std::string root_image;
  std::vector<OciMount> mounts;
  std::uint32_t namespaces = 0;  // CLONE_NEW*
  std::vector<OciDevice> devices;
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::optional<OciSeccomp> seccomp;

  std::string kernel;  // empty = the default
  std::string initrd;
  std::string modules;
  std::string kernel_parameters;
  std::uint64_t memory_bytes = 0;
  std::uint32_t processor_count = 0;
  std::uint64_t scratch_bytes = 0;  // 0 = the writable layer is memory
  std::string engine;               // empty where the bundle does not say
  bool connect_stdin = true;
};

// `operation` is that of every error ("read /bundles/web/config.json").
Result<OciConfig> parse_oci_config(std::string_view json, const std::string& operation);

}  // namespace runhv
