// `runhv run`: its options, in GNU style. They end at the image (or the id); the rest is the
// container's command.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace runhv::cli {

enum class RunOption {
  kBundle,
  kConsoleSocket,
  kCpus,
  kDebug,
  kDetach,
  kEngine,
  kEntrypoint,
  kEnv,
  kHelp,
  kHostname,
  kInteractive,
  kKeep,
  kKernel,
  kMemory,
  kName,
  kNoNewKeyring,
  kNoPivot,
  kNoSubreaper,
  kPidFile,
  kPreserveFds,
  kPull,
  kRemove,
  kScratch,
  kSysctl,
  kTimings,
  kTty,
  kUser,
  kWorkdir
};

struct RunOptionSpec {
  RunOption option;
  char letter;             // 0 = none
  std::string_view name;   // without the dashes
  std::string_view value;  // what the help calls it; empty = a flag
  bool value_optional;     // only --name=VALUE then
  bool with_bundle;        // where config.json does not say it
  std::string_view help;
};

// In the order of the help.
std::span<const RunOptionSpec> run_option_specs();

struct RunOptions {
  bool help = false;
  std::string bundle;  // empty: an image is run
  std::string id;      // --name, or the ID of --bundle; empty = to be generated
  std::string image;
  std::string pull = "missing";  // or always or never
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // NAME=value, or NAME
  std::string cwd;
  std::string user;
  std::optional<std::vector<std::string>> entrypoint;  // empty = none
  std::string hostname;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint32_t> cpus;
  std::optional<std::uint64_t> scratch_bytes;
  std::vector<std::pair<std::string, std::string>> sysctls;
  bool interactive = false;
  bool terminal = false;
  bool keep = false;
  bool detach = false;         // with a bundle only, as the two below
  std::string pid_file;        // empty = none
  std::string console_socket;  // the same; with `detach`
  unsigned preserve_fds = 0;   // how many descriptors from 3 on; with a bundle only
  std::string kernel;          // as it was named; absolute once it was chosen (cli/kernels.h)
  std::string modules;         // of a kernel that was chosen
  std::string engine = "auto";
  std::string timings;  // "--timings…" as the VMM takes it; empty = none
  bool debug = false;
};

// Arguments after `run`. The error's detail is one line for the user.
Result<RunOptions> parse_run_options(std::span<const std::string_view> arguments);

}  // namespace runhv::cli
