#include "platform/random.h"

#include <windows.h>

#include <ntsecapi.h>

#include <algorithm>

#include "base/check.h"

namespace runhv::platform {

// Not bcrypt.dll's: the process loads one library less, and the numbers are the same.
void fill_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const auto size = static_cast<ULONG>(std::min<std::size_t>(out.size(), 1u << 20));
    RUNHV_CHECK(::RtlGenRandom(out.data(), size));
    out = out.subspan(size);
  }
}

}  // namespace runhv::platform
