// The processes that runhv starts or becomes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/readiness.h"
#include "platform/signals.h"

namespace runhv::platform {

// What this process was started with, behind its name. Windows: of the line that the system has, as
// UTF-8; main()'s own are in the user's code page.
std::vector<std::string> program_arguments(int argc, char** argv);

// Closes every handle above stderr but those of `keep`. A VMM inherits stdio, what it was told of,
// and nothing else. Where the system has no call for it, or forbids it, by what /proc lists. By the
// main thread, before any other exists.
Result<void> close_inherited_handles(std::span<const OsHandle> keep = {});

// Replaces this process (Linux), or starts a child with the same stdio, waits and exits with its
// status (Windows). Returns only with an error.
Error become(const std::string& program, const std::vector<std::string>& arguments);

struct Captured {
  int exit_status = 0;              // 128 + signal where a signal ended it
  std::string output;               // stdout, at most the limit
  std::optional<int> asked_to_end;  // the signal, where one that ends a process came meanwhile
  std::string early_errors;         // stderr, where stdout did not begin so; at most 4 KiB
};

// Runs a program in the folder `directory` with `input` as its stdin, stdout captured up to
// `limit_bytes` (more is an error). Its stderr is held back until its stdout begins with one of
// `first_bytes` (any, where there are none), and is ours from then on: what comes before is of a
// runtime that may not come up. The child ends when we do. Its locale is C.UTF-8. A signal in
// `signals` that asks us to end kills the child.
Result<Captured> run_captured(const std::string& program, const std::vector<std::string>& arguments,
                              const std::string& directory, const std::string& input,
                              std::uint64_t limit_bytes, SignalQueue* signals = nullptr,
                              std::string_view first_bytes = {});

// An absolute name of every process's own working directory: the same wherever that is.
std::string working_directory_name();

// The end of a process as a source (platform/event_loop.h). A number that the system gives to
// another process meanwhile does not mislead it.
class ProcessEnd {
 public:
  // kNotFound where there is no such process, kUnsupported where the kernel cannot watch one (Linux
  // before 5.3).
  static Result<ProcessEnd> watch(std::uint64_t pid);
  ProcessEnd(ProcessEnd&&) noexcept = default;
  ProcessEnd& operator=(ProcessEnd&& other) noexcept {
    readiness_ = std::move(other.readiness_);  // first: it is bound to the handle
    handle_ = std::move(other.handle_);
    return *this;
  }

  Result<void> bind(EventLoop& loop) { return readiness_.bind(loop, handle_.get()); }
  void on_end(Handler handler) { readiness_.on_readable(std::move(handler)); }

 private:
  explicit ProcessEnd(UniqueHandle handle) : handle_(std::move(handle)) {}
  UniqueHandle handle_;
  Readiness readiness_;
};

// Anonymous memory of this process that the host holds, guest RAM included (Linux: RssAnon, which
// the kernel counts anyway; smaps_rollup walks all page tables for a little more).
std::uint64_t private_bytes();

// Every file called `name` in the folders of PATH, in their order, links resolved.
std::vector<std::string> programs_in_path(const std::string& name);

std::string environment(const char* name);     // empty where unset
std::vector<std::string> whole_environment();  // NAME=value
// What else of this process decides what a path, an address and a new file are: two processes with
// equal texts can work for one another. (Linux: user, group, umask, namespaces;
// Windows: user, logon session.)
std::string surroundings();
std::uint32_t current_user_id();
std::uint64_t current_process_id();
// Ends another process of this user, whatever it does. None of that number: nothing.
void kill_process(std::uint64_t pid);

}  // namespace runhv::platform
