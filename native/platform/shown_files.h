// What others see of a process's files. Who enters the mount namespace of a container's process, or
// looks through /proc/PID/root, means the container's files (podman cp), and must not get the
// host's.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace runhv::platform {

struct ShownMount {
  std::string source;  // a folder or file; empty: an empty folder that cannot be written
  std::string place;   // as it is found in the tree: links in it lead nowhere else
  bool read_only = false;
  bool cross_mounts = true;
};

struct ShownFiles {
  std::string root;  // a folder; empty: an empty one that cannot be written
  bool read_only = false;
  std::vector<ShownMount> mounts;  // one that is not there, or has no place, is left out
};

// The thread that a process began with: its mount namespace and root are what the system shows as
// the process's. All others keep theirs, so the process itself still finds its files.
class FirstThread {
 public:
  // Does `work` on a thread beside this one, which waits for its end, without the signals that
  // belong to the process. REQUIRES: on the first thread, while there is no other.
  Result<int> run(std::function<int()> work);

  // From now on this is what is seen. kAccessDenied where this user may make no mount namespace.
  // REQUIRES: inside `work`, once.
  Result<void> show(const ShownFiles& files);

  // Does `job` on the first thread, and waits for it. REQUIRES: inside `work`.
  Result<void> do_there(const std::function<Result<void>()>& job);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<Result<void>()>* job_ = nullptr;
  std::optional<Result<void>> answer_;
  bool done_ = false;
};

}  // namespace runhv::platform
