// A folder that one process holds and that is free again when the process ends, however it ends.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// The lock is on a file `lock` in the folder: whoever is in another network namespace or container
// of the same folder sees it as well. It is left in place until remove_folder().
class FolderLock {
 public:
  // kConflict where it is held; kNotFound without the folder; kAccessDenied unless the folder
  // belongs to this user, who alone may enter it. Waits for nobody.
  static Result<FolderLock> acquire(const std::string& folder);

  // Takes over a lock that another process acquired, and left to us with its handle.
  // kInvalidArgument where `handle` is not that of the folder's lock.
  static Result<FolderLock> adopt(const std::string& folder, UniqueHandle handle);
  OsHandle handle() const { return handle_.get(); }

  // Whether somebody holds it now, also this process. A folder that was never locked is free.
  // Errors as acquire().
  static Result<bool> is_held(const std::string& folder);

  // Deletes the folder with all that is in it, and gives the lock up. Nobody who takes the lock
  // meanwhile finds a part of it: either the folder is gone, or it is there, empty, and theirs.
  // Where this process is killed before the end, what is left has a name that begins with a dot
  // (Linux), or the folder is there without some of its files (Windows).
  Result<void> remove_folder() &&;

 private:
  FolderLock(std::string folder, UniqueHandle handle)
      : folder_(std::move(folder)), handle_(std::move(handle)) {}
  std::string folder_;
  UniqueHandle handle_;
};

}  // namespace runhv::platform
