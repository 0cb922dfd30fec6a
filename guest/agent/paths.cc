#include "paths.h"

#include <limits.h>
#include <string.h>

#include "sys.h"
#include "text.h"

namespace runhv::agent {
namespace {

constexpr int kMaxLinks = 8;  // each costs two paths of stack
using Path = Text<PATH_MAX>;

bool is_directory(const char* path) {
  struct stat status;
  return sys::fstatat(AT_FDCWD, path, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

// Where a symbolic link leads.
long target_of(const Path& path, Path& out) {
  char target[PATH_MAX];
  const long size = sys::readlinkat(AT_FDCWD, path.c_str(), target, sizeof target);
  if (size < 0) return size;
  if (size > 0 && target[0] != '/') out.add(path.view().substr(0, path.view().rfind('/') + 1));
  out.add({target, static_cast<std::size_t>(size)});
  return 0;
}

long make_all(const Path& path, int links);

// mkdir said that the name is taken.
long accept_existing(const Path& path, int links) {
  struct stat status;
  const long result = sys::fstatat(AT_FDCWD, path.c_str(), &status, 0);
  if (result == 0) return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
  if (result != -ENOENT) return result;
  // A link to nowhere: make what it names.
  if (links == kMaxLinks) return -ELOOP;
  Path target;
  const long link = target_of(path, target);
  return link < 0 ? link : make_all(target, links + 1);
}

long make_all(const Path& path, int links) {
  if (path.cut()) return -ENAMETOOLONG;
  if (is_directory(path.c_str())) return 0;
  const std::string_view whole = path.view();
  Path prefix;
  for (std::size_t begin = 0; begin < whole.size();) {
    std::size_t end = whole.find('/', begin + 1);
    if (end == std::string_view::npos) end = whole.size();
    prefix.add({whole.data() + begin, end - begin});
    begin = end;
    if (prefix.view() == "/") continue;
    long result = sys::mkdir(prefix.c_str(), 0755);
    if (result == -EEXIST) result = accept_existing(prefix, links);
    if (result < 0) return result;
  }
  return 0;
}

long make_file_at(const Path& path, int links) {
  if (path.cut()) return -ENAMETOOLONG;
  const std::size_t slash = path.view().rfind('/');
  if (slash != std::string_view::npos && slash != 0) {
    const long result = make_all(Path(path.view().substr(0, slash)), links);
    if (result < 0) return result;
  }
  const int file = sys::open(path.c_str(), O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK, 0644);
  if (file >= 0) return sys::close(file);
  // A link whose target's folder is not there either.
  Path target;
  if (file != -ENOENT || links == kMaxLinks || target_of(path, target) < 0) return file;
  return make_file_at(target, links + 1);
}

// The kernel's 12:20 split of a device number as user space hands it over.
std::uint64_t device_number(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xffu) | (major & 0xfffu) << 8 | std::uint64_t{minor & ~0xffu} << 12;
}

}  // namespace

long make_directories(const char* path) { return make_all(Path(path), 0); }

long make_empty_file(const char* path) { return make_file_at(Path(path), 0); }

long make_parent(const char* path) {
  const char* slash = strrchr(path, '/');
  if (slash == nullptr || slash == path) return 0;
  return make_all(Path({path, static_cast<std::size_t>(slash - path)}), 0);
}

long make_node(const char* path, std::uint32_t mode, std::uint32_t major, std::uint32_t minor,
               std::uint32_t uid, std::uint32_t gid) {
  const std::uint64_t number = S_ISFIFO(mode) ? 0 : device_number(major, minor);
  long result = sys::mknodat(AT_FDCWD, path, mode, number);
  if (result == -ENOENT) {
    result = make_parent(path);
    if (result == 0) result = sys::mknodat(AT_FDCWD, path, mode, number);
  }
  if (result == -EEXIST) {
    struct stat status;
    const bool same = sys::fstatat(AT_FDCWD, path, &status, 0) == 0 &&
                      (status.st_mode & S_IFMT) == (mode & S_IFMT) && status.st_rdev == number;
    return same ? 0 : -EEXIST;
  }
  if (result == 0 && (uid != 0 || gid != 0)) {
    result = sys::fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
  }
  return result;
}

long make_link(const char* target, const char* path) {
  const long result = sys::symlinkat(target, AT_FDCWD, path);
  return result == -EEXIST ? 0 : result;
}

}  // namespace runhv::agent
