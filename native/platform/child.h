// Children of this process that outlive it, or that it waits for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// A child that has begun. Destroying the object does nothing to it.
class Child {
 public:
  // `process`: where the system knows it by a handle, too.
  explicit Child(std::uint64_t pid, UniqueHandle process = {})
      : pid_(pid), process_(std::move(process)) {}

  std::uint64_t pid() const { return pid_; }
  // Windows: nothing. Its console tells the child what it tells this process.
  void signal(int signal) const;
  // Its exit status, 128 + signal where a signal ended it. REQUIRES: once.
  int wait() const;

 private:
  std::uint64_t pid_;
  UniqueHandle process_;
};

// Forks; REQUIRES: this process has one thread. `run` is called in the child, and ends it: by
// becoming another program, or after it has said `ready` by returning a status. What it returns
// before is the error of start_child, and nothing of the child is left then.
// kUnsupported on Windows, which cannot fork; check_can_fork() says so before anything is done.
using Ready = std::function<void()>;
Result<Child> start_child(const std::function<Result<int>(const Ready& ready)>& run);
Result<void> check_can_fork(const std::string& operation);

// What become() does, in a child that this process stands before: it has the same stdio, terminal
// included, and neither ends with the other. REQUIRES: as start_child.
Result<Child> start_beside(const std::string& program, const std::vector<std::string>& arguments);

// A program that is waited for.
struct Program {
  std::string path;
  std::vector<std::string> arguments;                   // the first is its name; empty = the path
  std::optional<std::vector<std::string>> environment;  // NAME=value; nullopt = this process's
  std::string input;                                    // its stdin
  std::uint64_t timeout_ns;                             // then it is killed
};
struct ProgramEnd {
  int exit_status;     // 128 + signal where a signal ended it
  std::string output;  // the first 4 KiB of stdout and stderr
};
// kTimedOut where it did not end in time. REQUIRES: as start_child.
Result<ProgramEnd> run_program(const Program& program);

// A program that outlives this process.
struct Detached {
  std::string path;
  std::vector<std::string> arguments;  // without its name
  // NAME=value. Windows: in place of those of the user, who has others, too, but no RUNHV_*.
  std::vector<std::string> environment;
  std::string folder;  // that it works in
  OsHandle input;      // its stdin; Windows: the null device, whatever this is
  OsHandle output;     // its stdout; stderr is the null device
  OsHandle kept;       // it has this one, too, and no other; Windows: nor this
};
// Begins it in a session of its own, as nobody's child; on Windows without a console, and outside
// of the job of this process where that lets it go. REQUIRES: as start_child.
Result<void> start_detached(const Detached& program);

// --- for the child, between fork and exec ---

// Where in the system a process is to be.
struct Placement {
  std::vector<std::string> cgroups;  // folders of cgroup file systems
  std::string network_namespace;     // a file of another one; empty = as it is
  bool new_network_namespace = false;
  std::string user_namespace;  // a file of another one, in which it may do all; empty = as it is
  std::optional<int> oom_score_adj;
};
// Puts this process there, which has no second thread yet. kUnsupported: the network namespace is
// its own.
Result<void> place_this_process(const Placement& placement);

// Makes these its stdin, stdout and stderr.
Result<void> set_standard_streams(const std::array<OsHandle, 3>& handles);

// Makes the null device its stdin, stdout and stderr.
Result<void> give_up_standard_streams();

// A session of its own, so that no terminal's signals reach it but those of `terminal`, which it
// controls; kInvalidHandle = none.
Result<void> begin_session(OsHandle terminal);

// A program that this process becomes has the handle under the same number.
Result<void> keep_across_become(OsHandle handle);

}  // namespace runhv::platform
