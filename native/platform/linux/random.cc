#include "platform/random.h"

#include <cerrno>

#include <sys/random.h>

#include "base/check.h"

namespace runhv::platform {

void fill_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    RUNHV_CHECK(got > 0);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace runhv::platform
