#include "platform/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

namespace runhv::platform {

void ensure_standard_streams() {
  for (int file = 0; file <= 2; ++file) {
    // open(2) gives the lowest free number.
    if (::fcntl(file, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
  }
}

OsHandle standard_stream(int number) { return number; }

bool is_terminal(OsHandle handle) { return ::isatty(static_cast<int>(handle)) == 1; }

}  // namespace runhv::platform
