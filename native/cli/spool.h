// A file that stands for stdin or stdout: the Java side takes paths (docs/prepare.md).
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "platform/folder_lock.h"

namespace runhv::cli {

// In a folder of its own below `incoming` in the store, which it holds by a lock: the system takes
// that from a process that dies. Deleted with the object.
class Spool {
 public:
  // Removes at once what processes that are dead have left there; what is held stays, whatever its
  // age.
  static void sweep(const std::string& store);

  // For `verb`, under an `id` that nobody else has. Nothing is there yet.
  static Result<std::unique_ptr<Spool>> create(const std::string& verb, const std::string& store,
                                               const std::string& id);

  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();

  const std::string& path() const { return path_; }

  // Reads stdin to its end. An error where that is a terminal or has more than 64 GiB.
  Result<void> take_stdin() const;
  // An error where stdout is a terminal.
  Result<void> require_pipe() const;
  // Writes all of it to stdout.
  Result<void> give_to_stdout() const;

 private:
  Spool(std::string verb, std::string path, platform::FolderLock folder);

  const std::string verb_;
  const std::string path_;
  platform::FolderLock folder_;
};

}  // namespace runhv::cli
