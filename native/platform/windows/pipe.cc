#include "platform/pipe.h"

#include "platform/os_error.h"
#include "platform/random_name.h"
#include "platform/windows/named_pipe.h"

namespace runhv::platform {

// CreatePipe makes none for overlapped I/O.
Result<Pipe> make_pipe() {
  const std::string operation = "make a pipe";
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  const std::wstring path = pipe_path(std::string(kPipePrefix) + random_name());
  UniqueHandle reader = make_pipe_instance(path, PIPE_ACCESS_INBOUND, true, access);
  if (!reader.is_open()) return Fail{last_os_error(operation)};
  UniqueHandle writer = open_pipe(path, GENERIC_WRITE | FILE_READ_ATTRIBUTES);
  if (!writer.is_open()) return Fail{last_os_error(operation)};
  return Pipe{std::move(reader), std::move(writer)};
}

}  // namespace runhv::platform
