#include "vmm_main/options.h"

#include <charconv>
#include <optional>

#include "container/container.h"

namespace runhv::vmm_main {
namespace {

constexpr std::string_view kControlFd = "--control-fd";
constexpr std::string_view kControlConnect = "--control-connect";
constexpr std::string_view kControlListen = "--control-listen";
constexpr std::string_view kLockFd = "--lock-fd";
constexpr std::string_view kPreserveFds = "--preserve-fds";
constexpr std::string_view kLeaseFd = "--lease-fd";

Fail<Error> bad(const std::string& detail) {
  return Fail{Error{Code::kInvalidArgument, "read the command line", detail}};
}

template <class T>
bool read_decimal(std::string_view text, T& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() && end == text.data() + text.size();
}

bool* flag_of(std::string_view name, VmmOptions& options) {
  if (name == "--debug") return &options.debug;
  if (name == "--remove-bundle") return &options.remove_bundle;
  if (name == "--created") return &options.created;
  if (name == "--own-network") return &options.own_network;
  if (name == "--terminal") return &options.terminal;
  if (name == "--keep") return &options.keep;
  return nullptr;
}

bool is_fd(std::string_view name) {
  return name == kControlFd || name == kLockFd || name == kLeaseFd;
}

std::string* value_of(std::string_view name, VmmOptions& options) {
  if (name == "--id") return &options.id;
  if (name == "--bundle") return &options.bundle;
  if (name == "--root") return &options.root;
  if (name == "--join") return &options.join;
  if (name == "--uid-map") return &options.uid_map.emplace();
  if (name == "--gid-map") return &options.gid_map.emplace();
  if (name == "--engine") return &options.engine;
  if (name == "--kernel") return &options.kernel;
  if (name == "--initrd") return &options.initrd;
  if (name == "--modules") return &options.modules;
  return nullptr;
}

std::uint64_t* number_of(std::string_view name, VmmOptions& options) {
  if (name == "--spawned-at-ns") return &options.spawned_at_ns;
  if (name == "--end-with") return &options.end_with;
  if (name == kPreserveFds) return &options.preserve_fds;
  return nullptr;
}

bool read_timings(std::string_view argument, VmmOptions& options) {
  if (argument == "--timings") {
    options.timings = TimingsFormat::kTable;
  } else if (argument == "--timings=json") {
    options.timings = TimingsFormat::kJson;
  } else {
    return false;
  }
  return true;
}

Result<void> take_value(std::string_view name, std::string_view text, VmmOptions& options) {
  if (std::string* const value = value_of(name, options)) {
    *value = std::string(text);
    return {};
  }
  std::uint64_t unused = 0;  // find_launcher_options has it
  std::uint64_t* const number = is_fd(name) ? &unused : number_of(name, options);
  if (number != nullptr && !read_decimal(text, *number)) {
    return bad(std::string(name) + " " + std::string(text) + ": expected a decimal number");
  }
  return {};
}

bool takes_value(std::string_view name, VmmOptions& options) {
  return value_of(name, options) != nullptr || number_of(name, options) != nullptr || is_fd(name) ||
         name == kControlConnect || name == kControlListen;
}

}  // namespace

Result<VmmOptions> parse_vmm_options(std::span<const std::string_view> arguments) {
  VmmOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (bool* const flag = flag_of(argument, options)) {
      *flag = true;
      continue;
    }
    if (read_timings(argument, options)) continue;
    if (argument.starts_with("--timings=")) {
      return bad(std::string(argument) + ": expected json");
    }
    if (!takes_value(argument, options)) return bad("unknown option " + std::string(argument));
    if (++i == arguments.size()) return bad(std::string(argument) + " needs a value");
    RUNHV_TRY(take_value(argument, arguments[i], options));
  }
  if (options.preserve_fds > container::kMaxDescriptors) {
    return bad("--preserve-fds " + std::to_string(options.preserve_fds) + ": at most " +
               std::to_string(container::kMaxDescriptors) + " are possible");
  }
  if (options.id.empty() || options.bundle.empty()) return bad("--id and --bundle are required");
  return options;
}

LauncherOptions find_launcher_options(std::span<const std::string_view> arguments) {
  LauncherOptions options;
  VmmOptions ignored;
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (!takes_value(arguments[i], ignored)) continue;
    const std::string_view name = arguments[i++];
    int number = 0;
    if (name == kControlConnect) options.control_connect = std::string(arguments[i]);
    if (name == kControlListen) options.control_listen = std::string(arguments[i]);
    if (name == kPreserveFds && read_decimal(arguments[i], number) && number > 0 &&
        static_cast<std::size_t>(number) <= container::kMaxDescriptors) {
      options.preserve_fds = number;
    }
    if (!is_fd(name) || !read_decimal(arguments[i], number) || number <= 2) continue;
    auto& fd = name == kControlFd ? options.control_fd
               : name == kLockFd  ? options.lock_fd
                                  : options.lease_fd;
    fd = number;
  }
  return options;
}

}  // namespace runhv::vmm_main
