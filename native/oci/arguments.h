// The command line of the OCI verbs, as runc reads it: options in the style of Go (-name, --name,
// --name=VALUE, --name VALUE) described by tables.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace runhv::oci {

struct Option {
  std::string_view name;
  char letter;             // 0 = none
  std::string_view value;  // what the help calls it; empty = a flag
  std::string_view help;   // of an option that is accepted and has no effect: why
};

enum class Order {
  kMixed,        // options may stand behind arguments
  kOptionsFirst  // what stands behind the first argument is another program's
};

class Arguments {
 public:
  // Whether the flag is set, or the option given.
  bool has(std::string_view name) const { return values_.contains(name); }
  // The last one given; empty where there is none.
  std::string value(std::string_view name) const;
  std::vector<std::string> values(std::string_view name) const;
  std::vector<std::string> positional;

 private:
  friend Result<Arguments> parse_arguments(const std::string&, std::span<const Option>, Order,
                                           std::span<const std::string_view>);
  std::map<std::string_view, std::vector<std::string>> values_;
};

// `operation` is that of every error.
Result<Arguments> parse_arguments(const std::string& operation, std::span<const Option> options,
                                  Order order, std::span<const std::string_view> arguments);

// Global options, in front of the verb.
struct Globals {
  std::string root;
  std::string log;
  bool log_json = false;
  bool debug = false;
  bool systemd_cgroup = false;
};
std::span<const Option> global_options();
// Takes them off the front.
Result<Globals> take_globals(std::span<const std::string_view>& arguments);

// The help text of a verb. `usage` is what stands behind the options.
std::string help_text(std::string_view name, std::string_view usage, std::string_view about,
                      std::span<const Option> options);

}  // namespace runhv::oci
