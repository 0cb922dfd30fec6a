#include "platform/folder_lock.h"

#include "platform/file.h"
#include "platform/os_error.h"
#include "platform/windows/named_file.h"
#include "platform/windows/native_path.h"
#include "platform/windows/private_folder.h"
#include "platform/windows/system.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr const char* kFile = "lock";

// Each time, somebody has removed and made the folder between two of our calls.
constexpr int kMostAttempts = 100;

// The system tells nobody of a lock who does not try for one himself. So there are two, of one byte
// each: who gets the first has the folder, and takes the second as well, for which who only asks
// tries for a moment.
constexpr DWORD kHolder = 0;
constexpr DWORD kAsked = 1;

bool lock_byte(const UniqueHandle& file, DWORD byte, DWORD flags) {
  OVERLAPPED position{};
  position.Offset = byte;
  return ::LockFileEx(native(file), flags, 0, 1, 0, &position) != 0;
}

Result<std::wstring> lock_path(const std::string& folder, const std::string& operation) {
  return native_path(folder + "/" + kFile, operation);
}

UniqueHandle open_lock(const std::wstring& path, DWORD access, DWORD how) {
  return own(::CreateFileW(path.c_str(), access, kShareAll, nullptr, how,
                           FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
}

// Whether the path still leads to this lock file.
bool is_current(const std::wstring& path, const UniqueHandle& file) {
  const UniqueHandle named = open_lock(path, FILE_READ_ATTRIBUTES, OPEN_EXISTING);
  BY_HANDLE_FILE_INFORMATION found{};
  BY_HANDLE_FILE_INFORMATION open{};
  return named.is_open() && ::GetFileInformationByHandle(native(named), &found) &&
         ::GetFileInformationByHandle(native(file), &open) &&
         found.dwVolumeSerialNumber == open.dwVolumeSerialNumber &&
         found.nFileIndexHigh == open.nFileIndexHigh && found.nFileIndexLow == open.nFileIndexLow;
}

// A file that is deleted and still open somewhere has its name, and refuses everybody.
bool is_being_removed(DWORD code) {
  return is_missing(code) || code == ERROR_DELETE_PENDING || code == ERROR_ACCESS_DENIED;
}

}  // namespace

Result<FolderLock> FolderLock::acquire(const std::string& folder) {
  const std::string operation = "lock folder " + folder;
  RUNHV_TRY_ASSIGN(const std::wstring path, lock_path(folder, operation));
  for (int attempt = 1;; ++attempt) {
    RUNHV_TRY(open_private_folder(folder, operation));
    UniqueHandle file = open_lock(path, GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS);
    if (!file.is_open()) {
      Error error = last_os_error(operation);
      if (is_being_removed(static_cast<DWORD>(error.os_code)) && attempt < kMostAttempts) continue;
      return Fail{std::move(error)};
    }
    if (!lock_byte(file, kHolder, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY)) {
      Error error = last_os_error(operation);
      if (error.os_code == ERROR_LOCK_VIOLATION || error.os_code == ERROR_IO_PENDING) {
        error.code = Code::kConflict;
        error.detail = "it is in use";
      }
      return Fail{std::move(error)};
    }
    if (!lock_byte(file, kAsked, LOCKFILE_EXCLUSIVE_LOCK)) return Fail{last_os_error(operation)};
    if (is_current(path, file)) return FolderLock(folder, std::move(file));
    if (attempt == kMostAttempts) {
      return Fail{Error{Code::kConflict, operation, "it is removed and made again all the time"}};
    }
  }
}

Result<FolderLock> FolderLock::adopt(const std::string& folder, UniqueHandle /*handle*/) {
  return Fail{Error{Code::kUnsupported, "take over the lock of folder " + folder,
                    "on Windows a lock stays with the process that has it"}};
}

Result<void> FolderLock::remove_folder() && {
  const std::string operation = "delete folder " + folder_;
  RUNHV_TRY_ASSIGN(const std::wstring folder, native_path(folder_, operation));
  WIN32_FIND_DATAW entry{};
  HANDLE search = INVALID_HANDLE_VALUE;
  for (int attempt = 1; search == INVALID_HANDLE_VALUE; ++attempt) {
    search = ::FindFirstFileW((folder + L"\\*").c_str(), &entry);
    if (search != INVALID_HANDLE_VALUE) break;
    // The holder before us may still try to remove it.
    Error error = last_os_error(operation);
    if (error.os_code != ERROR_SHARING_VIOLATION || attempt == kMostAttempts) {
      return Fail{std::move(error)};
    }
  }
  Result<void> removed;
  do {
    const std::wstring name = entry.cFileName;
    if (name == L"." || name == L".." || to_utf8(name) == kFile) continue;
    if ((entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
      removed = remove_tree(folder_ + "/" + to_utf8(name));
    } else if (!::DeleteFileW((folder + L"\\" + name).c_str())) {
      removed = Fail{last_os_error(operation)};
    }
  } while (removed && ::FindNextFileW(search, &entry));
  ::FindClose(search);
  RUNHV_TRY(removed);
  // The lock goes last: while it has its name, nobody else makes a file in the folder.
  if (!::DeleteFileW((folder + L"\\" + to_utf16(kFile)).c_str())) {
    return Fail{last_os_error(operation)};
  }
  handle_.reset();
  // The next holder may have come already, and gone.
  if (!::RemoveDirectoryW(folder.c_str()) && ::GetLastError() != ERROR_DIR_NOT_EMPTY &&
      ::GetLastError() != ERROR_SHARING_VIOLATION && !is_being_removed(::GetLastError())) {
    return Fail{last_os_error(operation)};
  }
  return {};
}

Result<bool> FolderLock::is_held(const std::string& folder) {
  const std::string operation = "ask for the lock of folder " + folder;
  RUNHV_TRY(open_private_folder(folder, operation));
  RUNHV_TRY_ASSIGN(const std::wstring path, lock_path(folder, operation));
  const UniqueHandle file = open_lock(path, GENERIC_READ, OPEN_EXISTING);
  if (!file.is_open() && is_missing(::GetLastError())) return false;
  if (!file.is_open()) return Fail{last_os_error(operation)};
  if (lock_byte(file, kAsked, LOCKFILE_FAIL_IMMEDIATELY)) return false;
  if (::GetLastError() == ERROR_LOCK_VIOLATION || ::GetLastError() == ERROR_IO_PENDING) return true;
  return Fail{last_os_error(operation)};
}

}  // namespace runhv::platform
