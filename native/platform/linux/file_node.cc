#include "platform/file_node.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "platform/linux/descriptor.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kIovecs = 1024;               // IOV_MAX of Linux
constexpr std::size_t kAttributeListBytes = 65536;  // XATTR_LIST_MAX of Linux

int result(long of_call) { return of_call < 0 ? errno : 0; }

// What is held without being opened is reached by the kernel's own link to it, which no name in the
// tree can stand in the way of.
class HeldPath {
 public:
  explicit HeldPath(const UniqueHandle& handle) {
    std::snprintf(text_.data(), text_.size(), "/proc/self/fd/%d", number(handle));
  }
  const char* c_str() const { return text_.data(); }

 private:
  std::array<char, 32> text_;
};

// One component below a directory. `resolve`: besides what keeps it there.
int open_below(const UniqueHandle& directory, const std::string& name, std::uint64_t resolve,
               UniqueHandle& out) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve;
  out.reset(::syscall(SYS_openat2, number(directory), name.c_str(), &how, sizeof how));
  return out.is_open() ? 0 : errno;
}

// A file system that keeps its inodes, and what is written to them, for this host alone.
enum class HostFileSystem { kNone, kOnDisk, kInMemory };

HostFileSystem host_file_system(const UniqueHandle& handle) {
  struct statfs info {};
  if (::fstatfs(number(handle), &info) != 0) return HostFileSystem::kNone;
  switch (static_cast<unsigned long>(info.f_type)) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
      return HostFileSystem::kOnDisk;
    case TMPFS_MAGIC:
      return HostFileSystem::kInMemory;
    default:
      return HostFileSystem::kNone;
  }
}

bool is_of_this_host(const UniqueHandle& handle) {
  return host_file_system(handle) != HostFileSystem::kNone;
}

FileTime time_of(const statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

Result<void> check_kind(const FileNode& node, const std::string& operation) {
  FileStatus status;
  if (const int failed = node.status(status); failed != 0) {
    return Fail{os_error(operation, failed)};
  }
  if (S_ISREG(status.mode) || S_ISDIR(status.mode)) return {};
  return Fail{Error{Code::kUnsupported, operation,
                    "it is neither a regular file nor a directory; a socket, a pipe or a device of "
                    "the host means nothing inside the VM"}};
}

bool write_map(pid_t process, const char* file, const std::vector<OwnerRange>& ranges) {
  std::string text;
  for (const OwnerRange& each : ranges) {
    text += std::to_string(each.kept) + " " + std::to_string(each.shown) + " " +
            std::to_string(each.count) + "\n";
  }
  const std::string path = "/proc/" + std::to_string(process) + "/" + file;
  const UniqueHandle map(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return map.is_open() &&
         ::write(number(map), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// The maps of a mount are those of a user namespace, which is made by a process in it.
Result<UniqueHandle> user_namespace(const OwnerMaps& maps, const std::string& operation) {
  const pid_t parent = ::getpid();
  const auto process = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0));
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it ended before
    while (true) ::pause();
  }
  if (process < 0) return Fail{last_os_error(operation)};
  Result<UniqueHandle> made = UniqueHandle();
  if (write_map(process, "uid_map", maps.users) && write_map(process, "gid_map", maps.groups)) {
    const std::string path = "/proc/" + std::to_string(process) + "/ns/user";
    made = UniqueHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!made->is_open()) made = Fail{last_os_error(operation)};
  ::kill(process, SIGKILL);
  ::waitpid(process, nullptr, __WALL);
  return made;
}

int open_flags(FileAccess access) {
  switch (access) {
    case FileAccess::kRead:
      return O_RDONLY | O_CLOEXEC;
    case FileAccess::kWrite:
      return O_WRONLY | O_CLOEXEC;
    case FileAccess::kReadWrite:
      break;
  }
  return O_RDWR | O_CLOEXEC;
}

int reopen(const UniqueHandle& handle, int flags, UniqueHandle& out) {
  out.reset(::open(HeldPath(handle).c_str(), flags | O_CLOEXEC | O_NOCTTY));
  return out.is_open() ? 0 : errno;
}

template <class Part>
std::size_t to_iovecs(std::span<const Part> parts, std::array<iovec, kIovecs>& out) {
  const std::size_t count = std::min(parts.size(), out.size());
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = {const_cast<std::byte*>(parts[i].data()), parts[i].size()};
  }
  return count;
}

// Reading its own and giving up, or taking back, what it is permitted: no host refuses that to a
// thread.
struct Capabilities {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};

  // Of this thread.
  bool read() { return ::syscall(SYS_capget, &header, sets.data()) == 0; }
  bool apply() { return ::syscall(SYS_capset, &header, sets.data()) == 0; }
  bool has(unsigned capability) const {
    return (sets[capability / 32].effective >> capability % 32 & 1) != 0;
  }
};

bool find_out_whether_it_acts_for_all() {
  Capabilities own;
  if (!own.read()) return false;
  constexpr std::array kNeeded{CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
                               CAP_FSETID, CAP_SETUID,       CAP_SETGID};
  return std::ranges::all_of(kNeeded,
                             [&](int each) { return own.has(static_cast<unsigned>(each)); });
}

ssize_t read_parts(int file, std::uint64_t offset, std::span<const std::span<std::byte>> parts,
                   int flags) {
  // To preadv2 -1 is the descriptor's own place.
  if (static_cast<off_t>(offset) < 0) {
    errno = EINVAL;
    return -1;
  }
  std::array<iovec, kIovecs> iovecs;
  const std::size_t count = to_iovecs(parts, iovecs);
  return ::preadv2(file, iovecs.data(), static_cast<int>(count), static_cast<off_t>(offset), flags);
}

}  // namespace

// --- opened --------------------------------------------------------------------------------------

int OpenFile::read_at(std::uint64_t offset, std::span<const std::span<std::byte>> parts,
                      std::size_t& done) const {
  const ssize_t size = read_parts(number(handle_), offset, parts, 0);
  done = size < 0 ? 0 : static_cast<std::size_t>(size);
  return result(size);
}

int OpenFile::read_at_once(std::uint64_t offset, std::span<const std::span<std::byte>> parts,
                           std::size_t& done) const {
  done = 0;
  const ssize_t size = read_parts(number(handle_), offset, parts, RWF_NOWAIT);
  // Not every file system can tell.
  if (size < 0) return errno == EOPNOTSUPP ? EAGAIN : errno;
  std::size_t wanted = 0;
  for (const std::span<std::byte> part : parts.first(std::min(parts.size(), kIovecs))) {
    wanted += part.size();
  }
  const auto read = static_cast<std::size_t>(size);
  if (read < wanted) {
    // The file's end, or a page that is not in memory: only there is nothing more to read.
    std::byte more;
    const std::span<std::byte> next(&more, 1);
    if (read_parts(number(handle_), offset + read, {&next, 1}, RWF_NOWAIT) != 0) return EAGAIN;
  }
  done = read;
  return 0;
}

int OpenFile::write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> parts,
                       bool append, std::size_t& done) const {
  std::array<iovec, kIovecs> iovecs;
  const std::size_t count = to_iovecs(parts, iovecs);
  const ssize_t size = ::pwritev2(number(handle_), iovecs.data(), static_cast<int>(count),
                                  static_cast<off_t>(offset), append ? RWF_APPEND : 0);
  done = size < 0 ? 0 : static_cast<std::size_t>(size);
  return result(size);
}

int OpenFile::flush() const {
  const int copy = ::fcntl(number(handle_), F_DUPFD_CLOEXEC, 0);
  return result(copy < 0 ? copy : ::close(copy));
}

bool OpenFile::flush_may_tell() const { return !is_of_this_host(handle_); }

int OpenFile::sync(bool data_only) const {
  return result(data_only ? ::fdatasync(number(handle_)) : ::fsync(number(handle_)));
}

int OpenFile::sync_file_system() const { return result(::syncfs(number(handle_))); }

int OpenFile::allocate(std::uint32_t mode, std::uint64_t offset, std::uint64_t size) const {
  return result(::fallocate(number(handle_), static_cast<int>(mode), static_cast<off_t>(offset),
                            static_cast<off_t>(size)));
}

int OpenFile::change_size(std::uint64_t size) const {
  return result(::ftruncate(number(handle_), static_cast<off_t>(size)));
}

int OpenFile::find_data(std::uint64_t offset, std::uint32_t whence, std::uint64_t& found) const {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return EINVAL;
  const off_t at = ::lseek(number(handle_), static_cast<off_t>(offset), static_cast<int>(whence));
  found = static_cast<std::uint64_t>(at);
  return result(at);
}

int OpenFile::copy_range(std::uint64_t offset, const OpenFile& to, std::uint64_t to_offset,
                         std::size_t size, std::size_t& done) const {
  auto from_at = static_cast<off_t>(offset);
  auto to_at = static_cast<off_t>(to_offset);
  const ssize_t count =
      ::copy_file_range(number(handle_), &from_at, number(to.handle_), &to_at, size, 0);
  done = count < 0 ? 0 : static_cast<std::size_t>(count);
  return result(count);
}

int OpenFile::read_directory(std::uint64_t offset, std::span<std::byte> buffer,
                             std::vector<DirectoryEntry>& out) const {
  out.clear();
  if (::lseek(number(handle_), static_cast<off_t>(offset), SEEK_SET) < 0) return errno;
  const long size = ::syscall(SYS_getdents64, number(handle_), buffer.data(), buffer.size());
  if (size < 0) return errno;
  // struct linux_dirent64: u64 inode, i64 next, u16 length, u8 type, name.
  constexpr std::size_t kNameOffset = 19;
  for (std::span<const std::byte> rest = buffer.first(static_cast<std::size_t>(size));
       !rest.empty();) {
    const auto length = load_le<std::uint16_t>(rest, 16);
    out.push_back({.name = reinterpret_cast<const char*>(rest.data() + kNameOffset),
                   .inode = load_le<std::uint64_t>(rest, 0),
                   .next = load_le<std::uint64_t>(rest, 8),
                   .type = load_le<std::uint8_t>(rest, 18)});
    rest = rest.subspan(length);
  }
  return 0;
}

// --- held ----------------------------------------------------------------------------------------

Result<FileNode> FileNode::open(const std::string& path) {
  const std::string operation = "share " + path;
  FileNode node;
  node.handle_.reset(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!node.handle_.is_open()) return Fail{last_os_error(operation)};
  RUNHV_TRY(check_kind(node, operation));
  return node;
}

Result<FileNode> FileNode::open_mapped(const std::string& path, bool cross_mounts,
                                       const OwnerMaps& maps) {
  const std::string operation = "share " + path + " with mapped owners";
  RUNHV_TRY_ASSIGN(const UniqueHandle users, user_namespace(maps, operation));
  FileNode node;
  node.handle_.reset(
      ::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (cross_mounts ? AT_RECURSIVE : 0)));
  if (!node.handle_.is_open()) return Fail{last_os_error(operation)};
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(number(users));
  if (::syscall(SYS_mount_setattr, number(node.handle_), "",
                AT_EMPTY_PATH | (maps.of_tree ? AT_RECURSIVE : 0), &attributes,
                sizeof attributes) != 0) {
    Error error = last_os_error(operation);
    if (error.os_code == EINVAL) {
      error.code = Code::kUnsupported;
      error.detail = "its file system, or one that is mounted below it, cannot map owners";
    }
    return Fail{std::move(error)};
  }
  RUNHV_TRY(check_kind(node, operation));
  return node;
}

std::optional<FileIdentity> identity_of(const std::string& path) {
  const auto file = FileNode::open(path);
  FileStatus status;
  if (!file || file->status(status) != 0) return std::nullopt;
  return FileIdentity(status.device, status.inode);
}

int FileNode::status(FileStatus& out) const {
  struct statx info {};
  if (::statx(number(handle_), "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
              STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &info) != 0) {
    return errno;
  }
  out = {.mount = info.stx_mnt_id,
         .device = makedev(info.stx_dev_major, info.stx_dev_minor),
         .inode = info.stx_ino,
         .size = info.stx_size,
         .blocks = info.stx_blocks,
         .block_size = info.stx_blksize,
         .mode = info.stx_mode,
         .links = info.stx_nlink,
         .uid = info.stx_uid,
         .gid = info.stx_gid,
         .special_major = info.stx_rdev_major,
         .special_minor = info.stx_rdev_minor,
         .accessed = time_of(info.stx_atime),
         .modified = time_of(info.stx_mtime),
         .changed = time_of(info.stx_ctime),
         .born = time_of(info.stx_btime)};
  return 0;
}

int FileNode::file_system(FileSystemStatus& out) const {
  struct statvfs info {};
  if (::fstatvfs(number(handle_), &info) != 0) return errno;
  out = {.blocks = info.f_blocks,
         .free_blocks = info.f_bfree,
         .available_blocks = info.f_bavail,
         .files = info.f_files,
         .free_files = info.f_ffree,
         .block_size = static_cast<std::uint32_t>(info.f_bsize),
         .fragment_size = static_cast<std::uint32_t>(info.f_frsize),
         .name_bytes = static_cast<std::uint32_t>(info.f_namemax)};
  return 0;
}

int FileNode::look_up(const std::string& name, bool cross_mounts, FileNode& out) const {
  return open_below(handle_, name, cross_mounts ? 0 : RESOLVE_NO_XDEV, out.handle_);
}

int FileNode::look_up_at_once(const std::string& name, FileNode& out) const {
  if (!is_of_this_host(handle_)) return EAGAIN;
  const int failed = open_below(handle_, name, RESOLVE_NO_XDEV | RESOLVE_CACHED, out.handle_);
  // A kernel before 5.12 does not know RESOLVE_CACHED.
  return failed == EXDEV || failed == EINVAL ? EAGAIN : failed;
}

int FileNode::create(const std::string& name, std::uint32_t mode, FileAccess access, OpenFile& file,
                     FileNode& node) const {
  file.handle_.reset(::openat(number(handle_), name.c_str(),
                              open_flags(access) | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  if (!file.handle_.is_open()) return errno;
  return reopen(file.handle_, O_PATH, node.handle_);
}

int FileNode::create_unnamed(std::uint32_t mode, OpenFile& file, FileNode& node) const {
  file.handle_.reset(::openat(number(handle_), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
  if (!file.handle_.is_open()) return errno;
  return reopen(file.handle_, O_PATH, node.handle_);
}

int FileNode::make_directory(const std::string& name, std::uint32_t mode) const {
  return result(::mkdirat(number(handle_), name.c_str(), mode));
}

int FileNode::make_special(const std::string& name, std::uint32_t mode, std::uint32_t major,
                           std::uint32_t minor) const {
  return result(::mknodat(number(handle_), name.c_str(), mode, makedev(major, minor)));
}

int FileNode::make_symbolic_link(const std::string& name, const std::string& target) const {
  return result(::symlinkat(target.c_str(), number(handle_), name.c_str()));
}

int FileNode::link(const std::string& name, const FileNode& file) const {
  return result(::linkat(AT_FDCWD, HeldPath(file.handle_).c_str(), number(handle_), name.c_str(),
                         AT_SYMLINK_FOLLOW));
}

int FileNode::remove(const std::string& name) const {
  return result(::unlinkat(number(handle_), name.c_str(), 0));
}

int FileNode::remove_directory(const std::string& name) const {
  return result(::unlinkat(number(handle_), name.c_str(), AT_REMOVEDIR));
}

int FileNode::rename(const std::string& name, const FileNode& to, const std::string& to_name,
                     std::uint32_t flags) const {
  return result(
      ::renameat2(number(handle_), name.c_str(), number(to.handle_), to_name.c_str(), flags));
}

// Not an overlay, whose maps of a lower file do not see the copy that a write makes.
// A tmpfs gives a hole that is read through a map memory of its own, which nobody can take back.
bool FileNode::can_be_shown() const { return host_file_system(handle_) == HostFileSystem::kOnDisk; }

int FileNode::open(FileAccess access, bool truncate, OpenFile& out) const {
  FileStatus status;
  if (const int failed = this->status(status); failed != 0) return failed;
  if (!S_ISREG(status.mode)) return S_ISDIR(status.mode) ? EISDIR : EINVAL;
  return reopen(handle_, open_flags(access) | (truncate ? O_TRUNC : 0), out.handle_);
}

int FileNode::open_directory(OpenFile& out) const {
  out.handle_.reset(::openat(number(handle_), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return out.handle_.is_open() ? 0 : errno;
}

int FileNode::read_symbolic_link(std::string& out) const {
  out.resize(PATH_MAX);
  const ssize_t size = ::readlinkat(number(handle_), "", out.data(), out.size());
  if (size < 0) return errno == ENOENT ? EINVAL : errno;  // what Linux says of another file
  out.resize(static_cast<std::size_t>(size));
  return 0;
}

int FileNode::change_mode(std::uint32_t mode) const {
  return result(::chmod(HeldPath(handle_).c_str(), mode & 07777));
}

int FileNode::change_owner(std::uint32_t uid, std::uint32_t gid) const {
  return result(::fchownat(number(handle_), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

int FileNode::change_size(std::uint64_t size) const {
  OpenFile file;
  const int failed = open(FileAccess::kWrite, false, file);
  return failed != 0 ? failed : file.change_size(size);
}

int FileNode::change_times(const FileTime& accessed, const FileTime& modified) const {
  const std::array<timespec, 2> times{timespec{accessed.seconds, accessed.nanoseconds},
                                      timespec{modified.seconds, modified.nanoseconds}};
  return result(
      ::utimensat(number(handle_), "", times.data(), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

int FileNode::get_attribute(const std::string& name, std::span<std::byte> out,
                            std::size_t& size) const {
  const ssize_t found = ::getxattr(HeldPath(handle_).c_str(), name.c_str(), out.data(), out.size());
  size = found < 0 ? 0 : static_cast<std::size_t>(found);
  return result(found);
}

int FileNode::list_attributes(std::vector<std::string>& out) const {
  out.clear();
  std::vector<char> names(kAttributeListBytes);
  const ssize_t size = ::listxattr(HeldPath(handle_).c_str(), names.data(), names.size());
  if (size < 0) return errno;
  std::string_view rest(names.data(), static_cast<std::size_t>(size));
  while (!rest.empty()) {
    const std::size_t end = rest.find('\0');
    out.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return 0;
}

int FileNode::set_attribute(const std::string& name, std::span<const std::byte> value,
                            std::uint32_t flags) const {
  return result(::setxattr(HeldPath(handle_).c_str(), name.c_str(), value.data(), value.size(),
                           static_cast<int>(flags)));
}

int FileNode::remove_attribute(const std::string& name) const {
  return result(::removexattr(HeldPath(handle_).c_str(), name.c_str()));
}

// --- this process, this thread -------------------------------------------------------------------

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit wanted{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) limit = wanted;
  }
  return limit.rlim_cur;
}

bool acts_for_all_users() {
  static const bool does = find_out_whether_it_acts_for_all();
  return does;
}

std::uint32_t own_user() { return ::geteuid(); }
std::uint32_t own_group() { return ::getegid(); }

// fsuid and fsgid are a thread's own. Leaving user 0 takes the rights over files from the effective
// set, and coming back gives them again (capabilities(7)).
MakesFilesFor::MakesFilesFor(std::uint32_t uid, std::uint32_t gid, std::uint32_t umask)
    : owner_changed_(acts_for_all_users() && (uid != own_user() || gid != own_group())) {
  static thread_local const bool has_own_umask = ::unshare(CLONE_FS) == 0;
  if (has_own_umask) ::umask(umask & 0777);
  if (!owner_changed_) return;
  Capabilities before;
  RUNHV_CHECK(before.read());
  ::setfsgid(gid);
  ::setfsuid(uid);
  RUNHV_CHECK(before.apply());
}

MakesFilesFor::~MakesFilesFor() {
  if (!owner_changed_) return;
  ::setfsuid(own_user());
  ::setfsgid(own_group());
}

WithoutKeepingSetid::WithoutKeepingSetid() {
  Capabilities own;
  RUNHV_CHECK(own.read());
  own.sets[0].effective &= ~(1u << CAP_FSETID);
  RUNHV_CHECK(own.apply());
}

WithoutKeepingSetid::~WithoutKeepingSetid() {
  Capabilities own;
  RUNHV_CHECK(own.read());
  own.sets[0].effective |= own.sets[0].permitted & (1u << CAP_FSETID);
  RUNHV_CHECK(own.apply());
}

}  // namespace runhv::platform
