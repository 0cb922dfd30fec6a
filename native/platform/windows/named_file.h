// What calls that name a file have alike.
#pragma once

#include <optional>

#include "platform/handle.h"
#include "platform/windows/system.h"

namespace runhv::platform {

// Others may do with an open file what they could do with one of Linux.
inline constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

inline bool is_missing(DWORD code) {
  return code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND;
}

// Of an open file; none, with GetLastError(), also where the handle is not open. Not
// GetFileInformationByHandle(), which asks for the volume as well: Wine has a driver's process
// answer that.
inline std::optional<DWORD> attributes_of(const UniqueHandle& file) {
  FILE_BASIC_INFO info{};
  if (!file.is_open() ||
      !::GetFileInformationByHandleEx(native(file), FileBasicInfo, &info, sizeof info)) {
    return std::nullopt;
  }
  return info.FileAttributes;
}

// No link to somewhere else.
inline bool is_plain_folder(DWORD attributes) {
  return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 &&
         (attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0;
}

inline constexpr int kSharingAttempts = 100;
inline constexpr DWORD kSharingPauseMs = 10;

// Who opens a file so that nobody else may, a virus scanner above all, mostly has it for
// milliseconds: `call`, which is false with GetLastError(), is made again while that is why it
// fails, for a second in all. `is_held` tells by the error.
template <typename Call, typename IsHeld>
bool despite_sharing(const Call& call, const IsHeld& is_held) {
  for (int attempt = 1; !call(); ++attempt) {
    const DWORD code = ::GetLastError();
    if (attempt == kSharingAttempts || !is_held(code)) {
      ::SetLastError(code);
      return false;
    }
    ::Sleep(kSharingPauseMs);
  }
  return true;
}
template <typename Call>
bool despite_sharing(const Call& call) {
  return despite_sharing(call, [](DWORD code) { return code == ERROR_SHARING_VIOLATION; });
}

}  // namespace runhv::platform
