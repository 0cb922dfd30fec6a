#include "platform/standard_streams.h"

#include <fcntl.h>
#include <io.h>

#include <array>

#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

constexpr std::array<DWORD, 3> kStreams{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};

}  // namespace

void ensure_standard_streams() {
  for (const DWORD stream : kStreams) {
    const HANDLE handle = ::GetStdHandle(stream);
    DWORD flags = 0;
    if (handle != nullptr && handle != INVALID_HANDLE_VALUE &&
        ::GetHandleInformation(handle, &flags)) {
      continue;
    }
    ::SetStdHandle(stream, ::CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE,
                                         FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING,
                                         0, nullptr));
  }
  // The run-time library would take bytes of an archive for ends of lines.
  for (int stream = 0; stream < 3; ++stream) ::_setmode(stream, _O_BINARY);
}

OsHandle standard_stream(int number) {
  return reinterpret_cast<OsHandle>(::GetStdHandle(kStreams.at(static_cast<std::size_t>(number))));
}

bool is_terminal(OsHandle handle) {
  DWORD mode = 0;
  return ::GetConsoleMode(native(handle), &mode) != 0;
}

}  // namespace runhv::platform
