#include "copy_up.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "sys.h"

namespace runhv::agent {
namespace {

constexpr int kMaxDepth = 64;

// struct linux_dirent64 of getdents64(2)
constexpr std::size_t kEntrySize = 16;  // u16
constexpr std::size_t kEntryName = 19;

long copy_file(int from_dir, int to_dir, const char* name, unsigned mode) {
  const int from = sys::openat(from_dir, name, O_RDONLY | O_NOFOLLOW);
  if (from < 0) return from;
  const int to = sys::openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  long result = to < 0 ? to : 1;
  while (result > 0) {
    result = sys::call(__NR_sendfile, to, from, nullptr, std::size_t{1} << 30);
  }
  sys::close(from);
  if (to >= 0) sys::close(to);
  return result;
}

long copy_attributes(int dir, const char* name, const struct stat& status) {
  long result = sys::fchownat(dir, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW);
  // After the owner: a change of owner clears set-user-ID.
  if (result == 0 && !S_ISLNK(status.st_mode)) {
    result = sys::fchmodat(dir, name, status.st_mode & 07777);
  }
  const timespec times[2] = {status.st_atim, status.st_mtim};
  return result == 0 ? sys::utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) : result;
}

long copy_directory(int from, int to, int depth);

long copy_entry(int from, int to, const char* name, int depth) {
  struct stat status;
  long result = sys::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW);
  if (result < 0) return result;
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
      result = copy_file(from, to, name, 0600);
      break;
    case S_IFLNK: {
      char target[PATH_MAX];
      result = sys::readlinkat(from, name, target, sizeof target - 1);
      if (result < 0) return result;
      target[result] = '\0';
      result = sys::symlinkat(target, to, name);
      break;
    }
    case S_IFDIR: {
      result = sys::mkdirat(to, name, 0700);
      if (result < 0) return result;
      const int below = sys::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      const int above = sys::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      result = below < 0 ? below : above < 0 ? above : copy_directory(below, above, depth + 1);
      if (below >= 0) sys::close(below);
      if (above >= 0) sys::close(above);
      break;
    }
    default:
      result = sys::mknodat(to, name, status.st_mode, status.st_rdev);
      break;
  }
  return result < 0 ? result : copy_attributes(to, name, status);
}

long copy_directory(int from, int to, int depth) {
  if (depth > kMaxDepth) return -ENAMETOOLONG;
  char entries[2048];
  for (;;) {
    const long size = sys::getdents64(from, entries, sizeof entries);
    if (size <= 0) return size;
    for (long at = 0; at < size;) {
      const char* name = entries + at + kEntryName;
      std::uint16_t entry_size;
      memcpy(&entry_size, entries + at + kEntrySize, sizeof entry_size);
      at += entry_size;
      if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
      const long result = copy_entry(from, to, name, depth);
      if (result < 0) return result;
    }
  }
}

}  // namespace

long copy_tree(int from, int to) {
  long result = copy_directory(from, to, 0);
  struct stat status;
  if (result == 0) result = sys::fstatat(from, "", &status, AT_EMPTY_PATH);
  if (result == 0) result = sys::fchownat(to, "", status.st_uid, status.st_gid, AT_EMPTY_PATH);
  if (result == 0) result = sys::call(__NR_fchmod, to, status.st_mode & 07777);
  return result;
}

}  // namespace runhv::agent
