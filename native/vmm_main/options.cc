#include "vmm_main/options.h"

#include <charconv>
#include <optional>

namespace runhv {
namespace {

Fail<Error> bad(const std::string& detail) {
  return Fail{Error{Code::kInvalidArgument, "read the command line", detail}};
}

Result<void> read_timings(std::string_view value, VmmOptions& options) {
  options.timings = TimingsFormat::kJson;
  if (value.starts_with("json:") && value.size() > 5) {
    options.timings_file = std::string(value.substr(5));
  } else if (value != "json") {
    return bad("--timings=" + std::string(value) + ": expected json or json:FILE");
  }
  return {};
}

Result<void> read_number(std::string_view name, std::string_view text, std::uint64_t& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) {
    return bad(std::string(name) + " " + std::string(text) + ": expected a decimal number");
  }
  return {};
}

Result<void> read_flag(std::string_view argument, VmmOptions& options, bool& known) {
  known = true;
  if (argument == "--debug") {
    options.debug = true;
  } else if (argument == "--remove-bundle") {
    options.remove_bundle = true;
  } else if (argument == "--timings") {
    options.timings = TimingsFormat::kTable;
  } else if (argument.starts_with("--timings=")) {
    return read_timings(argument.substr(10), options);
  } else {
    known = false;
  }
  return {};
}

std::string* value_of(std::string_view name, VmmOptions& options) {
  if (name == "--id") return &options.id;
  if (name == "--bundle") return &options.bundle;
  if (name == "--engine") return &options.engine;
  if (name == "--kernel") return &options.kernel;
  if (name == "--initrd") return &options.initrd;
  if (name == "--modules") return &options.modules;
  return nullptr;
}

std::uint64_t* number_of(std::string_view name, VmmOptions& options) {
  if (name == "--spawned-at-ns") return &options.spawned_at_ns;
  if (name == "--end-with") return &options.end_with;
  return nullptr;
}

}  // namespace

Result<VmmOptions> parse_vmm_options(std::span<const std::string_view> arguments) {
  VmmOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    bool known = false;
    RUNHV_TRY(read_flag(argument, options, known));
    if (known) continue;
    std::string* value = value_of(argument, options);
    std::uint64_t* number = number_of(argument, options);
    if (value == nullptr && number == nullptr) {
      return bad("unknown option " + std::string(argument));
    }
    if (++i == arguments.size()) return bad(std::string(argument) + " needs a value");
    if (value != nullptr) {
      *value = std::string(arguments[i]);
    } else {
      RUNHV_TRY(read_number(argument, arguments[i], *number));
    }
  }
  if (options.id.empty() || options.bundle.empty()) return bad("--id and --bundle are required");
  return options;
}

}  // namespace runhv
