#include "platform/windows/named_pipe.h"

#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr DWORD kPipeBytes = 64 * 1024;

}  // namespace

std::wstring pipe_path(std::string_view name) { return LR"(\\.\pipe\)" + to_utf16(name); }

UniqueHandle make_pipe_instance(const std::wstring& path, DWORD direction, bool first,
                                PrivateAccess& access) {
  return own(::CreateNamedPipeW(
      path.c_str(),
      direction | FILE_FLAG_OVERLAPPED | (first ? DWORD{FILE_FLAG_FIRST_PIPE_INSTANCE} : 0),
      PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
      PIPE_UNLIMITED_INSTANCES, kPipeBytes, kPipeBytes, 0, access.attributes()));
}

UniqueHandle open_pipe(const std::wstring& path, DWORD access) {
  return own(::CreateFileW(path.c_str(), access, 0, nullptr, OPEN_EXISTING,
                           FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION,
                           nullptr));
}

}  // namespace runhv::platform
