// One more process in a running container, and the process of the host that stands for it.
#pragma once

#include <string>

#include "base/result.h"
#include "oci/arguments.h"
#include "oci/process_json.h"

namespace runhv::oci {

inline constexpr int kNotStarted = 255;  // as runc: what was to run did not come to it

struct ExecOptions {
  std::string id;
  ProcessWishes wishes;
  bool detach = false;
  std::string console_socket;  // empty = none
  std::string pid_file;        // the same
  unsigned preserve_fds = 0;   // so many of this process's, from 3 on, are the program's too
};

// Without `detach`: the process's status, or 128 + its signal, once it has ended. With it: 0 once
// its program is in place. This process, or with `detach` a child that it leaves behind, passes
// signals and the size of its terminal on; with it the guest's process ends.
Result<int> exec_process(const Globals& globals, const ExecOptions& options);

// Writes the root file system of a container that runs to `file`, which is made as a whole or not,
// or to stdout where it is empty: a tar archive, without what is mounted over it.
Result<void> export_root(const Globals& globals, const std::string& id, const std::string& file);

}  // namespace runhv::oci
