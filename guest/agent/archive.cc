#include "archive.h"

#include <limits.h>

#include <cstring>

#include "sys.h"
#include "tar_header.h"
#include "text.h"

namespace runhv::agent {
namespace {

constexpr int kArchiveOut = 1;
constexpr int kComplaints = 2;
constexpr std::size_t kNamesBytes = 32 << 10;
constexpr std::size_t kValueBytes = 64 << 10;              // XATTR_SIZE_MAX
constexpr std::size_t kAttributesBytes = 4 * kValueBytes;  // of one file
constexpr std::uint64_t kDescriptors = 4096;
constexpr unsigned kOpenTreeClone = 1;  // OPEN_TREE_CLONE

// struct linux_dirent64, getdents64(2).
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
  char name[1];
};

// Where files with several names were met first. It grows as it has to; without memory the names
// become files of their own.
class Links {
 public:
  // The path of the first name, or null: it was not met yet.
  const char* find(const struct stat& file) const {
    return count_ == 0 ? nullptr : slot(links_, capacity_, file.st_dev, file.st_ino).path;
  }

  // `path` is the first name.
  void add(const struct stat& file, std::string_view path) {
    if (2 * (count_ + 1) > capacity_ && !grow()) return;
    char* kept = keep(path);
    if (kept == nullptr) return;
    slot(links_, capacity_, file.st_dev, file.st_ino) = {file.st_dev, file.st_ino, kept};
    ++count_;
  }

 private:
  struct Link {
    std::uint64_t device, inode;
    const char* path;
  };
  static constexpr std::size_t kTextBytes = 256 << 10;

  static Link& slot(Link* links, std::size_t capacity, std::uint64_t device, std::uint64_t inode) {
    std::size_t at = ((inode ^ device << 40) * 0x9e3779b97f4a7c15u) >> 20 & (capacity - 1);
    while (links[at].path != nullptr && (links[at].inode != inode || links[at].device != device)) {
      at = (at + 1) & (capacity - 1);
    }
    return links[at];
  }

  bool grow() {
    const std::size_t capacity = capacity_ == 0 ? 1024 : 2 * capacity_;
    void* memory = sys::map(capacity * sizeof(Link));
    if (sys::map_failed(memory)) return false;
    auto* links = static_cast<Link*>(memory);
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (links_[i].path != nullptr) {
        slot(links, capacity, links_[i].device, links_[i].inode) = links_[i];
      }
    }
    if (links_ != nullptr) sys::unmap(links_, capacity_ * sizeof(Link));
    links_ = links;
    capacity_ = capacity;
    return true;
  }

  char* keep(std::string_view text) {
    if (text_ == nullptr || kTextBytes - text_used_ < text.size() + 1) {
      void* memory = sys::map(kTextBytes);
      if (sys::map_failed(memory)) return nullptr;
      text_ = static_cast<char*>(memory);
      text_used_ = 0;
    }
    char* const kept = text_ + text_used_;
    memcpy(kept, text.data(), text.size());  // memory of mmap is zero
    text_used_ += text.size() + 1;
    return kept;
  }

  Link* links_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t count_ = 0;
  char* text_ = nullptr;
  std::size_t text_used_ = 0;
};

class Archive {
 public:
  [[noreturn]] void write() {
    raise_descriptor_limit();
    // The root's file system alone, as if nothing were mounted over it.
    const int tree = sys::open_tree(AT_FDCWD, "/", kOpenTreeClone | O_CLOEXEC);
    if (tree < 0) fail("open the root of the container", tree);
    const int root = sys::openat(tree, ".", O_RDONLY | O_DIRECTORY);
    if (root < 0) fail("open the root of the container", root);
    write_folder(root, 0);
    // Two blocks of zeros end an archive.
    memset(block_, 0, sizeof block_);
    put(block_, sizeof block_);
    put(block_, sizeof block_);
    flush();
    sys::exit(failed_ ? 1 : 0);
  }

 private:
  [[noreturn]] void fail(std::string_view what, long result) {
    complain(what, {}, result);
    sys::exit(1);
  }

  // Each folder on the way to a file is open.
  static void raise_descriptor_limit() {
    std::uint64_t limit[2];  // soft, hard
    if (sys::getrlimit(RLIMIT_NOFILE, limit) < 0 || limit[0] >= kDescriptors) return;
    limit[0] = limit[1] < kDescriptors ? limit[1] : kDescriptors;
    sys::setrlimit(RLIMIT_NOFILE, limit);
  }

  void complain(std::string_view what, std::string_view path, long result) {
    Text<PATH_MAX + 128> text("cannot ");
    text.add(what).add(path.empty() ? "" : " ").add_printable(path).add(": errno ");
    text.add_number(static_cast<std::uint64_t>(-result)).add("\n");
    sys::write(kComplaints, text.c_str(), text.size());
    failed_ = true;
  }

  // Whoever reads it has gone where nothing can be written: so there is nobody to go on for.
  void flush() {
    for (std::size_t at = 0; at < used_;) {
      const long count = sys::write(kArchiveOut, out_ + at, used_ - at);
      if (count == -EINTR) continue;
      if (count <= 0) fail("write the archive", count);
      at += static_cast<std::size_t>(count);
    }
    used_ = 0;
  }

  void put(const char* bytes, std::size_t size) {
    while (size != 0) {
      if (used_ == sizeof out_) flush();
      const std::size_t part = size < sizeof out_ - used_ ? size : sizeof out_ - used_;
      memcpy(out_ + used_, bytes, part);
      used_ += part;
      bytes += part;
      size -= part;
    }
  }

  void put_zeros(std::uint64_t size) {
    static const char zeros[kTarBlock] = {};
    while (size != 0) {
      const std::size_t part = size < sizeof zeros ? static_cast<std::size_t>(size) : sizeof zeros;
      put(zeros, part);
      size -= part;
    }
  }

  static std::uint64_t padding(std::uint64_t size) { return -size % kTarBlock; }

  std::string_view path() const { return {path_, path_size_}; }

  // `folder` is closed. Its path, with a '/' behind where it is not the root, is the first
  // `path_size` bytes of path_.
  void write_folder(int folder, std::size_t path_size) {
    void* const memory = sys::map(kNamesBytes);
    if (sys::map_failed(memory)) fail("make room for names", -ENOMEM);
    auto* const names = static_cast<char*>(memory);
    for (;;) {
      const long count = sys::getdents64(folder, names, kNamesBytes);
      if (count < 0) complain("list", {path_, path_size}, count);
      if (count <= 0) break;
      for (long at = 0; at < count;) {
        const auto* entry = reinterpret_cast<const DirectoryEntry*>(names + at);
        at += entry->length;
        const std::string_view name(entry->name);
        if (name == "." || name == "..") continue;
        if (path_size + name.size() + 2 > sizeof path_) {
          complain("name what is below", {path_, path_size}, -ENAMETOOLONG);
          continue;
        }
        memcpy(path_ + path_size, name.data(), name.size());
        path_size_ = path_size + name.size();
        path_[path_size_] = '\0';
        write_entry(folder, entry->name, path_size);
      }
    }
    sys::unmap(memory, kNamesBytes);
    sys::close(folder);
  }

  void write_entry(int folder, const char* name, std::size_t name_at) {
    struct stat file;
    const long result = sys::fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW);
    if (result == -ENOENT) return;  // it has gone meanwhile
    if (result < 0) return complain("look at", path(), result);
    TarEntry entry = {path(),
                      {},
                      tar::kFile,
                      file.st_mode,
                      file.st_uid,
                      file.st_gid,
                      0,
                      file.st_mtim.tv_sec,
                      static_cast<std::uint32_t>(file.st_mtim.tv_nsec),
                      0,
                      0};
    records_.clear();
    switch (file.st_mode & S_IFMT) {
      case S_IFDIR:
        return write_subfolder(folder, name, name_at, entry);
      case S_IFREG:
        return write_file(folder, name, file, entry);
      case S_IFLNK: {
        const long size = sys::readlinkat(folder, name, link_, sizeof link_);
        if (size < 0) return complain("read the link", path(), size);
        entry.type = tar::kSymbolicLink;
        entry.link = {link_, static_cast<std::size_t>(size)};
        return write_head(entry);
      }
      case S_IFCHR:
      case S_IFBLK:
        entry.type = S_ISCHR(file.st_mode) ? tar::kCharacterDevice : tar::kBlockDevice;
        // new_encode_dev() of Linux.
        entry.major = static_cast<std::uint32_t>(file.st_rdev >> 8 & 0xfff);
        entry.minor =
            static_cast<std::uint32_t>((file.st_rdev & 0xff) | (file.st_rdev >> 12 & 0xfff00));
        return write_head(entry);
      case S_IFIFO:
        entry.type = tar::kPipe;
        return write_head(entry);
    }
  }

  void write_subfolder(int parent, const char* name, std::size_t name_at, TarEntry& entry) {
    const int folder = sys::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (folder < 0) return complain("open", path(), folder);
    path_[path_size_++] = '/';
    entry.path = path();
    entry.type = tar::kFolder;
    add_attributes(folder);
    write_head(entry);
    write_folder(folder, path_size_);
    path_size_ = name_at;
  }

  void write_file(int folder, const char* name, const struct stat& file, TarEntry& entry) {
    const bool has_names = file.st_nlink > 1;
    if (const char* first = has_names ? links_.find(file) : nullptr; first != nullptr) {
      entry.type = tar::kHardLink;
      entry.link = first;
      return write_head(entry);
    }
    const int opened = sys::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (opened < 0) return complain("open", path(), opened);
    if (has_names) links_.add(file, path());
    entry.size = static_cast<std::uint64_t>(file.st_size);
    add_attributes(opened);
    write_head(entry);
    std::uint64_t left = entry.size;
    while (left != 0) {
      if (used_ == sizeof out_) flush();
      const std::size_t room = sizeof out_ - used_;
      const long count =
          sys::read(opened, out_ + used_, left < room ? static_cast<std::size_t>(left) : room);
      if (count == -EINTR) continue;
      if (count < 0) complain("read", path(), count);
      if (count <= 0) break;  // it is shorter by now, and its end zeros
      used_ += static_cast<std::size_t>(count);
      left -= static_cast<std::uint64_t>(count);
    }
    put_zeros(left + padding(entry.size));
    sys::close(opened);
  }

  // Those that an image may have (docs/limits.md): the rest is of file systems and of security
  // modules.
  static bool is_of_images(std::string_view name) {
    return name.starts_with("user.") || name == "security.capability" ||
           name.starts_with("system.posix_acl_");
  }

  void add_attributes(int file) {
    const long size = sys::call(__NR_flistxattr, file, attributes_, sizeof attributes_);
    if (size == -EOPNOTSUPP) return;
    if (size < 0) return complain("list the attributes of", path(), size);
    for (const char* at = attributes_; at < attributes_ + size;) {
      const std::string_view name(at);
      at += name.size() + 1;
      if (!is_of_images(name)) continue;
      const long count = sys::call(__NR_fgetxattr, file, name.data(), value_, sizeof value_);
      if (count < 0) {
        complain("read an attribute of", path(), count);
        continue;
      }
      // A record's key ends at its first '=', and one without a value takes a key away.
      if (count == 0 || name.find('=') != std::string_view::npos) {
        complain("write an attribute of", path(), -EINVAL);
        continue;
      }
      Text<300> key("SCHILY.xattr.");
      key.add(name);
      const std::string_view value(value_, static_cast<std::size_t>(count));
      if (records_.view().size() + key.size() + value.size() > kAttributesBytes ||
          !records_.add(key.view(), value)) {
        complain("write all attributes of", path(), -E2BIG);
      }
    }
  }

  void write_head(const TarEntry& entry) {
    if (!add_records(entry, records_)) return fail("describe an entry", -E2BIG);
    const std::string_view records = records_.view();
    if (!records.empty()) {
      write_records_header(records.size(), block_);
      put(block_, sizeof block_);
      put(records.data(), records.size());
      put_zeros(padding(records.size()));
    }
    write_header(entry, block_);
    put(block_, sizeof block_);
  }

  Links links_;
  bool failed_ = false;
  std::size_t used_ = 0;
  std::size_t path_size_ = 0;
  char path_[PATH_MAX];
  char link_[PATH_MAX];
  char block_[kTarBlock];
  char out_[256 << 10];
  char attributes_[kValueBytes];
  char value_[kValueBytes];
  char record_room_[kAttributesBytes + 3 * PATH_MAX];
  PaxRecords records_{record_room_, sizeof record_room_};
};

}  // namespace

void write_archive() {
  static Archive archive;
  archive.write();
}

}  // namespace runhv::agent
