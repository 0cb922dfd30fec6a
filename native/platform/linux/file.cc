#include "platform/file.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "platform/linux/descriptor.h"
#include "platform/os_error.h"
#include "platform/process.h"

namespace runhv::platform {
namespace {

// fcntl(2), open file description locks: they are seen by those of Java, and outlive an exec.
bool share_lock(const UniqueHandle& handle, int command) {
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  int result = -1;
  do {
    result = ::fcntl(number(handle), command, &lock);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

// Reads until `out` is full or the file ends; the count, or -1 with errno.
ssize_t read_fully(int file, std::uint64_t offset, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(file, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

bool remove_below(int directory_file) {
  DIR* directory = ::fdopendir(directory_file);
  if (directory == nullptr) {
    ::close(directory_file);
    return false;
  }
  const ScopeExit close([&] { ::closedir(directory); });
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const int parent = ::dirfd(directory);
    if (::unlinkat(parent, name.c_str(), 0) == 0) continue;
    if (errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return false;
    const int child =
        ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0 && errno == ENOENT) continue;
    if (child < 0 || !remove_below(child)) return false;
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return false;
  }
  return true;
}

}  // namespace

File::File(UniqueHandle handle, std::string path, std::uint64_t size_bytes)
    : handle_(std::move(handle)), path_(std::move(path)), size_bytes_(size_bytes) {}

Result<File> File::open(const std::string& path, Access access) {
  const std::string operation = "open " + path;
  // O_NONBLOCK: a FIFO in place of a file must not hang us.
  UniqueHandle handle(
      ::open(path.c_str(), (access == Access::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK));
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  struct stat info {};
  if (::fstat(number(handle), &info) != 0) return Fail{last_os_error(operation)};
  std::uint64_t size = static_cast<std::uint64_t>(info.st_size);
  if (S_ISBLK(info.st_mode)) {
    if (::ioctl(number(handle), BLKGETSIZE64, &size) != 0) return Fail{last_os_error(operation)};
  } else if (!S_ISREG(info.st_mode)) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is not a regular file"}};
  }
  return File(std::move(handle), path, size);
}

Result<File> File::create_anonymous(const std::string& directory, std::uint64_t size_bytes) {
  const std::string operation = "make a disk in " + directory;
  UniqueHandle handle(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  if (::ftruncate(number(handle), static_cast<off_t>(size_bytes)) != 0) {
    return Fail{last_os_error(operation)};
  }
  return File(std::move(handle), directory + "/(unnamed)", size_bytes);
}

Result<void> File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  const ssize_t count = read_fully(number(handle_), offset, out);
  if (count < 0) return Fail{last_os_error("read " + path_)};
  if (static_cast<std::size_t>(count) != out.size()) {
    return Fail{Error{Code::kCorruptInput, "read " + path_, "the file ends too early"}};
  }
  return {};
}

bool File::read_cached(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const iovec part{out.data(), out.size()};
    const ssize_t count =
        ::preadv2(number(handle_), &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return true;
}

Result<void> File::write_at(std::uint64_t offset, std::span<const std::byte> in) const {
  while (!in.empty()) {
    const ssize_t count =
        ::pwrite(number(handle_), in.data(), in.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail{last_os_error("write " + path_)};
    in = in.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

void File::share() const { static_cast<void>(share_lock(handle_, F_OFD_SETLK)); }

Result<UniqueHandle> lock_shared(const std::string& path) {
  const std::string operation = "lock " + path;
  UniqueHandle handle(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!handle.is_open() || !share_lock(handle, F_OFD_SETLKW)) return Fail{last_os_error(operation)};
  return handle;
}

Result<void> File::flush() const {
  if (::fdatasync(number(handle_)) != 0) return Fail{last_os_error("flush " + path_)};
  return {};
}

Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t limit_bytes) {
  const std::string operation = "read " + path;
  UniqueHandle handle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  struct stat info {};
  if (::fstat(number(handle), &info) != 0) return Fail{last_os_error(operation)};
  if (!S_ISREG(info.st_mode)) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is not a regular file"}};
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > limit_bytes) {
    return Fail{Error{Code::kInvalidArgument, operation,
                      "it is larger than " + std::to_string(limit_bytes) + " bytes"}};
  }
  std::vector<std::byte> bytes(size);
  const ssize_t count = read_fully(number(handle), 0, bytes);
  if (count < 0) return Fail{last_os_error(operation)};
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

Result<NewFile> NewFile::create(const std::string& path) {
  std::string temporary = path + ".XXXXXX";
  UniqueHandle handle(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!handle.is_open()) return Fail{last_os_error("write " + path)};
  return NewFile(File(std::move(handle), path, 0), std::move(temporary));
}

NewFile::~NewFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> NewFile::put_in_place(Durability durability) && {
  const std::string& path = file_.path();
  const std::string operation = "write " + path;
  if (durability == Durability::kSynced) RUNHV_TRY(file_.flush());
  if (::rename(temporary_.c_str(), path.c_str()) != 0) return Fail{last_os_error(operation)};
  temporary_.clear();
  if (durability == Durability::kUnsynced) return {};
  // The name is the folder's, which has to be told as well (fsync(2)).
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueHandle directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(number(directory)) != 0) {
    return Fail{last_os_error(operation)};
  }
  return {};
}

Result<void> remove_tree(const std::string& path) {
  const std::string operation = "delete " + path;
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0 && errno == ENOENT) return {};
  if (directory < 0 || !remove_below(directory) ||
      (::rmdir(path.c_str()) != 0 && errno != ENOENT)) {
    return Fail{last_os_error(operation)};
  }
  return {};
}

Result<void> make_private_directory(const std::string& path) {
  const std::string operation = "make directory " + path;
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Fail{last_os_error(operation)};
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return Fail{last_os_error(operation)};
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::getuid() || (info.st_mode & 077) != 0) {
    return Fail{Error{Code::kAccessDenied, operation,
                      "it is there, but not a directory that only this user may enter"}};
  }
  return {};
}

std::string temporary_directory() {
  const std::string named = environment("TMPDIR");
  return named.empty() ? "/tmp" : named;
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<std::string> executable_directory() {
  char target[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", target, sizeof target);
  if (size <= 0) return Fail{last_os_error("find the running program")};
  const std::string path(target, static_cast<std::size_t>(size));
  return path.substr(0, path.rfind('/'));
}

}  // namespace runhv::platform
