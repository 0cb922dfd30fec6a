// Files on the host: whole reads with a limit, and positioned reads and writes for block devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// Whether what is written outlasts the end of the system (kSynced), or of this process only.
enum class Durability { kUnsynced, kSynced };

class File {
 public:
  enum class Access { kRead, kReadWrite };

  // Opens an existing regular file or block device; anything else is an error.
  static Result<File> open(const std::string& path, Access access);

  // A new file of `size_bytes` zeros (sparse) in `directory` that has no name and is gone when
  // closed.
  static Result<File> create_anonymous(const std::string& directory, std::uint64_t size_bytes);

  std::uint64_t size_bytes() const { return size_bytes_; }
  const std::string& path() const { return path_; }

  // Exactly out.size() bytes from `offset`; a short file is an error. Threads: any.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // The same where the file's bytes are in the host's memory. False: they are not all there, or the
  // host cannot tell; `out` may be written in part. Never waits for a disk or a network.
  bool read_cached(std::uint64_t offset, std::span<std::byte> out) const;
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> in) const;
  Result<void> flush() const;

  // Tells that the file is in use, for as long as it is open, by a lock that others have as well.
  // Where somebody has it alone, or the system has no locks for it, nothing is told.
  void share() const;

  OsHandle handle() const { return handle_.get(); }

 private:
  friend class NewFile;
  File(UniqueHandle handle, std::string path, std::uint64_t size_bytes);
  UniqueHandle handle_;
  std::string path_;
  std::uint64_t size_bytes_;
};

// A file (mode 0600) in the folder of `path` that takes the place of what is there once it is
// whole: a reader finds either the old one or the new one, also when the writer (kSynced: the
// system) ends meanwhile. Until then it has another name; what is not put in place is deleted.
class NewFile {
 public:
  static Result<NewFile> create(const std::string& path);
  NewFile(NewFile&& other) noexcept
      : file_(std::move(other.file_)), temporary_(std::exchange(other.temporary_, {})) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  const File& file() const { return file_; }
  Result<void> put_in_place(Durability durability) &&;

 private:
  NewFile(File file, std::string temporary)
      : file_(std::move(file)), temporary_(std::move(temporary)) {}
  File file_;
  std::string temporary_;  // its name by now; empty = it has that of `path`
};

// A lock on the file at `path`, made where it is missing, that any number of processes hold at
// once, but nobody beside one who has it alone: waits for that. It is the handle's, and of its
// copies in other processes, and gone with the last of them.
Result<UniqueHandle> lock_shared(const std::string& path);

// The whole file, at most `limit_bytes`; a larger one is an error that names the limit.
Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t limit_bytes);

// A NewFile of `bytes`.
Result<void> write_file_atomically(const std::string& path, std::span<const std::byte> bytes,
                                   Durability durability);

// Deletes a directory tree; a missing one is not an error, nor that another deletes it as well.
// Symbolic links are not followed.
Result<void> remove_tree(const std::string& path);

// Makes the directory at `path` for this user alone (mode 0700 on Linux), or accepts one that is
// there, is no symbolic link, belongs to this user and lets nobody else in.
Result<void> make_private_directory(const std::string& path);

// Where this system keeps temporary files: the variable TMPDIR, or its default.
std::string temporary_directory();

bool file_exists(const std::string& path);

// Folder of the running executable, links resolved.
Result<std::string> executable_directory();

}  // namespace runhv::platform
