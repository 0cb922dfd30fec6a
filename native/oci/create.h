// Makes a container's process, up to "created" (docs/oci.md has the picture).
#pragma once

#include <string>

#include "base/result.h"
#include "oci/arguments.h"

namespace runhv::oci {

struct CreateOptions {
  std::string id;
  std::string bundle;          // a folder; empty = the working one
  std::string console_socket;  // empty = none
  std::string pid_file;        // the same
};

// What fails leaves nothing, but where this process is killed: then `delete --force` removes it.
Result<void> create_container(const Globals& globals, const CreateOptions& options);

// Lets its program run. kConflict where it runs or has ended.
Result<void> start_container(const Globals& globals, const std::string& id);

// A pid in decimal without a line break, there as a whole or not at all.
Result<void> write_pid_file(const std::string& path, std::uint64_t pid);

}  // namespace runhv::oci
