#include "platform/os_error.h"

#include <windows.h>

#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

Code code_of(DWORD os_code) {
  switch (os_code) {
    case ERROR_INVALID_PARAMETER:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
    case ERROR_FILENAME_EXCED_RANGE:
    case ERROR_DIRECTORY:  // a folder was wanted, and this is none
      return Code::kInvalidArgument;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_MOD_NOT_FOUND:
    case ERROR_BAD_NETPATH:
    case ERROR_INVALID_DRIVE:
      return Code::kNotFound;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    case ERROR_PIPE_BUSY:
    case ERROR_BUSY:
      return Code::kConflict;
    case ERROR_INVALID_FUNCTION:
    case ERROR_NOT_SUPPORTED:
    case ERROR_CALL_NOT_IMPLEMENTED:
    case ERROR_PROC_NOT_FOUND:
      return Code::kUnsupported;
    case ERROR_ACCESS_DENIED:
    case ERROR_PRIVILEGE_NOT_HELD:
    case ERROR_WRITE_PROTECT:
      return Code::kAccessDenied;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NO_SYSTEM_RESOURCES:
      return Code::kOutOfMemory;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case ERROR_FILE_TOO_LARGE:
      return Code::kNoSpace;
    case WAIT_TIMEOUT:
    case ERROR_SEM_TIMEOUT:
    case ERROR_TIMEOUT:
      return Code::kTimedOut;
    default:
      return Code::kHostFailed;
  }
}

// The system's words without the full stop and the line end that they come with.
std::string words_of(DWORD os_code) {
  wchar_t buffer[256];
  DWORD size = ::FormatMessageW(
      FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK,
      nullptr, os_code, 0, buffer, std::size(buffer), nullptr);
  while (size > 0 && (buffer[size - 1] <= L' ' || buffer[size - 1] == L'.')) --size;
  return size > 0 ? to_utf8({buffer, size}) : "unknown error";
}

}  // namespace

Error os_error(std::string operation, std::int64_t os_code) {
  const auto number = static_cast<DWORD>(os_code);
  return {code_of(number), std::move(operation), words_of(number), Domain::kWin32, os_code};
}

Error last_os_error(std::string operation) {
  return os_error(std::move(operation), ::GetLastError());
}

}  // namespace runhv::platform
