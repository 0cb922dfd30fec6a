// The verbs of an OCI runtime's command line, with runc's options and words. None starts a JVM.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/arguments.h"

namespace runhv::oci {

struct Call {
  const Globals& globals;
  Arguments arguments;
};

struct Verb {
  std::string_view name;
  std::string_view usage;  // behind the options
  std::string_view about;
  std::span<const Option> options;
  Order order;
  std::size_t least_arguments, most_arguments;
  int failure_status;
  Result<int> (*run)(const Call& call);
};

// In the order of the help.
std::span<const Verb> verbs();
const Verb* find_verb(std::string_view name);

std::string help_text(const Verb& verb);

// Gives the exit status; what went wrong has been reported.
int run_verb(const Verb& verb, const Globals& globals, std::span<const std::string_view> arguments);

}  // namespace runhv::oci
