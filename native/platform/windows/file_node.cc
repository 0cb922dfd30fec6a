#include "platform/file_node.h"

#include "base/check.h"
#include "platform/windows/native_path.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

// Names of Linux, its owners, modes and links are more than a file system of Windows can keep. So
// there is no node of one, and no call below it is ever made.
constexpr int kNoSuchCall = 38;  // Linux: ENOSYS

}  // namespace

Result<FileNode> FileNode::open(const std::string& path) {
  return Fail{Error{Code::kUnsupported, "share " + path,
                    "folders of a Windows host cannot be mounted in a container yet"}};
}

Result<FileNode> FileNode::open_mapped(const std::string& path, bool, const OwnerMaps&) {
  return open(path);
}

int OpenFile::read_at(std::uint64_t, std::span<const std::span<std::byte>>, std::size_t&) const {
  return kNoSuchCall;
}
int OpenFile::read_at_once(std::uint64_t, std::span<const std::span<std::byte>>,
                           std::size_t&) const {
  return kNoSuchCall;
}
int OpenFile::write_at(std::uint64_t, std::span<const std::span<const std::byte>>, bool,
                       std::size_t&) const {
  return kNoSuchCall;
}
int OpenFile::flush() const { return kNoSuchCall; }
bool OpenFile::flush_may_tell() const { return false; }
int OpenFile::sync(bool) const { return kNoSuchCall; }
int OpenFile::sync_file_system() const { return kNoSuchCall; }
int OpenFile::allocate(std::uint32_t, std::uint64_t, std::uint64_t) const { return kNoSuchCall; }
int OpenFile::change_size(std::uint64_t) const { return kNoSuchCall; }
int OpenFile::find_data(std::uint64_t, std::uint32_t, std::uint64_t&) const { return kNoSuchCall; }
int OpenFile::copy_range(std::uint64_t, const OpenFile&, std::uint64_t, std::size_t,
                         std::size_t&) const {
  return kNoSuchCall;
}
int OpenFile::read_directory(std::uint64_t, std::span<std::byte>,
                             std::vector<DirectoryEntry>&) const {
  return kNoSuchCall;
}

int FileNode::status(FileStatus&) const { return kNoSuchCall; }
int FileNode::file_system(FileSystemStatus&) const { return kNoSuchCall; }
int FileNode::look_up(const std::string&, bool, FileNode&) const { return kNoSuchCall; }
int FileNode::look_up_at_once(const std::string&, FileNode&) const { return kNoSuchCall; }
int FileNode::create(const std::string&, std::uint32_t, FileAccess, OpenFile&, FileNode&) const {
  return kNoSuchCall;
}
int FileNode::create_unnamed(std::uint32_t, OpenFile&, FileNode&) const { return kNoSuchCall; }
int FileNode::make_directory(const std::string&, std::uint32_t) const { return kNoSuchCall; }
int FileNode::make_special(const std::string&, std::uint32_t, std::uint32_t, std::uint32_t) const {
  return kNoSuchCall;
}
int FileNode::make_symbolic_link(const std::string&, const std::string&) const {
  return kNoSuchCall;
}
int FileNode::link(const std::string&, const FileNode&) const { return kNoSuchCall; }
int FileNode::remove(const std::string&) const { return kNoSuchCall; }
int FileNode::remove_directory(const std::string&) const { return kNoSuchCall; }
int FileNode::rename(const std::string&, const FileNode&, const std::string&, std::uint32_t) const {
  return kNoSuchCall;
}
bool FileNode::can_be_shown() const { return false; }
int FileNode::open(FileAccess, bool, OpenFile&) const { return kNoSuchCall; }
int FileNode::open_directory(OpenFile&) const { return kNoSuchCall; }
int FileNode::read_symbolic_link(std::string&) const { return kNoSuchCall; }
int FileNode::change_mode(std::uint32_t) const { return kNoSuchCall; }
int FileNode::change_owner(std::uint32_t, std::uint32_t) const { return kNoSuchCall; }
int FileNode::change_size(std::uint64_t) const { return kNoSuchCall; }
int FileNode::change_times(const FileTime&, const FileTime&) const { return kNoSuchCall; }
int FileNode::get_attribute(const std::string&, std::span<std::byte>, std::size_t&) const {
  return kNoSuchCall;
}
int FileNode::list_attributes(std::vector<std::string>&) const { return kNoSuchCall; }
int FileNode::set_attribute(const std::string&, std::span<const std::byte>, std::uint32_t) const {
  return kNoSuchCall;
}
int FileNode::remove_attribute(const std::string&) const { return kNoSuchCall; }

std::optional<FileIdentity> identity_of(const std::string& path) {
  const auto name = native_path(path, "");
  if (!name) return std::nullopt;
  const UniqueHandle file = own(::CreateFileW(
      name->c_str(), FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
      nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
  BY_HANDLE_FILE_INFORMATION info{};
  if (!file.is_open() || !::GetFileInformationByHandle(native(file), &info)) return std::nullopt;
  return FileIdentity(info.dwVolumeSerialNumber,
                      (std::uint64_t{info.nFileIndexHigh} << 32) | info.nFileIndexLow);
}

// The system has none but its memory.
std::size_t raise_descriptor_limit() { return SIZE_MAX; }

bool acts_for_all_users() { return false; }
std::uint32_t own_user() { return 0; }
std::uint32_t own_group() { return 0; }

// No file is made.
MakesFilesFor::MakesFilesFor(std::uint32_t, std::uint32_t, std::uint32_t) : owner_changed_(false) {}
MakesFilesFor::~MakesFilesFor() { static_cast<void>(owner_changed_); }
WithoutKeepingSetid::WithoutKeepingSetid() { RUNHV_CHECK(acts_for_all_users()); }
WithoutKeepingSetid::~WithoutKeepingSetid() = default;

}  // namespace runhv::platform
