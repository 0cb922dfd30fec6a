#include "cli/run_options.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "oci/create.h"
#include "runhv/runhv.h"

namespace runhv::cli {
namespace {

constexpr RunOptionSpec kSpecs[] = {
    {RunOption::kEnv, 'e', "env", "NAME[=VALUE]", false, false,
     "set a variable; without a value: the one of this environment"},
    {RunOption::kWorkdir, 'w', "workdir", "DIR", false, false, "working directory"},
    {RunOption::kUser, 'u', "user", "USER[:GROUP]", false, false, "names or numbers"},
    {RunOption::kEntrypoint, 0, "entrypoint", "PROGRAM", false, false,
     "instead of the image's; empty = none"},
    {RunOption::kHostname, 0, "hostname", "NAME", false, false, "default: the container's name"},
    {RunOption::kMemory, 'm', "memory", "SIZE", false, false,
     "the guest's memory: bytes, or with k, m, g, t (default 128m)"},
    {RunOption::kCpus, 0, "cpus", "N", false, false, "virtual processors, 1 to 64 (default 1)"},
    {RunOption::kScratch, 0, "scratch", "SIZE", false, false,
     "a disk for what is written; default: the guest's memory"},
    {RunOption::kInteractive, 'i', "interactive", "", false, false, "connect stdin"},
    {RunOption::kName, 0, "name", "NAME", false, false, "default: a generated one"},
    {RunOption::kPull, 0, "pull", "WHEN", false, false,
     "ask the registry: always, missing (the default) or never"},
    {RunOption::kRemove, 0, "rm", "", false, false, "accepted: the default"},
    {RunOption::kKeep, 0, "keep", "", false, true,
     "keep the container's state when it has ended, until runhv delete"},
    {RunOption::kSysctl, 0, "sysctl", "NAME=VALUE", false, false,
     "set a kernel parameter of the container, as net.core.somaxconn=1024"},
    {RunOption::kBundle, 'b', "bundle", "DIR", false, true,
     "run an OCI bundle, without an image and without Java"},
    {RunOption::kDetach, 'd', "detach", "", false, true,
     "with --bundle: leave it running, until runhv delete"},
    {RunOption::kPidFile, 0, "pid-file", "FILE", false, true,
     "with --bundle: where the container's pid is written"},
    {RunOption::kConsoleSocket, 0, "console-socket", "SOCKET", false, true,
     "with --detach: where the terminal's other end is sent"},
    {RunOption::kPreserveFds, 0, "preserve-fds", "N", false, true,
     "with --bundle: so many descriptors from 3 on are the program's too"},
    {RunOption::kNoPivot, 0, "no-pivot", "", false, true, "accepted, as by create"},
    {RunOption::kNoNewKeyring, 0, "no-new-keyring", "", false, true, "accepted, as by create"},
    {RunOption::kNoSubreaper, 0, "no-subreaper", "", false, true, "accepted, as by exec"},
    {RunOption::kKernel, 0, "kernel", "NAME|FILE", false, true,
     "of runhv kernels; or a vmlinux or bzImage, with a slash"},
    {RunOption::kEngine, 0, "engine", "NAME", false, true, "auto, soft, kvm or whp (default auto)"},
    {RunOption::kTimings, 0, "timings", "json", true, true,
     "print where the time of the start went"},
    {RunOption::kDebug, 0, "debug", "", false, true, "the guest's console and more, on stderr"},
    {RunOption::kTty, 't', "tty", "", false, false, "a terminal; with -i it can be typed on"},
    {RunOption::kHelp, 'h', "help", "", false, true, "this text"},
};

std::string shown(const RunOptionSpec& spec) { return "--" + std::string(spec.name); }

std::string mebibytes(std::uint64_t bytes) {
  if (bytes % (1ull << 20) != 0) return std::to_string(bytes) + " bytes";
  return std::to_string(bytes >> 20) + " MiB";
}

// The number at the start of `text`, which is cut off.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

Result<std::uint64_t> read_size(const std::string& name, std::string_view text, std::uint64_t least,
                                std::uint64_t most) {
  static constexpr std::pair<std::string_view, int> kUnits[] = {
      {"", 0}, {"k", 10}, {"m", 20}, {"g", 30}, {"t", 40}};
  std::string_view rest = text;
  const auto number = take_number(rest);
  // As docker takes them: m, mb and mib in any case.
  std::string unit(rest);
  std::ranges::transform(unit, unit.begin(),
                         [](char c) { return c | ('A' <= c && c <= 'Z' ? 0x20 : 0); });
  if (unit.ends_with('b')) unit.pop_back();
  if (unit.size() == 2 && unit.ends_with('i')) unit.pop_back();
  const auto* suffix = std::ranges::find(kUnits, unit, [](const auto& pair) { return pair.first; });
  if (!number || suffix == std::end(kUnits)) {
    return invalid_argument("run", name + " \"" + std::string(text) +
                                       "\": expected a number of bytes, or one with k, m, g or t");
  }
  const bool fits = *number <= (UINT64_MAX >> suffix->second);
  const std::uint64_t bytes = fits ? *number << suffix->second : UINT64_MAX;
  if (bytes < least) {
    return invalid_argument(
        "run", name + " of " + mebibytes(bytes) + ": the least is " + mebibytes(least));
  }
  if (bytes > most) {
    return invalid_argument("run",
                            name + " of " + std::string(text) + ": the most is " + mebibytes(most));
  }
  return bytes;
}

Result<std::uint32_t> read_cpus(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number || !rest.empty() || *number < 1 || *number > RUNHV_MAX_CPUS) {
    return invalid_argument("run", "cpus of " + std::string(text) + ": a whole number from 1 to " +
                                       std::to_string(RUNHV_MAX_CPUS) + " is possible");
  }
  return static_cast<std::uint32_t>(*number);
}

Result<std::string> read_name(std::string_view text) {
  if (!is_name(text, RUNHV_MAX_ID_BYTES)) {
    return invalid_argument("run",
                            "container name \"" + std::string(text) + "\": 1 to " +
                                std::to_string(RUNHV_MAX_ID_BYTES) +
                                " of A-Z a-z 0-9 _ . - are possible, first a letter, digit or _");
  }
  return std::string(text);
}

Result<std::string> read_engine(std::string_view text) {
  for (const std::string_view known : {"auto", "soft", "kvm", "whp"}) {
    if (text == known) return std::string(text);
  }
  return invalid_argument(
      "run", "engine \"" + std::string(text) + "\": the engines are auto, soft, kvm and whp");
}

Result<std::string> read_pull(std::string_view text) {
  for (const std::string_view known : {"always", "missing", "never"}) {
    if (text == known) return std::string(text);
  }
  return invalid_argument("run",
                          "--pull " + std::string(text) + ": expected always, missing or never");
}

Result<std::string> read_timings(std::string_view text) {
  if (text.empty()) return std::string("--timings");
  if (text != "json")
    return invalid_argument("run", "--timings=" + std::string(text) + ": expected json");
  return "--timings=" + std::string(text);
}

// Which parameters a container may have is for the kernel to say.
Result<std::pair<std::string, std::string>> read_sysctl(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return invalid_argument("run", "--sysctl \"" + std::string(text) + "\": expected NAME=VALUE");
  }
  return std::pair{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

Result<void> apply(const RunOptionSpec& spec, std::string_view value, RunOptions& options) {
  switch (spec.option) {
    case RunOption::kBundle:
      if (value.empty()) return invalid_argument("run", "--bundle: expected a directory");
      options.bundle = value;
      break;
    case RunOption::kCpus: {
      RUNHV_TRY_ASSIGN(options.cpus, read_cpus(value));
      break;
    }
    case RunOption::kConsoleSocket:
      options.console_socket = value;
      break;
    case RunOption::kDebug:
      options.debug = true;
      break;
    case RunOption::kDetach:
      options.detach = true;
      break;
    case RunOption::kPreserveFds: {
      RUNHV_TRY_ASSIGN(options.preserve_fds, oci::read_preserved("run", value));
      break;
    }
    case RunOption::kPidFile:
      options.pid_file = value;
      break;
    case RunOption::kEngine: {
      RUNHV_TRY_ASSIGN(options.engine, read_engine(value));
      break;
    }
    case RunOption::kEntrypoint:
      options.entrypoint.emplace();
      if (!value.empty()) options.entrypoint->emplace_back(value);
      break;
    case RunOption::kEnv:
      if (value.empty() || value.front() == '=') {
        return invalid_argument(
            "run", "--env \"" + std::string(value) + "\": expected NAME or NAME=VALUE");
      }
      options.environment.emplace_back(value);
      break;
    case RunOption::kHelp:
      options.help = true;
      break;
    case RunOption::kHostname:
      if (value.empty() || value.size() > 64)
        return invalid_argument("run", "--hostname: 1 to 64 bytes are possible");
      options.hostname = value;
      break;
    case RunOption::kInteractive:
      options.interactive = true;
      break;
    case RunOption::kKeep:
      options.keep = true;
      break;
    case RunOption::kKernel:
      if (value.empty()) return invalid_argument("run", "--kernel: expected a name or a file");
      options.kernel = value;
      break;
    case RunOption::kMemory: {
      RUNHV_TRY_ASSIGN(options.memory_bytes,
                       read_size("memory", value, RUNHV_MIN_MEMORY_BYTES, RUNHV_MAX_MEMORY_BYTES));
      break;
    }
    case RunOption::kName: {
      RUNHV_TRY_ASSIGN(options.id, read_name(value));
      break;
    }
    case RunOption::kRemove:
    case RunOption::kNoPivot:
    case RunOption::kNoNewKeyring:
    case RunOption::kNoSubreaper:
      break;
    case RunOption::kPull: {
      RUNHV_TRY_ASSIGN(options.pull, read_pull(value));
      break;
    }
    case RunOption::kScratch: {
      RUNHV_TRY_ASSIGN(options.scratch_bytes, read_size("scratch", value, RUNHV_MIN_SCRATCH_BYTES,
                                                        RUNHV_MAX_SCRATCH_BYTES));
      break;
    }
    case RunOption::kSysctl: {
      RUNHV_TRY_ASSIGN(auto sysctl, read_sysctl(value));
      options.sysctls.push_back(std::move(sysctl));
      break;
    }
    case RunOption::kTimings: {
      RUNHV_TRY_ASSIGN(options.timings, read_timings(value));
      break;
    }
    case RunOption::kTty:
      options.terminal = true;
      break;
    case RunOption::kUser:
      options.user = value;
      break;
    case RunOption::kWorkdir:
      options.cwd = value;
      break;
  }
  return {};
}

class Parser {
 public:
  explicit Parser(std::span<const std::string_view> arguments) : arguments_(arguments) {}

  Result<RunOptions> parse() {
    while (next_ < arguments_.size() && !options_.help) {
      const std::string_view argument = arguments_[next_];
      if (argument == "--") {
        ++next_;
        break;
      }
      if (argument.size() < 2 || argument.front() != '-') break;
      ++next_;
      RUNHV_TRY(argument.starts_with("--") ? long_option(argument.substr(2))
                                           : letters(argument.substr(1)));
    }
    if (options_.help) return options_;
    RUNHV_TRY(positional());
    RUNHV_TRY(check_detach());
    return options_;
  }

 private:
  Result<void> long_option(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const auto spec = std::ranges::find(kSpecs, name, &RunOptionSpec::name);
    if (spec == std::end(kSpecs)) return unknown("--" + std::string(name));
    if (equals != std::string_view::npos) {
      if (spec->value.empty()) return invalid_argument("run", shown(*spec) + " takes no value");
      return use(*spec, text.substr(equals + 1));
    }
    if (spec->value.empty() || spec->value_optional) return use(*spec, "");
    return use_next(*spec);
  }

  // -i, -im64m, -m 64m, -eA=b
  Result<void> letters(std::string_view text) {
    while (!text.empty()) {
      const auto spec = std::ranges::find(kSpecs, text.front(), &RunOptionSpec::letter);
      if (spec == std::end(kSpecs)) return unknown("-" + std::string(1, text.front()));
      text.remove_prefix(1);
      if (spec->value.empty()) {
        RUNHV_TRY(use(*spec, ""));
        continue;
      }
      if (text.empty()) return use_next(*spec);
      if (text.front() == '=') text.remove_prefix(1);
      return use(*spec, text);
    }
    return {};
  }

  Result<void> use(const RunOptionSpec& spec, std::string_view value) {
    if (!spec.with_bundle && not_with_bundle_.empty()) not_with_bundle_ = shown(spec);
    return apply(spec, value, options_);
  }

  Result<void> use_next(const RunOptionSpec& spec) {
    if (next_ == arguments_.size()) return invalid_argument("run", shown(spec) + " needs a value");
    return use(spec, arguments_[next_++]);
  }

  Result<void> unknown(const std::string& option) {
    return invalid_argument("run", "unknown option " + option + "; see runhv run --help");
  }

  Result<void> positional() {
    const auto rest = arguments_.subspan(next_);
    if (options_.bundle.empty()) {
      if (rest.empty()) return invalid_argument("run", "no image is named; see runhv run --help");
      options_.image = rest.front();
      options_.arguments.assign(rest.begin() + 1, rest.end());
      return {};
    }
    if (!not_with_bundle_.empty()) {
      return invalid_argument("run",
                              not_with_bundle_ + " cannot go with --bundle: config.json says it");
    }
    if (rest.size() != 1) return invalid_argument("run", "--bundle takes one ID and no command");
    RUNHV_TRY_ASSIGN(options_.id, read_name(rest.front()));
    return {};
  }

  // A container that is left behind is created as by runhv create.
  Result<void> check_detach() const {
    if (options_.bundle.empty() && !options_.pid_file.empty()) {
      return invalid_argument("run", "--pid-file goes with --bundle");
    }
    if (options_.bundle.empty() && options_.preserve_fds != 0) {
      return invalid_argument("run", "--preserve-fds goes with --bundle");
    }
    if (!options_.detach) {
      if (!options_.console_socket.empty())
        return invalid_argument("run", "--console-socket goes with --detach");
      return {};
    }
    if (options_.bundle.empty()) return invalid_argument("run", "--detach goes with --bundle");
    if (!options_.kernel.empty() || options_.engine != "auto" || !options_.timings.empty()) {
      return invalid_argument(
          "run", "--kernel, --engine and --timings cannot go with --detach: config.json says them");
    }
    return {};
  }

  std::span<const std::string_view> arguments_;
  std::size_t next_ = 0;
  std::string not_with_bundle_;
  RunOptions options_;
};

}  // namespace

std::span<const RunOptionSpec> run_option_specs() { return kSpecs; }

Result<RunOptions> parse_run_options(std::span<const std::string_view> arguments) {
  return Parser(arguments).parse();
}

}  // namespace runhv::cli
