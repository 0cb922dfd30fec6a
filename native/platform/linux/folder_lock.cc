#include "platform/folder_lock.h"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/file.h"
#include "platform/linux/descriptor.h"
#include "platform/linux/private_folder.h"
#include "platform/os_error.h"
#include "platform/random_name.h"

namespace runhv::platform {
namespace {

constexpr char kFile[] = "lock";

// Each time, somebody has removed and made the folder between two of our calls.
constexpr int kMostAttempts = 100;

// fcntl(2), open file description locks: the kernel frees them when the last descriptor closes, and
// they can be asked about without being taken.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

// Whether `folder` still leads to this lock file.
bool is_current(const std::string& folder, const UniqueHandle& file) {
  struct stat named {};
  struct stat open {};
  return ::stat((folder + "/" + kFile).c_str(), &named) == 0 && ::fstat(number(file), &open) == 0 &&
         named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

}  // namespace

Result<FolderLock> FolderLock::acquire(const std::string& folder) {
  const std::string operation = "lock folder " + folder;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    RUNHV_TRY_ASSIGN(const UniqueHandle directory, open_private_folder(folder, operation));
    UniqueHandle file(
        ::openat(number(directory), kFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    // A folder that is removed meanwhile takes no file any more.
    if (!file.is_open() && errno == ENOENT) continue;
    if (!file.is_open()) return Fail{last_os_error(operation)};
    struct flock lock = whole_file();
    if (::fcntl(number(file), F_OFD_SETLK, &lock) != 0) {
      Error error = last_os_error(operation);
      if (error.os_code == EAGAIN || error.os_code == EACCES) {
        error.code = Code::kConflict;
        error.detail = "it is in use";
      }
      return Fail{std::move(error)};
    }
    if (is_current(folder, file)) return FolderLock(folder, std::move(file));
  }
  return Fail{Error{Code::kConflict, operation, "it is removed and made again all the time"}};
}

Result<FolderLock> FolderLock::adopt(const std::string& folder, UniqueHandle handle) {
  const std::string operation = "take over the lock of folder " + folder;
  if (!is_current(folder, handle)) {
    return Fail{Error{Code::kInvalidArgument, operation, "the handle is not its lock"}};
  }
  // The lock belongs to what was opened, not to who opened it: it is ours as well as theirs.
  struct flock lock = whole_file();
  if (::fcntl(number(handle), F_OFD_SETLK, &lock) != 0 ||
      ::fcntl(number(handle), F_SETFD, FD_CLOEXEC) != 0) {
    return Fail{last_os_error(operation)};
  }
  return FolderLock(folder, std::move(handle));
}

// Out of the way first, so that the name is free at once.
Result<void> FolderLock::remove_folder() && {
  const std::string aside =
      std::filesystem::path(folder_).parent_path().string() + "/." + random_name<8>();
  const std::string& old = ::rename(folder_.c_str(), aside.c_str()) == 0 ? aside : folder_;
  auto removed = remove_tree(old);
  // Whoever had opened it before may still put a lock file into it, and finds then that it is not
  // the folder any more.
  for (int attempt = 1; !removed && removed.error().os_code == ENOTEMPTY && attempt < kMostAttempts;
       ++attempt) {
    removed = remove_tree(old);
  }
  handle_.reset();
  return removed;
}

Result<bool> FolderLock::is_held(const std::string& folder) {
  const std::string operation = "ask for the lock of folder " + folder;
  RUNHV_TRY_ASSIGN(const UniqueHandle directory, open_private_folder(folder, operation));
  const UniqueHandle file(::openat(number(directory), kFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.is_open() && errno == ENOENT) return false;
  if (!file.is_open()) return Fail{last_os_error(operation)};
  struct flock lock = whole_file();
  if (::fcntl(number(file), F_OFD_GETLK, &lock) != 0) return Fail{last_os_error(operation)};
  return lock.l_type != F_UNLCK;
}

}  // namespace runhv::platform
