// Makes a container's process, up to "created" (docs/oci.md has the picture).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "oci/arguments.h"
#include "platform/child.h"

namespace runhv::oci {

struct CreateOptions {
  std::string id;
  std::string bundle;          // a folder; empty = the working one
  std::string console_socket;  // empty = none
  std::string pid_file;        // the same
  unsigned preserve_fds = 0;   // so many of this process's, from 3 on, are the program's too
  bool attached = false;       // it has this process's terminal, if any, and ends with it
  std::vector<std::string> vmm_options = {};  // more of runhv-vmm's
};

// What fails leaves nothing, but where this process is killed: then `delete --force` removes it.
// Returns its process, a child of this one.
Result<platform::Child> create_container(const Globals& globals, const CreateOptions& options);

// The value of --preserve-fds; empty is none.
Result<unsigned> read_preserved(const std::string& verb, std::string_view count);
// An error where one of so many is closed, or cannot be given to a program. REQUIRES: this process
// has opened nothing yet, which would be in its place.
Result<void> check_preserved(const std::string& verb, unsigned count);

// Whether its config.json asks for what only create and delete do: hooks of the host, or a cgroup.
// What cannot be read asks for nothing, and is the error of whoever reads it next.
bool asks_the_host(const std::string& bundle);

// Lets its program run. kConflict where it runs or has ended.
Result<void> start_container(const Globals& globals, const std::string& id);

// A pid in decimal without a line break, there as a whole or not at all.
Result<void> write_pid_file(const std::string& path, std::uint64_t pid);

}  // namespace runhv::oci
