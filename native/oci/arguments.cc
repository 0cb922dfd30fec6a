#include "oci/arguments.h"

#include <algorithm>

namespace runhv::oci {
namespace {

constexpr std::size_t kHelpColumn = 32;

constexpr Option kGlobals[] = {
    {"root", 0, "DIR", "where containers are found"},
    {"log", 0, "FILE", "errors are appended there, besides stderr"},
    {"log-format", 0, "text|json", "of the log (default text)"},
    {"debug", 0, "", "the guest's console on stderr"},
    {"systemd-cgroup", 0, "",
     "systemd makes the cgroup, as a scope; cgroupsPath is slice:prefix:name"},
    {"rootless", 0, "MODE", "accepted: runhv sees whether it is root"},
    {"criu", 0, "PATH", "accepted: there is no checkpoint"},
};

const Option* find_option(std::span<const Option> options, std::string_view name) {
  const auto found = std::ranges::find_if(options, [&](const Option& option) {
    return option.name == name || (name.size() == 1 && option.letter == name.front());
  });
  return found == options.end() ? nullptr : &*found;
}

bool is_option(std::string_view argument) { return argument.size() > 1 && argument.front() == '-'; }

// One option at the front of `arguments`, as Go's flag package reads it.
struct Given {
  std::vector<const Option*> options;  // several where letters stand together, as in -it
  std::string value;
};

Result<Given> take_option(const std::string& operation, std::span<const Option> options,
                          std::span<const std::string_view>& arguments) {
  const std::string_view argument = arguments.front();
  arguments = arguments.subspan(1);
  std::string_view name = argument.substr(argument.starts_with("--") ? 2 : 1);
  const std::size_t equals = name.find('=');
  const bool has_value = equals != std::string_view::npos;
  const std::string_view value = has_value ? name.substr(equals + 1) : "";
  name = name.substr(0, equals);
  Given given;
  if (const Option* const option = find_option(options, name)) {
    given.options.push_back(option);
  } else if (!argument.starts_with("--") && !has_value) {
    for (const char letter : name) {
      const Option* const flag = find_option(options, std::string_view(&letter, 1));
      if (flag == nullptr || !flag->value.empty()) {
        given.options.clear();
        break;
      }
      given.options.push_back(flag);
    }
  }
  if (given.options.empty()) {
    return invalid_argument(operation, "unknown option " +
                                           std::string(argument.substr(0, argument.find('='))) +
                                           "; see runhv help " + operation);
  }
  if (given.options.front()->value.empty()) {
    if (has_value && value != "true" && value != "false") {
      return invalid_argument(operation, "--" + std::string(name) + "=" + std::string(value) +
                                             ": expected true or false");
    }
    if (value == "false") given.options.clear();
    return given;
  }
  if (has_value) {
    given.value = value;
    return given;
  }
  if (arguments.empty())
    return invalid_argument(operation, "--" + std::string(name) + " needs a value");
  given.value = arguments.front();
  arguments = arguments.subspan(1);
  return given;
}

// A line for each.
std::string options_text(std::span<const Option> options) {
  std::string text;
  for (const Option& option : options) {
    std::string line =
        option.letter != 0 ? std::string("  -") + option.letter + ", --" : "      --";
    line += std::string(option.name);
    if (!option.value.empty()) line += " " + std::string(option.value);
    if (line.size() + 2 > kHelpColumn) {
      line += "\n" + std::string(kHelpColumn, ' ');
    } else {
      line.resize(kHelpColumn, ' ');
    }
    text += line + std::string(option.help) + "\n";
  }
  return text;
}

}  // namespace

std::string Arguments::value(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? "" : found->second.back();
}

std::vector<std::string> Arguments::values(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

Result<Arguments> parse_arguments(const std::string& operation, std::span<const Option> options,
                                  Order order, std::span<const std::string_view> arguments) {
  Arguments parsed;
  while (!arguments.empty()) {
    if (arguments.front() == "--") {
      arguments = arguments.subspan(1);
      break;
    }
    if (!is_option(arguments.front())) {
      if (order == Order::kOptionsFirst) break;
      parsed.positional.emplace_back(arguments.front());
      arguments = arguments.subspan(1);
      continue;
    }
    RUNHV_TRY_ASSIGN(const Given given, take_option(operation, options, arguments));
    for (const Option* option : given.options) parsed.values_[option->name].push_back(given.value);
  }
  for (const std::string_view argument : arguments) parsed.positional.emplace_back(argument);
  return parsed;
}

std::span<const Option> global_options() { return kGlobals; }

Result<Globals> take_globals(std::span<const std::string_view>& arguments) {
  Globals globals;
  // -h, --help and --version are verbs here.
  while (!arguments.empty() && is_option(arguments.front()) && arguments.front() != "-h" &&
         arguments.front() != "--help" && arguments.front() != "--version") {
    RUNHV_TRY_ASSIGN(const Given given, take_option("runhv", kGlobals, arguments));
    if (given.options.empty()) continue;
    const std::string_view name = given.options.front()->name;
    if (name == "root") {
      if (given.value.empty()) return invalid_argument("--root", "expected a folder");
      globals.root = given.value;
    } else if (name == "log") {
      globals.log = given.value;
    } else if (name == "log-format") {
      if (given.value != "text" && given.value != "json") {
        return invalid_argument("--log-format", "expected text or json");
      }
      globals.log_json = given.value == "json";
    } else if (name == "debug") {
      globals.debug = true;
    } else if (name == "systemd-cgroup") {
      globals.systemd_cgroup = true;
    }
  }
  return globals;
}

std::string help_text(std::string_view name, std::string_view usage, std::string_view about,
                      std::span<const Option> options) {
  const std::string shown = options.empty() ? "" : " [OPTIONS]";
  const std::string behind = usage.empty() ? "" : " " + std::string(usage);
  return "runhv " + std::string(name) + shown + behind + "\n\n" + std::string(about) + "\n" +
         (options.empty() ? "" : "\n" + options_text(options));
}

}  // namespace runhv::oci
