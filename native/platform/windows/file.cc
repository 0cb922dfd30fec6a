#include "platform/file.h"

#include <algorithm>
#include <cstring>

#include "base/scope_exit.h"
#include "platform/os_error.h"
#include "platform/process.h"
#include "platform/random_name.h"
#include "platform/windows/named_file.h"
#include "platform/windows/native_path.h"
#include "platform/windows/user.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kMostBytes = 1u << 30;  // a call counts in 32 bits

UniqueHandle open_file(const std::wstring& path, DWORD access, DWORD how, DWORD flags,
                       SECURITY_ATTRIBUTES* attributes = nullptr) {
  UniqueHandle handle;
  despite_sharing([&] {
    handle = own(::CreateFileW(path.c_str(), access, kShareAll, attributes, how, flags, nullptr));
    return handle.is_open();
  });
  return handle;
}

// Whether somebody has a file open, so that no other takes the place of `name`: where it is that
// one, access is denied.
bool is_held(DWORD code, const std::wstring& name) {
  if (code != ERROR_ACCESS_DENIED) return code == ERROR_SHARING_VIOLATION;
  const DWORD attributes = ::GetFileAttributesW(name.c_str());
  return attributes != INVALID_FILE_ATTRIBUTES &&
         (attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_READONLY)) == 0;
}

OVERLAPPED at(std::uint64_t offset) {
  OVERLAPPED position{};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

// LockFileEx locks are in the way of reads and writes, so this one is where no byte is: the last
// that Java's locks of whole files cover, too.
bool share_lock(const UniqueHandle& handle, bool waits) {
  OVERLAPPED position = at(INT64_MAX - 1);
  return ::LockFileEx(native(handle), waits ? 0 : LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &position) !=
         0;
}

// Reads until `out` is full or the file ends: the count. False with GetLastError().
bool read_fully(const UniqueHandle& file, std::uint64_t offset, std::span<std::byte> out,
                std::size_t& done) {
  done = 0;
  while (done < out.size()) {
    OVERLAPPED position = at(offset + done);
    DWORD count = 0;
    const auto size = static_cast<DWORD>(std::min(out.size() - done, kMostBytes));
    if (!::ReadFile(native(file), out.data() + done, size, &count, &position)) {
      return ::GetLastError() == ERROR_HANDLE_EOF;
    }
    if (count == 0) return true;
    done += count;
  }
  return true;
}

// The size of a regular file; anything else is an error.
Result<std::uint64_t> size_of(const UniqueHandle& file, const std::string& operation) {
  FILE_STANDARD_INFO info{};
  if (::GetFileType(native(file)) != FILE_TYPE_DISK ||
      !::GetFileInformationByHandleEx(native(file), FileStandardInfo, &info, sizeof info) ||
      info.Directory) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is not a regular file"}};
  }
  return static_cast<std::uint64_t>(info.EndOfFile.QuadPart);
}

// A folder cannot be opened as a file: then the system speaks of access.
Error open_error(const std::wstring& path, const std::string& operation) {
  const DWORD code = ::GetLastError();
  const DWORD attributes = ::GetFileAttributesW(path.c_str());
  if (code == ERROR_ACCESS_DENIED && attributes != INVALID_FILE_ATTRIBUTES &&
      (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
    return {Code::kInvalidArgument, operation, "it is not a regular file", Domain::kWin32, code};
  }
  return os_error(operation, code);
}

// As rename(2): also where somebody has the old file open, who keeps it. False where the file
// system, or the system, cannot do that.
bool replace_by(OsHandle file, const std::wstring& name) {
  // FILE_RENAME_INFO with flags, and FileRenameInfoEx, since Windows 10 1709.
  constexpr auto kRenameInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(22);
  constexpr DWORD kReplaceIfExists = 1;
  constexpr DWORD kPosixSemantics = 2;
  const std::size_t name_bytes = name.size() * sizeof(wchar_t);
  std::vector<std::byte> memory(sizeof(FILE_RENAME_INFO) + name_bytes);
  auto* const info = reinterpret_cast<FILE_RENAME_INFO*>(memory.data());
  const DWORD flags = kReplaceIfExists | kPosixSemantics;
  std::memcpy(memory.data(), &flags, sizeof flags);
  info->FileNameLength = static_cast<DWORD>(name_bytes);
  std::memcpy(info->FileName, name.data(), name_bytes);
  return ::SetFileInformationByHandle(native(file), kRenameInfoEx, info,
                                      static_cast<DWORD>(memory.size())) != 0;
}

// Deletes what has this name, which others may delete as well. A link goes, not what it leads to.
bool remove_one(const std::wstring& path, DWORD attributes) {
  if ((attributes & FILE_ATTRIBUTE_READONLY) != 0) {
    ::SetFileAttributesW(path.c_str(), attributes & ~DWORD{FILE_ATTRIBUTE_READONLY});
  }
  return despite_sharing([&] {
    const BOOL removed = (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0
                             ? ::RemoveDirectoryW(path.c_str())
                             : ::DeleteFileW(path.c_str());
    return removed || is_missing(::GetLastError());
  });
}

// False with GetLastError().
bool remove_below(const std::wstring& folder) {
  WIN32_FIND_DATAW entry{};
  const HANDLE search = ::FindFirstFileW((folder + L"\\*").c_str(), &entry);
  if (search == INVALID_HANDLE_VALUE) return is_missing(::GetLastError());
  const ScopeExit close([&] { ::FindClose(search); });
  do {
    const std::wstring_view name = entry.cFileName;
    if (name == L"." || name == L"..") continue;
    const std::wstring path = folder + L"\\" + std::wstring(name);
    if (is_plain_folder(entry.dwFileAttributes) && !remove_below(path)) return false;
    if (!remove_one(path, entry.dwFileAttributes)) return false;
  } while (::FindNextFileW(search, &entry));
  return ::GetLastError() == ERROR_NO_MORE_FILES;
}

}  // namespace

File::File(UniqueHandle handle, std::string path, std::uint64_t size_bytes)
    : handle_(std::move(handle)), path_(std::move(path)), size_bytes_(size_bytes) {}

Result<File> File::open(const std::string& path, Access access) {
  const std::string operation = "open " + path;
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(path, operation));
  const DWORD wanted =
      access == Access::kRead ? GENERIC_READ : static_cast<DWORD>(GENERIC_READ | GENERIC_WRITE);
  UniqueHandle handle = open_file(name, wanted, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL);
  if (!handle.is_open()) return Fail{open_error(name, operation)};
  RUNHV_TRY_ASSIGN(const std::uint64_t size, size_of(handle, operation));
  return File(std::move(handle), path, size);
}

Result<File> File::create_anonymous(const std::string& directory, std::uint64_t size_bytes) {
  const std::string operation = "make a disk in " + directory;
  const std::string path = directory + "/runhv-" + random_name() + ".tmp";
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(path, operation));
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  UniqueHandle handle =
      open_file(name, GENERIC_READ | GENERIC_WRITE | DELETE, CREATE_NEW,
                FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, access.attributes());
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  // A file system without holes has them filled.
  DWORD ignored = 0;
  ::DeviceIoControl(native(handle), FSCTL_SET_SPARSE, nullptr, 0, nullptr, 0, &ignored, nullptr);
  FILE_END_OF_FILE_INFO end{};
  end.EndOfFile.QuadPart = static_cast<LONGLONG>(size_bytes);
  if (!::SetFileInformationByHandle(native(handle), FileEndOfFileInfo, &end, sizeof end)) {
    return Fail{last_os_error(operation)};
  }
  return File(std::move(handle), path, size_bytes);
}

Result<void> File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t count = 0;
  if (!read_fully(handle_, offset, out, count)) return Fail{last_os_error("read " + path_)};
  if (count != out.size()) {
    return Fail{Error{Code::kCorruptInput, "read " + path_, "the file ends too early"}};
  }
  return {};
}

// The system does not say what it has in memory.
bool File::read_cached(std::uint64_t, std::span<std::byte>) const { return false; }

Result<void> File::write_at(std::uint64_t offset, std::span<const std::byte> in) const {
  while (!in.empty()) {
    OVERLAPPED position = at(offset);
    DWORD count = 0;
    if (!::WriteFile(native(handle_), in.data(),
                     static_cast<DWORD>(std::min(in.size(), kMostBytes)), &count, &position)) {
      return Fail{last_os_error("write " + path_)};
    }
    in = in.subspan(count);
    offset += count;
  }
  return {};
}

void File::share() const { static_cast<void>(share_lock(handle_, false)); }

Result<UniqueHandle> lock_shared(const std::string& path) {
  const std::string operation = "lock " + path;
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(path, operation));
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  UniqueHandle handle =
      open_file(name, GENERIC_READ, OPEN_ALWAYS, FILE_FLAG_OPEN_REPARSE_POINT, access.attributes());
  if (!handle.is_open() || !share_lock(handle, true)) return Fail{last_os_error(operation)};
  return handle;
}

Result<void> File::flush() const {
  if (!::FlushFileBuffers(native(handle_))) return Fail{last_os_error("flush " + path_)};
  return {};
}

Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t limit_bytes) {
  const std::string operation = "read " + path;
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(path, operation));
  const UniqueHandle handle = open_file(name, GENERIC_READ, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL);
  if (!handle.is_open()) return Fail{open_error(name, operation)};
  RUNHV_TRY_ASSIGN(const std::uint64_t size, size_of(handle, operation));
  if (size > limit_bytes) {
    return Fail{Error{Code::kInvalidArgument, operation,
                      "it is larger than " + std::to_string(limit_bytes) + " bytes"}};
  }
  std::vector<std::byte> bytes(size);
  std::size_t count = 0;
  if (!read_fully(handle, 0, bytes, count)) return Fail{last_os_error(operation)};
  bytes.resize(count);
  return bytes;
}

Result<NewFile> NewFile::create(const std::string& path) {
  const std::string operation = "write " + path;
  std::string temporary = path + "." + random_name();
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(temporary, operation));
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  UniqueHandle handle = open_file(name, GENERIC_WRITE | DELETE, CREATE_NEW, FILE_ATTRIBUTE_NORMAL,
                                  access.attributes());
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  return NewFile(File(std::move(handle), path, 0), std::move(temporary));
}

NewFile::~NewFile() {
  if (temporary_.empty()) return;
  file_.handle_ = UniqueHandle();
  const auto name = native_path(temporary_, "delete " + temporary_);
  if (name) ::DeleteFileW(name->c_str());
}

Result<void> NewFile::put_in_place(Durability durability) && {
  const std::string operation = "write " + file_.path();
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(file_.path(), operation));
  RUNHV_TRY_ASSIGN(const std::wstring temporary, native_path(temporary_, operation));
  if (durability == Durability::kSynced) RUNHV_TRY(file_.flush());
  const bool replaced = replace_by(file_.handle(), name);
  file_.handle_ = UniqueHandle();
  const DWORD through = durability == Durability::kSynced ? MOVEFILE_WRITE_THROUGH : 0;
  const auto move = [&] {
    return ::MoveFileExW(temporary.c_str(), name.c_str(), MOVEFILE_REPLACE_EXISTING | through) != 0;
  };
  if (!replaced && !despite_sharing(move, [&](DWORD code) { return is_held(code, name); })) {
    return Fail{last_os_error(operation)};
  }
  temporary_.clear();
  return {};
}

Result<void> remove_tree(const std::string& path) {
  const std::string operation = "delete " + path;
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(path, operation));
  const DWORD attributes = ::GetFileAttributesW(name.c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) {
    if (is_missing(::GetLastError())) return {};
    return Fail{last_os_error(operation)};
  }
  if (!is_plain_folder(attributes)) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is not a folder"}};
  }
  if (!remove_below(name) || !remove_one(name, attributes)) return Fail{last_os_error(operation)};
  return {};
}

Result<void> make_private_directory(const std::string& path) {
  const std::string operation = "make directory " + path;
  RUNHV_TRY_ASSIGN(const std::wstring name, native_path(path, operation));
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  if (!::CreateDirectoryW(name.c_str(), access.attributes()) &&
      ::GetLastError() != ERROR_ALREADY_EXISTS) {
    return Fail{last_os_error(operation)};
  }
  const UniqueHandle handle = open_file(name, READ_CONTROL | FILE_READ_ATTRIBUTES, OPEN_EXISTING,
                                        FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
  const std::optional<DWORD> attributes = attributes_of(handle);
  if (!attributes) return Fail{last_os_error(operation)};
  const std::string why = "it is there, but not a directory that only this user may enter";
  if (!is_plain_folder(*attributes)) return Fail{Error{Code::kAccessDenied, operation, why}};
  return check_private(native(handle), SE_FILE_OBJECT, operation, why);
}

std::string temporary_directory() {
  if (std::string named = environment("TMPDIR"); !named.empty()) return named;
  std::wstring path(MAX_PATH + 1, L'\0');
  path.resize(::GetTempPathW(static_cast<DWORD>(path.size()), path.data()));
  while (path.size() > 3 && path.ends_with(L'\\')) path.pop_back();
  return to_utf8(path);
}

bool file_exists(const std::string& path) {
  const auto name = native_path(path, "");
  return name && ::GetFileAttributesW(name->c_str()) != INVALID_FILE_ATTRIBUTES;
}

Result<std::string> executable_directory() {
  std::wstring path(MAX_PATH, L'\0');
  while (true) {
    const DWORD size = ::GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size()));
    if (size == 0) return Fail{last_os_error("find the running program")};
    if (size < path.size()) {
      path.resize(size);
      return to_utf8(path.substr(0, path.find_last_of(L'\\')));
    }
    path.resize(path.size() * 2);
  }
}

}  // namespace runhv::platform
