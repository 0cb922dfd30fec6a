// The two ends of a named pipe for overlapped I/O.
#pragma once

#include <string>

#include "platform/handle.h"
#include "platform/windows/user.h"

namespace runhv::platform {

// A pipe that nobody can guess has this prefix and random_name().
inline constexpr std::string_view kPipePrefix = "runhv-";

// Where the system has the pipe `name`.
std::wstring pipe_path(std::string_view name);

// One end that a client of this host can connect to; GetLastError() says why there is none.
// `direction`: PIPE_ACCESS_…; `first`: there must be none of that name yet.
UniqueHandle make_pipe_instance(const std::wstring& path, DWORD direction, bool first,
                                PrivateAccess& access);

// The other end; who listens may know who we are, and not act as us.
UniqueHandle open_pipe(const std::wstring& path, DWORD access);

}  // namespace runhv::platform
