// The `process` object of one more process of a container, as runc makes it: the container's own,
// and what the caller wants otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace runhv::oci {

struct ProcessWishes {
  std::string process;  // JSON of --process; empty = the container's first one, with what follows
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // NAME=value, added
  std::string cwd;                       // empty = the container's
  std::string user;                      // UID[:GID]; the same
  std::vector<std::string> additional_groups;
  std::vector<std::string> capabilities;  // added
  bool no_new_privileges = false;
  bool terminal = false;
};

struct ProcessJson {
  std::string json;
  bool terminal;
};
// `config`: the container's config.json, whose filter every process has. `operation` is that of
// every error.
Result<ProcessJson> process_json(std::string_view config, const ProcessWishes& wishes,
                                 const std::string& operation);

}  // namespace runhv::oci
