// Files of the host as a guest may reach them: held without being opened, walked one name at a
// time.
//
// The guest chooses the names, and the host's other programs change the tree meanwhile. So no call
// takes a path, none follows a symbolic link, and each acts on the file that is held, whatever has
// become of its name.
//
// Where a call returns int: 0, or an errno of Linux, which is what the guest is told. `mode`,
// `flags` and attributes have Linux's values. Threads: any, at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

struct FileTime {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

struct FileStatus {
  std::uint64_t mount = 0;  // which mount of the host it was reached by
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;  // of 512 bytes
  std::uint32_t block_size = 0;
  std::uint32_t mode = 0;
  std::uint32_t links = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t special_major = 0;  // of a device node
  std::uint32_t special_minor = 0;
  FileTime accessed;
  FileTime modified;
  FileTime changed;
  FileTime born;  // 0 where the host does not know
};

struct FileSystemStatus {
  std::uint64_t blocks = 0;
  std::uint64_t free_blocks = 0;
  std::uint64_t available_blocks = 0;
  std::uint64_t files = 0;
  std::uint64_t free_files = 0;
  std::uint32_t block_size = 0;
  std::uint32_t fragment_size = 0;
  std::uint32_t name_bytes = 0;
};

struct DirectoryEntry {
  std::string_view name;
  std::uint64_t inode;
  std::uint64_t next;  // where to go on behind it
  std::uint32_t type;  // DT_*
};

enum class FileAccess : std::uint8_t { kRead, kWrite, kReadWrite };

// A regular file or directory, opened.
class OpenFile {
 public:
  OpenFile() = default;
  explicit OpenFile(UniqueHandle handle) : handle_(std::move(handle)) {}

  // As far as the file goes: `done` bytes. Parts: at most 1024 are taken.
  int read_at(std::uint64_t offset, std::span<const std::span<std::byte>> parts,
              std::size_t& done) const;
  // The same without waiting for a disk or another system: EAGAIN where it would have to.
  int read_at_once(std::uint64_t offset, std::span<const std::span<std::byte>> parts,
                   std::size_t& done) const;
  // `append`: at the file's end as it is then, whatever `offset` is.
  int write_at(std::uint64_t offset, std::span<const std::span<const std::byte>> parts, bool append,
               std::size_t& done) const;
  // What closing one of several descriptors tells: a write that the host could not do later.
  int flush() const;
  // False: flush() does nothing, as on file systems that keep no writes for another system. True
  // where this is not known.
  bool flush_may_tell() const;
  int sync(bool data_only) const;
  int sync_file_system() const;
  int allocate(std::uint32_t mode, std::uint64_t offset, std::uint64_t size) const;
  int change_size(std::uint64_t size) const;
  // The next data (whence 3) or hole (4) from `offset` on.
  int find_data(std::uint64_t offset, std::uint32_t whence, std::uint64_t& found) const;
  int copy_range(std::uint64_t offset, const OpenFile& to, std::uint64_t to_offset,
                 std::size_t size, std::size_t& done) const;
  // Entries from `offset` on (0, or `next` of an earlier one), which live in `buffer`. None: the
  // end. At most one thread at a time.
  int read_directory(std::uint64_t offset, std::span<std::byte> buffer,
                     std::vector<DirectoryEntry>& out) const;

 private:
  friend class FileNode;
  friend class FileMappings;
  UniqueHandle handle_;
};

// Who owners that a file system keeps are for who reaches its files by one node, as
// mount_setattr(2) of Linux maps them. One that is in no range is nobody.
struct OwnerRange {
  std::uint32_t kept = 0;
  std::uint32_t shown = 0;
  std::uint32_t count = 0;
};
struct OwnerMaps {
  std::vector<OwnerRange> users;
  std::vector<OwnerRange> groups;
  bool of_tree = false;  // of what is mounted below, too
};

class FileNode {
 public:
  FileNode() = default;

  // The caller's own path, whose links are followed. A file that is neither regular nor a directory
  // is an error.
  static Result<FileNode> open(const std::string& path);
  // By a mount of its own, with what is mounted below where `cross_mounts` says so. It takes the
  // rights of root, Linux 5.12, and a file system that knows of it.
  static Result<FileNode> open_mapped(const std::string& path, bool cross_mounts,
                                      const OwnerMaps& maps);

  int status(FileStatus& out) const;
  int file_system(FileSystemStatus& out) const;

  // Below a directory. `name`: one component, not "." or "..". Without `cross_mounts` what another
  // file system of the host covers is EXDEV.
  int look_up(const std::string& name, bool cross_mounts, FileNode& out) const;
  // The same from what the host has in memory, so that status() of it does not wait either: EAGAIN
  // where that does not tell, or the name leads onto another file system.
  int look_up_at_once(const std::string& name, FileNode& out) const;
  // A new file: EEXIST where there is one.
  int create(const std::string& name, std::uint32_t mode, FileAccess access, OpenFile& file,
             FileNode& node) const;
  int create_unnamed(std::uint32_t mode, OpenFile& file, FileNode& node) const;
  int make_directory(const std::string& name, std::uint32_t mode) const;
  int make_special(const std::string& name, std::uint32_t mode, std::uint32_t major,
                   std::uint32_t minor) const;
  int make_symbolic_link(const std::string& name, const std::string& target) const;
  int link(const std::string& name, const FileNode& file) const;
  int remove(const std::string& name) const;
  int remove_directory(const std::string& name) const;
  int rename(const std::string& name, const FileNode& to, const std::string& to_name,
             std::uint32_t flags) const;

  // Whether FileMappings keep to what others write to it, wait for no other system, and make it no
  // larger.
  bool can_be_shown() const;

  // A regular file; another one is EINVAL, for opening a device or a pipe acts on it.
  int open(FileAccess access, bool truncate, OpenFile& out) const;
  int open_directory(OpenFile& out) const;

  int read_symbolic_link(std::string& out) const;
  int change_mode(std::uint32_t mode) const;
  // UINT32_MAX: as it is.
  int change_owner(std::uint32_t uid, std::uint32_t gid) const;
  int change_size(std::uint64_t size) const;
  // Nanoseconds may be kTimeNow or kTimeAsItIs.
  int change_times(const FileTime& accessed, const FileTime& modified) const;
  static constexpr std::uint32_t kTimeNow = (1u << 30) - 1;
  static constexpr std::uint32_t kTimeAsItIs = (1u << 30) - 2;

  // An empty `out` asks for the size alone.
  int get_attribute(const std::string& name, std::span<std::byte> out, std::size_t& size) const;
  int list_attributes(std::vector<std::string>& out) const;
  int set_attribute(const std::string& name, std::span<const std::byte> value,
                    std::uint32_t flags) const;
  int remove_attribute(const std::string& name) const;

 private:
  UniqueHandle handle_;
};

// Device and inode of what the caller's own path leads to. nullopt: it cannot be looked at.
using FileIdentity = std::pair<std::uint64_t, std::uint64_t>;
std::optional<FileIdentity> identity_of(const std::string& path);

// How many descriptors this process may have: raises its own limit to what the host allows.
std::size_t raise_descriptor_limit();

// Whether this process may give its files to any user.
bool acts_for_all_users();
std::uint32_t own_user();
std::uint32_t own_group();

// While it lives, this thread makes files for another user: with `umask`, and where this process
// acts for all users, owned by `uid` and `gid`; the thread keeps its rights. Where the host does
// not let a thread have a umask of its own (unshare(2) is refused), the process's counts.
class MakesFilesFor {
 public:
  MakesFilesFor(std::uint32_t uid, std::uint32_t gid, std::uint32_t umask);
  ~MakesFilesFor();
  MakesFilesFor(const MakesFilesFor&) = delete;
  MakesFilesFor& operator=(const MakesFilesFor&) = delete;

 private:
  bool owner_changed_;
};

// While it lives, writing and changing the size of a file takes its set-user-ID and set-group-ID
// bits away, as it does for who has no right to keep them. REQUIRES: acts_for_all_users().
class WithoutKeepingSetid {
 public:
  WithoutKeepingSetid();
  ~WithoutKeepingSetid();
  WithoutKeepingSetid(const WithoutKeepingSetid&) = delete;
  WithoutKeepingSetid& operator=(const WithoutKeepingSetid&) = delete;
};

}  // namespace runhv::platform
