#include "platform/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv::platform {

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Fail{last_os_error("make a pipe")};
  return Pipe{UniqueHandle(ends[0]), UniqueHandle(ends[1])};
}

}  // namespace runhv::platform
